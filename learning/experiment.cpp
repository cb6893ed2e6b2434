#include "learning/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "datasets/image_set.hpp"
#include "datasets/permuted_tasks.hpp"
#include "kernels/error.hpp"
#include "learning/monitor.hpp"
#include "learning/replay.hpp"
#include "learning/trainer.hpp"
#include "learning/version.hpp"

namespace orthospike {

namespace {

/// Updates between two calls of ExperimentObserver::training: reading the loss makes the host wait.
constexpr std::size_t batches_between_reports = 50;

/// Numbers of the training samples that are held back.
std::vector<std::uint32_t> held_back_samples(const Config& config, const ImageSet& train) {
  const TaskSettings& tasks = config.tasks;
  const std::size_t count = tasks.held_back_samples;
  if (count == 0) return {};
  if (count >= train.count) {
    throw ConfigError(fmt::format("tasks.held_back_samples: {} of {} training samples leave none to train on",
                                  count, train.count));
  }
  if (tasks.held_back == TaskSettings::HeldBack::stratified)
    return stratified_samples(train.labels, count, {config.experiment.seed, RandomPurpose::held_back});
  std::vector<std::uint32_t> last(count);
  std::iota(last.begin(), last.end(), static_cast<std::uint32_t>(train.count - count));
  return last;
}

/// What one pass over samples shows, update by update.
struct Pass {
  std::vector<std::uint32_t> samples;
  std::vector<std::vector<Share>> updates;  ///< of each, the shares of its samples
  bool replay = false;
};

std::size_t size_of(const std::vector<Share>& update) {
  std::size_t size = 0;
  for (const Share& share : update) size += share.samples;
  return size;
}

/// One run: what run_experiment's steps share.
class Experiment {
 public:
  Experiment(const Config& config, const ImageData& data, const std::filesystem::path& folder,
             ExperimentObserver& observer)
      : config_(config),
        observer_(observer),
        plan_(config.protection),
        told_(config.tasks.boundaries == TaskSettings::Boundaries::known),
        backend_(make_backend(config.run.device, static_cast<int>(config.run.threads),
                              [&](const std::string& sentence) { observer.warn(sentence); })),
        train_(*backend_, data.train, config.tasks.train_samples),
        train_labels_(std::span(data.train.labels).first(train_.count)),
        test_(*backend_, data.test, config.tasks.test_samples),
        trainer_(*backend_, config, data.train.pixels_per_image(), data.train.classes),
        monitor_(trainer_, std::min(config.metrics.quality_samples, train_.count),
                 plan_.is_joint() ? 1 : config.tasks.count),
        amplifies_(trainer_.network().projections().size()),
        accuracy_(config.tasks.count),
        file_(folder, config_text(config),
              {.version = version,
               .git_revision = git_revision,
               .device = backend_->device(),
               .seed = config.experiment.seed,
               .threads = static_cast<std::uint64_t>(backend_->threads())},
              config.tasks.count, projection_names()) {
    for (const PermutedTask& task :
         permuted_tasks(config.tasks.count, data.train.pixels_per_image(), config.experiment.seed)) {
      Array<std::uint32_t>& order =
          pixel_orders_.emplace_back(backend_->allocate<std::uint32_t>(task.pixel_order.size()));
      backend_->upload(std::span<const std::uint32_t>(task.pixel_order), order.view());
    }
  }

  RunRecord run() {
    for (const std::string& sentence : trainer_.protection().warnings(config_.tasks.count))
      observer_.warn(sentence);
    evaluate(0);
    // Joint training is that of the last task: after it all are learned.
    for (std::size_t task = plan_.is_joint() ? config_.tasks.count : 1; task <= config_.tasks.count; ++task) {
      try {
        run_task(task);
      } catch (const EnvironmentError& error) {
        throw EnvironmentError(fmt::format("in task {}: {}", task, error.what()));
      }
    }
    file_.finish();
    return read_run_file(file_.final_path());
  }

 private:
  void run_task(std::size_t task) {
    TaskCosts costs;
    if (told_ || task == 1) {
      trainer_.begin_task(plan_.is_joint() ? 0 : task - 1,
                          {.epochs = config_.tasks.epochs, .updates_per_epoch = updates_per_epoch()});
    }
    monitor_.begin_task();
    for (std::size_t epoch = 1; epoch <= config_.tasks.epochs; ++epoch)
      train(task, epoch, training_pass(task, epoch), costs);
    if (told_) trainer_.end_task();
    const auto reports = monitor_.end_task(train_, pixel_orders_[task - 1].view());
    if (task < config_.tasks.count) warn_of_amplification(task, reports);
    if (plan_.has_replay()) replay(task, costs);
    evaluate(task);
    file_.append_boundaries(std::span(trainer_.detected_boundaries()).subspan(boundaries_written_));
    boundaries_written_ = trainer_.detected_boundaries().size();
    const auto samples = static_cast<double>(costs.training_samples);
    costs.multiply_adds /= samples;
    costs.spikes /= samples;
    costs.synaptic_operations /= samples;
    costs.seconds = std::exchange(trainer_.seconds(), {});
    file_.write_task(task, reports, costs);
  }

