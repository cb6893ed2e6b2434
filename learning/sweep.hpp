#pragma once

#include <filesystem>
#include <istream>
#include <string>
#include <vector>

#include "learning/config.hpp"
#include "learning/run_status.hpp"

namespace orthospike {

/// Section sweep of a sweep file.
struct SweepSettings {
  enum class Sampling { grid, random, sobol };

  std::string config;
  std::string out;
  std::string seeds;
  Sampling sampling = Sampling::grid;
  std::size_t points = 16;
  std::size_t seed = 1;
  std::string choose_by = "average_accuracy";  ///< name of a MatrixMeasure

  void describe(SettingsVisitor& visit);
};

/// One run of a sweep.
struct SweepPoint {
  /// Of its folder, made of the varied keys and their values, so that it stays the same when points are added to the
  /// sweep: letters, digits and . _ + - , = ~ only.
  std::string name;
  std::vector<std::string> values;  ///< of the sweep's keys
};

/// A base config and what is varied of it.
struct Sweep {
  static constexpr std::size_t most_points = 100000;

  std::filesystem::path file;
  std::filesystem::path config;  ///< the base
  std::filesystem::path out;     ///< the folder of the runs' folders
  SweepSettings settings;
  std::vector<Setting> fixed;             ///< of all points
  std::vector<std::string> keys, places;  ///< varied keys, experiment.seed last if there are seeds; FILE:LINE
  std::vector<SweepPoint> points;         ///< those that differ in the seed alone one after the other
  std::size_t seeds = 0;                  ///< how many there are; 0: the base's own
  /// Points that differ in nothing but the seed.
  std::size_t points_per_setting() const { return seeds == 0 ? 1 : seeds; }
  /// Varied keys without the seed.
  std::size_t setting_keys() const { return keys.size() - (seeds == 0 ? 0 : 1); }

  std::filesystem::path folder(const SweepPoint& point) const { return out / point.name; }
};

/// Reads a sweep file: section sweep; set, whose keys all points have; vary, whose keys are varied independently; zip
/// and zip.NAME, whose keys are varied together. A value is a list separated by '|' of texts, range(first, last, count)
/// or log(first, last, count), of which integers are rounded; where sampled, also range(lowest, highest) or
/// log(lowest, highest). Throws ConfigError, with FILE:LINE where there is one, for what is none of this, a key given
/// twice, a key that no config has, lists of unequal length in a zip, no point or more than most_points, and points
/// that are the same. What values mean to the config is not looked at.
Sweep parse_sweep(std::istream& stream, const std::filesystem::path& file);

/// The same from a file. Throws ConfigError also where it or the base config is not there.
Sweep read_sweep(const std::filesystem::path& file);

/// Keys of section sweep.
std::vector<DeclaredKey> declared_sweep_keys();

/// The config of a point. Throws ConfigError as read_config does, with the places of the sweep file and the point.
Config config_of(const Sweep& sweep, const SweepPoint& point);

/// The options of `orthospike run` that make the base config the point's: --section.key=value.
std::vector<std::string> options_of(const Sweep& sweep, const SweepPoint& point);

/// What the point's folder tells. Throws ConfigError where it holds a run of another config.
RunStatus status_of(const Sweep& sweep, const SweepPoint& point);

/// "leaky.lambda = 0.3, experiment.seed = 1": the first `keys` of them.
std::string words_of(const Sweep& sweep, const SweepPoint& point, std::size_t keys);

}  // namespace orthospike
