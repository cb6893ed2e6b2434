#include "learning/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "datasets/sample_order.hpp"
#include "kernels/error.hpp"
#include "learning/checkpoint.hpp"
#include "learning/logit_change.hpp"
#include "learning/monitor.hpp"
#include "learning/replay.hpp"
#include "learning/run_lock.hpp"
#include "learning/stored_tasks.hpp"
#include "learning/trainer.hpp"
#include "learning/version.hpp"
#include "learning/weights_file.hpp"

namespace orthospike {

namespace {

/// Updates between two calls of ExperimentObserver::training: reading the loss makes the host wait.
constexpr std::size_t batches_between_reports = 50;

/// How far a run has come.
struct Place {
  std::size_t task = 0;  ///< 0: before the evaluation without any training
  std::size_t pass =
      0;  ///< epochs of it, then of its replay, that are done; after the last: before its evaluation
  std::size_t batch = 0;  ///< batches of the next pass that are done

  bool task_has_begun() const { return pass + batch > 0; }
  void state(Archive& archive) {
    archive("task", task);
    archive("pass", pass);
    archive("batch", batch);
  }
  /// Of a task with so many epochs before its replay.
  std::string words(std::size_t epochs) const {
    if (task == 0) return "before any training";
    if (!task_has_begun()) return fmt::format("at the beginning of task {}", task);
    const bool replays = batch == 0 ? pass > epochs : pass >= epochs;
    const std::string what = fmt::format("{} task {}", replays ? "of the replay after" : "of", task);
    const std::size_t before = replays ? epochs : 0;
    if (batch == 0) return fmt::format("after epoch {} {}", pass - before, what);
    return fmt::format("after batch {} of epoch {} {}", batch, pass + 1 - before, what);
  }
};

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
             ExperimentObserver& observer, Communicator& ranks)
      : config_(config),
        folder_(folder),
        observer_(observer),
        ranks_(ranks),
        plan_(config.protection),
        told_(config.tasks.boundaries == TaskSettings::Boundaries::known),
        backend_(make_backend(config.run.device, static_cast<int>(config.run.threads),
                              [&](const std::string& sentence) { observer.warn(sentence); })),
        tasks_(*backend_, sequence),
        trainer_(*backend_, with_moments(config, sequence), sequence.shape().size(), sequence.logits(),
                 ranks),
        trained_(start(sequence.shape())),
        monitor_(trainer_, std::min(config.metrics.quality_samples, most_training_samples(tasks_)),
                 plan_.is_joint() ? 1 : tasks_.count()),
        logit_change_(trainer_, config.metrics.quality_samples),
        amplifies_(trainer_.network().projections().size()),
        accuracy_(tasks_.count()) {
    if (ranks_.is_first()) {
      file_.emplace(folder, trained_.config,
                    RunOrigin{.version = version,
                              .git_revision = git_revision,
                              .device = backend_->device(),
                              .seed = config.experiment.seed,
                              .threads = static_cast<std::uint64_t>(backend_->threads())},
                    descriptions(tasks_), projection_names());
    }
    for (std::size_t k = 0; k < tasks_.count(); ++k) {
      firsts_.push_back(k == 0 ? 0 : firsts_.back() + samples_of(k - 1));
      first_streams_.push_back(k == 0 ? 0 : first_streams_.back() + epochs_of(k - 1));
      lengths_.push_back(epochs_of(k) * samples_of(k));
      targets_.push_back(tasks_.training_targets(k));
    }
  }

  /// Takes over all that a run with the same config had when it wrote a checkpoint.
  void go_on_from(const Checkpoint& checkpoint) {
    const CheckpointOrigin& origin = checkpoint.origin;
    load_checkpoint(checkpoint, *backend_, ranks_, [&](Archive& archive) { state(archive); });
    observer_.goes_on(fmt::format("goes on {} ({})", words_of_place(), checkpoint.path.string()));
    if (origin.version != version || origin.git_revision != git_revision)
      observer_.warn(fmt::format(
          "the run was begun by version {} ({}); numbers may differ from those of a run without interruption",
          origin.version, origin.git_revision));
    if (origin.device != backend_->device())
      observer_.warn(fmt::format("the run was begun on {} and goes on on {}: numbers differ by rounding",
                                 origin.device, backend_->device()));
  }

