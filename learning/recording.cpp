#include "learning/recording.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.hpp"

namespace orthospike {

RunRecording::RunRecording(const Config& config, StoredTasks& tasks, ClockEngine& engine, Backend& backend,
                           const std::filesystem::path& folder, const RecordingHead& head)
    : settings_(config.record),
      seed_(config.experiment.seed),
      tasks_(tasks),
      backend_(backend),
      folder_(folder),
      recorder_(engine, settings_.network, config.clock, seed_, folder, head) {
  bool any = false;
  for (std::size_t k = 0; k < tasks.count(); ++k) any = any || has_task(k);
  if (!any) {
    throw ConfigError(fmt::format("record.tasks: {} has none of the {} tasks, which count from 1",
                                  settings_.tasks.text(), tasks.count()));
  }
}

std::size_t RunRecording::tests(std::size_t k, std::size_t after) const {
  const bool recorded = settings_.has(Phase::test) && has_task(k) && settings_.after.contains(after);
  return recorded ? settings_.samples.size(tasks_.task(k).test.size()) : 0;
}

std::size_t RunRecording::trained(std::size_t k) const {
  const bool recorded = settings_.has(Phase::training) && has_task(k);
  return recorded ? settings_.samples.size(tasks_.task(k).train.size()) : 0;
}

void RunRecording::require_room(std::size_t presentations) const {
  if (presentations == 0)
    throw ConfigError("record.samples: with these tasks, phases and samples nothing is recorded");
  constexpr double gigabyte = 1e9;
  const double bytes = recorder_.expected_bytes(presentations);
  const auto free = static_cast<double>(std::filesystem::space(folder_).available);
  if (bytes > free) {
    throw EnvironmentError(fmt::format(
        "record.variables: {} presentations would take about {:.3g} GB, and {} has room for {:.3g} GB; record "
        "fewer samples, neurons or steps",
        presentations, bytes / gigabyte, folder_.string(), free / gigabyte));
  }
}

const std::vector<std::uint32_t>& RunRecording::chosen(std::size_t k, Phase phase) {
  const auto [entry, is_new] = chosen_.try_emplace({k, phase});
  std::vector<std::uint32_t>& numbers = entry->second;
  const bool recorded = settings_.has(phase) && has_task(k);
  if (!is_new || !recorded) return numbers;
  const std::vector<std::uint32_t>& list = phase == Phase::test ? tasks_.task(k).test : tasks_.task(k).train;
  const auto stream = static_cast<std::uint32_t>(2 * k + (phase == Phase::test ? 0 : 1));
  for (const std::uint32_t place :
       settings_.samples.choose(list.size(), {seed_, RandomPurpose::recorded_samples, stream}))
    numbers.push_back(list[place]);
  std::ranges::sort(numbers);
  return numbers;
}

void RunRecording::follow_tests(std::size_t k, std::size_t after) {
  if (tests(k, after) == 0) return;
  const std::vector<std::uint32_t>& recorded = chosen(k, Phase::test);
  const std::vector<std::uint32_t>& list = tasks_.task(k).test;
  const std::vector<Target> targets = backend_.download(tasks_.test_samples(k).targets);
  std::vector<ShownSample> samples;
  for (std::size_t i = 0; i < list.size(); ++i) {
    samples.push_back({.presentation = {.task = static_cast<std::uint32_t>(k + 1),
                                        .sample = list[i],
                                        .label = targets[i].label,
                                        .after = static_cast<std::uint32_t>(after),
                                        .phase = Phase::test},
                       .recorded = std::ranges::binary_search(recorded, list[i])});
  }
  recorder_.follow(std::move(samples));
}

void RunRecording::follow_training(const Pass& pass, std::size_t epoch, std::size_t batch,
                                   std::size_t after) {
  if (!settings_.has(Phase::training)) return;
  std::vector<ShownSample> samples;
  std::size_t first = 0;
  for (std::size_t b = 0; b < pass.batches.size(); ++b) {
    for (const Share& share : pass.batches[b]) {
      if (b < batch) first += share.samples;
      const std::vector<std::uint32_t>& recorded = chosen(share.task, Phase::training);
      for (std::size_t i = 0; i < share.samples; ++i) {
        const std::uint32_t sample = pass.samples[samples.size()];
        samples.push_back({.presentation = {.task = static_cast<std::uint32_t>(share.task + 1),
                                            .sample = sample,
                                            .label = pass.targets[samples.size()].label,
                                            .after = static_cast<std::uint32_t>(after),
                                            .phase = Phase::training,
                                            .epoch = static_cast<std::uint32_t>(epoch + 1)},
                           .recorded = std::ranges::binary_search(recorded, sample)});
      }
    }
  }
  recorder_.follow(std::move(samples), first);
}

}  // namespace orthospike
