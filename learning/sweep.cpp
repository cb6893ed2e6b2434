#include "learning/sweep.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/algorithm/string.hpp>
#include <boost/crc.hpp>
#include <boost/random/sobol.hpp>
#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "kernels/error.hpp"
#include "kernels/random.hpp"
#include "learning/key_reader.hpp"
#include "learning/metrics.hpp"

namespace orthospike {

namespace {

constexpr const char* seed_key = "experiment.seed";

/// Numbers from `first` to `last`, perhaps evenly on a logarithmic scale.
struct Interval {
  double first = 0, last = 0;
  bool logarithmic = false;
  bool whole = false;

  /// As text; 0 is the first one, 1 the last one.
  std::string at(double share) const {
    const double value = share == 0     ? first
                         : share == 1   ? last
                         : !logarithmic ? std::lerp(first, last, share)
                                        : std::exp(std::lerp(std::log(first), std::log(last), share));
    return whole ? fmt::format("{:.0f}", std::round(value)) : fmt::format("{:.6g}", value);
  }

  /// Of shares in [0, 1), each integer as often as the others unless logarithmic.
  std::string drawn(double share) const {
    if (!whole || logarithmic) return at(share);
    const double low = std::min(first, last), high = std::max(first, last);
    return fmt::format("{:.0f}", std::min(high, low + std::floor(share * (high - low + 1))));
  }
};

/// What is varied of one key: texts, or an interval to draw from.
struct Column {
  std::string key, place;
  std::vector<std::string> values;
  std::optional<Interval> interval;
};

/// Keys that are varied together: columns with equally many values, or one with an interval.
struct Dimension {
  std::string zip;  ///< its section; empty where it is a key of section vary
  std::vector<Column> columns;

  std::size_t size() const { return columns.front().values.size(); }
};

[[noreturn]] void refuse(const Column& column, const std::string& why) {
  throw ConfigError(fmt::format("{}: {}: {}", column.place, column.key, why));
}

double number_of(const Column& column, const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number))
    refuse(column, fmt::format("'{}' is not a number", text));
  return number;
}

/// Adds what a part between two '|' says. `sampled`: whether it may be an interval.
void add_values(const std::string& text, bool sampled, bool whole, Column& column) {
  const std::string word = text.substr(0, text.find('('));
  const bool is_call =
      !word.empty() && text.ends_with(')') && boost::all(word, boost::is_alpha() || boost::is_any_of("_"));
  if (!is_call) {
    if (text.empty()) refuse(column, "a value is missing; values are separated by '|'");
    column.values.push_back(text);
    return;
  }
  if (word != "range" && word != "log")
    refuse(column, fmt::format("unknown word '{}'; expected range or log", word));
  std::vector<std::string> arguments;
  const std::string inside = text.substr(word.size() + 1, text.size() - word.size() - 2);
  boost::split(arguments, inside, boost::is_any_of(","));
  for (std::string& argument : arguments) boost::trim(argument);
  if (arguments.size() != 3 && !(arguments.size() == 2 && sampled)) {
    refuse(column,
           fmt::format("'{}' is not {}(first, last, count){}", text, word,
                       sampled ? fmt::format(" or {}(lowest, highest)", word)
                               : fmt::format("; {}(lowest, highest) is for a key of section vary, alone, "
                                             "with sweep.sampling random or sobol",
                                             word)));
  }
  const Interval interval{.first = number_of(column, arguments[0]),
                          .last = number_of(column, arguments[1]),
                          .logarithmic = word == "log",
                          .whole = whole};
  if (interval.logarithmic && !(interval.first > 0 && interval.last > 0))
    refuse(column, fmt::format("'{}': a logarithmic range needs numbers > 0", text));
  if (interval.first == interval.last) refuse(column, fmt::format("'{}' begins where it ends", text));
  // Beyond that not every integer is a double.
  constexpr double most = 9007199254740992;
  if (whole && (std::abs(interval.first) > most || std::abs(interval.last) > most))
    refuse(column, fmt::format("'{}' goes beyond {:.0f}", text, most));
  if (arguments.size() == 2) {
    column.interval = interval;
    return;
  }
  const double count = number_of(column, arguments[2]);
  if (count != std::floor(count) || count < 2 || count > static_cast<double>(Sweep::most_points)) {
    refuse(column, fmt::format("'{}': the count is not an integer from 2 to {}", text, Sweep::most_points));
  }
  for (double i = 0; i < count; ++i) column.values.push_back(interval.at(i / (count - 1)));
}

