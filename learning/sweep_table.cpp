#include "learning/sweep_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/algorithm/string.hpp>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>

#include "kernels/error.hpp"
#include "sim/final_name.hpp"
#include "sim/hdf5_file.hpp"

namespace orthospike {

namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

SweepTable::Mean mean_of(const std::vector<SweepTable::Row>& rows, std::size_t first, std::size_t count) {
  const std::size_t measures = sweep_measures().size();
  SweepTable::Mean mean{.runs = 0,
                        .means = std::vector<double>(measures, unknown),
                        .deviations = std::vector<double>(measures, unknown)};
  std::vector<const SweepTable::Row*> done;
  for (std::size_t i = first; i < first + count; ++i) {
    if (rows[i].state == RunState::done) done.push_back(&rows[i]);
  }
  mean.runs = done.size();
  if (done.empty()) return mean;
  const auto n = static_cast<double>(done.size());
  for (std::size_t m = 0; m < measures; ++m) {
    double sum = 0, squares = 0;
    for (const SweepTable::Row* row : done) sum += row->values[m];
    mean.means[m] = sum / n;
    for (const SweepTable::Row* row : done) squares += std::pow(row->values[m] - mean.means[m], 2);
    if (done.size() > 1) mean.deviations[m] = std::sqrt(squares / (n - 1));
  }
  return mean;
}

double mean_over_projections(const Measure<ProjectionReport>& measure,
                             const std::vector<ProjectionReport>& reports) {
  double sum = 0, count = 0;
  for (const ProjectionReport& report : reports) {
    const double value = measure.value(report);
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return sum / count;
}

/// As RFC 4180 has it.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"") == std::string::npos) return text;
  return fmt::format("\"{}\"", boost::replace_all_copy(text, "\"", "\"\""));
}

std::string csv_number(double value) {
  return std::isnan(value) ? "" : fmt::format("{}", value);
}

/// The row as a line.
class Line {
 public:
  Line& operator<<(const std::string& field) {
    if (!text_.empty()) text_ += ',';
    text_ += csv_field(field);
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void write_text(const std::filesystem::path& path, const std::vector<Line>& lines) {
  const std::filesystem::path partial = path.string() + ".partial";
  std::ofstream stream(partial);
  for (const Line& line : lines) stream << line.text() << "\n";
  stream.close();
  if (!stream || !reaches_disk(partial))
    throw EnvironmentError(fmt::format("{}: cannot be written", partial.string()));
  give_final_name(partial, path);
}

std::vector<Line> point_lines(const Sweep& sweep, const SweepTable& table) {
  std::vector<Line> lines(table.rows.size() + 1);
  lines[0] << "point"
           << "folder";
  for (const std::string& key : sweep.keys) lines[0] << key;
  lines[0] << "state";
  for (const SweepMeasure& measure : sweep_measures()) lines[0] << measure.name;
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    Line& line = lines[i + 1];
    line << fmt::format("{}", i + 1) << sweep.points[i].name;
    for (const std::string& value : sweep.points[i].values) line << value;
    line << words(table.rows[i].state);
    for (const double value : table.rows[i].values) line << csv_number(value);
  }
  return lines;
}

std::vector<Line> mean_lines(const Sweep& sweep, const SweepTable& table) {
  std::vector<Line> lines(table.means.size() + 1);
  lines[0] << "setting";
  for (std::size_t k = 0; k < sweep.setting_keys(); ++k) lines[0] << sweep.keys[k];
  lines[0] << "runs";
  for (const SweepMeasure& measure : sweep_measures())
    lines[0] << measure.name + "_mean" << measure.name + "_deviation";
  for (std::size_t i = 0; i < table.means.size(); ++i) {
    Line& line = lines[i + 1];
    line << fmt::format("{}", i + 1);
    for (std::size_t k = 0; k < sweep.setting_keys(); ++k)
      line << sweep.points[i * sweep.points_per_setting()].values[k];
    line << fmt::format("{}", table.means[i].runs);
    for (std::size_t m = 0; m < sweep_measures().size(); ++m)
      line << csv_number(table.means[i].means[m]) << csv_number(table.means[i].deviations[m]);
  }
  return lines;
}

template <class T>
void add_column(Hdf5File& file, const std::string& object, const std::vector<T>& values) {
  file.add<T>(object, {values.size()}, T{});
  file.write_rows<T>(object, 0, values);
}

/// The values of a key: as numbers where all are, else as places in an attribute that has each once.
void add_values(Hdf5File& file, const std::string& object, const std::vector<std::string>& values) {
  std::vector<double> numbers;
  for (const std::string& value : values) {
    double number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error == std::errc() && end == value.data() + value.size()) numbers.push_back(number);
  }
  if (numbers.size() == values.size()) {
    add_column(file, object, numbers);
    return;
  }
  std::vector<std::string> texts;
  std::map<std::string, std::uint32_t> place_of;
  std::vector<std::uint32_t> places;
  for (const std::string& value : values) {
    const auto [place, is_new] = place_of.emplace(value, static_cast<std::uint32_t>(texts.size()));
    if (is_new) texts.push_back(value);
    places.push_back(place->second);
  }
  add_column(file, object, places);
  file.add_attribute(object, "values", texts);
}

void write_hdf5(const Sweep& sweep, const SweepTable& table, const std::filesystem::path& path) {
  Hdf5File file = Hdf5File::create(path.string() + ".partial");
  file.add_attribute("/", "format", std::string("orthospike sweep"));
  file.add_attribute("/", "format_version", std::uint64_t{1});
  std::string why_none;
  const std::optional<std::size_t> best = best_setting(sweep, table, why_none);
  file.add_attribute("/", "choose_by", sweep.settings.choose_by);
  file.add_attribute("/", "best", std::uint64_t{best ? *best + 1 : 0});
  if (!best) file.add_attribute("/", "why_none", why_none);
  const auto add_settings = [&](const std::string& group, std::size_t keys, std::size_t step) {
    for (std::size_t k = 0; k < keys; ++k) {
      std::vector<std::string> values;
      for (std::size_t i = 0; i < sweep.points.size(); i += step) values.push_back(sweep.points[i].values[k]);
      add_values(file, fmt::format("{}/settings/{}", group, sweep.keys[k]), values);
    }
  };
  const auto add_numbers = [&](const std::string& object, const SweepMeasure& measure, const auto& rows,
                               const auto& value) {
    std::vector<double> values;
    for (const auto& row : rows) values.push_back(value(row));
    add_column(file, object, values);
    file.add_attribute(object, "definition", measure.definition);
    if (!measure.unit.empty()) file.add_attribute(object, "unit", measure.unit);
  };

  add_settings("/points", sweep.keys.size(), 1);
  std::string folders;
  std::vector<std::uint32_t> states;
  for (std::size_t i = 0; i < sweep.points.size(); ++i) {
    folders += sweep.points[i].name + "\n";
    states.push_back(static_cast<std::uint32_t>(table.rows[i].state));
  }
  file.add_text("/points/folders", folders);
  add_column(file, "/points/state", states);
  file.add_attribute(
      "/points/state", "values",
      std::vector<std::string>{words(RunState::done), words(RunState::running), words(RunState::failed),
                               words(RunState::interrupted), words(RunState::missing)});
  add_settings("/means", sweep.setting_keys(), sweep.points_per_setting());
  std::vector<std::uint32_t> runs;
  for (const SweepTable::Mean& mean : table.means) runs.push_back(static_cast<std::uint32_t>(mean.runs));
  add_column(file, "/means/runs", runs);
  for (std::size_t m = 0; m < sweep_measures().size(); ++m) {
    const SweepMeasure& measure = sweep_measures()[m];
    add_numbers("/points/" + measure.name, measure, table.rows,
                [&](const SweepTable::Row& row) { return row.values[m]; });
    add_numbers(fmt::format("/means/{}/mean", measure.name), measure, table.means,
                [&](const SweepTable::Mean& mean) { return mean.means[m]; });
    add_numbers(fmt::format("/means/{}/deviation", measure.name), measure, table.means,
                [&](const SweepTable::Mean& mean) { return mean.deviations[m]; });
  }
  file.close_as(path);
}

}  // namespace

