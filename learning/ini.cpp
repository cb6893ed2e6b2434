#include "learning/ini.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/algorithm/string.hpp>
#include <boost/locale/utf.hpp>
#include <boost/program_options.hpp>
#include <iomanip>
#include <optional>
#include <sstream>

#include "kernels/error.hpp"

namespace orthospike {

namespace po = boost::program_options;

namespace {

/// Takes the value of a line `key = "value"` out of it: what is left is `key =` and what follows the closing quote.
/// Without a value in quotes: nothing. Throws ConfigError where the closing quote is missing.
std::optional<std::string> take_quoted(std::string& line, const std::string& place) {
  const std::size_t equals = line.find('=');
  if (line.starts_with('[') || equals == std::string::npos) return {};
  std::istringstream stream(line.substr(equals + 1));
  if ((stream >> std::ws).peek() != '"') return {};
  std::string value, rest;
  if (!(stream >> std::quoted(value))) throw ConfigError(place + ": the closing quote is missing");
  std::getline(stream, rest);
  line = line.substr(0, equals + 1) + rest;
  return value;
}

}  // namespace

std::vector<Setting> read_ini(std::istream& stream, const std::string& name) {
  std::vector<Setting> settings;
  std::string section, line;
  // Boost reads line by line, because it does not say in which line it found something.
  for (std::size_t number = 1; std::getline(stream, line); ++number) {
    const std::string place = fmt::format("{}:{}", name, number);
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    boost::trim(line);
    if (!is_line_of_text(line)) throw ConfigError(place + ": not a line of UTF-8 text");
    if (line.starts_with(';') || line.starts_with('#')) continue;
    const std::optional<std::string> quoted = take_quoted(line, place);
    std::istringstream section_and_line(section + "\n" + line);
    try {
      const auto parsed = po::parse_config_file(section_and_line, po::options_description(), true);
      for (const po::option& option : parsed.options) {
        const std::string& value = option.value.front();
        if (quoted && !value.empty())
          throw ConfigError(fmt::format("{}: '{}' follows the closing quote", place, value));
        settings.push_back({option.string_key, quoted.value_or(value), place});
      }
    } catch (const po::error&) {
      throw ConfigError(fmt::format("{}: '{}' is neither [section] nor key = value", place, line));
    }
    if (line.starts_with('[')) section = line;
  }
  if (stream.bad()) throw ConfigError(name + ": the config file cannot be read");
  return settings;
}

std::string ini_value(const std::string& value) {
  // Python takes blanks beyond ASCII off the ends, too.
  const auto stays = [](char c) { return c > ' ' && c <= '~'; };
  if (value.empty() ||
      (stays(value.front()) && stays(value.back()) && value.find_first_of("#\"") == std::string::npos)) {
    return value;
  }
  std::ostringstream stream;
  stream << std::quoted(value);
  return stream.str();
}

bool is_line_of_text(const std::string& text) {
  using Utf8 = boost::locale::utf::utf_traits<char>;
  for (auto at = text.begin(); at != text.end();) {
    const boost::locale::utf::code_point point = Utf8::decode(at, text.end());
    if (!boost::locale::utf::is_valid_codepoint(point) || point == 0x7F || (point < 0x20 && point != '\t'))
      return false;
  }
  return true;
}

}  // namespace orthospike
