#include "app/print_error.hpp"

#include <cstdio>

namespace orthospike {

void print_error(const std::string& sentence) {
  const std::string line = "orthospike: " + sentence + "\n";
  std::fputs(line.c_str(), stderr);
}

void print_warning(const std::string& sentence) {
  print_error("warning: " + sentence);
}

}  // namespace orthospike
