#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

#include "kernels/delivery_form.hpp"
#include "sim/network.hpp"
#include "sim/settings.hpp"

namespace orthospike {

/// How spikes are delivered (Deliver of kernels/delivery.hpp).
struct DeliverySettings {
  DeliveryForm form = DeliveryForm::automatic;
  float crossover = 0.3F;  ///< share of additions above which a dense product is cheaper

  void describe(SettingsVisitor& visit);
};

/// What a run keeps beside what it always does, for those who learn from it or look at it.
struct Recording {
  bool margins = false;      ///< Activity::margin
  bool step_logits = false;  ///< the read-out after each step
  bool states = false;       ///< Activity::each_state
  bool currents = false;     ///< Activity::current
  /// Normalisations are in training, which no observer may ask for; Activity::normalised
  bool trains_normalisation = false;

  auto operator<=>(const Recording&) const = default;
};

class ClockEngine;

/// Looks at what an engine runs.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;

  /// Before each call of run_steps for a batch of so many samples: what it should keep besides.
  virtual Recording wanted(std::size_t first_step, std::size_t batch) = 0;
  /// After it.
  virtual void ran(const ClockEngine& engine) = 0;
};

/// Runs a network with a fixed time step on batches of samples that start from rest.
///
/// Projections are feed-forward, so each population runs all its steps before the next begins: weights are
/// read from memory once a batch, the current of a static input is computed once, and a read-out needs one
/// delivery of the average of its input. Only a population with a recurrent projection goes step by step.
class ClockEngine {
 public:
  /// Runs up to max_batch samples of `steps` steps. Holds their activity in `most_at_once` steps (0: all), the most
  /// that one call of run_steps takes: what does not need all at once has memory that does not grow with time. The
  /// network must be complete and outlive this.
  ClockEngine(Network& network, std::size_t steps, std::size_t max_batch, const DeliverySettings& delivery,
              std::size_t most_at_once = 0);

  /// The place for the input currents of the next batch, [batch × input neurons]. Throws
  /// std::invalid_argument when batch is 0 or above max_batch.
  Matrix input(std::size_t batch);
  /// Runs all steps of the batch whose currents lie in `input`, as many at once as are held. Of the activity, means
  /// are then those of all steps, and the rest that of the steps run last.
  void run(const Recording& recording = {});
  /// From now on, or nobody any more (null). It outlives this, or takes itself away.
  void set_observer(EngineObserver* observer) { observer_ = observer; }
  /// Runs steps first … first + count - 1; those before must have been run. Throws std::invalid_argument
  /// beyond the last step, or for more than are held.
  void run_steps(std::size_t first, std::size_t count, const Recording& recording);

  /// What a population did in the steps of the last call of run_steps, or see run. Of a static population, the
  /// average and mean outputs are what it always gives.
  ConstActivity activity(std::size_t population) const;
  /// [batch × neurons] the field of that name of a spiking population's state, after the last step run. Throws
  /// std::invalid_argument where its neuron model declares no such field.
  ConstMatrix state(std::size_t population, std::string_view field) const;
  /// [batch × classes] mean over all steps so far.
  ConstMatrix logits() const { return logits_.matrix(batch_, classes()); }
  /// [count·batch × classes] the read-out after each step of the last run, if it recorded them or leaks.
  ConstMatrix step_logits() const { return step_logits_.matrix(count_ * batch_, classes()); }

  /// Whether a population's currents are the same in every step, but for those of a projection onto itself.
  bool has_constant_currents(std::size_t population) const;
  const Network& network() const { return network_; }
  Network& network() { return network_; }
  std::size_t batch() const { return batch_; }
  std::size_t steps() const { return steps_; }
  std::size_t most_at_once() const { return most_at_once_; }
  std::size_t max_batch() const { return max_batch_; }
  /// Of the last run.
  std::size_t first_step() const { return first_; }
  std::size_t step_count() const { return count_; }

