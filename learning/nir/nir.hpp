#pragma once

#include <string>
#include <vector>

#include "learning/nir/file.hpp"
#include "learning/weights_file.hpp"

namespace orthospike {

/// A trained network as a NIR graph (conventions: README.md), with all that is needed to run it in the metadata. Throws
/// EnvironmentError where it has neurons that NIR does not have, or is not that of its own config.
NirGraph to_nir(const TrainedNetwork& network);

struct ImportedNetwork {
  TrainedNetwork network;
  std::vector<std::string> assumptions;  ///< for people: what the graph does not say
};

/// The other way, for graphs that lead from one input by populations of LIF, IF or CubaLIF neurons, perhaps with
/// projections onto themselves, to one output. What the graph does not say has the value of its metadata, of
/// command-line arguments `--section.key=value`, or a default. Throws EnvironmentError that names the file, the node, the
/// field and what is expected where the graph is none of these; ConfigError for the arguments as read_config does.
ImportedNetwork from_nir(const NirGraph& graph, const std::vector<std::string>& arguments);

}  // namespace orthospike
