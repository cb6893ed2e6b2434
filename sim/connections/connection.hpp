#pragma once

#include "kernels/backend.hpp"
#include "kernels/delivery_form.hpp"
#include "kernels/random_key.hpp"
#include "sim/connections/chunks.hpp"
#include "sim/connections/pairs.hpp"

namespace orthospike {

/// Spikes on their way to other neurons, each of height[0] / dt, and how they are delivered (Deliver of
/// kernels/delivery.hpp).
struct SentSpikes {
  ConstSpikes spikes;
  View<const float> height;
  float dt = 1;
  DeliveryForm form = DeliveryForm::automatic;
  float crossover = 0;
};

struct InitialWeights {
  enum class Distribution { uniform, normal };

  Distribution distribution = Distribution::uniform;
  float scale = 0;  ///< uniform within ± scale, or normal with that deviation
};

/// weights ← random ones as `initial` has them.
void draw(Backend& backend, const InitialWeights& initial, const RandomKey& key, View<float> weights);

/// How the outputs of n source neurons become currents of m target neurons: a linear map with weights [presynaptic ×
/// outputs]. The weights of a target's output to what it looks at, a presynaptic row, are a column, and each sample has
/// `places` presynaptic rows with the same weights; so m = places · outputs, place by place. All matrices have a row for
/// each step and sample. What others know of weights they know from here.
///
/// Weights are arguments because errors may travel back through others than currents came by.
class Connection {
 public:
  struct Sizes {
    std::size_t sources = 0, targets = 0;      ///< neurons
    std::size_t presynaptic = 0, outputs = 0;  ///< of the weights; both 0 where there are none
    std::size_t places = 1;
    double fan_out = 0;  ///< targets of a spike, the mean over the sources
  };

  virtual ~Connection() = default;

  std::size_t sources() const { return sizes_.sources; }
  std::size_t targets() const { return sizes_.targets; }
  std::size_t presynaptic() const { return sizes_.presynaptic; }
  std::size_t outputs() const { return sizes_.outputs; }
  std::size_t places() const { return sizes_.places; }
  double fan_out() const { return sizes_.fan_out; }

  /// How those weights are drawn that training starts from.
  /// As it stands here, uniform within ±1/√presynaptic (Kaiming with a = √5).
  virtual InitialWeights initial_weights() const;

  /// currents [N × targets] ← what values [N × sources] bring. All throw std::invalid_argument for other shapes.
  void deliver(Backend& backend, ConstMatrix weights, ConstMatrix values, Matrix currents) const;
  /// The same of spikes, and at each place an offset [outputs], or none where that is empty.
  void deliver(Backend& backend, ConstMatrix weights, const SentSpikes& spikes, Matrix currents,
               View<const float> offset = {}) const;
  /// sources [N × sources] ← what comes back of errors [N × targets] by the currents: the transpose of `deliver`.
  void return_errors(Backend& backend, ConstMatrix weights, ConstMatrix errors, Matrix sources) const;
  /// The presynaptic rows [N · places × presynaptic] of activity or traces [N × sources], as values, too. They are valid
  /// until the next call.
  Presynaptic rows(Backend& backend, const Presynaptic& trace) const;
  /// The factors [N · places × outputs] of these rows that postsynaptic ones [N × targets] are.
  ConstMatrix factors(ConstMatrix post) const;
  /// The gradient by the weights of ⟨currents of the trace, post⟩ is the sum of the outer products of these.
  Pairs pairs(Backend& backend, const Presynaptic& trace, ConstMatrix post) const {
    return {rows(backend, trace), factors(post)};
  }
  /// Those of some places of a map alone: every `every`th along each of its sides. They are valid until the next call.
  Pairs sampled_pairs(Backend& backend, const Presynaptic& trace, ConstMatrix post, std::size_t every) const;
  /// sum [presynaptic × outputs] ← that sum + beta · sum, without all of the pairs.
  void add_gradient(Backend& backend, const Presynaptic& trace, ConstMatrix post, float beta,
                    Matrix sum) const;

 protected:
  explicit Connection(const Sizes& sizes) : sizes_(sizes), expanded_(sizes.sources) {}

  /// As it stands here, spikes become values first.
  virtual void deliver_spikes(Backend& backend, ConstMatrix weights, const SentSpikes& sent, Matrix currents,
                              View<const float> offset) const;
  /// Adds an offset [outputs], where it is not empty, at each place.
  void add_offset(Backend& backend, View<const float> offset, Matrix currents) const;

  /// As it stands here, by values of some rows at a time.
  virtual void add_gradient_of_spikes(Backend& backend, const Presynaptic& trace, ConstMatrix post,
                                      float beta, Matrix sum) const;

 private:
  void check_weights(ConstMatrix weights) const;
  virtual void deliver_values(Backend& backend, ConstMatrix weights, ConstMatrix values,
                              Matrix currents) const = 0;
  virtual void return_from(Backend& backend, ConstMatrix weights, ConstMatrix errors,
                           Matrix sources) const = 0;
  /// As it stands here, by all pairs.
  virtual void add_gradient_of_values(Backend& backend, ConstMatrix values, ConstMatrix post, float beta,
                                      Matrix sum) const;
  /// Of a connection with weights and of values.
  virtual Presynaptic find_rows(Backend& /*backend*/, const Presynaptic& /*trace*/) const { return {}; }
  /// Of a connection with several places. As it stands here, of all.
  virtual Pairs sample(Backend& backend, const Presynaptic& trace, ConstMatrix post,
                       std::size_t /*every*/) const {
    return pairs(backend, trace, post);
  }
  /// Those of the trace, which are found where it has only spikes.
  Presynaptic values_of(Backend& backend, const Presynaptic& trace) const;

  Sizes sizes_;
  ChunkRoom expanded_;                 ///< some rows of spikes as values
  mutable Array<float> all_expanded_;  ///< all, when they were needed
  mutable Array<float> ones_;          ///< one a place, when offsets needed them
};

}  // namespace orthospike
