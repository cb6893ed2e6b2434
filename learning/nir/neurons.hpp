#pragma once

#include <map>
#include <string>
#include <vector>

#include "learning/config.hpp"
#include "learning/weights_file.hpp"

namespace orthospike {

inline constexpr double ms = 1e-3;                 ///< in the seconds of NIR
inline constexpr const char* bias_model = "bias";  ///< of a population that TrainedNetwork has for biases

/// Throws EnvironmentError where a network is not the one that its config describes.
void check_against_config(const TrainedNetwork& network, const Config& config, const std::string& place);

/// The one type, and the fields of a neuron, of a hidden population of some model. NIR's equations with a step of forward
/// Euler, dt/tau, are those of kernels/neurons.
struct NirConstants {
  std::string type;
  std::map<std::string, double> fields;
  float height = 1;  ///< of a spike
  bool soft = true;  ///< whether a reset takes v_threshold - v_reset off, rather than setting v_reset
  float averaging_decay =
      1;  ///< of a step's weight in the average over time that logits are, towards earlier ones
};

/// threshold: where it is trained. Throws EnvironmentError for what NIR does not have.
NirConstants constants(Config config, const std::vector<float>& threshold, const std::string& place);

}  // namespace orthospike
