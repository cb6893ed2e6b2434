#include <fmt/format.h>

#include <algorithm>

#include "app/accuracy_table.hpp"
#include "app/json.hpp"
#include "app/sweep.hpp"
#include "kernels/error.hpp"
#include "learning/sweep_table.hpp"

namespace orthospike {

namespace {

/// "96.58 ± 0.04" in percent.
std::string spread(const SweepTable::Mean& mean, std::size_t measure) {
  const std::string deviation = percent(mean.deviations[measure]);
  return percent(mean.means[measure]) + (deviation == "-" ? "" : " ± " + deviation);
}

void print_means(const Sweep& sweep, const SweepTable& table) {
  std::vector<std::vector<std::string>> rows(1);
  for (std::size_t k = 0; k < sweep.setting_keys(); ++k) rows[0].push_back(sweep.keys[k]);
  rows[0].emplace_back("runs");
  for (const MatrixMeasure& measure : matrix_measures())
    rows[0].push_back(fmt::format("{} %", measure.label));
  for (std::size_t i = 0; i < table.means.size(); ++i) {
    std::vector<std::string>& row = rows.emplace_back();
    const SweepPoint& first = sweep.points[i * sweep.points_per_setting()];
    row.assign(first.values.begin(),
               first.values.begin() + static_cast<std::ptrdiff_t>(sweep.setting_keys()));
    row.push_back(fmt::format("{}", table.means[i].runs));
    for (std::size_t m = 0; m < matrix_measures().size(); ++m) row.push_back(spread(table.means[i], m));
  }
  fmt::print("{}", aligned(rows));
}

}  // namespace

int sweep_collect(const Sweep& sweep) {
  const SweepTable table = collect(sweep);
  const auto done = std::ranges::count(table.rows, RunState::done, &SweepTable::Row::state);
  if (done == 0) throw EnvironmentError(fmt::format("{}: no point of the sweep is done", sweep.out.string()));
  write_table(sweep, table);
  print_means(sweep, table);
  fmt::print("\n{} of {} points are done\n", done, sweep.points.size());

  std::string why, best = "null";
  if (const std::optional<std::size_t> setting = best_setting(sweep, table, why)) {
    const SweepPoint& point = sweep.points[*setting * sweep.points_per_setting()];
    const SweepTable::Mean& mean = table.means[*setting];
    const auto m = static_cast<std::size_t>(
        std::ranges::find(sweep_measures(), sweep.settings.choose_by, &SweepMeasure::name) -
        sweep_measures().begin());
    fmt::print("best by {} on held-back samples: {} with {} %\n", sweep.settings.choose_by,
               words_of(sweep, point, sweep.setting_keys()), spread(mean, m));
    best.clear();
    for (std::size_t k = 0; k < sweep.setting_keys(); ++k)
      best += fmt::format("{}: {}, ", json_text(sweep.keys[k]), json_text(point.values[k]));
    best = fmt::format(R"({{{}"mean": {}, "deviation": {}}})", best, json_number(mean.means[m]),
                       json_number(mean.deviations[m]));
  } else {
    fmt::print("{}\n", why);
  }
  fmt::print(R"({{"points": {}, "done": {}, "choose_by": {}, "best": {}, "table": {}}})"
             "\n",
             sweep.points.size(), done, json_text(sweep.settings.choose_by), best,
             json_text((sweep.out / "sweep.csv").string()));
  return 0;
}

}  // namespace orthospike
