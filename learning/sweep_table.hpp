#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "learning/sweep.hpp"

namespace orthospike {

/// A number of a finished run that a sweep's table has.
struct SweepMeasure {
  std::string name;
  std::string unit;  ///< "" where there is none
  std::string definition;
  std::function<double(const RunRecord&)> value;
};

/// First all matrix_measures after the last task, in their order.
const std::vector<SweepMeasure>& sweep_measures();

/// What the runs of a sweep gave.
struct SweepTable {
  struct Row {
    RunState state = RunState::missing;
    std::vector<double> values;  ///< of sweep_measures; NaN unless done
  };
  /// Over the seeds of one setting.
  struct Mean {
    std::size_t runs = 0;            ///< those done
    std::vector<double> means;       ///< of sweep_measures; NaN without a run
    std::vector<double> deviations;  ///< sample deviations (over runs - 1); NaN with less than two runs
  };

  std::vector<Row> rows;    ///< of the sweep's points
  std::vector<Mean> means;  ///< setting k has points k · seeds …
  bool held_back = true;    ///< whether the tests of all done runs are on held-back training samples
};

/// Reads all run folders of a sweep. Throws ConfigError as status_of does.
SweepTable collect(const Sweep& sweep);

/// The setting, counted from 0, with the best mean of sweep.choose_by among those with all runs done. None where there
/// is no such setting; also none where tests are on test samples, by which nothing may be chosen: `why` then says so.
std::optional<std::size_t> best_setting(const Sweep& sweep, const SweepTable& table, std::string& why);

/// Writes sweep.csv (a row a point), sweep-means.csv (a row a setting) and sweep.h5 (both, layout:
/// configs/sweeps/README.md) in the sweep's folder. Throws EnvironmentError where one cannot be written.
void write_table(const Sweep& sweep, const SweepTable& table);

}  // namespace orthospike