/// What is varied of a key, as a sweep file says.
Column column_of(const std::string& key, const Setting& setting, bool sampled, bool whole) {
  Column column{.key = key, .place = setting.place, .values = {}, .interval = {}};
  std::vector<std::string> parts;
  boost::split(parts, setting.value, boost::is_any_of("|"));
  for (std::string& part : parts) {
    boost::trim(part);
    add_values(part, sampled && parts.size() == 1, whole, column);
  }
  return column;
}

/// "1, 2, 5-9", in words of one key.
std::vector<std::string> seeds_of(const std::string& text) {
  std::vector<std::string> parts, seeds;
  boost::split(parts, text, boost::is_any_of(","));
  const auto number = [&](const std::string& part) {
    std::uint64_t seed = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), seed);
    if (error != std::errc() || end != part.data() + part.size()) {
      throw ConfigError(fmt::format(
          "sweep.seeds: '{}' is not seeds separated by commas, each an integer or two as 1-5", text));
    }
    return seed;
  };
  for (std::string& part : parts) {
    boost::trim(part);
    const std::size_t dash = part.find('-');
    const std::uint64_t first = number(part.substr(0, dash));
    const std::uint64_t last = dash == std::string::npos ? first : number(part.substr(dash + 1));
    if (last < first || last - first >= Sweep::most_points - seeds.size())
      throw ConfigError(fmt::format("sweep.seeds: '{}' is not from 1 to {} seeds", text, Sweep::most_points));
    for (std::uint64_t i = 0; i <= last - first; ++i) seeds.push_back(fmt::format("{}", first + i));
  }
  return seeds;
}

/// Collects what the sections of a sweep file say.
class Parser {
 public:
  Parser(std::istream& stream, const std::filesystem::path& file) : known_(declared_keys()) {
    sweep_.file = file;
    const std::vector<Setting> settings = read_ini(stream, file.string());
    read_sweep_section(settings);
    for (const Setting& setting : settings) take(setting);
  }

  Sweep sweep() {
    if (sweep_.settings.config.empty())
      throw ConfigError(fmt::format("{}: sweep.config, the base config, is missing", sweep_.file.string()));
    sweep_.config = (sweep_.file.parent_path() / sweep_.settings.config).lexically_normal();
    sweep_.out = sweep_.settings.out.empty() ? std::filesystem::path("runs") / sweep_.file.stem()
                                             : std::filesystem::path(sweep_.settings.out);
    for (const Dimension& dimension : dimensions_) check(dimension);
    for (const Dimension& dimension : dimensions_) {
      for (const Column& column : dimension.columns) {
        sweep_.keys.push_back(column.key);
        sweep_.places.push_back(column.place);
      }
    }
    const std::vector<std::string> seeds = take_seeds();
    if (sweep_.keys.empty()) {
      throw ConfigError(fmt::format(
          "{}: nothing is varied: section vary or zip or key sweep.seeds is missing", sweep_.file.string()));
    }
    add_points(seeds);
    return std::move(sweep_);
  }

 private:
  static std::string section_of(const std::string& key) { return key.substr(0, key.find('.')); }

  bool sampled() const { return sweep_.settings.sampling != SweepSettings::Sampling::grid; }

  void read_sweep_section(const std::vector<Setting>& settings) {
    std::map<std::string, std::string> values;
    for (const Setting& setting : settings) {
      if (section_of(setting.key) != "sweep") continue;
      claim(setting.key, setting.place);
      values[setting.key] = setting.value;
    }
    std::string key;
    try {
      KeyReader reader(values);
      sweep_.settings.describe(reader);
      if (reader.left().empty()) return;
      key = reader.left().begin()->first;
    } catch (const ConfigError& error) {
      throw ConfigError(with_place_of(error.what()));
    }
    const std::vector<DeclaredKey> own = declared_sweep_keys();
    const auto declared = std::ranges::find(own, key, &DeclaredKey::name);
    if (declared == own.end()) throw ConfigError(fmt::format("{}: {}", places_[key], unknown_key(key, own)));
    throw ConfigError(fmt::format("{}: {}: it is read only with {}", places_[key], key,
                                  fmt::join(declared->readers, " or ")));
  }