const std::vector<SweepMeasure>& sweep_measures() {
  static const std::vector<SweepMeasure> measures = [] {
    std::vector<SweepMeasure> all;
    for (const MatrixMeasure& measure : matrix_measures()) {
      all.push_back({.name = measure.name,
                     .unit = "",
                     .definition = measure.definition,
                     .value = [value = measure.value](const RunRecord& record) {
                       return (record.accuracy.*value)(record.accuracy.tasks());
                     }});
    }
    all.push_back({.name = "seconds",
                   .unit = "s",
                   .definition = "of all phases of all tasks",
                   .value = [](const RunRecord& record) { return record.seconds(); }});
    all.push_back({.name = "train_samples_per_second",
                   .unit = "1/s",
                   .definition = "training samples shown for each second of training alone",
                   .value = [](const RunRecord& record) { return record.training_samples_per_second(); }});
    all.push_back({.name = "logit_change",
                   .unit = "",
                   .definition = "of the last task, see run.h5",
                   .value = [](const RunRecord& record) { return record.reports.back().logit_change; }});
    for (const Measure<ProjectionReport>& measure : projection_measures()) {
      all.push_back({.name = measure.name,
                     .unit = measure.unit,
                     .definition = fmt::format("{}; after the last task, mean over projections that have it",
                                               measure.definition),
                     .value = [&measure](const RunRecord& record) {
                       return mean_over_projections(measure, record.reports.back().projections);
                     }});
    }
    for (const Measure<TaskCosts>& measure : cost_measures()) {
      all.push_back(
          {.name = measure.name,
           .unit = measure.unit,
           .definition = fmt::format("{}; of the last task", measure.definition),
           .value = [&measure](const RunRecord& record) { return measure.value(record.costs.back()); }});
    }
    return all;
  }();
  return measures;
}

