#include "learning/passes.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "datasets/sample_order.hpp"
#include "learning/replay.hpp"

namespace orthospike {

namespace {

std::vector<std::uint8_t> labels_of(const std::vector<Target>& targets) {
  std::vector<std::uint8_t> labels;
  for (const Target& target : targets) labels.push_back(target.label);
  return labels;
}

std::size_t size_of(const std::vector<Share>& batch) {
  std::size_t size = 0;
  for (const Share& share : batch) size += share.samples;
  return size;
}

}  // namespace

Points Points::of_another(const Pass& pass) {
  Points points{std::vector<double>(pass.batches.size()), std::vector<double>(pass.batches.size()), {}};
  for (const std::vector<Share>& batch : pass.batches)
    points.samples.push_back(static_cast<double>(size_of(batch)));
  return points;
}

void Points::append(const Points& more) {
  losses.insert(losses.end(), more.losses.begin(), more.losses.end());
  right.insert(right.end(), more.right.begin(), more.right.end());
  samples.insert(samples.end(), more.samples.begin(), more.samples.end());
}

ShownPass::ShownPass(Backend& backend, const Pass& pass)
    : backend_(backend),
      pass_(pass),
      samples_(backend.allocate<std::uint32_t>(pass.samples.size())),
      targets_(backend.allocate<Target>(pass.targets.size())),
      losses_(backend.allocate<double>(batches())),
      correct_(backend.allocate<std::uint32_t>(batches())) {
  backend.upload(std::span(pass.samples), samples_.view());
  backend.upload(std::span(pass.targets), targets_.view());
}

ShownPass::Step ShownPass::next() {
  const std::size_t now = batch_++, size = size_of(pass_.batches[now]);
  const std::size_t first = std::exchange(sample_, sample_ + size);
  return {.batch = {.samples = samples_.view().subview(first, size),
                    .targets = targets_.view().subview(first, size),
                    .shares = pass_.batches[now]},
          .loss = losses_.view().subview(now, 1),
          .correct = correct_.view().subview(now, 1)};
}

void ShownPass::skip_to(std::size_t batch) {
  while (batch_ < batch) sample_ += size_of(pass_.batches[batch_++]);
}

Points ShownPass::points(std::size_t from, std::size_t to) const {
  Points points;
  points.losses = backend_.download(losses_.view().subview(from, to - from));
  const std::vector<std::uint32_t> right = backend_.download(correct_.view().subview(from, to - from));
  points.right.assign(right.begin(), right.end());
  for (std::size_t i = from; i < to; ++i)
    points.samples.push_back(static_cast<double>(size_of(pass_.batches[i])));
  return points;
}

Passes::Passes(const Config& config, StoredTasks& tasks)
    : config_(config), plan_(config.protection), tasks_(tasks) {
  for (std::size_t k = 0; k < tasks.count(); ++k) {
    targets_.push_back(tasks.training_targets(k));
    if (config.federated.is_on()) {
      holders_.push_back(split_among_clients(
          labels_of(targets_[k]), config.federated,
          {config.experiment.seed, RandomPurpose::clients, static_cast<std::uint32_t>(k)}));
    }
    firsts_.push_back(k == 0 ? 0 : firsts_.back() + samples_of(k - 1));
    first_streams_.push_back(k == 0 ? 0 : first_streams_.back() + epochs_of(k - 1));
    lengths_.push_back(epochs_of(k) * samples_of(k));
  }
}

std::size_t Passes::epochs_of(std::size_t task) const {
  return of_task(config_.tasks.epochs, task);
}

std::size_t Passes::batches_per_epoch(std::size_t task) const {
  const std::size_t samples =
      plan_.is_joint() ? firsts_.back() + samples_of(tasks_.count() - 1) : samples_of(task);
  return batches_of(samples);
}

std::size_t Passes::batches_of(std::size_t samples) const {
  return (samples + config_.training.batch_size - 1) / config_.training.batch_size;
}

/// All training samples in random order, in joint training those of every task. Number firsts_[k] + i stands for
/// training sample i of task k.
std::vector<std::uint32_t> Passes::shuffled_samples(std::size_t task, std::size_t epoch) const {
  const std::size_t first = plan_.is_joint() ? 0 : firsts_[task];
  const auto stream = static_cast<std::uint32_t>(first_streams_[task] + epoch);
  std::vector<std::uint32_t> numbers =
      shuffled_order(firsts_[task] + samples_of(task) - first,
                     {config_.experiment.seed, RandomPurpose::sample_order, stream});
  for (std::uint32_t& number : numbers) number += static_cast<std::uint32_t>(first);
  return numbers;
}

/// The same where boundaries are gradual: samples change places with those as far beyond the boundary.
std::vector<std::uint32_t> Passes::mixed_samples(std::size_t task, std::size_t epoch) const {
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

/// The task that number stands for a sample of.
std::size_t Passes::task_of(std::uint32_t number) const {
  return static_cast<std::size_t>(std::ranges::upper_bound(firsts_, number) - firsts_.begin()) - 1;
}

void Passes::show(std::size_t task, std::size_t sample, Pass& pass) const {
  pass.samples.push_back(tasks_.task(task).train[sample]);
  pass.targets.push_back(targets_[task][sample]);
}

void Passes::show_in_batches(std::vector<std::uint32_t> numbers, Pass& pass) {
  const auto of_number = [&](std::uint32_t number) { return task_of(number); };
  const std::size_t most = config_.training.batch_size;
  for (std::size_t first = 0; first < numbers.size(); first += most) {
    const auto batch = std::span(numbers).subspan(first, std::min(most, numbers.size() - first));
    std::ranges::stable_sort(batch, {}, of_number);
    std::vector<Share>& shares = pass.batches.emplace_back();
    for (std::size_t begin = 0; begin < batch.size(); begin += shares.back().samples) {
      const std::size_t shown = task_of(batch[begin]);
      const auto size = static_cast<std::size_t>(std::ranges::count(batch, shown, of_number));
      shares.push_back({size, tasks_.training_images(shown), shown});
    }
    for (const std::uint32_t number : batch) show(task_of(number), number - firsts_[task_of(number)], pass);
  }
}

Pass Passes::training(std::size_t task, std::size_t epoch) {
  Pass pass;
  show_in_batches(mixed_samples(task, epoch), pass);
  return pass;
}

/// Places in Task::train of the samples of a task that are replayed.
const std::vector<std::uint32_t>& Passes::replayed(std::size_t task) {
  for (std::size_t k = memory_.size(); k <= task; ++k) {
    memory_.push_back(choose_for_replay(
        labels_of(targets_[k]), plan_.replay().samples_per_class, plan_.replay().selection,
        {config_.experiment.seed, RandomPurpose::replay_memory, static_cast<std::uint32_t>(k)}));
  }
  return memory_[task];
}

Pass Passes::replay(std::size_t task, std::size_t epoch) {
  const auto stream = static_cast<std::uint32_t>(task * plan_.replay().epochs + epoch);
  std::size_t largest = 0;
  for (std::size_t shown = 0; shown <= task; ++shown) largest = std::max(largest, replayed(shown).size());
  const std::vector<std::uint32_t> order =
      shuffled_order(largest, {config_.experiment.seed, RandomPurpose::replay_order, stream});
  Pass pass;
  for (std::size_t first = 0; first < order.size(); first += plan_.replay().batch_size) {
    const auto places =
        std::span(order).subspan(first, std::min(plan_.replay().batch_size, order.size() - first));
    std::vector<Share>& shares = pass.batches.emplace_back();
    for (std::size_t shown = 0; shown <= task; ++shown) {
      for (const std::uint32_t place : places)
        show(shown, replayed(shown)[place % replayed(shown).size()], pass);
      shares.push_back({places.size(), tasks_.training_images(shown), shown});
    }
  }
  return pass;
}

std::size_t Passes::rounds_of(std::size_t task) const {
  return (epochs_of(task) + config_.federated.local_epochs - 1) / config_.federated.local_epochs;
}

std::uint32_t Passes::client_of(std::uint32_t number) {
  const std::size_t task = task_of(number);
  return holders_[task][number - firsts_[task]];
}

std::vector<Passes::ClientPass> Passes::round(std::size_t task, std::size_t round) {
  const std::size_t epochs = epochs_of(task), local = config_.federated.local_epochs;
  std::vector<ClientPass> clients(config_.federated.clients);
  for (std::size_t epoch = round * local; epoch < std::min(epochs, (round + 1) * local); ++epoch) {
    const std::vector<std::uint32_t> all = shuffled_samples(task, epoch);
    std::vector<std::vector<std::uint32_t>> numbers(clients.size());
    for (const std::uint32_t number : all) numbers[client_of(number)].push_back(number);
    for (std::size_t c = 0; c < clients.size(); ++c) {
      const std::size_t batches = batches_of(numbers[c].size());
      clients[c].length = {.epochs = epochs, .updates_per_epoch = batches};
      clients[c].updates = round * local * batches;
      clients[c].share = static_cast<float>(numbers[c].size()) / static_cast<float>(all.size());
      show_in_batches(std::move(numbers[c]), clients[c].shown);
    }
  }
  return clients;
}

}  // namespace orthospike
