#pragma once

#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace orthospike::testing {

struct GoldenArray {
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::vector<double> values;

  std::vector<float> floats() const { return {values.begin(), values.end()}; }
};

/// The arrays of a file in tests/golden; the script that made it describes the format.
inline std::map<std::string, GoldenArray> read_golden(const std::string& file) {
  std::ifstream stream(ORTHOSPIKE_SOURCE "/tests/golden/" + file);
  std::map<std::string, GoldenArray> arrays;
  std::string name;
  while (stream >> name) {
    GoldenArray& array = arrays[name];
    stream >> array.rows >> array.cols;
    array.values.resize(array.rows * array.cols);
    for (double& value : array.values) stream >> value;
    if (!stream) throw std::runtime_error("golden file is cut off in " + name);
  }
  return arrays;
}

}  // namespace orthospike::testing
