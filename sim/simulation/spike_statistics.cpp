#include "sim/simulation/spike_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>

#include "kernels/random.hpp"

namespace orthospike {

namespace {

constexpr double pair_bin = 2, fano_bin = 3;  ///< ms
constexpr std::size_t most_paired = 200;
/// Neurons among which those are looked for that spike.
constexpr std::size_t most_sampled = 2000;
constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

std::uint64_t steps_of(double bin, float dt) {
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::round(bin / dt)));
}

double deviation(double sum, double squares, double count) {
  const double mean = sum / count;
  return std::sqrt(std::max(0.0, squares / count - mean * mean));
}

}  // namespace

SpikeStatistics::SpikeStatistics(const std::vector<std::size_t>& sizes, float dt, std::uint64_t first,
                                 std::uint64_t seed)
    : dt_(dt),
      first_(first),
      now_(first),
      of_pair_(steps_of(pair_bin, dt)),
      of_fano_(steps_of(fano_bin, dt)) {
  for (std::size_t p = 0; p < sizes.size(); ++p) {
    Population& population = populations_.emplace_back();
    population.neurons.resize(sizes[p]);
    population.is_sampled.resize(sizes[p]);
    const RandomKey key = {seed, RandomPurpose::recorded_neurons, static_cast<std::uint32_t>(p)};
    const std::size_t wanted = std::min(most_sampled, sizes[p]);
    for (std::size_t i = 0, left = wanted; i < sizes[p] && left > 0; ++i) {
      // Each of the rest is taken with the same chance.
      const std::uint32_t word = random_block(key, i / 4).v[i % 4];
      if (bounded(word, static_cast<std::uint32_t>(sizes[p] - i)) >= left) continue;
      population.is_sampled[i] = 1;
      --left;
    }
  }
}

void SpikeStatistics::spikes(std::size_t p, std::uint64_t first, std::span<const std::uint32_t> counts,
                             std::span<const std::uint32_t> neurons) {
  Population& population = populations_[p];
  for (std::size_t s = 0; s < counts.size(); ++s) {
    const std::uint64_t step = first + s;
    const auto of_step = neurons.first(counts[s]);
    neurons = neurons.subspan(counts[s]);
    if (step < first_) continue;
    now_ = std::max(now_, step + 1);
    const std::size_t bin = (step - first_) / of_fano_;
    if (population.bins.size() <= bin) population.bins.resize(bin + 1);
    population.bins[bin] += counts[s];
    for (const std::uint32_t i : of_step) {
      Neuron& neuron = population.neurons[i];
      if (neuron.spikes > 0) {
        const auto interval = static_cast<double>(step - neuron.last);
        neuron.intervals += interval;
        neuron.squares += interval * interval;
      }
      neuron.last = step;
      ++neuron.spikes;
      if (population.is_sampled[i] != 0)
        population.kept.emplace_back(static_cast<std::uint32_t>((step - first_) / of_pair_), i);
    }
  }
}

SpikeStatistics::Measures SpikeStatistics::measures(std::size_t p) const {
  const Population& population = populations_[p];
  const auto size = static_cast<double>(population.neurons.size());
  const double seconds = static_cast<double>(now_ - first_) * dt_ / 1000;
  Measures found;
  double squares = 0, cv = 0, silent = 0, regular = 0;
  for (const Neuron& neuron : population.neurons) {
    found.spikes += neuron.spikes;
    squares += static_cast<double>(neuron.spikes) * neuron.spikes;
    if (neuron.spikes == 0) ++silent;
    if (neuron.spikes < 3) continue;
    const double intervals = neuron.spikes - 1;
    cv += deviation(neuron.intervals, neuron.squares, intervals) / (neuron.intervals / intervals);
    ++regular;
  }
  const auto spikes = static_cast<double>(found.spikes);
  found.rate = spikes / size / seconds;
  found.rate_deviation = deviation(spikes, squares, size) / seconds;
  found.silent = silent / size;
  found.cv = regular > 0 ? cv / regular : unknown;
  found.correlation = correlation(population);
  // Bins that are whole.
  const std::size_t bins = (now_ - first_) / of_fano_;
  double sum = 0, square = 0;
  for (std::size_t bin = 0; bin < std::min(bins, population.bins.size()); ++bin) {
    sum += population.bins[bin];
    square += static_cast<double>(population.bins[bin]) * population.bins[bin];
  }
  const double spread = deviation(sum, square, static_cast<double>(bins));
  found.fano = sum > 0 ? spread * spread / (sum / static_cast<double>(bins)) : unknown;
  return found;
}

/// With each train of counts x as z = (x - mean) / deviation, the sum of all correlations is the mean square of Σ z.
double SpikeStatistics::correlation(const Population& population) const {
  const std::size_t bins = (now_ - first_) / of_pair_;
  std::map<std::uint32_t, std::map<std::uint32_t, double>> counts;  // neuron, bin
  for (const auto& [bin, neuron] : population.kept) {
    if (bin < bins) ++counts[neuron][bin];
  }
  // Those with the lowest numbers, which say nothing of how often they spike.
  while (counts.size() > most_paired) counts.erase(std::prev(counts.end()));
  std::vector<double> sums(bins);
  double trains = 0;
  for (const auto& [neuron, of_bins] : counts) {
    double sum = 0, squares = 0;
    for (const auto& [bin, count] : of_bins) {
      sum += count;
      squares += count * count;
    }
    const double mean = sum / static_cast<double>(bins);
    const double spread = deviation(sum, squares, static_cast<double>(bins));
    if (spread == 0) continue;
    ++trains;
    for (double& of_bin : sums) of_bin -= mean / spread;
    for (const auto& [bin, count] : of_bins) sums[bin] += count / spread;
  }
  if (trains < 2) return unknown;
  double square = 0;
  for (const double sum : sums) square += sum * sum;
  return (square / static_cast<double>(bins) - trains) / (trains * (trains - 1));
}

}  // namespace orthospike
