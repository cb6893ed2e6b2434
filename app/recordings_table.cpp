#include "app/recordings_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "app/accuracy_table.hpp"
#include "sim/recording_file.hpp"

namespace orthospike {

std::string recordings_table(const std::filesystem::path& folder) {
  std::string text;
  for (const RecordingSummary& recording : read_recordings(folder)) {
    if (text.empty()) {
      text =
          fmt::format("{:<18} {:<12} {:>9} {:>13} {:>11} {:>9} {:>10} {:>8}  file\n", "recorded",
                      "population", "neurons", "presentations", "spikes", "rate Hz", "per step", "silent %");
    }
    const auto steps = static_cast<double>(recording.presentations * recording.steps);
    for (const RecordedPopulation& population : recording.populations) {
      const auto& counts = population.spike_counts;
      const bool has_spikes = recording.is_spikes();
      const double nothing = std::numeric_limits<double>::quiet_NaN();
      const auto neurons = static_cast<double>(population.neurons.size());
      const auto spikes =
          static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
      const double rate = has_spikes && steps > 0 ? spikes / (steps * neurons) : nothing;
      const double silent =
          has_spikes ? static_cast<double>(std::ranges::count(counts, std::uint64_t{0})) / neurons : nothing;
      text += fmt::format("{:<18} {:<12} {:>9} {:>13} {:>11} {:>9} {:>10} {:>8}  {}{}\n", recording.variable,
                          population.name, fmt::format("{}/{}", population.neurons.size(), population.size),
                          recording.presentations, number(has_spikes ? spikes : nothing, "{:.0f}"),
                          number(1e3 * rate / recording.dt, "{:.4g}"), number(rate, "{:.4f}"),
                          percent(silent), recording.path.filename().string(),
                          recording.finished ? "" : fmt::format(" (not finished)"));
    }
  }
  return text;
}

}  // namespace orthospike