  /// With the place where the key was given that the sentence begins with.
  std::string with_place_of(const std::string& sentence) const {
    return fmt::format("{}: {}", places_.at(sentence.substr(0, sentence.find(':'))), sentence);
  }

  /// Throws where the key has a place already.
  void claim(const std::string& key, const std::string& place) {
    const auto [earlier, is_new] = places_.emplace(key, place);
    if (!is_new)
      throw ConfigError(fmt::format("{}: key '{}' is given twice, first in {}", place, key, earlier->second));
  }

  void take(const Setting& setting) {
    const std::string section = section_of(setting.key);
    if (section == "sweep") return;
    std::string key = setting.key.size() > section.size() ? setting.key.substr(section.size() + 1) : "";
    std::string zip;
    if (section == "zip") {
      const bool named = std::ranges::count(key, '.') == 2;
      zip = named ? "zip." + key.substr(0, key.find('.')) : "zip";
      if (named) key = key.substr(key.find('.') + 1);
    } else if (section != "set" && section != "vary") {
      throw ConfigError(fmt::format("{}: '{}' is in none of the sections sweep, set, vary, zip and zip.NAME",
                                    setting.place, setting.key));
    }
    const auto declared = std::ranges::find(known_, key, &DeclaredKey::name);
    if (declared == known_.end())
      throw ConfigError(fmt::format("{}: {}", setting.place, unknown_key(key, known_)));
    claim(key, setting.place);
    if (section == "set") {
      sweep_.fixed.push_back({key, setting.value, setting.place});
      return;
    }
    if (key == seed_key) {
      throw ConfigError(fmt::format(
          "{}: {}: seeds are given as sweep.seeds, so that means are taken over them", setting.place, key));
    }
    Column column = column_of(key, setting, sampled() && section == "vary", declared->whole);
    const auto group = std::ranges::find(dimensions_, zip, &Dimension::zip);
    if (!zip.empty() && group != dimensions_.end()) {
      group->columns.push_back(std::move(column));
    } else {
      dimensions_.push_back({.zip = zip, .columns = {std::move(column)}});
    }
  }

  static void check(const Dimension& dimension) {
    for (const Column& column : dimension.columns) {
      if (column.values.size() != dimension.size()) {
        refuse(column, fmt::format("section {} gives it {} values and {} {}", dimension.zip,
                                   column.values.size(), dimension.columns.front().key, dimension.size()));
      }
    }
  }

  std::vector<std::string> take_seeds() {
    if (sweep_.settings.seeds.empty()) return {};
    std::vector<std::string> seeds;
    try {
      seeds = seeds_of(sweep_.settings.seeds);
    } catch (const ConfigError& error) {
      throw ConfigError(with_place_of(error.what()));
    }
    claim(seed_key, places_["sweep.seeds"]);
    sweep_.keys.emplace_back(seed_key);
    sweep_.places.push_back(places_["sweep.seeds"]);
    sweep_.seeds = seeds.size();
    return seeds;
  }

  [[noreturn]] void refuse_points(const std::string& why) const {
    throw ConfigError(fmt::format("{}: {}", sweep_.file.string(), why));
  }

  void add_points(const std::vector<std::string>& seeds) {
    std::size_t count = sampled() && !dimensions_.empty() ? sweep_.settings.points : 1;
    for (const Dimension& dimension : dimensions_) {
      if (!sampled()) count = std::min(count * dimension.size(), Sweep::most_points + 1);
    }
    if (count * sweep_.points_per_setting() > Sweep::most_points)
      refuse_points(fmt::format("there are more than {} points", Sweep::most_points));
    const std::vector<std::vector<std::string>> settings =
        sampled() && !dimensions_.empty() ? drawn(count) : grid(count);
    std::unordered_map<std::string, std::size_t> names;
    for (const std::vector<std::string>& values : settings) {
      for (std::size_t i = 0; i < sweep_.points_per_setting(); ++i) {
        SweepPoint& point = sweep_.points.emplace_back(SweepPoint{.name = "", .values = values});
        if (!seeds.empty()) point.values.push_back(seeds[i]);
        point.name = name_of(point.values);
        const auto [earlier, is_new] = names.emplace(point.name, sweep_.points.size());
        if (!is_new) {
          refuse_points(fmt::format("points {} and {} are the same: {}", earlier->second,
                                    sweep_.points.size(), words_of(sweep_, point, sweep_.keys.size())));
        }
      }
    }
  }

