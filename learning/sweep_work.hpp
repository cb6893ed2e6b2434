#pragma once

#include <map>
#include <string>

#include "learning/config.hpp"

namespace orthospike {

/// Counts what a config's training computes: training samples shown × weights × time steps. Replay, the protection, the
/// rule's own factor and tests are not in it, so that it compares points rather than predicts seconds.
class WorkCounter {
 public:
  /// Reads the config's data sets unless configs before had the same data, tasks and network. Throws ConfigError and
  /// EnvironmentError as a run does.
  double operator()(const Config& config);

 private:
  std::map<std::string, std::vector<ImageData>> data_;  ///< by their settings
  std::map<std::string, double> work_;                  ///< by the settings that it follows from
};

}  // namespace orthospike
