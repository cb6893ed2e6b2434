#include "sim/synapses/distribution.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string_view>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

constexpr const char* expected =
    "a number, uniform(low, high), normal(mean, deviation) or lognormal(mu, sigma), perhaps followed by 'in [low, high]' "
    "or 'clipped to [low, high]'";

/// Takes a text apart from its front; blanks may stand between its parts.
class Reader {
 public:
  explicit Reader(std::string_view text) : left_(text) {}

  bool take(std::string_view part) {
    skip_blanks();
    if (!left_.starts_with(part)) return false;
    left_.remove_prefix(part.size());
    return true;
  }
  /// Infinities, too.
  bool take(double& number) {
    skip_blanks();
    const auto [end, error] = std::from_chars(left_.data(), left_.data() + left_.size(), number);
    if (error != std::errc() || std::isnan(number)) return false;
    left_.remove_prefix(static_cast<std::size_t>(end - left_.data()));
    return true;
  }
  /// "[low, high]", with either kind of brackets.
  bool take_pair(std::string_view open, double& low, double& high, std::string_view close) {
    return take(open) && take(low) && take(",") && take(high) && take(close);
  }
  bool at_end() {
    skip_blanks();
    return left_.empty();
  }

 private:
  void skip_blanks() {
    while (!left_.empty() && std::isspace(static_cast<unsigned char>(left_.front()))) left_.remove_prefix(1);
  }
  std::string_view left_;
};

constexpr std::pair<Distribution::Kind, std::string_view> names[] = {
    {Distribution::Kind::uniform, "uniform"},
    {Distribution::Kind::normal, "normal"},
    {Distribution::Kind::lognormal, "lognormal"},
};

bool read(Reader& reader, Distribution& distribution) {
  const auto* const named =
      std::ranges::find_if(names, [&](const auto& name) { return reader.take(name.second); });
  if (named == std::end(names)) {
    if (!reader.take(distribution.a)) return false;
  } else {
    distribution.kind = named->first;
    if (!reader.take_pair("(", distribution.a, distribution.b, ")")) return false;
  }
  if (!std::isfinite(distribution.a) || !std::isfinite(distribution.b)) return false;
  if (reader.at_end()) return true;
  if (reader.take("in")) {
    distribution.outside = Distribution::Outside::redrawn;
  } else if (reader.take("clipped") && reader.take("to")) {
    distribution.outside = Distribution::Outside::clipped;
  } else {
    return false;
  }
  return reader.take_pair("[", distribution.lowest, distribution.highest, "]") && reader.at_end();
}

}  // namespace

Distribution Distribution::parse(const std::string& key, const std::string& text) {
  const auto refuse = [&](const std::string& why) {
    throw ConfigError(fmt::format("{}: '{}' is not {}", key, text, why));
  };
  Distribution parsed;
  Reader reader(text);
  if (!read(reader, parsed)) refuse(expected);
  if (parsed.kind == Kind::uniform && parsed.a > parsed.b) refuse("uniform(low, high) with low <= high");
  const bool deviates = parsed.kind == Kind::normal || parsed.kind == Kind::lognormal;
  if (deviates && parsed.b < 0) refuse("a distribution whose deviation is >= 0");
  if (parsed.lowest > parsed.highest) refuse("a distribution in [low, high] with low <= high");
  if (!std::isfinite(static_cast<float>(parsed.largest())))
    refuse("a distribution whose values single precision can hold");
  const auto [least, most] = parsed.support();
  const double low = std::max(least, parsed.lowest), high = std::min(most, parsed.highest);
  // Of what varies, single values are never drawn.
  if (least == most ? low > high : low >= high)
    refuse("a distribution whose values can fall within its bounds");
  return parsed;
}

std::string Distribution::text() const {
  std::string written = fmt::format("{}", a);
  for (const auto& [named, name] : names) {
    if (kind == named) written = fmt::format("{}({}, {})", name, a, b);
  }
  if (outside == Outside::kept) return written;
  return fmt::format("{} {} [{}, {}]", written, outside == Outside::redrawn ? "in" : "clipped to", lowest,
                     highest);
}

std::optional<double> Distribution::constant() const {
  const auto [least, most] = support();
  return least == most ? std::optional(least) : std::nullopt;
}

double Distribution::draw(const RandomBlock& block, const RandomKey& key, std::uint64_t element,
                          unsigned half) const {
  double value = unbounded(block.v[2 * half], block.v[2 * half + 1]);
  if (value >= lowest && value <= highest) return value;
  for (std::uint32_t attempt = 1; outside == Outside::redrawn && attempt < most_attempts; ++attempt) {
    const RandomBlock again = random_block({key.seed, key.purpose, key.stream + attempt}, element);
    value = unbounded(again.v[2 * half], again.v[2 * half + 1]);
    if (value >= lowest && value <= highest) return value;
  }
  return std::clamp(value, lowest, highest);
}

double Distribution::largest() const {
  constexpr double reach = 5.77;  // deviations that standard_normal is from 0 at most, √(2 ln 2²⁴)
  switch (kind) {
    case Kind::constant:
      return std::abs(a);
    case Kind::uniform:
      return std::max(std::abs(a), std::abs(b));
    case Kind::normal:
      return std::abs(a) + reach * b;
    case Kind::lognormal:
      return std::exp(a + reach * b);
  }
  return 0;
}

std::pair<double, double> Distribution::support() const {
  switch (kind) {
    case Kind::constant:
      return {a, a};
    case Kind::uniform:
      return {a, b};
    case Kind::normal:
      return b > 0 ? std::pair(-infinity, infinity) : std::pair(a, a);
    case Kind::lognormal:
      return b > 0 ? std::pair(0.0, infinity) : std::pair(std::exp(a), std::exp(a));
  }
  return {};
}

double Distribution::unbounded(std::uint32_t first, std::uint32_t second) const {
  switch (kind) {
    case Kind::constant:
      return a;
    case Kind::uniform:
      return a + (b - a) * static_cast<double>(unit_uniform(first));
    case Kind::normal:
      return a + b * static_cast<double>(standard_normal(first, second));
    case Kind::lognormal:
      return std::exp(a + b * static_cast<double>(standard_normal(first, second)));
  }
  return 0;
}

}  // namespace orthospike
