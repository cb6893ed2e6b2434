#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace orthospike {

/// How many threads share a loop: fewer while more do not pay, more again now and then to see whether they do.
///
/// Beside other programs a thread gets displaced with work begun, and all others wait for it; how much that costs
/// shows only in the time that loops take. So now and then, for some hundredths of a second, loops run with half as
/// many threads or with twice as many, and each is compared with what loops of its kind took lately; what is clearly
/// faster stays. The longer nothing changes, the less often another number is tried. A program's time is that of its
/// loops, so that phases without any do not count.
class TeamSize {
 public:
  /// The largest number, at least 1; begins with it.
  explicit TeamSize(int most);

  int now() const { return counts_[level_]; }

  /// Loops that compare: the same code with about as many pieces.
  struct Loop {
    std::uintptr_t code;
    std::size_t pieces;
  };
  /// To be told of every loop that several threads could share, run with now() of them or as many as it has pieces.
  void took(const Loop& loop, double seconds);

 private:
  struct Mean {
    double seconds_per_piece = 0;
    double weight = 0;  ///< loops in it, at most a bound: earlier ones are forgotten
  };
  struct Trial {
    double interval;  ///< seconds from one trial to the next
    double due;
  };
  enum Direction : std::size_t { fewer, more };

  void end_window();
  void settle_on(std::size_t level);
  bool can_try(Direction direction) const;

  std::vector<int> counts_;  ///< 1, 2, 4 … and the largest, ascending
  std::size_t level_;        ///< in counts_, of now()
  std::size_t home_;         ///< the level that is kept when a trial shows nothing better
  std::unordered_map<std::uint64_t, Mean> means_;  ///< of loops at home, by kind
  std::array<Trial, 2> trials_;                    ///< by direction
  double clock_ = 0;                               ///< seconds in loops
  double expected_ = 0, actual_ = 0;               ///< seconds of the window's loops whose means are known
};

}  // namespace orthospike
