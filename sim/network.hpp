#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/backend.hpp"
#include "sim/connections/connection.hpp"
#include "sim/neurons/neuron_model.hpp"
#include "sim/normalisation.hpp"

namespace orthospike {

/// Neurons of one kind. The input population carries the analog input current, the same in every step; one for biases is
/// a neuron whose output is always 1. A read-out does not spike: y[t] = leak · y[t - 1] + current[t], and the logits are
/// its mean over time, weighted where the model of the neurons before it weights its averages.
struct Population {
  enum class Kind { input, bias, spiking, readout };

  std::string name;
  std::size_t size = 0;
  Kind kind = Kind::spiking;
  std::unique_ptr<NeuronModel> neuron;                     ///< of spiking populations, else null
  float leak = 0;                                          ///< of a read-out, what is left of it after a step
  std::unique_ptr<Normalisation> normalisation = nullptr;  ///< of a spiking one's currents, or null
  /// A spiking population whose currents, before they are normalised, are added to this one's: the stream past the layers
  /// between them (He et al., 2016).
  std::optional<std::size_t> carried = {};

  /// Whether its output is analog and the same in every step.
  bool is_static() const { return kind == Kind::input || kind == Kind::bias; }
};

/// What one population sends to another.
struct Projection {
  std::string name;
  std::size_t source = 0;  ///< index of a population
  std::size_t target = 0;
  std::unique_ptr<Connection> connection;
  Array<float> weights;

  /// Onto the population itself: spikes arrive one step later.
  bool is_recurrent() const { return source == target; }
  std::size_t sources() const { return connection->sources(); }
  std::size_t targets() const { return connection->targets(); }
  std::size_t presynaptic() const { return connection->presynaptic(); }
  std::size_t outputs() const { return connection->outputs(); }
  /// The weights [presynaptic × outputs], the transpose of the W of the equations.
  Matrix matrix() { return weights.matrix(presynaptic(), outputs()); }
  ConstMatrix matrix() const { return weights.matrix(presynaptic(), outputs()); }
};

/// Populations joined by feed-forward projections, and spiking ones perhaps with themselves. Weights live in the back
/// end's memory and start at zero.
class Network {
 public:
  explicit Network(Backend& backend) : backend_(backend) {}

  /// Index of the new population. Throws std::invalid_argument for a size of 0, of more than 1 for biases, a name in use,
  /// a neuron model where there should be none (or none where there should be one), currents normalised where none
  /// arrive or by channels that the neurons are no multiple of, or carried from what is no spiking population of its size.
  std::size_t add_population(Population population);
  /// Index of the new projection. Several may lead to a population, whose currents add up, and several from it. Throws
  /// std::invalid_argument when a population does not exist or is not of the connection's size, the source comes after
  /// the target, the target is static, or the source is a read-out; for one of a population whose currents are normalised onto itself, a second one onto the same population; and
  /// unless all projections to a population come before those to others from it and those to populations that carry its
  /// currents on, which have none onto themselves.
  std::size_t add_projection(std::string name, std::size_t source, std::size_t target,
                             std::unique_ptr<Connection> connection);
  /// The same of a dense one.
  std::size_t add_projection(std::string name, std::size_t source, std::size_t target);
  /// Throws std::invalid_argument unless there is one input, one read-out, every population that is not static is
  /// reached, and currents are carried on past projections from their population.
  void check_complete() const;

  /// Weights as their connections want them, drawn from stream = index of the projection; biases 0.
  void initialise_weights(std::uint64_t seed);

  void state(Archive& archive);

  Backend& backend() const { return backend_; }
  /// Indices of those to a population from others, and from one to others.
  std::vector<std::size_t> projections_to(std::size_t population) const;
  std::vector<std::size_t> projections_from(std::size_t population) const;
  /// Indices of populations that carry its currents on.
  std::vector<std::size_t> carriers(std::size_t population) const;
  /// The recurrent projection of a population; null where it has none.
  const Projection* recurrent_projection(std::size_t population) const;
  std::vector<Population>& populations() { return populations_; }
  const std::vector<Population>& populations() const { return populations_; }
  std::vector<Projection>& projections() { return projections_; }
  const std::vector<Projection>& projections() const { return projections_; }

 private:
  std::vector<std::size_t> feed_forward(std::size_t Projection::*end, std::size_t population) const;

  Backend& backend_;
  std::vector<Population> populations_;
  std::vector<Projection> projections_;
};

}  // namespace orthospike
