#include "learning/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "kernels/error.hpp"
#include "learning/checkpoint.hpp"
#include "learning/logit_change.hpp"
#include "learning/monitor.hpp"
#include "learning/passes.hpp"
#include "learning/recording.hpp"
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
  std::size_t task = 0;   ///< 0: before the evaluation without any training
  std::size_t pass = 0;   ///< passes of it that are done; after the last: before its evaluation
  std::size_t batch = 0;  ///< batches of the next pass that are done; of a federated round, clients

  bool task_has_begun() const { return pass + batch > 0; }
  void state(Archive& archive) {
    archive("task", task);
    archive("pass", pass);
    archive("batch", batch);
  }
};

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
        passes_(config, tasks_),
        trainer_(*backend_, with_moments(config, sequence), sequence.shape(), sequence.logits(), ranks),
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
    if (config.record.is_on()) {
      if (!ranks_.is_alone())
        throw ConfigError(
            "record.variables: several ranks do not record; record from the finished run's weights");
      recording_.emplace(config, tasks_, trainer_.engine(), *backend_, folder,
                         RecordingHead{.populations = {},
                                       .config = trained_.config,
                                       .version = version,
                                       .git_revision = git_revision});
    }
  }

  /// Of a run that begins: of one that goes on a part is on the disk already.
  void require_room() const {
    if (recording_) recording_->require_room(recorded_presentations());
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
    if (recording_) recording_->finish();
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
  TrainedNetwork start(const MapShape& shape) {
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
            .mean = trainer_.moments().mean,
            .deviation = trainer_.moments().deviation,
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
    const std::vector<LateralWeights> lateral = lateral_weights();
    write_weights(trained_, folder_, weights_name, lateral);
    if (config_.experiment.save_weights == ExperimentSettings::SaveWeights::each)
      write_weights(trained_, folder_, weights_name_after(task), lateral);
  }

  std::vector<LateralWeights> lateral_weights() {
    std::vector<LateralWeights> all;
    const Network& network = trainer_.network();
    for (std::size_t p = 0; p < network.projections().size(); ++p) {
      const Subspace* const subspace = trainer_.protection().subspace(p);
      if (subspace != nullptr && subspace->rank() > 0)
        all.push_back({network.projections()[p].name, network.backend().download(subspace->rows().values)});
    }
    return all;
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

  enum class Kind { epoch, round, observation, replay };

  /// How many passes a task (counted from 1) has, in this order.
  struct PassesOfTask {
    std::size_t training, observation, replay;
    Kind training_kind;

    std::size_t all() const { return training + observation + replay; }
    /// What a pass is, and which one of its kind it is, counted from 0.
    std::pair<Kind, std::size_t> kind(std::size_t pass) const {
      if (pass < training) return {training_kind, pass};
      if (pass < training + observation) return {Kind::observation, pass - training};
      return {Kind::replay, pass - training - observation};
    }
  };

  PassesOfTask passes_of(std::size_t task) const {
    const bool is_federated = config_.federated.is_on();
    return {.training = is_federated ? passes_.rounds_of(task - 1) : passes_.epochs_of(task - 1),
            .observation = is_federated && plan_.protection().traits().observes ? 1U : 0U,
            .replay = plan_.has_replay() && task > 1 ? plan_.replay().epochs : 0,
            .training_kind = is_federated ? Kind::round : Kind::epoch};
  }

  /// A pass in words, with its number where there may be several.
  static std::string words(std::pair<Kind, std::size_t> pass) {
    if (pass.first == Kind::observation) return "observation";
    return fmt::format("{} {}", pass.first == Kind::round ? "round" : "epoch", pass.second + 1);
  }

  std::string words_of_place() const {
    const auto& [task, pass, batch] = place_;
    if (task == 0) return "before any training";
    if (!place_.task_has_begun()) return fmt::format("at the beginning of task {}", task);
    const auto shown = passes_of(task).kind(batch == 0 ? pass - 1 : pass);
    const std::string done = batch == 0
                                 ? words(shown)
                                 : fmt::format("{} {} of {}", shown.first == Kind::round ? "client" : "batch",
                                               batch, words(shown));
    return fmt::format("after {} of {}task {}", done, shown.first == Kind::replay ? "the replay after " : "",
                       task);
  }

  void run_task(std::size_t task) {
    const PassesOfTask passes = passes_of(task);
    const std::size_t learned = passes.training + passes.observation;
    // Mixing shows the task before this one, replay and joint training all.
    if (task > 1 && !plan_.has_replay() && !plan_.is_joint()) tasks_.forget_training_images_before(task - 2);
    if (!place_.task_has_begun()) begin_task(task);
    const bool was_trained = place_.pass >= learned;  // before the interruption
    while (place_.pass < learned) run_pass(task, passes.kind(place_.pass));
    if (!was_trained) end_task(task);
    if (place_.pass == learned && place_.batch == 0 && passes.replay > 0) trainer_.begin_replay();
    while (place_.pass < passes.all()) run_pass(task, passes.kind(place_.pass));
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
      trainer_.begin_task(
          plan_.is_joint() ? 0 : task - 1,
          {.epochs = passes_.epochs_of(task - 1), .updates_per_epoch = passes_.batches_per_epoch(task - 1)});
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
    if (recording_) archive("recording", *recording_);
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

  /// The first and the last of the tasks that are tested after so many.
  std::pair<std::size_t, std::size_t> tested_tasks(std::size_t after) const {
    const std::size_t count = tasks_.count();
    const MetricSettings::Tested tested = config_.metrics.tested_tasks;
    const bool all = tested == MetricSettings::Tested::all || after == 0 ||
                     after == count;  // FWT compares with before any task
    return {all || tested == MetricSettings::Tested::learned ? 1 : after, all ? count : after + 1};
  }

  std::size_t recorded_presentations() const {
    std::size_t presentations = 0;
    for (std::size_t after = 0; after <= tasks_.count(); after += plan_.is_joint() ? tasks_.count() : 1) {
      const auto [first, last] = tested_tasks(after);
      for (std::size_t task = first; task <= last; ++task)
        presentations += recording_->tests(task - 1, after);
    }
    for (std::size_t k = 0; k < tasks_.count(); ++k) {
      const std::size_t epochs = passes_.epochs_of(plan_.is_joint() ? tasks_.count() - 1 : k);
      presentations += epochs * recording_->trained(k);
    }
    return presentations;
  }

  void evaluate(std::size_t after) {
    std::vector<double> losses(tasks_.count(), std::numeric_limits<double>::quiet_NaN());
    if (recording_) recording_->mark();
    const auto [first, last] = tested_tasks(after);
    for (std::size_t task = first; task <= last; ++task) {
      const auto& [images, samples, targets] = tasks_.test_samples(task - 1);
      if (recording_) recording_->follow_tests(task - 1, after);
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
    if (recording_) recording_->release();
    if (after > 0) warn_of_idle_populations(after);
    if (file_) file_->write_accuracies(accuracy_, losses, after);
    observer_.evaluated(accuracy_, after);
  }

  void run_pass(std::size_t task, std::pair<Kind, std::size_t> pass) {
    begin_costs();
    switch (pass.first) {
      case Kind::epoch:
        show(task, pass, passes_.training(task - 1, pass.second));
        break;
      case Kind::round:
        train_clients(task, passes_.round(task - 1, pass.second));
        break;
      case Kind::observation:
        show(task, pass, passes_.training(task - 1, 0));
        break;
      case Kind::replay:
        show(task, pass, passes_.replay(task - 1, pass.second));
        break;
    }
  }

  std::size_t tasks_trained_before(std::size_t task) const { return plan_.is_joint() ? 0 : task - 1; }

  /// Shows the batches that are left of a pass, and adds what they took to the costs.
  void show(std::size_t task, std::pair<Kind, std::size_t> kind, const Pass& pass) {
    const bool makes_updates = kind.first != Kind::observation;
    ShownPass shown(*backend_, pass);
    shown.skip_to(place_.batch);
    if (recording_ && kind.first == Kind::epoch)
      recording_->follow_training(pass, kind.second, place_.batch, tasks_trained_before(task));
    Points since_report;
    std::size_t in_curves = place_.batch;
    const auto extend_curves = [&] {
      const Points points = shown.points(in_curves, place_.batch);
      since_report.append(add_points(task, kind, in_curves + 1, points));
      in_curves = place_.batch;
    };
    while (place_.batch < pass.batches.size()) {
      const auto [batch, loss, right] = shown.next();
      switch (kind.first) {
        case Kind::observation:
          trainer_.observe_batch(batch, loss, right);
          break;
        case Kind::replay:
          trainer_.replay_batch(batch, loss, right);
          break;
        default:
          trainer_.train_batch(batch, loss, right);
      }
      ++place_.batch;
      ++batches_since_;
      if (makes_updates) ++costs_.training_batches;
      if (place_.batch % batches_between_reports == 0 || place_.batch == pass.batches.size()) {
        extend_curves();
        report({.task = task,
                .pass = words(kind),
                .unit = "batch",
                .done = place_.batch,
                .all = pass.batches.size()},
               std::exchange(since_report, {}));
      }
      const auto [stops, is_due] = agreed(observer_.wants_to_stop(), checkpoint_is_due());
      if (!stops && !is_due) continue;
      extend_curves();
      add_costs(makes_updates);
      if (stops) stop();
      save_checkpoint();
    }
    add_costs(makes_updates);
    place_ = {.task = place_.task, .pass = place_.pass + 1};
  }

  /// The turns of those clients that are left of a round, as many at a time as there are ranks, and their average.
  void train_clients(std::size_t task, const std::vector<Passes::ClientPass>& clients) {
    const std::pair<Kind, std::size_t> round{Kind::round, place_.pass};
    std::size_t updates = 0;
    for (std::size_t client = 0; client < place_.batch; ++client)
      updates += clients[client].shown.batches.size();
    while (place_.batch < clients.size()) {
      const auto turn =
          std::span(clients).subspan(place_.batch, std::min(ranks_.size(), clients.size() - place_.batch));
      const Points points = add_points(task, round, updates + 1, take_turns(turn));
      updates += points.losses.size();
      batches_since_ += points.losses.size();
      costs_.training_batches += static_cast<std::uint32_t>(points.losses.size());
      add_costs(true);
      place_.batch += turn.size();
      report(
          {.task = task, .pass = words(round), .unit = "client", .done = place_.batch, .all = clients.size()},
          points);
      if (place_.batch == clients.size()) {
        trainer_.end_round();
        require_finite(fmt::format("after {}", words(round)), "optimiser.learning_rate");
        place_ = {.task = place_.task, .pass = place_.pass + 1};
      }
      const auto [stops, is_due] = agreed(observer_.wants_to_stop(), checkpoint_is_due());
      if (stops) stop();
      if (is_due) save_checkpoint();
      if (place_.batch == 0) return;
    }
  }

  /// Each rank takes that of one client, of which there are no more than ranks. Of the batches of all of them, one after
  /// another, what this rank knows.
  Points take_turns(std::span<const Passes::ClientPass> clients) {
    const Passes::ClientPass idle;
    const bool has_client = ranks_.rank() < clients.size();
    const Passes::ClientPass& own = has_client ? clients[ranks_.rank()] : idle;
    ShownPass shown(*backend_, own.shown);
    if (has_client) trainer_.begin_client(own.length, own.updates);
    if (recording_) {
      recording_->mark();
      recording_->follow_training(own.shown, place_.pass, 0, tasks_trained_before(place_.task));
    }
    std::size_t most = 0;
    for (const Passes::ClientPass& client : clients) most = std::max(most, client.shown.batches.size());
    for (std::size_t i = 0; i < most; ++i) {
      if (i < own.shown.batches.size()) {
        const auto [batch, loss, right] = shown.next();
        trainer_.train_batch(batch, loss, right);
      }
      if (!ranks_.any(observer_.wants_to_stop()) || i + 1 == most) continue;
      if (has_client) trainer_.leave_client();
      stop();  // the turn is taken anew
    }
    if (has_client) trainer_.end_client(own.share);
    if (recording_) recording_->release();
    Points points;
    for (const Passes::ClientPass& client : clients)
      points.append(&client == &own ? shown.points(0, shown.batches()) : Points::of_another(client.shown));
    return points;
  }

  /// From now on, what the back end does is costs of the task.
  void begin_costs() {
    counted_multiply_adds_ = backend_->multiply_adds();
    counted_ = trainer_.engine().work();
  }

  /// Multiply-adds, spikes and synaptic operations as sums over samples, of all ranks. in_updates: whether the samples
  /// were shown in updates.
  void add_costs(bool in_updates) {
    const ClockEngine::Work work = trainer_.engine().work();
    std::array<double, 4> added{
        work.samples - counted_.samples, backend_->multiply_adds() - counted_multiply_adds_,
        work.spikes - counted_.spikes, work.synaptic_operations - counted_.synaptic_operations};
    ranks_.sum(std::span(added));
    if (in_updates) costs_.training_samples += static_cast<std::uint64_t>(added[0]);
    costs_.multiply_adds += added[1];
    costs_.spikes += added[2];
    costs_.synaptic_operations += added[3];
    begin_costs();
  }

  /// Of all ranks, from those of each; appended to the curves where these updates, of which the first one is number
  /// `first` of the pass, left all that learns finite.
  Points add_points(std::size_t task, std::pair<Kind, std::size_t> pass, std::size_t first, Points points) {
    ranks_.sum(std::span(points.losses));
    ranks_.sum(std::span(points.right));
    const std::string rate = pass.first == Kind::replay ? "replay.learning_rate" : "optimiser.learning_rate";
    std::vector<double> losses, accuracies;
    for (std::size_t i = 0; i < points.losses.size(); ++i) {
      if (!std::isfinite(points.losses[i]))
        refuse(fmt::format("the loss of batch {} of {} is not finite", first + i, words(pass)), rate);
      losses.push_back(points.losses[i] / points.samples[i]);
      accuracies.push_back(points.right[i] / points.samples[i]);
    }
    require_finite(fmt::format("after batch {} of {}", first + losses.size() - 1, words(pass)), rate);
    if (file_ && pass.first != Kind::observation)
      file_->append_curves(task, place_.pass + 1, first, losses, accuracies);
    return points;
  }

  void require_finite(const std::string& when, const std::string& rate) {
    if (!trainer_.all_finite())
      refuse(fmt::format("not all weights and thresholds are finite {}", when), rate);
    if (const std::string projection = trainer_.diverged_subspace(); !projection.empty()) {
      throw EnvironmentError(fmt::format(
          "the subspace of {} is not finite {}: its learning diverges; lower hebbian.learning_rate",
          projection, when));
    }
  }

  void report(TrainingReport report, const Points& points) {
    warn_of_idle_populations(report.task);
    const auto sum = [](const std::vector<double>& of) { return std::accumulate(of.begin(), of.end(), 0.0); };
    report.loss = sum(points.losses) / sum(points.samples);
    report.accuracy = sum(points.right) / sum(points.samples);
    observer_.training(report);
  }

  const Config& config_;
  std::filesystem::path folder_;
  ExperimentObserver& observer_;
  Communicator& ranks_;
  const ProtectionPlan& plan_;
  bool told_;  ///< whether the trainer is told of boundaries
  std::unique_ptr<Backend> backend_;
  StoredTasks tasks_;
  Passes passes_;
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
  std::optional<RunFile> file_;            ///< of the first rank
  std::optional<RunRecording> recording_;  ///< where there is anything to record
  Place place_;
  TaskCosts costs_;  ///< of this task so far
  double counted_multiply_adds_ = 0;
  ClockEngine::Work counted_;  ///< what is in them
  std::size_t boundaries_written_ = 0;
  std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();  ///< the last checkpoint
  std::size_t batches_since_ = 0;
};

}  // namespace

RunRecord run_experiment(const Config& config, const std::vector<ImageData>& data,
                         const std::filesystem::path& folder, ExperimentObserver& observer,
                         Communicator& ranks) {
  if (config.tasks.mixing > 0 && config.protection.is_joint())
    throw ConfigError("tasks.mixing: joint training has no boundaries to mix tasks around; leave it at 0");
  const std::unique_ptr<TaskSequence> sequence = config.make_tasks(data);
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
    remove_recordings(folder);
    experiment.require_room();
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
  remove_recordings(folder);
}

}  // namespace orthospike
