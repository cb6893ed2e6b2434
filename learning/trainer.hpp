#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "learning/boundary_detector.hpp"
#include "learning/communicator.hpp"
#include "learning/config.hpp"
#include "learning/federated_average.hpp"
#include "learning/optimisers/optimiser.hpp"
#include "learning/optimisers/schedule.hpp"
#include "learning/population_constants.hpp"
#include "learning/protections/protection.hpp"
#include "learning/rules/rule.hpp"
#include "learning/stored_tasks.hpp"
#include "sim/clock_engine.hpp"

namespace orthospike {

/// Seconds of each phase on the host's clock. On a device that works on its own, a phase is charged for what
/// the host waits for in it.
enum class Phase { encode, forward, rule, protect, update, extract, evaluate, measure };
inline constexpr std::array<const char*, 8> phase_names = {"encode", "forward", "rule",     "protect",
                                                           "update", "extract", "evaluate", "measure"};
using PhaseSeconds = std::array<double, phase_names.size()>;

/// Adds the time of its life to a phase.
class PhaseTimer {
 public:
  PhaseTimer(PhaseSeconds& seconds, Phase phase)
      : total_(seconds[static_cast<std::size_t>(phase)]), start_(std::chrono::steady_clock::now()) {}
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;
  ~PhaseTimer() {
    total_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  double& total_;
  std::chrono::steady_clock::time_point start_;
};

struct Evaluation {
  double accuracy = 0;
  double loss = 0;  ///< mean over samples
};

/// So many samples of a batch, of images that one task shows. The shares of a batch follow each other and add up to it.
struct Share {
  std::size_t samples = 0;
  ShownImages images;
  std::size_t task = 0;  ///< counted from 0
};

struct Batch {
  View<const std::uint32_t> samples;  ///< [batch] numbers of images
  View<const Target> targets;         ///< [batch]
  std::span<const Share> shares;
};

/// A network and everything that teaches it, one batch at a time. Several ranks have the same network; each learns from
/// its slice of every batch, and all take the step that one would take by the whole batch.
class Trainer {
 public:
  /// Builds all parts by their config names; throws ConfigError for what does not fit together.
  /// config.data must say mean and deviation.
  Trainer(Backend& backend, const Config& config, const MapShape& input, std::size_t logits,
          Communicator& ranks = alone());

  /// task counts from 0; its length is what the schedule of the learning rate goes by. From the second task
  /// on thresholds and normalisations stay as they are. With hidden boundaries only the first task is begun from outside and none
  /// is ended: before a batch with which a task seems to begin the trainer does both.
  void begin_task(std::size_t task, const TaskLength& length);
  /// One update. Adds the summed loss of this rank's part of the batch and the number of right answers in it.
  void train_batch(const Batch& batch, View<double> loss, View<std::uint32_t> correct);
  void end_task();

  /// Starts replay's own optimiser afresh.
  void begin_replay();
  /// One update along the sum of the gradients of the shares' mean losses; each share is at most
  /// replay.batch_size. Nothing is projected; subspaces, thresholds and normalisations stay as they are.
  void replay_batch(const Batch& batch, View<double> loss, View<std::uint32_t> correct);

  /// samples and targets [as many as are tested]; `see` gets the logits of batch after batch, [samples × logits], of this
  /// rank's part of each.
  Evaluation evaluate(const ShownImages& images, View<const std::uint32_t> samples,
                      View<const Target> targets, const std::function<void(ConstMatrix)>& see = {});
  /// Forward pass only, for `engine().activity`.
  void run_batch(const ShownImages& images, View<const std::uint32_t> samples);

  // Federated training (federated.md): the batches of a client's turn change the weights that all clients start from,
  // for the client alone and under no operator, on one rank; turns of several ranks may differ. What they change comes to
  // the network at the end of a round, averaged over clients and then under the protection's operators.

  /// updates: that the client made in the task so far, in epochs of such a length.
  void begin_client(const TaskLength& length, std::size_t updates);
  /// share: the client's part of all samples.
  void end_client(float share);
  /// As if the turn had not begun.
  void leave_client();
  void end_round();
  /// The protection observes a batch of the samples of all clients, of whom it gets what it sums over ranks; weights stay as
  /// they are. Adds up loss and right answers as train_batch does.
  void observe_batch(const Batch& batch, View<double> loss, View<std::uint32_t> correct);

  /// Between two batches, or between turns of clients.
  void state(Archive& archive);

  /// Of all ranks together.
  std::size_t batch_size() const { return batch_size_; }
  /// Samples that a rank runs at once.
  std::size_t run_size() const { return ranks_.largest_slice(batch_size_); }
  Communicator& ranks() { return ranks_; }
  /// What pixels from 0 to 1 become inputs with, (pixel - mean) / deviation.
  /// Those that pixels are scaled by where images have none of their own.
  const PixelMoments& moments() const { return moments_; }
  ClockEngine& engine() { return *engine_; }
  Network& network() { return network_; }
  /// The projections that tasks share, the first ones of the network: see orthospike::shared_projections.
  std::span<const Projection> shared_projections() const { return shared_projections_; }
  Protection& protection() { return *protection_; }
  ErrorFeedback& feedback() { return *feedback_; }
  /// Whether what the protection does to traces can be done to sums of gradients, too.
  bool protects_linearly() const { return protects_linearly_; }
  PhaseSeconds& seconds() { return seconds_; }
  /// Whether all that learns is finite. Waits for the back end, which reads all weights once.
  bool all_finite();
  /// A projection that has a subspace with a number that is not finite; empty where there is none.
  std::string diverged_subspace();
  /// Whether all that learns is the same on every rank, as it must be for them to learn together. All of them ask.
  bool ranks_agree();
  /// The largest magnitude of all weights and where it is, in words; those that are not finite count as the largest.
  std::string largest_weight();
  /// Updates with which a task seemed to begin, counted from 1 over all tasks.
  const std::vector<std::uint32_t>& detected_boundaries() const { return detected_boundaries_; }

