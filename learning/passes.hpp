#pragma once

#include <cstdint>
#include <vector>

#include "learning/config.hpp"
#include "learning/stored_tasks.hpp"
#include "learning/trainer.hpp"

namespace orthospike {

/// What one pass over samples shows, batch by batch.
struct Pass {
  std::vector<std::uint32_t> samples;       ///< numbers of images
  std::vector<Target> targets;              ///< of the samples
  std::vector<std::vector<Share>> batches;  ///< of each, the shares of its samples
};

/// Of consecutive batches, each an entry: sums over samples, and how many these are.
struct Points {
  std::vector<double> losses, right, samples;

  /// Of all batches of a pass that another rank is shown: sums are 0.
  static Points of_another(const Pass& pass);
  void append(const Points& more);
};

/// A pass in a back end's memory, and what becomes of it. The pass outlives it.
class ShownPass {
 public:
  ShownPass(Backend& backend, const Pass& pass);

  std::size_t batches() const { return pass_.batches.size(); }
  struct Step {
    Batch batch;
    View<double> loss;            ///< [1] where its sum over samples goes
    View<std::uint32_t> correct;  ///< [1]
  };
  /// The next batch.
  Step next();
  /// Goes on after so many batches.
  void skip_to(std::size_t batch);
  /// Of batches `from` … `to` - 1, of this rank.
  Points points(std::size_t from, std::size_t to) const;

 private:
  Backend& backend_;
  const Pass& pass_;
  Array<std::uint32_t> samples_;
  Array<Target> targets_;
  Array<double> losses_;          ///< [batches]
  Array<std::uint32_t> correct_;  ///< [batches]
  std::size_t batch_ = 0, sample_ = 0;
};

/// What is shown of a sequence's training samples, in which order: the passes of each task, for which a place, a seed and
/// the settings are all that counts. Tasks, counted from 0 here, are what is learned; what is shown is of others, too,
/// where boundaries are mixed, in replay and in joint training.
class Passes {
 public:
  Passes(const Config& config, StoredTasks& tasks);

  /// Training samples of a task and how often each is shown.
  std::size_t samples_of(std::size_t task) const { return targets_[task].size(); }
  std::size_t epochs_of(std::size_t task) const;
  /// Of a task, or in joint training of all.
  std::size_t batches_per_epoch(std::size_t task) const;

  /// Epochs count from 0.
  Pass training(std::size_t task, std::size_t epoch);
  /// Each batch shows some samples of each task so far. Those that store fewer than the others show them again.
  Pass replay(std::size_t task, std::size_t epoch);

  // Of federated training:
  std::size_t rounds_of(std::size_t task) const;
  struct ClientPass {
    Pass shown;
    TaskLength length;        ///< of the task for the client
    std::size_t updates = 0;  ///< that it made in earlier rounds
    float share = 0;          ///< of all samples
  };
  /// Of each client, what a round, which counts from 0, shows it.
  std::vector<ClientPass> round(std::size_t task, std::size_t round);

 private:
  std::size_t batches_of(std::size_t samples) const;
  std::vector<std::uint32_t> shuffled_samples(std::size_t task, std::size_t epoch) const;
  std::vector<std::uint32_t> mixed_samples(std::size_t task, std::size_t epoch) const;
  std::size_t task_of(std::uint32_t number) const;
  void show(std::size_t task, std::size_t sample, Pass& pass) const;
  void show_in_batches(std::vector<std::uint32_t> numbers, Pass& pass);
  const std::vector<std::uint32_t>& replayed(std::size_t task);
  std::uint32_t client_of(std::uint32_t number);

  const Config& config_;
  const ProtectionPlan& plan_;
  StoredTasks& tasks_;
  // Of each task:
  std::vector<std::size_t> firsts_;                  ///< training samples of all tasks before it
  std::vector<std::size_t> first_streams_;           ///< epochs of all tasks before it
  std::vector<std::size_t> lengths_;                 ///< samples that it shows
  std::vector<std::vector<Target>> targets_;         ///< of its training samples
  std::vector<std::vector<std::uint32_t>> memory_;   ///< see `replayed`
  std::vector<std::vector<std::uint32_t>> holders_;  ///< clients that hold its training samples
};

}  // namespace orthospike