  std::vector<std::string> projection_names() {
    std::vector<std::string> names;
    for (const Projection& projection : trainer_.network().projections()) names.push_back(projection.name);
    return names;
  }

  /// Where h hᵀ has an eigenvalue above 2, x - x hᵀ h enlarges what it should remove, and in time training diverges.
  /// Warns once of each projection.
  void warn_of_amplification(std::size_t task, const std::vector<ProjectionReport>& reports) {
    for (std::size_t p = 0; p < reports.size(); ++p) {
      if (amplifies_[p] || !(reports[p].largest_eigenvalue > 2)) continue;
      amplifies_[p] = true;
      observer_.warn(
          fmt::format("after task {} the subspace rows H of {} are far from orthonormal (largest "
                      "eigenvalue of HHᵀ {:.1f}): the projection amplifies some changes of weights; "
                      "set hlop.orthonormalise = true or lower hebbian.learning_rate",
                      task, trainer_.network().projections()[p].name, reports[p].largest_eigenvalue));
    }
  }

  [[noreturn]] void refuse(const std::string& found, const std::string& rate) {
    throw EnvironmentError(fmt::format("{} (the largest weight is {}): training diverges; lower {}", found,
                                       trainer_.largest_weight(), rate));
  }

  /// Warns of populations of which since the last call no neuron fired, or each in every step, once of each.
  void warn_of_idle_populations(std::size_t task) {
    const ClockEngine& engine = trainer_.engine();
    const ClockEngine::Work work = engine.work();
    for (std::size_t i = 0; i < engine.network().populations().size(); ++i) {
      const Population& population = engine.network().populations()[i];
      if (population.kind != Population::Kind::spiking) continue;
      const double spikes = work.population_spikes[i] - before_.population_spikes[i];
      const auto most =
          static_cast<double>(engine.steps() * population.size) * (work.samples - before_.samples);
      if (spikes == 0 && silent_.insert(i).second) {
        observer_.warn(
            fmt::format("in task {} no neuron of {} fires: nothing behind it learns from the input; lower "
                        "neuron.threshold",
                        task, population.name));
      } else if (spikes == most && saturated_.insert(i).second) {
        observer_.warn(fmt::format(
            "in task {} every neuron of {} fires in every step: nothing behind it learns from the "
            "input; raise neuron.threshold",
            task, population.name));
      }
    }
    before_ = work;
  }

  void evaluate(std::size_t after) {
    std::vector<double> losses(config_.tasks.count, std::numeric_limits<double>::quiet_NaN());
    const std::size_t count = config_.tasks.count;
    const MetricSettings::Tested tested = config_.metrics.tested_tasks;
    const bool all = tested == MetricSettings::Tested::all || after == 0 ||
                     after == count;  // FWT compares with before any task
    const std::size_t first = all || tested == MetricSettings::Tested::learned ? 1 : after;
    for (std::size_t task = first; task <= (all ? count : after + 1); ++task) {
      const Evaluation result = trainer_.evaluate(test_, pixel_orders_[task - 1].view());
      if (!std::isfinite(result.loss)) {
        refuse(fmt::format("the loss of the test samples of task {} is not finite {}", task,
                           after == 0 ? "before any training" : "after the last batch"),
               plan_.has_replay() && after > 1 ? "replay.learning_rate" : "optimiser.learning_rate");
      }
      accuracy_.at(after, task) = result.accuracy;
      losses[task - 1] = result.loss;
    }
    if (after > 0) warn_of_idle_populations(after);
    file_.write_accuracies(accuracy_, losses, after);
    observer_.evaluated(accuracy_, after);
  }

  std::size_t updates_per_epoch() const {
    const std::size_t samples = (plan_.is_joint() ? config_.tasks.count : 1) * train_.count;
    return (samples + trainer_.batch_size() - 1) / trainer_.batch_size();
  }

  /// All training samples in random order, in joint training those of every task; task and epoch count from 0.
  /// Number i stands for sample i % count of task i / count.
  std::vector<std::uint32_t> shuffled_samples(std::size_t task, std::size_t epoch) const {
    const std::size_t first_task = plan_.is_joint() ? 0 : task;
    const auto stream = static_cast<std::uint32_t>(task * config_.tasks.epochs + epoch);
    std::vector<std::uint32_t> numbers =
        shuffled_order((task + 1 - first_task) * train_.count,
                       {config_.experiment.seed, RandomPurpose::sample_order, stream});
    for (std::uint32_t& number : numbers) number += static_cast<std::uint32_t>(first_task * train_.count);
    return numbers;
  }

