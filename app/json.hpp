#pragma once

#include <string>

namespace orthospike {

/// A text with its quotes.
std::string json_text(const std::string& text);

/// Six digits; null for what is not finite.
std::string json_number(double number);

}  // namespace orthospike
