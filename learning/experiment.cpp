#include "learning/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "datasets/permuted_tasks.hpp"
#include "kernels/error.hpp"
#include "learning/monitor.hpp"
#include "learning/trainer.hpp"
#include "learning/version.hpp"

namespace orthospike {

namespace {

/// Updates between two calls of ExperimentObserver::training: reading the loss makes the host wait.
constexpr std::size_t batches_between_reports = 50;

void warn_of_capped_ranks(const Config& config, const Network& network, ExperimentObserver& observer) {
  if (config.protection.name != "hlop") return;
  const auto ranks = parse_ranks(config.hlop.ranks, config.tasks.count, network.projections().size());
  for (std::size_t p = 0; p < network.projections().size(); ++p) {
    std::size_t wanted = 0;
    for (const auto& task : ranks) wanted += task[p];
    const Projection& projection = network.projections()[p];
    if (wanted > projection.fan_in) {
      observer.warn(
          fmt::format("hlop.ranks asks for {} subspace neurons of {}, which has {} presynaptic neurons; "
                      "the rank stops there and later tasks can no longer change these weights",
                      wanted, projection.name, projection.fan_in));
    }
  }
}

/// One run: what run_experiment's steps share.
class Experiment {
 public:
  Experiment(const Config& config, const ImageData& data, const std::filesystem::path& folder,
             ExperimentObserver& observer)
      : config_(config),
        observer_(observer),
        backend_(make_backend(config.run.device, config.run.threads,
                              [&](const std::string& sentence) { observer.warn(sentence); })),
        train_(*backend_, data.train, config.tasks.train_samples),
        test_(*backend_, data.test, config.tasks.test_samples),
        trainer_(*backend_, config, data.train.pixels_per_image(), data.train.classes),
        monitor_(trainer_, std::min(config.metrics.quality_samples, train_.count), config.tasks.count),
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
    warn_of_capped_ranks(config_, trainer_.network(), observer_);
    evaluate(0);
    for (std::size_t task = 1; task <= config_.tasks.count; ++task) {
      TaskCosts costs = train(task);
      const auto reports = monitor_.end_task(train_, pixel_orders_[task - 1].view());
      trainer_.end_task();
      evaluate(task);
      costs.seconds = std::exchange(trainer_.seconds(), {});
      file_.write_task(task, reports, costs);
    }
    file_.finish();
    return read_run_file(file_.final_path());
  }

 private:
  std::vector<std::string> projection_names() {
    std::vector<std::string> names;
    for (const Projection& projection : trainer_.network().projections()) names.push_back(projection.name);
    return names;
  }

  void evaluate(std::size_t after) {
    std::vector<double> losses;
    for (std::size_t task = 1; task <= config_.tasks.count; ++task) {
      const Evaluation result = trainer_.evaluate(test_, pixel_orders_[task - 1].view());
      accuracy_.at(after, task) = result.accuracy;
      losses.push_back(result.loss);
    }
    file_.write_accuracies(accuracy_, losses, after);
    observer_.evaluated(accuracy_, after);
  }

  TaskCosts train(std::size_t task) {
    trainer_.begin_task(task - 1, {.epochs = config_.tasks.epochs, .updates_per_epoch = updates_per_epoch()});
    monitor_.begin_task();
    const double multiply_adds = backend_->multiply_adds();
    const ClockEngine::Work before = trainer_.engine().work();
    TaskCosts costs;
    for (std::size_t epoch = 1; epoch <= config_.tasks.epochs; ++epoch)
      costs.training_batches += train_epoch(task, epoch);

    const ClockEngine::Work after = trainer_.engine().work();
    const double samples = after.samples - before.samples;
    costs.training_samples = static_cast<std::uint64_t>(samples);
    costs.multiply_adds = (backend_->multiply_adds() - multiply_adds) / samples;
    costs.spikes = (after.spikes - before.spikes) / samples;
    costs.synaptic_operations = (after.synaptic_operations - before.synaptic_operations) / samples;
    return costs;
  }