  /// Spikes and synaptic operations (additions of a weight to a current of a spiking neuron) since the engine
  /// was made, over all samples run. Waits for the back end.
  struct Work {
    double spikes = 0;
    std::vector<double> population_spikes;  ///< of each population
    double synaptic_operations = 0;
    double samples = 0;
  };
  Work work() const;

 private:
  /// Views for steps first … first + count - 1 of those held of the current batch, and of what is recorded where there
  /// is room.
  Activity buffers(std::size_t population, std::size_t first, std::size_t count,
                   const Recording& recording = {}) const;
  Activity buffers(std::size_t population) const { return buffers(population, 0, count_); }
  /// Currents that projections from other populations bring, [batch or count·batch × neurons], in `room`.
  Matrix currents(std::size_t population, Array<float>& room);
  /// Adds to them what the population carries on, and keeps them for those that carry them on.
  void carry(std::size_t population, Matrix currents);
  /// Normalises those of a population, where they are and what brought them has not.
  void normalise(std::size_t population, Matrix currents, const Recording& recording);
  /// Whether all that reaches the currents of a population, which are normalised, are spikes by the weights of one
  /// projection: fixed means and variances are then a part of these.
  bool can_fold(std::size_t population) const;
  /// What one of them brings; normalised where its target can and this run does not train that.
  void deliver(const Projection& projection, Matrix currents);
  SentSpikes sent(std::size_t population, ConstSpikes spikes) const;
  /// Whether what it brings is the same in every step.
  bool is_static(const Projection& projection) const {
    return network_.populations()[projection.source].is_static();
  }
  /// Copies the first so many rows to the others.
  void repeat_first_rows(Matrix matrix, std::size_t rows);
  void run_populations(const Recording& recording);
  void run_spiking(std::size_t population, const Recording& recording);
  /// For what is recorded and was not before.
  void make_room(const Recording& recording, std::size_t population);
  void run_recurrent(const Projection& recurrent, ConstMatrix feed_forward, const Recording& recording);
  void run_readout(bool step_logits);
  std::size_t classes() const { return network_.populations()[readout_].size; }

  struct Storage {
    Array<std::uint32_t> counts, indices;
    Array<float> average_current, average_output, mean_output, margin, current, normalised;
    std::vector<Array<float>> state;       ///< one a field that the neuron model declares
    std::vector<Array<float>> each_state;  ///< the same for all steps, when they were needed
    Array<float> mean_of_all;              ///< of the mean outputs, where not all steps are held
    Array<float> carried_on;               ///< currents, where others carry them on
    Array<std::uint64_t> spike_total;
    SpikeIndex index;  ///< of the spikes of the last run
  };

  Network& network_;
  std::size_t steps_;
  std::size_t most_at_once_;
  std::size_t max_batch_;
  DeliverySettings delivery_;
  std::size_t input_ = 0;           ///< index of the population
  std::size_t readout_ = 0;         ///< index of the population
  std::vector<std::size_t> order_;  ///< of populations but the input, each after those that reach it
  std::size_t batch_ = 0;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  Recording recorded_;            ///< in the last run, or this one
  std::size_t count_before_ = 0;  ///< steps of the run before, 0 for the first of a batch
  double samples_ = 0;
  std::vector<std::unique_ptr<Storage>> storage_;  ///< one a population
  Array<float> currents_;  ///< of the spiking population that has most, in all steps where they differ
  Array<float> further_currents_;  ///< [most_at_once·max_batch × widest], of its second projection and more
  Array<float> folded_weights_;    ///< of the projection with most, of those whose targets can fold
  Array<float> folded_offset_;
  Array<float> recurrent_currents_;  ///< [max_batch × widest recurrent population]
  Array<float> logits_;
  Array<float> step_logits_;  ///< [most_at_once·max_batch × classes], when it was needed
  /// One a batch size, numbers of steps of the run before and of this one, and recording.
  std::map<std::tuple<std::size_t, std::size_t, std::size_t, Recording>, std::unique_ptr<RepeatedWork>> runs_;
  Array<float> readout_currents_, readout_state_;  ///< [max_batch × classes]
  EngineObserver* observer_ = nullptr;
};

}  // namespace orthospike