 private:
  /// A rank's part of a batch of so many samples on all ranks.
  struct Part {
    View<const std::uint32_t> samples;
    View<const Target> targets;
    std::size_t of_ranks;
  };

  /// This rank's slice of a batch, encoded as the engine's input.
  Part encode_slice(const Batch& batch);
  bool is_finite(View<const float> values);
  bool is_finite(ConstMatrix matrix);
  /// Into `input` [samples × inputs].
  void encode(const ShownImages& images, View<const std::uint32_t> samples, Matrix input);
  /// Whether boundaries are hidden and a task seems to begin with this batch.
  bool begins_task(const Part& part);
  /// Runs steps first … first + count - 1 of the encoded batch and asks the rule for their gradients.
  void compute_gradients(const Part& part, std::size_t first, std::size_t count, View<double> loss,
                         View<std::uint32_t> correct);
  /// From a gradient of the mean over this rank's samples its part of that over those of all ranks.
  void scale_to_all(const Part& part, Matrix gradient);
  void observe(const Part& part, std::size_t projection);
  /// Whether the rule says how the parameter changes; else it is weights that an error feedback learns by itself.
  bool is_of_rule(std::size_t parameter) const;
  Pairs pairs_of(std::size_t parameter) const;
  /// Of the protection, on changes of the parameter; null where it has none.
  ChangeOperator* operator_on(std::size_t parameter) const;
  /// On those of one update.
  ChangeOperator* operator_on_update(std::size_t parameter) const {
    return protects_averages_ ? nullptr : operator_on(parameter);
  }
  void sum_over_ranks(Matrix gradient);
  /// The pairs, under the operator if there is one.
  Pairs protected_pairs(std::size_t parameter, ChangeOperator* projector);
  /// Rows of the pairs on the rank that has most of them; the same number on all.
  std::size_t most_rows(const Part& part, std::size_t parameter) const;
  void update_weights(const Part& part, std::size_t parameter);
  /// gradient ← that of the last run, its pairs under the operator if there is one, added to that of runs before or not;
  /// of this rank's part.
  void find_gradient(const Part& part, std::size_t parameter, bool to_others, ChangeOperator* projector,
                     Matrix gradient);
  Matrix summed_gradient(std::size_t parameter);
  /// Overwrites the gradient, of all ranks. is_projected: its pairs were; else they can be projected as their sum.
  void update_by_gradient(std::size_t parameter, Matrix gradient, bool is_projected);
  void update_by_pairs(LinearSteps& steps, std::size_t parameter);

  /// Weights that learn: those of a projection, or those that the feedback has to its source.
  struct Learned {
    std::size_t projection;
    bool feedback;
    Matrix weights;
  };

  Backend& backend_;
  Communicator& ranks_;
  PixelMoments moments_;
  std::size_t batch_size_;
  bool protects_linearly_;
  bool protects_averages_;      ///< of clients, and not each update
  bool observes_;               ///< whether the protection learns anything from activity
  std::size_t observed_every_;  ///< see Connection::sampled_pairs
  Network network_;
  std::span<const Projection> shared_projections_;
  std::unique_ptr<ClockEngine> engine_;
  std::unique_ptr<ErrorFeedback> feedback_;
  std::vector<Learned> learned_;                    ///< by the optimiser's number of them
  std::unique_ptr<PopulationConstants> constants_;  ///< which come after these, and learn in the first task
  std::unique_ptr<Rule> rule_;
  std::unique_ptr<Protection> protection_;
  std::unique_ptr<Optimiser> optimiser_;
  std::unique_ptr<Optimiser> replay_optimiser_;
  std::unique_ptr<BoundaryDetector> detector_;   ///< null where none are detected
  std::unique_ptr<FederatedAverage> federated_;  ///< null where training is not
  std::vector<std::uint32_t> detected_boundaries_;
  float replay_learning_rate_;
  Schedule schedule_;
  std::size_t task_ = 0;
  TaskLength task_length_;
  std::size_t updates_ = 0;           ///< of this task so far
  std::uint32_t updates_of_all_ = 0;  ///< of all tasks
  float rate_ = 0;                    ///< learning rate of this update
  bool trains_constants_ = true;
  std::size_t steps_per_update_ = 0;
  std::size_t steps_per_run_ = 0;        ///< fewer where gradients are summed over several runs
  Array<float> logit_gradient_;          ///< [steps of a run · batch × logits]
  Array<float> summed_error_;            ///< [batch × logits] over steps, for feedback that learns
  ConstMatrix readout_error_;            ///< [batch × logits] of the last gradients
  Array<double> unused_loss_;            ///< [1]
  Array<std::uint32_t> unused_correct_;  ///< [1]
  Array<float> direction_;  ///< [largest projection] summed gradient, then what the optimiser makes of it
  Array<float> share_;      ///< [1] this rank's of a batch
  std::vector<Array<float>> summed_gradients_;  ///< over runs, and in replay over tasks, of all that learns
  PhaseSeconds seconds_{};
};

}  // namespace orthospike
