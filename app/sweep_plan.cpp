#include <fmt/format.h>

#include "app/json.hpp"
#include "app/sweep.hpp"
#include "kernels/error.hpp"
#include "learning/sweep_work.hpp"

namespace orthospike {

namespace {

/// Work a second of networks of a hundred to a thousand neurons a layer, on two processors: from small to large ones.
constexpr double slow = 1e10, fast = 5e11;

struct Estimate {
  std::vector<double> work;      ///< of each point, see WorkCounter; empty where it could not be counted
  std::vector<double> measured;  ///< seconds of each point; 0 where it is not done
  std::size_t done = 0;
  double work_done = 0, seconds_done = 0, work_left = 0;
  std::string why_not;

  double seconds_left() const { return work_left * seconds_done / work_done; }
};

Estimate estimate_of(const Sweep& sweep) {
  Estimate estimate;
  WorkCounter count;
  for (const SweepPoint& point : sweep.points) {
    const Config config = config_of(sweep, point);  // before anything else: each point must be right
    const RunStatus status = status_of(sweep, point);
    const bool done = status.state == RunState::done;
    estimate.done += done ? 1 : 0;
    estimate.measured.push_back(done ? status.record->seconds() : 0);
    if (!estimate.why_not.empty()) continue;
    try {
      estimate.work.push_back(count(config));
      (done ? estimate.work_done : estimate.work_left) += estimate.work.back();
      estimate.seconds_done += estimate.measured.back();
    } catch (const EnvironmentError& error) {
      estimate.why_not = error.what();
    }
  }
  return estimate;
}

}  // namespace

int sweep_plan(const Sweep& sweep) {
  const Estimate estimate = estimate_of(sweep);
  const bool counted = estimate.why_not.empty(), measured = counted && estimate.done > 0;
  std::vector<std::vector<std::string>> rows = {{"point"}};
  rows[0].insert(rows[0].end(), sweep.keys.begin(), sweep.keys.end());
  rows[0].emplace_back("time");
  for (std::size_t i = 0; i < sweep.points.size(); ++i) {
    std::vector<std::string>& row = rows.emplace_back(std::vector{fmt::format("{}", i + 1)});
    row.insert(row.end(), sweep.points[i].values.begin(), sweep.points[i].values.end());
    row.push_back(estimate.measured[i] > 0 ? duration(estimate.measured[i]) + ", done"
                  : measured
                      ? "about " + duration(estimate.work[i] * estimate.seconds_done / estimate.work_done)
                      : "");
  }
  fmt::print("{}\n{} points of {} in {}, {} done\n", aligned(rows), sweep.points.size(),
             sweep.config.string(), sweep.out.string(), estimate.done);
  if (!counted) {
    fmt::print("no estimate of time: {}\n", estimate.why_not);
  } else if (measured) {
    fmt::print(
        "left: about {} one after the other, as the done points took, scaled by samples x weights x time steps\n",
        duration(estimate.seconds_left()));
  } else {
    fmt::print(
        "left: {:.3g} samples x weights x time steps, one after the other {} to {} at {:.0e} to {:.0e} a second "
        "(a guess; 'orthospike sweep run {} --point 1' measures)\n",
        estimate.work_left, duration(estimate.work_left / fast), duration(estimate.work_left / slow), slow,
        fast, sweep.file.string());
  }
  fmt::print(R"({{"points": {}, "done": {}, "seconds_left": {}}})"
             "\n",
             sweep.points.size(), estimate.done, measured ? json_number(estimate.seconds_left()) : "null");
  return 0;
}

}  // namespace orthospike
