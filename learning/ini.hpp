#pragma once

#include <istream>
#include <string>
#include <vector>

namespace orthospike {

/// One value that a config file or a command line gives.
struct Setting {
  std::string key;    ///< section.key
  std::string value;  ///< without quotes
  std::string place;  ///< of the key, for messages: FILE:LINE or "command line"
};

/// The settings of an INI file in their order. Lines that begin with ';' or '#' are comments, and so is what follows a
/// '#' outside quotes; blanks at the ends of a value count only inside double quotes, where \" and \\ stand for a quote
/// and a backslash. A byte-order mark is skipped. `name` stands for the file in messages.
/// Throws ConfigError with the number of a line that is not such text.
std::vector<Setting> read_ini(std::istream& stream, const std::string& name);

/// `value` as read_ini reads it back from `key = …`: in quotes where it would otherwise lose something.
/// `value` is a line of text.
std::string ini_value(const std::string& value);

/// Whether `text` is UTF-8 without control characters other than tabs.
bool is_line_of_text(const std::string& text);

}  // namespace orthospike
