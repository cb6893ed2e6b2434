// What recording costs: seconds of a pass of test samples, as it is and recorded, files closed.
//
//   build/tests/recording_benchmark RUN [--record.key=value ...]
//
// RUN is a folder of a run with its weights; by default all spikes of all test samples are recorded, into a folder of
// $TMPDIR. Medians of nine, in turn.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "learning/tester.hpp"
#include "sim/recording_file.hpp"
#include "tests/benchmarks/timing.hpp"
#include "tests/temporary_folder.hpp"

namespace {

using namespace orthospike;
using testing::median;
using testing::seconds_of;

void run(const std::string& place, std::vector<std::string> arguments) {
  const TrainedNetwork trained = read_weights(weights_file_at(place));
  for (const char* setting : {"--record.variables=spikes", "--record.samples=all"}) {
    const std::string key = std::string(setting).substr(0, std::string(setting).find('='));
    if (std::ranges::none_of(arguments, [&](const std::string& word) { return word.starts_with(key); }))
      arguments.insert(arguments.begin(), setting);
  }
  const Config config = read_config_of_run(trained.config, "config", arguments, true);
  const std::vector<ImageData> data = read_data_sets(config.data);
  constexpr int repetitions = 9;
  Tester plain(trained, config, data, {});
  const auto test_all = [](Tester& tester) {
    for (std::size_t k = 0; k < tester.tasks(); ++k) tester.test(k);
  };
  test_all(plain);
  std::vector<double> without, with, ratios;
  std::uint64_t spikes = 0, presentations = 0, bytes = 0;
  for (int i = 0; i < repetitions; ++i) {
    const TemporaryFolder folder;
    Tester recorded(trained, config, data, {});
    recorded.test(0);  // reads images, makes room
    recorded.record(folder.path());
    without.push_back(seconds_of([&] { test_all(plain); }));
    with.push_back(seconds_of([&] {
      test_all(recorded);
      recorded.finish_recording();
    }));
    ratios.push_back(with.back() / without.back());
    spikes = presentations = bytes = 0;
    for (const RecordingSummary& recording : read_recordings(folder.path())) {
      bytes += std::filesystem::file_size(recording.path);
      presentations = recording.presentations;
      for (const RecordedPopulation& population : recording.populations) {
        for (const std::uint64_t count : population.spike_counts) spikes += count;
      }
    }
  }
  fmt::print("without {:.4f} s, recorded {:.4f} s, ratio {:.3f}; {} presentations, {} spikes, {:.1f} MB\n",
             median(without), median(with), median(ratios), presentations, spikes,
             1e-6 * static_cast<double>(bytes));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: recording_benchmark RUN [--record.key=value ...]\n");
    return 2;
  }
  try {
    run(argv[1], {argv + 2, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