  /// The same where boundaries are gradual: samples change places with those as far beyond the boundary.
  std::vector<std::uint32_t> mixed_samples(std::size_t task, std::size_t epoch) const {
    const std::size_t count = train_.count, epochs = config_.tasks.epochs;
    std::vector<std::uint32_t> numbers = shuffled_samples(task, epoch);
    std::map<std::size_t, std::vector<std::uint32_t>> neighbours;
    for (std::size_t i = 0; config_.tasks.mixing > 0 && i < count; ++i) {
      const TaskPosition shown =
          mixed_position({task, epoch * count + i}, config_.tasks.count, epochs * count, config_.tasks.mixing,
                         config_.experiment.seed);
      if (shown.task == task) continue;
      std::vector<std::uint32_t>& others = neighbours[shown.task];
      if (others.empty()) others = shuffled_samples(shown.task, shown.position / count);
      numbers[i] = others[shown.position % count];
    }
    return numbers;
  }

  Pass training_pass(std::size_t task, std::size_t epoch) {
    Pass pass{.samples = mixed_samples(task - 1, epoch - 1), .updates = {}};
    const auto task_of = [&](std::uint32_t i) { return i / train_.count; };
    for (std::size_t first = 0; first < pass.samples.size(); first += trainer_.batch_size()) {
      const auto batch = std::span(pass.samples)
                             .subspan(first, std::min(trainer_.batch_size(), pass.samples.size() - first));
      std::ranges::stable_sort(batch, {}, task_of);
      std::vector<Share>& shares = pass.updates.emplace_back();
      for (std::size_t begin = 0; begin < batch.size(); begin += shares.back().samples) {
        const std::size_t shown = task_of(batch[begin]);
        const auto size = static_cast<std::size_t>(std::ranges::count(batch, shown, task_of));
        shares.push_back({size, pixel_orders_[shown].view()});
      }
      for (std::uint32_t& sample : batch) sample %= static_cast<std::uint32_t>(train_.count);
    }
    return pass;
  }

  /// Stores samples of the task and, from the second task on, shows those of all tasks so far.
  void replay(std::size_t task, TaskCosts& costs) {
    const auto stream = static_cast<std::uint32_t>(task - 1);
    memory_.push_back(choose_for_replay(train_labels_, plan_.replay().samples_per_class,
                                        plan_.replay().selection,
                                        {config_.experiment.seed, RandomPurpose::replay_memory, stream}));
    if (task == 1) return;
    trainer_.begin_replay();
    for (std::size_t epoch = 1; epoch <= plan_.replay().epochs; ++epoch)
      train(task, config_.tasks.epochs + epoch, replay_pass(task, epoch), costs);
  }

  /// Each update shows a mini-batch of each task. All tasks have the same labels, so all store as many.
  Pass replay_pass(std::size_t task, std::size_t epoch) {
    const auto stream = static_cast<std::uint32_t>((task - 1) * plan_.replay().epochs + epoch - 1);
    const std::vector<std::uint32_t> order = shuffled_order(
        memory_.front().size(), {config_.experiment.seed, RandomPurpose::replay_order, stream});
    Pass pass{.samples = {}, .updates = {}, .replay = true};
    for (std::size_t first = 0; first < order.size(); first += plan_.replay().batch_size) {
      const auto places =
          std::span(order).subspan(first, std::min(plan_.replay().batch_size, order.size() - first));
      std::vector<Share>& shares = pass.updates.emplace_back();
      for (std::size_t shown = 0; shown < task; ++shown) {
        for (const std::uint32_t place : places) pass.samples.push_back(memory_[shown][place]);
        shares.push_back({places.size(), pixel_orders_[shown].view()});
      }
    }
    return pass;
  }

