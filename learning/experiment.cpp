#include "learning/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "datasets/sample_order.hpp"
#include "kernels/error.hpp"
#include "learning/logit_change.hpp"
#include "learning/monitor.hpp"
#include "learning/replay.hpp"
#include "learning/stored_tasks.hpp"
#include "learning/trainer.hpp"
#include "learning/version.hpp"
#include "learning/weights_file.hpp"

namespace orthospike {

namespace {

/// Updates between two calls of ExperimentObserver::training: reading the loss makes the host wait.
constexpr std::size_t batches_between_reports = 50;

/// What one pass over samples shows, update by update.
struct Pass {
  std::vector<std::uint32_t> samples;       ///< numbers of images
  std::vector<Target> targets;              ///< of the samples
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
  Experiment(const Config& config, const TaskSequence& sequence, const std::filesystem::path& folder,
             ExperimentObserver& observer)
      : config_(config),
        folder_(folder),
        observer_(observer),
        plan_(config.protection),
        told_(config.tasks.boundaries == TaskSettings::Boundaries::known),
        backend_(make_backend(config.run.device, static_cast<int>(config.run.threads),
                              [&](const std::string& sentence) { observer.warn(sentence); })),
        tasks_(*backend_, sequence),
        trainer_(*backend_, with_moments(config, sequence), sequence.shape().size(), sequence.logits()),
        trained_(start(sequence.shape())),
        monitor_(trainer_, std::min(config.metrics.quality_samples, most_training_samples(tasks_)),
                 plan_.is_joint() ? 1 : tasks_.count()),
        logit_change_(trainer_, config.metrics.quality_samples),
        amplifies_(trainer_.network().projections().size()),
        accuracy_(tasks_.count()),
        file_(folder, config_text(config),
              {.version = version,
               .git_revision = git_revision,
               .device = backend_->device(),
               .seed = config.experiment.seed,
               .threads = static_cast<std::uint64_t>(backend_->threads())},
              descriptions(tasks_), projection_names()) {
    for (std::size_t k = 0; k < tasks_.count(); ++k) {
      firsts_.push_back(k == 0 ? 0 : firsts_.back() + samples_of(k - 1));
      first_streams_.push_back(k == 0 ? 0 : first_streams_.back() + epochs_of(k - 1));
      lengths_.push_back(epochs_of(k) * samples_of(k));
      targets_.push_back(tasks_.training_targets(k));
    }
    remove_weights(folder);
  }