  RunRecord run() {
    if (place_.task == 0) {
      for (const std::string& sentence : trainer_.protection().warnings(tasks_.count()))
        observer_.warn(sentence);
    }
    observer_.begins(descriptions(tasks_));
    if (place_.task == 0) {
      evaluate(0);
      // Joint training is that of the last task: after it all are learned.
      place_.task = plan_.is_joint() ? tasks_.count() : 1;
    }
    while (place_.task <= tasks_.count()) {
      const std::size_t task = place_.task;
      try {
        run_task(task);
        place_ = {.task = task + 1};
        save_checkpoint();
      } catch (const EnvironmentError& error) {
        throw EnvironmentError(fmt::format("in task {}: {}", task, error.what()));
      }
    }
    if (!ranks_.is_first()) return {};
    file_->finish();
    remove_checkpoints(folder_);
    return read_run_file(file_->final_path());
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
    if (!ranks_.is_first()) return;
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

  std::string words_of_place() const {
    const bool is_in_task = place_.task > 0 && place_.task <= tasks_.count();
    return place_.words(is_in_task ? epochs_of(place_.task - 1) : 0);
  }

  void run_task(std::size_t task) {
    const std::size_t epochs = epochs_of(task - 1);
    const std::size_t passes = epochs + (plan_.has_replay() && task > 1 ? plan_.replay().epochs : 0);
    // Mixing shows the task before this one, replay and joint training all.
    if (task > 1 && !plan_.has_replay() && !plan_.is_joint()) tasks_.forget_training_images_before(task - 2);
    if (!place_.task_has_begun()) begin_task(task);
    const bool was_trained = place_.pass >= epochs;  // before the interruption
    while (place_.pass < epochs) train(task, training_pass(task, place_.pass + 1));
    if (!was_trained) end_task(task);
    if (place_.pass == epochs && place_.batch == 0 && passes > epochs) trainer_.begin_replay();
    while (place_.pass < passes) train(task, replay_pass(task, place_.pass - epochs + 1));
    evaluate(task);
    save_weights(task);
    if (file_)
      file_->append_boundaries(std::span(trainer_.detected_boundaries()).subspan(boundaries_written_));
    boundaries_written_ = trainer_.detected_boundaries().size();
    const auto samples = static_cast<double>(costs_.training_samples);
    costs_.multiply_adds /= samples;
    costs_.spikes /= samples;
    costs_.synaptic_operations /= samples;
    costs_.seconds = std::exchange(trainer_.seconds(), {});
    if (file_) file_->write_costs(task, costs_);
    costs_ = {};
  }

  void begin_task(std::size_t task) {
    if (told_ || task == 1) {
      trainer_.begin_task(plan_.is_joint() ? 0 : task - 1,
                          {.epochs = epochs_of(task - 1), .updates_per_epoch = updates_per_epoch(task)});
    }
    monitor_.begin_task();
    logit_change_.begin_task(test_samples_before(task));
  }

  void end_task(std::size_t task) {
    if (told_) trainer_.end_task();
    const TaskReport report{.projections = measure(task),
                            .logit_change = logit_change_.end_task(test_samples_before(task))};
    if (file_) file_->write_report(task, report);
    if (task < tasks_.count()) warn_of_amplification(task, report.projections);
  }

  /// Of all tasks before this one, which joint training has none of.
  std::vector<StoredTasks::TestSamples> test_samples_before(std::size_t task) {
    std::vector<StoredTasks::TestSamples> earlier;
    for (std::size_t k = 0; k + 1 < task && !plan_.is_joint(); ++k) earlier.push_back(tasks_.test_samples(k));
    return earlier;
  }

  /// Between two batches.
  void state(Archive& archive) {
    archive("place", place_);
    archive("trainer", trainer_);
    archive("monitor", monitor_);
    archive("logit_change", logit_change_);
    archive("accuracy", accuracy_);
    archive("costs", costs_);
    archive("boundaries_written", boundaries_written_);
    archive("amplifies", amplifies_);
    archive("silent", silent_);
    archive("saturated", saturated_);
    if (file_) archive("run_file", *file_);
  }

  void save_checkpoint() {
    if (!trainer_.ranks_agree()) {
      throw EnvironmentError(
          "the weights of the ranks are not the same: their processors round differently, or a part of the network "
          "does not sum over ranks; start ranks on machines of one kind");
    }
    const PhaseTimer timer(trainer_.seconds(), Phase::measure);
    write_checkpoint(folder_,
                     {.config = trained_.config,
                      .version = version,
                      .git_revision = git_revision,
                      .device = backend_->device()},
                     *backend_, ranks_, [&](Archive& archive) { state(archive); });
    saved_ = std::chrono::steady_clock::now();
    batches_since_ = 0;
  }

  bool checkpoint_is_due() const {
    const auto& [minutes, batches] = config_.checkpoint;
    const std::chrono::duration<double, std::ratio<60>> passed = std::chrono::steady_clock::now() - saved_;
    return (minutes > 0 && passed.count() >= static_cast<double>(minutes)) ||
           (batches > 0 && batches_since_ >= batches);
  }

  /// Whether any rank wants to stop, and whether the first one, whose clock counts, finds that a checkpoint is due.
  std::pair<bool, bool> agreed(bool stops, bool is_due) {
    std::array<double, 2> ranks{stops ? 1.0 : 0.0, is_due && ranks_.is_first() ? 1.0 : 0.0};
    ranks_.sum(std::span(ranks));
    return {ranks[0] > 0, ranks[1] > 0};
  }

  [[noreturn]] void stop() {
    save_checkpoint();
    throw Interrupted(words_of_place());
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
      if (amplifies_[p] != 0 || !(reports[p].largest_eigenvalue > 2)) continue;
      amplifies_[p] = 1;
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
    ClockEngine::Work work = engine.work();
    ranks_.sum(std::span(work.population_spikes));
    ranks_.sum(std::span(&work.samples, 1));
    for (std::size_t i = 0; i < engine.network().populations().size(); ++i) {
      const Population& population = engine.network().populations()[i];
      if (population.kind != Population::Kind::spiking) continue;
      const double spikes = work.population_spikes[i] - before_.population_spikes[i];
      const auto most =
          static_cast<double>(engine.steps() * population.size) * (work.samples - before_.samples);
      if (spikes == 0 && std::exchange(silent_[i], std::uint8_t{1}) == 0) {
        observer_.warn(
            fmt::format("in task {} no neuron of {} fires: nothing behind it learns from the input; lower "
                        "neuron.threshold",
                        task, population.name));
      } else if (spikes == most && std::exchange(saturated_[i], std::uint8_t{1}) == 0) {
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
      const Evaluation result = trainer_.evaluate(images, samples, targets, [&](ConstMatrix) {
        if (ranks_.any(observer_.wants_to_stop())) stop();  // it is evaluated anew
      });
      if (!std::isfinite(result.loss)) {
        refuse(fmt::format("the loss of the test samples of task {} is not finite {}", task,
                           after == 0 ? "before any training" : "after the last batch"),
               plan_.has_replay() && after > 1 ? "replay.learning_rate" : "optimiser.learning_rate");
      }
      accuracy_.at(after, task) = result.accuracy;
      losses[task - 1] = result.loss;
    }
    if (after > 0) warn_of_idle_populations(after);
    if (file_) file_->write_accuracies(accuracy_, losses, after);
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

  /// Places in Task::train of the samples of task k that are replayed.
  const std::vector<std::uint32_t>& replayed(std::size_t k) {
    for (std::size_t task = memory_.size(); task <= k; ++task) {
      std::vector<std::uint8_t> labels;
      for (const Target& target : targets_[task]) labels.push_back(target.label);
      memory_.push_back(choose_for_replay(
          labels, plan_.replay().samples_per_class, plan_.replay().selection,
          {config_.experiment.seed, RandomPurpose::replay_memory, static_cast<std::uint32_t>(task)}));
    }
    return memory_[k];
  }

  /// Each update shows a mini-batch of each task. Those that store fewer samples than the others show them again.
  Pass replay_pass(std::size_t task, std::size_t epoch) {
    const auto stream = static_cast<std::uint32_t>((task - 1) * plan_.replay().epochs + epoch - 1);
    std::size_t largest = 0;
    for (std::size_t shown = 0; shown < task; ++shown) largest = std::max(largest, replayed(shown).size());
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
          show(shown, replayed(shown)[place % replayed(shown).size()], pass);
        shares.push_back({places.size(), tasks_.training_images(shown)});
      }
    }
    return pass;
  }

  /// The updates of a pass from the place on, with what they showed.
  struct Progress {
    const Pass& pass;
    Array<double> losses = {};          ///< [updates] sums over samples
    Array<std::uint32_t> correct = {};  ///< [updates]
    std::size_t in_curves = 0;          ///< updates
    // Since the last report:
    double loss = 0, right = 0, samples = 0;
  };

  /// Makes the updates of the pass that are left of it, and adds what they took to the costs.
  void train(std::size_t task, const Pass& pass) {
    const std::size_t batches = pass.updates.size();
    Array<std::uint32_t> samples = backend_->allocate<std::uint32_t>(pass.samples.size());
    backend_->upload(std::span(pass.samples), samples.view());
    Array<Target> targets = backend_->allocate<Target>(pass.targets.size());
    backend_->upload(std::span(pass.targets), targets.view());
    Progress progress{.pass = pass,
                      .losses = backend_->allocate<double>(batches),
                      .correct = backend_->allocate<std::uint32_t>(batches),
                      .in_curves = place_.batch};
    begin_costs();

    std::size_t shown = 0;
    for (std::size_t batch = 0; batch < place_.batch; ++batch) shown += size_of(pass.updates[batch]);
    while (place_.batch < batches) {
      const std::vector<Share>& shares = pass.updates[place_.batch];
      const std::size_t size = size_of(shares);
      const Batch shown_now{.samples = samples.view().subview(shown, size),
                            .targets = targets.view().subview(shown, size),
                            .shares = shares};
      const View<double> loss = progress.losses.view().subview(place_.batch, 1);
      const View<std::uint32_t> right = progress.correct.view().subview(place_.batch, 1);
      if (pass.replay) {
        trainer_.replay_batch(shown_now, loss, right);
      } else {
        trainer_.train_batch(shown_now, loss, right);
      }
      shown += size;
      ++place_.batch;
      ++batches_since_;
      ++costs_.training_batches;
      if (place_.batch % batches_between_reports == 0 || place_.batch == batches) report(task, progress);
      const auto [stops, is_due] = agreed(observer_.wants_to_stop(), checkpoint_is_due());
      if (!stops && !is_due) continue;
      extend_curves(task, progress);
      add_costs();
      if (stops) stop();
      save_checkpoint();
    }
    add_costs();
    place_ = {.task = place_.task, .pass = place_.pass + 1};
  }

  /// From now on, what the back end does is costs of the task.
  void begin_costs() {
    counted_multiply_adds_ = backend_->multiply_adds();
    counted_ = trainer_.engine().work();
  }

  /// Multiply-adds, spikes and synaptic operations as sums over samples, of all ranks.
  void add_costs() {
    const ClockEngine::Work work = trainer_.engine().work();
    std::array<double, 4> added{
        work.samples - counted_.samples, backend_->multiply_adds() - counted_multiply_adds_,
        work.spikes - counted_.spikes, work.synaptic_operations - counted_.synaptic_operations};
    ranks_.sum(std::span(added));
    costs_.training_samples += static_cast<std::uint64_t>(added[0]);
    costs_.multiply_adds += added[1];
    costs_.spikes += added[2];
    costs_.synaptic_operations += added[3];
    begin_costs();
  }

  /// Adds the points of the updates since the last one, where these left all that learns finite.
  void extend_curves(std::size_t task, Progress& progress) {
    const std::size_t from = progress.in_curves, epoch = place_.pass + 1;
    std::vector<double> sums =
        backend_->download(std::as_const(progress.losses).view().subview(from, place_.batch - from));
    const std::vector<std::uint32_t> own =
        backend_->download(std::as_const(progress.correct).view().subview(from, place_.batch - from));
    std::vector<double> counts(own.begin(), own.end());
    ranks_.sum(std::span(sums));
    ranks_.sum(std::span(counts));
    std::vector<double> losses, accuracies;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const auto size = static_cast<double>(size_of(progress.pass.updates[from + i]));
      losses.push_back(sums[i] / size);
      accuracies.push_back(counts[i] / size);
      progress.loss += sums[i];
      progress.right += counts[i];
      progress.samples += size;
    }
    const std::string rate = progress.pass.replay ? "replay.learning_rate" : "optimiser.learning_rate";
    const auto lost = std::ranges::find_if_not(sums, [](double sum) { return std::isfinite(sum); });
    if (lost != sums.end()) {
      const std::size_t batch = from + 1 + static_cast<std::size_t>(lost - sums.begin());
      refuse(fmt::format("the loss of batch {} of epoch {} is not finite", batch, epoch), rate);
    }
    if (!trainer_.all_finite())
      refuse(fmt::format("not all weights and thresholds are finite after batch {} of epoch {}", place_.batch,
                         epoch),
             rate);
    if (const std::string projection = trainer_.diverged_subspace(); !projection.empty()) {
      throw EnvironmentError(fmt::format(
          "the subspace of {} is not finite after batch {} of epoch {}: its learning diverges; lower "
          "hebbian.learning_rate",
          projection, place_.batch, epoch));
    }
    if (file_) file_->append_curves(task, epoch, from + 1, losses, accuracies);
    progress.in_curves = place_.batch;
  }