SweepTable collect(const Sweep& sweep) {
  SweepTable table;
  for (const SweepPoint& point : sweep.points) {
    const RunStatus status = status_of(sweep, point);
    SweepTable::Row& row = table.rows.emplace_back(SweepTable::Row{.state = status.state, .values = {}});
    for (const SweepMeasure& measure : sweep_measures())
      row.values.push_back(status.state == RunState::done ? measure.value(*status.record) : unknown);
    if (status.state != RunState::done) continue;
    const Config config = config_of(sweep, point);
    for (std::size_t task = 0; task < status.record->accuracy.tasks(); ++task) {
      if (of_task(config.tasks.held_back_samples, task) == 0) table.held_back = false;
    }
  }
  for (std::size_t i = 0; i < table.rows.size(); i += sweep.points_per_setting())
    table.means.push_back(mean_of(table.rows, i, sweep.points_per_setting()));
  return table;
}

std::optional<std::size_t> best_setting(const Sweep& sweep, const SweepTable& table, std::string& why) {
  if (!table.held_back) {
    why =
        "no best is named, because tests were on test samples: set tasks.held_back_samples to choose settings";
    return {};
  }
  const auto chosen =
      std::ranges::find(matrix_measures(), sweep.settings.choose_by,
                        [](const MatrixMeasure& measure) { return std::string(measure.name); });
  const auto m = static_cast<std::size_t>(chosen - matrix_measures().begin());
  const double sign = chosen->more_is_better ? 1 : -1;
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < table.means.size(); ++i) {
    const SweepTable::Mean& mean = table.means[i];
    if (mean.runs < sweep.points_per_setting() || std::isnan(mean.means[m])) continue;
    if (!best || sign * mean.means[m] > sign * table.means[*best].means[m]) best = i;
  }
  if (!best)
    why = fmt::format("no best is named: no setting has {} in all its runs", sweep.settings.choose_by);
  return best;
}

void write_table(const Sweep& sweep, const SweepTable& table) {
  write_text(sweep.out / "sweep.csv", point_lines(sweep, table));
  write_text(sweep.out / "sweep-means.csv", mean_lines(sweep, table));
  write_hdf5(sweep, table, sweep.out / "sweep.h5");
}

}  // namespace orthospike