  /// Makes the updates of a pass. Adds what they took to the costs, multiply-adds, spikes and synaptic
  /// operations as sums over samples.
  void train(std::size_t task, std::size_t epoch, const Pass& pass, TaskCosts& costs) {
    const double multiply_adds = backend_->multiply_adds();
    const ClockEngine::Work before = trainer_.engine().work();
    const std::size_t batches = pass.updates.size();
    Array<std::uint32_t> samples = backend_->allocate<std::uint32_t>(pass.samples.size());
    backend_->upload(std::span(pass.samples), samples.view());
    Array<double> losses = backend_->allocate<double>(batches);
    Array<std::uint32_t> correct = backend_->allocate<std::uint32_t>(batches);

    std::vector<double> mean_losses;
    std::vector<double> accuracies;
    std::size_t shown = 0;
    for (std::size_t batch = 0; batch < batches; ++batch) {
      const std::vector<Share>& shares = pass.updates[batch];
      const View<const std::uint32_t> shown_now = samples.view().subview(shown, size_of(shares));
      const View<double> loss = losses.view().subview(batch, 1);
      const View<std::uint32_t> right = correct.view().subview(batch, 1);
      if (pass.replay) {
        trainer_.replay_batch(train_, shown_now, shares, loss, right);
      } else {
        trainer_.train_batch(train_, shown_now, shares, loss, right);
      }
      shown += shown_now.size();
      if ((batch + 1) % batches_between_reports == 0 || batch + 1 == batches) {
        report(task, epoch, pass, batch + 1, losses, correct, mean_losses, accuracies);
      }
    }
    file_.append_curves(static_cast<std::uint32_t>(task), static_cast<std::uint32_t>(epoch), mean_losses,
                        accuracies);
    const ClockEngine::Work after = trainer_.engine().work();
    costs.training_batches += static_cast<std::uint32_t>(batches);
    costs.training_samples += static_cast<std::uint64_t>(after.samples - before.samples);
    costs.multiply_adds += backend_->multiply_adds() - multiply_adds;
    costs.spikes += after.spikes - before.spikes;
    costs.synaptic_operations += after.synaptic_operations - before.synaptic_operations;
  }

  /// Adds the curves' points from where they end up to update `done` of the pass, and tells the observer of
  /// them.
  void report(std::size_t task, std::size_t epoch, const Pass& pass, std::size_t done,
              const Array<double>& losses, const Array<std::uint32_t>& correct,
              std::vector<double>& mean_losses, std::vector<double>& accuracies) {
    const std::size_t from = mean_losses.size();
    const std::vector<double> sums = backend_->download(losses.view().subview(from, done - from));
    const std::vector<std::uint32_t> counts = backend_->download(correct.view().subview(from, done - from));
    double loss = 0;
    double right = 0;
    double samples = 0;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const auto size = static_cast<double>(size_of(pass.updates[from + i]));
      mean_losses.push_back(sums[i] / size);
      accuracies.push_back(counts[i] / size);
      loss += sums[i];
      right += counts[i];
      samples += size;
    }
    const std::string rate = pass.replay ? "replay.learning_rate" : "optimiser.learning_rate";
    const auto lost = std::ranges::find_if_not(sums, [](double sum) { return std::isfinite(sum); });
    if (lost != sums.end()) {
      const std::size_t batch = from + 1 + static_cast<std::size_t>(lost - sums.begin());
      refuse(fmt::format("the loss of batch {} of epoch {} is not finite", batch, epoch), rate);
    }
    if (!trainer_.all_finite())
      refuse(fmt::format("not all weights and thresholds are finite after batch {} of epoch {}", done, epoch),
             rate);
    warn_of_idle_populations(task);
    observer_.training(task, epoch, done, pass.updates.size(), loss / samples, right / samples);
  }

  const Config& config_;
  ExperimentObserver& observer_;
  const ProtectionPlan& plan_;
  bool told_;  ///< whether the trainer is told of boundaries
  std::unique_ptr<Backend> backend_;
  StoredImages train_;
  std::span<const std::uint8_t> train_labels_;
  StoredImages test_;
  Trainer trainer_;
  Monitor monitor_;
  ClockEngine::Work before_ = trainer_.engine().work();  ///< when warn_of_idle_populations looked last
  std::set<std::size_t> silent_, saturated_;             ///< populations it said so of
  std::vector<bool> amplifies_;  ///< of each projection, whether warn_of_amplification said so
  AccuracyMatrix accuracy_;
  RunFile file_;
  std::vector<Array<std::uint32_t>> pixel_orders_;  ///< one a task
  std::size_t boundaries_written_ = 0;
  std::vector<std::vector<std::uint32_t>> memory_;  ///< of each task so far, the samples to replay
};

}  // namespace

RunRecord run_experiment(const Config& config, const ImageData& data, const std::filesystem::path& folder,
                         ExperimentObserver& observer) {
  if (config.tasks.mixing > 0 && config.protection.is_joint())
    throw ConfigError("tasks.mixing: joint training has no boundaries to mix tasks around; leave it at 0");
  const std::vector<std::uint32_t> held_back = held_back_samples(config, data.train);
  if (held_back.empty()) return Experiment(config, data, folder, observer).run();
  return Experiment(config, with_held_back(data, held_back), folder, observer).run();
}

}  // namespace orthospike