  std::size_t updates_per_epoch() const {
    return (train_.count + trainer_.batch_size() - 1) / trainer_.batch_size();
  }

  /// Returns the number of updates.
  std::uint32_t train_epoch(std::size_t task, std::size_t epoch) {
    const std::size_t batch_size = trainer_.batch_size();
    const std::size_t batches = updates_per_epoch();
    const auto stream = static_cast<std::uint32_t>((task - 1) * config_.tasks.epochs + epoch - 1);
    const std::vector<std::uint32_t> order =
        shuffled_order(train_.count, {config_.experiment.seed, RandomPurpose::sample_order, stream});
    Array<std::uint32_t> samples = backend_->allocate<std::uint32_t>(order.size());
    backend_->upload(std::span<const std::uint32_t>(order), samples.view());
    Array<double> losses = backend_->allocate<double>(batches);
    Array<std::uint32_t> correct = backend_->allocate<std::uint32_t>(batches);

    std::vector<double> mean_losses;
    std::vector<double> accuracies;
    for (std::size_t batch = 0; batch < batches; ++batch) {
      const std::size_t first = batch * batch_size;
      trainer_.train_batch(train_, samples.view().subview(first, std::min(batch_size, train_.count - first)),
                           pixel_orders_[task - 1].view(), losses.view().subview(batch, 1),
                           correct.view().subview(batch, 1));
      if ((batch + 1) % batches_between_reports == 0 || batch + 1 == batches) {
        report(task, epoch, batch + 1, batches, losses, correct, mean_losses, accuracies);
      }
    }
    file_.append_curves(static_cast<std::uint32_t>(task), static_cast<std::uint32_t>(epoch), mean_losses,
                        accuracies);
    return static_cast<std::uint32_t>(batches);
  }

  /// Adds the curves' points from where they end up to batch `done`, and tells the observer of them.
  void report(std::size_t task, std::size_t epoch, std::size_t done, std::size_t batches,
              const Array<double>& losses, const Array<std::uint32_t>& correct,
              std::vector<double>& mean_losses, std::vector<double>& accuracies) {
    const std::size_t from = mean_losses.size();
    const std::vector<double> sums = backend_->download(losses.view().subview(from, done - from));
    const std::vector<std::uint32_t> counts = backend_->download(correct.view().subview(from, done - from));
    double loss = 0;
    double right = 0;
    double samples = 0;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::size_t first = (from + i) * trainer_.batch_size();
      const auto size = static_cast<double>(std::min(trainer_.batch_size(), train_.count - first));
      mean_losses.push_back(sums[i] / size);
      accuracies.push_back(counts[i] / size);
      loss += sums[i];
      right += counts[i];
      samples += size;
    }
    if (!std::isfinite(loss)) {
      throw EnvironmentError(fmt::format(
          "the loss is not finite in task {}, epoch {}, before batch {}: training diverged; lower "
          "optimiser.learning_rate",
          task, epoch, done));
    }
    observer_.training(task, epoch, done, batches, loss / samples, right / samples);
  }

  const Config& config_;
  ExperimentObserver& observer_;
  std::unique_ptr<Backend> backend_;
  StoredImages train_;
  StoredImages test_;
  Trainer trainer_;
  Monitor monitor_;
  AccuracyMatrix accuracy_;
  RunFile file_;
  std::vector<Array<std::uint32_t>> pixel_orders_;  ///< one a task
};

}  // namespace

RunRecord run_experiment(const Config& config, const ImageData& data, const std::filesystem::path& folder,
                         ExperimentObserver& observer) {
  if (config.tasks.sequence != "permuted") {
    throw ConfigError(
        fmt::format("tasks.sequence: unknown name '{}'; expected permuted", config.tasks.sequence));
  }
  return Experiment(config, data, folder, observer).run();
}

}  // namespace orthospike
