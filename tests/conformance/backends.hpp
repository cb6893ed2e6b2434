#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/error.hpp"
#include "tests/catch.hpp"

namespace orthospike::testing {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

/// Uniform numbers that do not depend on the standard library, unlike those of its distributions.
inline std::vector<float> random_values(std::size_t count, std::uint32_t seed, float low = -1.0F,
                                        float high = 1.0F) {
  std::mt19937 generator(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    value = low + (high - low) * static_cast<float>(generator() >> 8) * 0x1p-24F;
  }
  return values;
}

template <class T>
Array<T> uploaded(Backend& backend, const std::vector<T>& values) {
  Array<T> array = backend.allocate<T>(values.size());
  backend.upload(std::span<const T>(values), array.view());
  return array;
}

template <class T>
std::vector<T> downloaded(Backend& backend, const Array<T>& array) {
  return backend.download(array.view());
}

/// Numbers that an operation left behind. Every element type of the kernels fits a double without rounding.
struct Block {
  std::vector<double> values;
  double tolerance = 0;  ///< on the difference from the reference, in parts of the largest magnitude
};

template <class T>
Block exactly(const std::vector<T>& values) {
  return {std::vector<double>(values.begin(), values.end()), 0.0};
}

template <class T>
Block about(const std::vector<T>& values, double tolerance) {
  return {std::vector<double>(values.begin(), values.end()), tolerance};
}

using Outcome = std::map<std::string, Block>;
using Operation = std::function<Outcome(Backend&)>;

/// The largest difference in parts of the largest expected magnitude; infinite where one is NaN or infinite
/// and the other is not the same.
inline double difference(const std::vector<double>& expected, const std::vector<double>& actual) {
  constexpr double different = std::numeric_limits<double>::infinity();
  if (expected.size() != actual.size()) return different;
  double scale = 0;
  for (const double value : expected) {
    if (std::isfinite(value)) scale = std::max(scale, std::abs(value));
  }
  double largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(actual[i])) continue;
    if (expected[i] == actual[i]) continue;
    const double here = std::abs(expected[i] - actual[i]) / scale;
    largest = std::isfinite(here) ? std::max(largest, here) : different;
  }
  return largest;
}

inline bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

/// As make_backend, but also with more threads than there are processors.
inline std::unique_ptr<Backend> backend_of(const std::string& name, int threads) {
  return name == "cpu" ? std::make_unique<CpuBackend>(threads) : make_backend(name, threads);
}

/// A back end compiled in, or null, with a warning the first time, where this machine lacks the device.
inline std::unique_ptr<Backend> backend_if_present(const std::string& name, int threads) {
  try {
    return backend_of(name, threads);
  } catch (const EnvironmentError& error) {
    static std::set<std::string> warned;
    if (warned.insert(name).second) WARN("back end " << name << " is not tested: " << error.what());
    return nullptr;
  }
}

/// The back ends to look at beside the reference: those compiled in, or the one that the environment names.
inline std::vector<std::string> tested_backends() {
  if (const char* const name = std::getenv("ORTHOSPIKE_TESTED_BACKEND")) return {name};
  std::vector<std::string> names = backend_names();
  std::erase(names, "reference");
  return names;
}

/// Runs the operation on every back end: each must agree with the reference and give the same bits with any
/// number of threads.
inline void check_conformance(const Operation& operation) {
  const Outcome expected = operation(*make_backend("reference", 1));
  for (const std::string& name : tested_backends()) {
    const auto serial = backend_if_present(name, 1);
    if (serial == nullptr) continue;
    const Outcome actual = operation(*serial);
    REQUIRE(actual.size() == expected.size());
    for (const auto& [label, block] : expected) {
      INFO("back end " << name << ", " << label);
      CHECK(difference(block.values, actual.at(label).values) <= block.tolerance);
    }
    for (const int threads : {2, 3}) {
      const auto parallel = backend_of(name, threads);
      const Outcome again = operation(*parallel);
      for (const auto& [label, block] : actual) {
        INFO("back end " << name << ", " << label << ", " << threads << " threads");
        CHECK(same_bits(block.values, again.at(label).values));
      }
      // Where threads of the host do not do the work, a third time would be like the second.
      if (parallel->threads() == 1) break;
    }
  }
}

/// Runs the check on every back end, the reference too.
inline void on_each_backend(const std::function<void(Backend&)>& check) {
  std::vector<std::string> names = tested_backends();
  names.push_back("reference");
  for (const std::string& name : names) {
    const auto backend = backend_if_present(name, 2);
    if (backend == nullptr) continue;
    INFO("back end " << name);
    check(*backend);
  }
}

/// Spikes in a back end's memory.
struct SpikeArrays {
  Array<std::uint32_t> counts;
  Array<std::uint32_t> indices;
  std::size_t rows = 0;
  std::size_t neurons = 0;

  Spikes view() { return {counts.view(), indices.view(), rows, neurons}; }
};

using EventLists = std::vector<std::vector<std::uint32_t>>;

/// Places behind the events of a row get an index that no population has, so that reading them shows.
inline SpikeArrays uploaded_spikes(Backend& backend, const EventLists& events, std::size_t neurons) {
  std::vector<std::uint32_t> counts;
  std::vector<std::uint32_t> indices(events.size() * neurons, 0xffffffffU);
  for (std::size_t row = 0; row < events.size(); ++row) {
    counts.push_back(static_cast<std::uint32_t>(events[row].size()));
    std::copy(events[row].begin(), events[row].end(),
              indices.begin() + static_cast<std::ptrdiff_t>(row * neurons));
  }
  return {uploaded(backend, counts), uploaded(backend, indices), events.size(), neurons};
}

inline EventLists downloaded_spikes(Backend& backend, ConstSpikes spikes) {
  const std::vector<std::uint32_t> counts = backend.download(spikes.counts);
  const std::vector<std::uint32_t> indices = backend.download(spikes.indices);
  EventLists events(spikes.rows);
  for (std::size_t row = 0; row < spikes.rows; ++row) {
    const auto first = indices.begin() + static_cast<std::ptrdiff_t>(row * spikes.neurons);
    events[row].assign(first, first + counts[row]);
  }
  return events;
}

/// Of each row, the number of spikes and then their neurons.
inline std::vector<std::uint32_t> flattened(const EventLists& events) {
  std::vector<std::uint32_t> flat;
  for (const auto& row : events) {
    flat.push_back(static_cast<std::uint32_t>(row.size()));
    flat.insert(flat.end(), row.begin(), row.end());
  }
  return flat;
}

/// Each neuron spikes in each row with the given probability.
inline EventLists random_events(std::size_t rows, std::size_t neurons, double density, std::uint32_t seed) {
  std::mt19937 generator(seed);
  EventLists events(rows);
  for (auto& row : events) {
    for (std::uint32_t neuron = 0; neuron < neurons; ++neuron) {
      if (generator() < density * 0x1p32) row.push_back(neuron);
    }
  }
  return events;
}

}  // namespace orthospike::testing
