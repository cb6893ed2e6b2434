#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/random_key.hpp"

namespace orthospike {

/// Which of some numbered things to take: all, those of a range, or some at random.
class Selection {
 public:
  Selection() = default;
  static Selection range(std::size_t first, std::size_t last) { return {first, last, 0}; }

  /// Of "all", "A-B", "A" or "random N"; none where the text is nothing of that.
  static std::optional<Selection> parse(std::string text);
  std::string text() const;

  bool is_all() const { return !range_ && random_ == 0; }
  bool is_random() const { return random_ > 0; }
  bool contains(std::size_t number) const {
    return !range_ || (range_->first <= number && number <= range_->second);
  }
  /// Those of 0 … count - 1 that it takes, ascending: of a range those that there are, of a random number all where there
  /// are no more.
  std::vector<std::uint32_t> choose(std::size_t count, const RandomKey& key) const;
  /// How many these are.
  std::size_t size(std::size_t count) const;

 private:
  Selection(std::size_t first, std::size_t last, std::size_t random)
      : range_(random > 0 ? std::nullopt : std::optional(std::pair(first, last))), random_(random) {}

  std::optional<std::pair<std::size_t, std::size_t>> range_;  ///< the first and the last one
  std::size_t random_ = 0;                                    ///< how many; 0: none by chance
};

}  // namespace orthospike