  RunRecord run() {
    for (const std::string& sentence : trainer_.protection().warnings(tasks_.count()))
      observer_.warn(sentence);
    observer_.begins(descriptions(tasks_));
    evaluate(0);
    // Joint training is that of the last task: after it all are learned.
    for (std::size_t task = plan_.is_joint() ? tasks_.count() : 1; task <= tasks_.count(); ++task) {
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
  /// The same with the moments of the training samples where the config leaves that to them.
  static Config with_moments(Config config, const TaskSequence& sequence) {
    if (config.data.mean && config.data.deviation) return config;
    const PixelMoments moments = sequence.training_moments();
    if (!config.data.deviation && moments.deviation == 0)
      throw EnvironmentError(
          "data.deviation: all pixels of the training samples are equal, so that auto is 0");
    config.data.mean = config.data.mean.value_or(moments.mean);
    config.data.deviation = config.data.deviation.value_or(moments.deviation);
    return config;
  }

  /// Gives the network the weights that it starts from. What weights files say of it beside those.
  TrainedNetwork start(const ImageShape& shape) {
    if (!config_.network.weights.empty()) {
      const std::filesystem::path path = weights_file_at(config_.network.weights);
      if (std::filesystem::equivalent(std::filesystem::absolute(path).parent_path(), folder_)) {
        throw ConfigError(fmt::format(
            "network.weights: {} lies in the folder of this run, which replaces it; give another folder",
            path.string()));
      }
      const TrainedNetwork from = read_weights(path);
      const std::string found = difference(from, trainer_.network(), config_.neuron.name());
      if (!found.empty()) throw ConfigError(fmt::format("network.weights: {}: {}", path.string(), found));
      load(from, trainer_.network());
    }
    return {.path = {},
            .version = version,
            .git_revision = git_revision,
            .config = config_text(config_),
            .shape = shape,
            .mean = trainer_.mean(),
            .deviation = trainer_.deviation(),
            .tasks = descriptions(tasks_),
            .tasks_trained = 0,
            .populations = {},
            .projections = {}};
  }

  void save_weights(std::size_t task) {
    const PhaseTimer timer(trainer_.seconds(), Phase::measure);
    trained_.tasks_trained = task;
    store(trainer_.network(), config_.neuron.name(), trained_);
    write_weights(trained_, folder_, weights_name);
    if (config_.experiment.save_weights == ExperimentSettings::SaveWeights::each)
      write_weights(trained_, folder_, weights_name_after(task));
  }

  static std::size_t most_training_samples(const StoredTasks& tasks) {
    std::size_t most = 0;
    for (std::size_t k = 0; k < tasks.count(); ++k) most = std::max(most, tasks.task(k).train.size());
    return most;
  }

  static std::vector<TaskDescription> descriptions(const StoredTasks& tasks) {
    std::vector<TaskDescription> all;
    for (std::size_t k = 0; k < tasks.count(); ++k) all.push_back({tasks.task(k).name, tasks.task(k).told});
    return all;
  }

  /// Of task k, counted from 0.
  std::size_t samples_of(std::size_t k) const { return tasks_.task(k).train.size(); }
  std::size_t epochs_of(std::size_t k) const { return of_task(config_.tasks.epochs, k); }

  void run_task(std::size_t task) {
    TaskCosts costs;
    const std::size_t epochs = epochs_of(task - 1);
    // Mixing shows the task before this one, replay and joint training all.
    if (task > 1 && !plan_.has_replay() && !plan_.is_joint()) tasks_.forget_training_images_before(task - 2);
    if (told_ || task == 1) {
      trainer_.begin_task(plan_.is_joint() ? 0 : task - 1,
                          {.epochs = epochs, .updates_per_epoch = updates_per_epoch(task)});
    }
    monitor_.begin_task();
    std::vector<StoredTasks::TestSamples> earlier;
    for (std::size_t k = 0; k + 1 < task && !plan_.is_joint(); ++k) earlier.push_back(tasks_.test_samples(k));
    logit_change_.begin_task(std::move(earlier));
    for (std::size_t epoch = 1; epoch <= epochs; ++epoch)
      train(task, epoch, training_pass(task, epoch), costs);
    if (told_) trainer_.end_task();
    const TaskReport report{.projections = measure(task), .logit_change = logit_change_.end_task()};
    if (task < tasks_.count()) warn_of_amplification(task, report.projections);
    if (plan_.has_replay()) replay(task, costs);
    evaluate(task);
    save_weights(task);
    file_.append_boundaries(std::span(trainer_.detected_boundaries()).subspan(boundaries_written_));
    boundaries_written_ = trainer_.detected_boundaries().size();
    const auto samples = static_cast<double>(costs.training_samples);
    costs.multiply_adds /= samples;
    costs.spikes /= samples;
    costs.synaptic_operations /= samples;
    costs.seconds = std::exchange(trainer_.seconds(), {});
    file_.write_task(task, report, costs);
  }

  std::vector<ProjectionReport> measure(std::size_t task) {
    const std::vector<std::uint32_t>& train = tasks_.task(task - 1).train;
    const auto measured = std::span(train).first(std::min(config_.metrics.quality_samples, train.size()));
    Array<std::uint32_t> samples = backend_->allocate<std::uint32_t>(measured.size());
    backend_->upload(measured, samples.view());
    return monitor_.end_task(tasks_.training_images(task - 1), samples.view());
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
    const std::size_t count = tasks_.count();
    std::vector<double> losses(count, std::numeric_limits<double>::quiet_NaN());
    const MetricSettings::Tested tested = config_.metrics.tested_tasks;
    const bool all = tested == MetricSettings::Tested::all || after == 0 ||
                     after == count;  // FWT compares with before any task
    const std::size_t first = all || tested == MetricSettings::Tested::learned ? 1 : after;
    for (std::size_t task = first; task <= (all ? count : after + 1); ++task) {
      const auto& [images, samples, targets] = tasks_.test_samples(task - 1);
      const Evaluation result = trainer_.evaluate(images, samples, targets);
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

  std::size_t updates_per_epoch(std::size_t task) const {
    const std::size_t samples =
        plan_.is_joint() ? firsts_.back() + samples_of(tasks_.count() - 1) : samples_of(task - 1);
    return (samples + trainer_.batch_size() - 1) / trainer_.batch_size();
  }

  /// All training samples in random order, in joint training those of every task; task and epoch count from 0.
  /// Number firsts_[k] + i stands for training sample i of task k.
  std::vector<std::uint32_t> shuffled_samples(std::size_t task, std::size_t epoch) const {
    const std::size_t first = plan_.is_joint() ? 0 : firsts_[task];
    const auto stream = static_cast<std::uint32_t>(first_streams_[task] + epoch);
    std::vector<std::uint32_t> numbers =
        shuffled_order(firsts_[task] + samples_of(task) - first,
                       {config_.experiment.seed, RandomPurpose::sample_order, stream});
    for (std::uint32_t& number : numbers) number += static_cast<std::uint32_t>(first);
    return numbers;
  }

  /// The same where boundaries are gradual: samples change places with those as far beyond the boundary.
  std::vector<std::uint32_t> mixed_samples(std::size_t task, std::size_t epoch) const {
    std::vector<std::uint32_t> numbers = shuffled_samples(task, epoch);
    /// Of another task, by task and epoch.
    std::map<std::pair<std::size_t, std::size_t>, std::vector<std::uint32_t>> neighbours;
    for (std::size_t i = 0; config_.tasks.mixing > 0 && i < samples_of(task); ++i) {
      const auto [shown, position] = mixed_position({task, epoch * samples_of(task) + i}, lengths_,
                                                    config_.tasks.mixing, config_.experiment.seed);
      if (shown == task) continue;
      const std::size_t its_epoch = position / samples_of(shown);
      std::vector<std::uint32_t>& others = neighbours[{shown, its_epoch}];
      if (others.empty()) others = shuffled_samples(shown, its_epoch);
      numbers[i] = others[position % samples_of(shown)];
    }
    return numbers;
  }

  /// The task, counted from 0, that number stands for a sample of.
  std::size_t task_of(std::uint32_t number) const {
    return static_cast<std::size_t>(std::ranges::upper_bound(firsts_, number) - firsts_.begin()) - 1;
  }

  void show(std::size_t k, std::size_t sample, Pass& pass) const {
    pass.samples.push_back(tasks_.task(k).train[sample]);
    pass.targets.push_back(targets_[k][sample]);
  }

  Pass training_pass(std::size_t task, std::size_t epoch) {
    Pass pass;
    std::vector<std::uint32_t> numbers = mixed_samples(task - 1, epoch - 1);
    const auto of_number = [&](std::uint32_t number) { return task_of(number); };
    for (std::size_t first = 0; first < numbers.size(); first += trainer_.batch_size()) {
      const auto batch =
          std::span(numbers).subspan(first, std::min(trainer_.batch_size(), numbers.size() - first));
      std::ranges::stable_sort(batch, {}, of_number);
      std::vector<Share>& shares = pass.updates.emplace_back();
      for (std::size_t begin = 0; begin < batch.size(); begin += shares.back().samples) {
        const std::size_t shown = task_of(batch[begin]);
        const auto size = static_cast<std::size_t>(std::ranges::count(batch, shown, of_number));
        shares.push_back({size, tasks_.training_images(shown)});
      }
      for (const std::uint32_t number : batch) show(task_of(number), number - firsts_[task_of(number)], pass);
    }
    return pass;
  }

  /// Stores samples of the task and, from the second task on, shows those of all tasks so far.
  void replay(std::size_t task, TaskCosts& costs) {
    const auto stream = static_cast<std::uint32_t>(task - 1);
    std::vector<std::uint8_t> labels;
    for (const Target& target : targets_[task - 1]) labels.push_back(target.label);
    memory_.push_back(choose_for_replay(labels, plan_.replay().samples_per_class, plan_.replay().selection,
                                        {config_.experiment.seed, RandomPurpose::replay_memory, stream}));
    if (task == 1) return;
    trainer_.begin_replay();
    for (std::size_t epoch = 1; epoch <= plan_.replay().epochs; ++epoch)
      train(task, epochs_of(task - 1) + epoch, replay_pass(task, epoch), costs);
  }

  /// Each update shows a mini-batch of each task. Those that store fewer samples than the others show them again.
  Pass replay_pass(std::size_t task, std::size_t epoch) {
    const auto stream = static_cast<std::uint32_t>((task - 1) * plan_.replay().epochs + epoch - 1);
    const std::size_t largest =
        std::ranges::max(memory_, {}, [](const auto& stored) { return stored.size(); }).size();
    const std::vector<std::uint32_t> order =
        shuffled_order(largest, {config_.experiment.seed, RandomPurpose::replay_order, stream});
    Pass pass;
    pass.replay = true;
    for (std::size_t first = 0; first < order.size(); first += plan_.replay().batch_size) {
      const auto places =
          std::span(order).subspan(first, std::min(plan_.replay().batch_size, order.size() - first));
      std::vector<Share>& shares = pass.updates.emplace_back();
      for (std::size_t shown = 0; shown < task; ++shown) {
        for (const std::uint32_t place : places)
          show(shown, memory_[shown][place % memory_[shown].size()], pass);
        shares.push_back({places.size(), tasks_.training_images(shown)});
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
    Array<Target> targets = backend_->allocate<Target>(pass.targets.size());
    backend_->upload(std::span(pass.targets), targets.view());
    Array<double> losses = backend_->allocate<double>(batches);
    Array<std::uint32_t> correct = backend_->allocate<std::uint32_t>(batches);

    std::vector<double> mean_losses;
    std::vector<double> accuracies;
    std::size_t shown = 0;
    for (std::size_t batch = 0; batch < batches; ++batch) {
      const std::vector<Share>& shares = pass.updates[batch];
      const std::size_t size = size_of(shares);
      const Batch shown_now{.samples = samples.view().subview(shown, size),
                            .targets = targets.view().subview(shown, size),
                            .shares = shares};
      const View<double> loss = losses.view().subview(batch, 1);
      const View<std::uint32_t> right = correct.view().subview(batch, 1);
      if (pass.replay) {
        trainer_.replay_batch(shown_now, loss, right);
      } else {
        trainer_.train_batch(shown_now, loss, right);
      }
      shown += size;
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
  std::filesystem::path folder_;
  ExperimentObserver& observer_;
  const ProtectionPlan& plan_;
  bool told_;  ///< whether the trainer is told of boundaries
  std::unique_ptr<Backend> backend_;
  StoredTasks tasks_;
  Trainer trainer_;
  TrainedNetwork trained_;  ///< as of the last task done
  Monitor monitor_;
  LogitChange logit_change_;
  ClockEngine::Work before_ = trainer_.engine().work();  ///< when warn_of_idle_populations looked last
  std::set<std::size_t> silent_, saturated_;             ///< populations it said so of
  std::vector<bool> amplifies_;  ///< of each projection, whether warn_of_amplification said so
  AccuracyMatrix accuracy_;
  RunFile file_;
  std::size_t boundaries_written_ = 0;
  // Of each task:
  std::vector<std::size_t> firsts_;           ///< training samples of all tasks before it
  std::vector<std::size_t> first_streams_;    ///< epochs of all tasks before it
  std::vector<std::size_t> lengths_;          ///< samples that it shows
  std::vector<std::vector<Target>> targets_;  ///< of its training samples
  /// Of each task so far, the samples to replay, by their places in Task::train.
  std::vector<std::vector<std::uint32_t>> memory_;
};

}  // namespace

RunRecord run_experiment(const Config& config, const std::vector<ImageData>& data,
                         const std::filesystem::path& folder, ExperimentObserver& observer) {
  if (config.tasks.mixing > 0 && config.protection.is_joint())
    throw ConfigError("tasks.mixing: joint training has no boundaries to mix tasks around; leave it at 0");
  const std::unique_ptr<TaskSequence> sequence = config.sequence.make(
      TaskContext{.data = data, .settings = config.tasks, .seed = config.experiment.seed});
  for (const std::string& sentence : sequence->warnings()) observer.warn(sentence);
  return Experiment(config, *sequence, folder, observer).run();
}

}  // namespace orthospike
