#pragma once

#include <array>
#include <limits>
#include <string>
#include <vector>

#include "learning/run_file.hpp"

namespace orthospike::testing {

/// Writes the run file of two tasks, the last row of whose accuracies is given, the other rows being 0.5 and 0.25; each
/// task took `seconds` and showed 100 samples. With less than two tasks done it is not finished.
inline void write_run(const std::filesystem::path& folder, const std::string& config,
                      const std::array<double, 2>& last_row, double seconds, std::size_t tasks_done = 2) {
  std::filesystem::create_directories(folder);
  RunFile file(folder, config, {}, {{.name = "a"}, {.name = "b"}}, {"input_to_hidden", "hidden_to_readout"});
  AccuracyMatrix accuracy(2);
  const std::vector<double> losses = {1, 1};
  for (std::size_t after = 0; after <= tasks_done; ++after) {
    for (const std::size_t task : {1, 2})
      accuracy.at(after, task) = after == 2 ? last_row[task - 1] : task == 1 ? 0.5 : 0.25;
    file.write_accuracies(accuracy, losses, after);
    TaskCosts costs;
    costs.seconds[static_cast<std::size_t>(Phase::evaluate)] = seconds / 4;
    costs.seconds[0] += seconds - seconds / 4;
    costs.training_batches = 1;
    costs.training_samples = 100;
    if (after == 0) continue;
    const double unknown = std::numeric_limits<double>::quiet_NaN();
    file.write_report(after, {.projections = {{.rank = 3, .leak = unknown}, {.rank = 5, .leak = 0.5}},
                              .logit_change = 0.25});
    file.write_costs(after, costs);
  }
  if (tasks_done == 2) file.finish();
}

}  // namespace orthospike::testing
