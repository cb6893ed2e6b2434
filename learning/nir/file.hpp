#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace orthospike {

/// Numbers of a NIR node's field, row-major; of a scalar the shape is empty.
struct NirArray {
  std::vector<std::size_t> shape;
  std::vector<float> values;
  bool whole = false;  ///< written as 64-bit integers

  bool operator==(const NirArray& other) const { return shape == other.shape && values == other.values; }
};

struct NirNode {
  std::string type;  ///< name of the class in the Python package nir
  std::map<std::string, NirArray> fields;

  bool operator==(const NirNode&) const = default;
};

/// Texts or numbers; one stands for itself, not for a list.
using NirMetadata = std::variant<std::vector<std::string>, std::vector<double>>;

/// A graph of the Neuromorphic Intermediate Representation (Pedersen et al., Nature Communications 2024). An edge adds
/// what its source puts out to what its target takes.
struct NirGraph {
  std::filesystem::path path;  ///< of the file that it was read from, for messages
  std::map<std::string, NirNode> nodes;
  std::vector<std::pair<std::string, std::string>> edges;  ///< source, target
  std::map<std::string, NirMetadata> metadata;
};

/// Writes the file, which nir.read of the Python package nir takes; one of that name stays whole until the new one is.
/// Throws EnvironmentError.
void write_nir(const NirGraph& graph, const std::filesystem::path& path);

/// Reads types and numeric fields of all nodes, whatever their types, and lists and scalars of the metadata. A copy of the
/// process reads first, so that a damaged file which would crash the HDF5 library ends that copy only. Throws
/// EnvironmentError with the file, the object, what is expected and what is there instead.
NirGraph read_nir(const std::filesystem::path& path);

}  // namespace orthospike