  /// The last dimension changes fastest.
  std::vector<std::vector<std::string>> grid(std::size_t count) const {
    std::vector<std::vector<std::string>> settings(count);
    for (std::size_t i = 0; i < count; ++i) {
      std::size_t block = count, rest = i;
      for (const Dimension& dimension : dimensions_) {
        block /= dimension.size();
        for (const Column& column : dimension.columns) settings[i].push_back(column.values[rest / block]);
        rest %= block;
      }
    }
    return settings;
  }

  /// `count` different ones. Draw i is a function of seed and i, so that more points begin with the same ones.
  std::vector<std::vector<std::string>> drawn(std::size_t count) const {
    std::vector<std::vector<std::string>> settings;
    std::unordered_map<std::string, bool> seen;
    boost::random::sobol quasi_random(dimensions_.size());
    const std::size_t most_draws = 100 * count + 1000;
    for (std::size_t draw = 0; settings.size() < count; ++draw) {
      if (draw == most_draws) {
        refuse_points(fmt::format("sweep.points: in {} draws there are only {} different points", most_draws,
                                  settings.size()));
      }
      std::vector<std::string> values;
      for (std::size_t d = 0; d < dimensions_.size(); ++d) {
        const auto uniform = [&](std::size_t i) {
          const RandomKey key{sweep_.settings.seed, RandomPurpose::sweep, static_cast<std::uint32_t>(d)};
          return (random_block(key, i)[0] + 0.5) * 0x1p-32;
        };
        double share = 0;
        if (sweep_.settings.sampling == SweepSettings::Sampling::random) {
          share = uniform(draw);
        } else {
          // Shifted as a whole by what the seed says: without, the first point is the corner of all lowest values.
          share = static_cast<double>(quasi_random()) * 0x1p-64 + uniform(0);
          share -= std::floor(share);
        }
        append(dimensions_[d], share, values);
      }
      if (seen.emplace(fmt::format("{}", fmt::join(values, "|")), true).second) settings.push_back(values);
    }
    return settings;
  }

  static void append(const Dimension& dimension, double share, std::vector<std::string>& values) {
    for (const Column& column : dimension.columns) {
      const auto place = static_cast<std::size_t>(share * static_cast<double>(dimension.size()));
      values.push_back(column.interval ? column.interval->drawn(share)
                                       : column.values[std::min(place, dimension.size() - 1)]);
    }
  }

  /// The key without its section where no other varied key is called so.
  std::string short_name(const std::string& key) const {
    const auto last_part = [](const std::string& name) { return name.substr(name.find('.') + 1); };
    const std::string own = last_part(key);
    return std::ranges::count(sweep_.keys, own, last_part) == 1 ? own : key;
  }

  /// "lambda=0.3,seed=1". Where characters would trouble a shell or the name would be too long for a folder, a check
  /// sum of the whole follows.
  std::string name_of(const std::vector<std::string>& values) const {
    std::string name;
    for (std::size_t i = 0; i < values.size(); ++i)
      name += fmt::format("{}{}={}", i == 0 ? "" : ",", short_name(sweep_.keys[i]), values[i]);
    constexpr std::size_t longest = 160;
    std::string safe = name.substr(0, longest);
    const auto is_safe = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
             std::string_view("._+-,=").find(c) != std::string_view::npos;
    };
    std::ranges::replace_if(
        safe, [&](char c) { return !is_safe(c); }, '_');
    if (safe == name) return name;
    boost::crc_32_type sum;
    sum.process_bytes(name.data(), name.size());
    return fmt::format("{}~{:08x}", safe, sum.checksum());
  }

  std::vector<DeclaredKey> known_;
  std::map<std::string, std::string> places_;  ///< of all keys of the file
  std::vector<Dimension> dimensions_;
  Sweep sweep_;
};

}  // namespace

