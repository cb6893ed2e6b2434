// Prints the data sets that two HDF5 files have not in common, one a line: different_numbers A.h5 B.h5

#include <cstdio>
#include <exception>

#include "tests/same_numbers.hpp"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    for (const std::string& object : orthospike::testing::different_numbers(argv[1], argv[2]))
      std::puts(object.c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
