#include "app/json.hpp"

#include <fmt/format.h>

#include <cmath>

namespace orthospike {

std::string json_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += fmt::format("\\{}", c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string json_number(double number) {
  return std::isfinite(number) ? fmt::format("{:.6g}", number) : "null";
}

}  // namespace orthospike
