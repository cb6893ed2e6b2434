#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "learning/sweep.hpp"

namespace orthospike {

/// The words after `sweep plan` and its like.
struct SweepArguments {
  std::filesystem::path file;
  std::filesystem::path out;         ///< empty: what the file says
  std::size_t jobs = 1;              ///< points that run at the same time
  std::optional<std::size_t> point;  ///< the only one to run, counted from 0
  std::size_t at_most = 0;  ///< elements of the job array that run at the same time; 0: as Slurm has it
  bool dry_run = false;
  std::vector<std::string> sbatch_options;
};

/// Subcommands of sweep, one file each, as those in commands.hpp.
int sweep_plan(const Sweep& sweep);
int sweep_run(const Sweep& sweep, const SweepArguments& arguments);
int sweep_slurm(const Sweep& sweep, const SweepArguments& arguments);
int sweep_status(const Sweep& sweep);
int sweep_collect(const Sweep& sweep);

/// Rows as lines with aligned columns, the last one as it is; the first row has headings.
std::string aligned(const std::vector<std::vector<std::string>>& rows);

/// "1.2 s", "3 min", "2.5 h".
std::string duration(double seconds);

}  // namespace orthospike