void SweepSettings::describe(SettingsVisitor& visit) {
  visit("sweep.config", config, "The base config, a path from the folder of the sweep file.");
  visit("sweep.out", out,
        "Folder in which each point has its run folder; empty: runs/ and the sweep file's name.");
  visit(
      "sweep.seeds", seeds,
      "Seeds that every point is run with, as 1, 2, 3 or 1-3; means are taken over them. Empty: that of the base "
      "config.");
  visit("sweep.sampling", sampling,
        {{"grid", Sampling::grid, "all combinations of all values"},
         {"random", Sampling::random, "independent draws"},
         {"sobol", Sampling::sobol, "a Sobol sequence, which fills the space more evenly"}},
        "Which points there are");
  visit.only(sampling != Sampling::grid, "sweep.sampling random, sobol", [&] {
    visit("sweep.points", points, {.lowest = 1, .highest = Sweep::most_points}, "points",
          "How many points are drawn; each is run with every seed.");
    visit("sweep.seed", seed, at_least(0), "-", "Seed of the draws.");
  });
  std::vector<std::pair<std::string, std::string>> measures;
  for (const MatrixMeasure& measure : matrix_measures()) measures.emplace_back(measure.name, measure.label);
  visit("sweep.choose_by", choose_by, measures,
        "Measure after the last task by which the best setting is chosen, on held-back samples only");
}

Sweep parse_sweep(std::istream& stream, const std::filesystem::path& file) {
  return Parser(stream, file).sweep();
}

Sweep read_sweep(const std::filesystem::path& file) {
  std::ifstream stream(file);
  if (!stream || std::filesystem::is_directory(file))
    throw ConfigError(fmt::format("{}: the sweep file cannot be read", file.string()));
  Sweep sweep = parse_sweep(stream, file);
  if (!std::filesystem::is_regular_file(sweep.config)) {
    throw ConfigError(
        fmt::format("{}: sweep.config: there is no file {}", file.string(), sweep.config.string()));
  }
  return sweep;
}

std::vector<DeclaredKey> declared_sweep_keys() {
  return declared_keys([](SettingsVisitor& visit) { SweepSettings().describe(visit); });
}

Config config_of(const Sweep& sweep, const SweepPoint& point) {
  std::vector<Setting> settings = sweep.fixed;
  for (std::size_t i = 0; i < sweep.keys.size(); ++i)
    settings.push_back({sweep.keys[i], point.values[i], sweep.places[i]});
  try {
    return read_config_with(sweep.config, settings);
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("{} (with {})", error.what(), words_of(sweep, point, sweep.keys.size())));
  }
}

std::vector<std::string> options_of(const Sweep& sweep, const SweepPoint& point) {
  std::vector<std::string> options;
  for (const Setting& setting : sweep.fixed)
    options.push_back(fmt::format("--{}={}", setting.key, setting.value));
  for (std::size_t i = 0; i < sweep.keys.size(); ++i)
    options.push_back(fmt::format("--{}={}", sweep.keys[i], point.values[i]));
  return options;
}

RunStatus status_of(const Sweep& sweep, const SweepPoint& point) {
  const std::filesystem::path folder = sweep.folder(point);
  RunStatus status = run_status(folder);
  if (!status.record) return status;
  const std::string found =
      differences(values_by_key(status.record->config, folder.string() + "/config"), config_of(sweep, point));
  if (!found.empty()) {
    throw ConfigError(fmt::format("{}: holds a run of another config: {}; give another folder with --out",
                                  folder.string(), found));
  }
  return status;
}

std::string words_of(const Sweep& sweep, const SweepPoint& point, std::size_t keys) {
  std::string words;
  for (std::size_t i = 0; i < keys; ++i)
    words += fmt::format("{}{} = {}", i == 0 ? "" : ", ", sweep.keys[i], point.values[i]);
  return words;
}

}  // namespace orthospike
