#include "sim/layers.hpp"

#include <fmt/format.h>

#include <charconv>

#include "kernels/error.hpp"
#include "sim/connections/convolution.hpp"
#include "sim/connections/dense.hpp"

namespace orthospike {

namespace {

constexpr std::size_t largest_number = 65536;

/// What is left of a word.
class WordReader {
 public:
  explicit WordReader(std::string_view word) : rest_(word) {}

  bool take(char letter) {
    if (!rest_.starts_with(letter)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::optional<std::size_t> number(std::size_t lowest) {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc() || value < lowest || value > largest_number) return std::nullopt;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }
  bool is_empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

/// The window of NcKsSpPgG without its map, and N.
std::optional<std::pair<Window, std::size_t>> convolution_of(const std::string& word) {
  WordReader reader(word);
  const auto channels = reader.number(1);
  if (!channels || !reader.take('c')) return std::nullopt;
  const auto kernel = reader.number(1);
  if (!kernel) return std::nullopt;
  const auto stride = reader.take('s') ? reader.number(1) : std::optional<std::size_t>(1);
  const auto padding = reader.take('p') ? reader.number(0) : *kernel / 2;
  const auto groups = reader.take('g') ? reader.number(1) : std::optional<std::size_t>(1);
  if (!stride || !padding || !groups || !reader.is_empty()) return std::nullopt;
  return std::pair(
      Window{.map = {}, .kernel = *kernel, .stride = *stride, .padding = *padding, .groups = *groups},
      *channels);
}

/// Channels and stride of blockN or blockNsS.
std::optional<std::pair<std::size_t, std::size_t>> block_of(const std::string& word) {
  constexpr std::string_view name = "block";
  if (!word.starts_with(name)) return std::nullopt;
  WordReader reader(std::string_view(word).substr(name.size()));
  const auto channels = reader.number(1);
  const auto stride = reader.take('s') ? reader.number(1) : std::optional<std::size_t>(1);
  if (!channels || !stride || !reader.is_empty()) return std::nullopt;
  return std::pair(*channels, *stride);
}

std::optional<std::size_t> number_after(const std::string& letter, const std::string& word) {
  if (!word.starts_with(letter)) return std::nullopt;
  WordReader reader(std::string_view(word).substr(letter.size()));
  const auto number = reader.number(1);
  return reader.is_empty() ? number : std::nullopt;
}

std::string words(const MapShape& shape) {
  return fmt::format("{} × {} pixels", shape.height, shape.width);
}

class LayerReader {
 public:
  explicit LayerReader(const MapShape& input) : shape_(input) {}

  void read(const std::string& word) {
    word_ = fmt::format("word {}, '{}',", ++number_, word);
    if (const auto channels = number_after("resnet18 ", word)) {
      add_resnet18(*channels);
    } else if (word == "lif") {
      if (!pending_) refuse("follows neither NcK nor N, whose neurons it would be");
      push(is_normalised_);
    } else if (word == "bn") {
      if (!pending_) refuse("follows neither NcK nor N, whose currents it would normalise");
      if (is_normalised_) refuse("follows another");
      is_normalised_ = true;
    } else if (const auto block = block_of(word)) {
      if (!pending_ || !pending_->window) refuse("follows neither NcK nor another block");
      if (is_normalised_) refuse("begins with a bn of its own");
      add_block(block->first, block->second);
    } else if (const auto pooling = number_after("p", word)) {
      if (pending_) refuse("comes before the neurons whose spikes it would pool; put lif before it");
      pool(*pooling);
    } else if (const auto convolution = convolution_of(word)) {
      convolve(convolution->first, convolution->second);
    } else if (const auto neurons = number_after("", word)) {
      begin_way();
      require_square();
      shape_ = {1, 1, *neurons};
    } else {
      refuse("is none of NcK, NcKsSpPgG, N, blockN, blockNsS, resnet18 N, bn, pK and lif");
    }
  }

  Layers end() {
    if (pending_) refuse("needs lif after it");
    if (layers_.hidden.empty())
      throw ConfigError("network.layers: there are no neurons; expected NcK or N and lif");
    require_square();
    layers_.to_readout.pooling = pooling_;
    return std::move(layers_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw ConfigError(fmt::format("network.layers: {} {}", word_, what));
  }

  MapShape pooled() const { return shape_.pooled(pooling_); }

  /// The neurons of what is pending.
  void push(bool is_normalised) {
    layers_.hidden.push_back({.way = *pending_,
                              .shape = shape_,
                              .is_normalised = is_normalised,
                              .carried = carried_,
                              .shortcut = shortcut_});
    pending_.reset();
    is_normalised_ = false;
    carried_.reset();
    shortcut_.reset();
  }

  void add_resnet18(std::size_t channels) {
    convolve({.map = {}, .kernel = 3, .stride = 1, .padding = 1}, channels);
    for (std::size_t stage = 0; stage < 4; ++stage) {
      add_block(channels << stage, stage == 0 ? 1 : 2);
      add_block(channels << stage, 1);
    }
    push(true);
    pool(shape_.height);
  }

  void add_block(std::size_t channels, std::size_t stride) {
    push(true);
    const std::size_t first = layers_.hidden.size() - 1;
    const MapShape before = shape_;
    convolve({.map = {}, .kernel = 3, .stride = stride, .padding = 1}, channels);
    push(true);
    convolve({.map = {}, .kernel = 3, .stride = 1, .padding = 1}, channels);
    if (shape_ == before) {
      carried_ = first;
    } else {
      shortcut_ = Layer::Shortcut{
          .source = first,
          .way = {.pooling = 1,
                  .window = Window{.map = before, .kernel = 1, .stride = stride, .padding = 0}}};
    }
  }

  void pool(std::size_t size) {
    const MapShape before = pooled();
    if (before.height % size != 0 || before.width % size != 0)
      refuse(fmt::format("does not divide a map of {}", words(before)));
    pooling_ *= size;
  }

  void begin_way() {
    if (pending_) refuse("needs lif before it");
    pending_ = Way{.pooling = pooling_, .window = std::nullopt};
  }

  void convolve(Window window, std::size_t channels) {
    begin_way();
    window.map = pooled();
    if (window.map.channels % window.groups != 0 || channels % window.groups != 0)
      refuse(fmt::format("has groups that do not divide {} channels to {}", window.map.channels, channels));
    if (!window.fits()) refuse(fmt::format("has a kernel without a place in a map of {}", words(window.map)));
    pending_->window = window;
    shape_ = {window.out_height(), window.out_width(), channels};
    pooling_ = 1;
  }

  /// What joins all pixels of a pooled map is a convolution whose kernel covers it.
  void require_square() {
    if (pooling_ > 1 && pooled().height != pooled().width)
      refuse(fmt::format("joins all of a pooled map of {}, expected a square", words(pooled())));
    if (pending_) pooling_ = 1;
  }

  std::size_t number_ = 0;
  std::string word_;
  MapShape shape_;           ///< of the last population, or what is to be one
  std::size_t pooling_ = 1;  ///< of it
  std::optional<Way> pending_;
  // What is pending:
  bool is_normalised_ = false;
  std::optional<std::size_t> carried_;
  std::optional<Layer::Shortcut> shortcut_;
  Layers layers_;
};

}  // namespace

std::unique_ptr<Connection> Way::connection(const MapShape& source, const MapShape& target) const {
  if (window) return std::make_unique<Convolution>(*window, target.channels, pooling);
  if (pooling == 1) return std::make_unique<Dense>(source.size(), target.size());
  const MapShape map = source.pooled(pooling);
  return std::make_unique<Convolution>(Window{.map = map, .kernel = map.height}, target.channels, pooling);
}

Layers layers_of(const std::vector<std::string>& words, const MapShape& input) {
  LayerReader reader(input);
  for (const std::string& word : words) reader.read(word);
  return reader.end();
}

}  // namespace orthospike