  void report(std::size_t task, Progress& progress) {
    extend_curves(task, progress);
    warn_of_idle_populations(task);
    observer_.training(task, place_.pass + 1, place_.batch, progress.pass.updates.size(),
                       progress.loss / progress.samples, progress.right / progress.samples);
    progress.loss = progress.right = progress.samples = 0;
  }

  const Config& config_;
  std::filesystem::path folder_;
  ExperimentObserver& observer_;
  Communicator& ranks_;
  const ProtectionPlan& plan_;
  bool told_;  ///< whether the trainer is told of boundaries
  std::unique_ptr<Backend> backend_;
  StoredTasks tasks_;
  Trainer trainer_;
  TrainedNetwork trained_;  ///< as of the last task done
  Monitor monitor_;
  LogitChange logit_change_;
  ClockEngine::Work before_ = trainer_.engine().work();  ///< when warn_of_idle_populations looked last
  /// Of each population or projection, 1 where the user was told so.
  std::vector<std::uint8_t> silent_ = std::vector<std::uint8_t>(trainer_.network().populations().size());
  std::vector<std::uint8_t> saturated_ = silent_;
  std::vector<std::uint8_t> amplifies_;
  AccuracyMatrix accuracy_;
  std::optional<RunFile> file_;  ///< of the first rank
  Place place_;
  TaskCosts costs_;  ///< of this task so far
  double counted_multiply_adds_ = 0;
  ClockEngine::Work counted_;  ///< what is in them
  std::size_t boundaries_written_ = 0;
  std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();  ///< the last checkpoint
  std::size_t batches_since_ = 0;
  // Of each task:
  std::vector<std::size_t> firsts_;                 ///< training samples of all tasks before it
  std::vector<std::size_t> first_streams_;          ///< epochs of all tasks before it
  std::vector<std::size_t> lengths_;                ///< samples that it shows
  std::vector<std::vector<Target>> targets_;        ///< of its training samples
  std::vector<std::vector<std::uint32_t>> memory_;  ///< see `replayed`
};

}  // namespace

RunRecord run_experiment(const Config& config, const std::vector<ImageData>& data,
                         const std::filesystem::path& folder, ExperimentObserver& observer,
                         Communicator& ranks) {
  if (config.tasks.mixing > 0 && config.protection.is_joint())
    throw ConfigError("tasks.mixing: joint training has no boundaries to mix tasks around; leave it at 0");
  const std::unique_ptr<TaskSequence> sequence = config.sequence.make(
      TaskContext{.data = data, .settings = config.tasks, .seed = config.experiment.seed});
  const std::optional<Checkpoint> checkpoint =
      find_checkpoint(folder, [&](const std::string& sentence) { observer.warn(sentence); });
  if (checkpoint) {
    const std::string found = differences(
        values_by_key(checkpoint->origin.config, checkpoint->path.string() + "/origin/config"), config);
    if (!found.empty()) {
      throw ConfigError(fmt::format(
          "{}: an interrupted run of another config: {}; give another folder, or --restart to begin this one anew",
          folder.string(), found));
    }
  } else {
    for (const std::string& sentence : sequence->warnings()) observer.warn(sentence);
    if (std::filesystem::exists(folder / RunFile::partial_name))
      observer.warn(fmt::format("{}: the run that was interrupted there left no checkpoint; it begins anew",
                                folder.string()));
  }
  ranks.any(false);  // all have looked for what the first one now writes
  Experiment experiment(config, *sequence, folder, observer, ranks);
  if (checkpoint) {
    experiment.go_on_from(*checkpoint);
  } else if (ranks.is_first()) {
    remove_weights(folder);
  }
  return experiment.run();
}

void tidy_finished_run(const std::filesystem::path& folder) {
  if (!has_checkpoint(folder) && !std::filesystem::exists(folder / RunLock::name)) return;
  try {
    const RunLock lock(folder);
    remove_checkpoints(folder);
  } catch (const EnvironmentError&) {
    // Another program just ends it, or nobody can write there: nothing needs it.
  }
}

void remove_run(const std::filesystem::path& folder) {
  for (const char* name : {RunFile::name, RunFile::partial_name}) std::filesystem::remove(folder / name);
  remove_checkpoints(folder);
  remove_weights(folder);
}

}  // namespace orthospike
