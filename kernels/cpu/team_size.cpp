#include "kernels/cpu/team_size.hpp"

#include <algorithm>
#include <bit>

namespace orthospike {

namespace {

/// Seconds of loops after which a window is judged: several of the turns in which a kernel displaces threads.
constexpr double window = 0.03;
/// A window is given up early when it has taken so much longer than expected.
constexpr double most_lost = 0.005;
constexpr double shortest_interval = 0.1;
constexpr double longest_interval = 3.0;
/// Loops that a mean remembers.
constexpr double remembered = 24;
/// A window at home that takes so much longer than lately is a reason to try fewer threads at once.
constexpr double disturbed = 1.25;
/// What more threads must take, in parts of what fewer do, to be worth their disturbance of other programs.
constexpr double worthwhile = 0.93;

std::uint64_t kind_of(const TeamSize::Loop& loop) {
  return (loop.code << 6) + static_cast<std::uint64_t>(std::bit_width(loop.pieces));
}

}  // namespace

TeamSize::TeamSize(int most) {
  for (int count = 1; count < most; count *= 2) counts_.push_back(count);
  counts_.push_back(most);
  settle_on(counts_.size() - 1);
}

void TeamSize::settle_on(std::size_t level) {
  level_ = home_ = level;
  means_.clear();
  trials_.fill({shortest_interval, clock_ + shortest_interval});
}

bool TeamSize::can_try(Direction direction) const {
  return direction == fewer ? home_ > 0 : home_ + 1 < counts_.size();
}

void TeamSize::took(const Loop& loop, double seconds) {
  if (counts_.size() == 1) return;
  clock_ += seconds;
  const auto pieces = static_cast<double>(loop.pieces);
  Mean& mean = means_[kind_of(loop)];
  if (mean.weight >= 1) {
    expected_ += mean.seconds_per_piece * pieces;
    actual_ += seconds;
  }
  if (level_ == home_) {
    mean.weight = std::min(mean.weight + 1, remembered);
    mean.seconds_per_piece += (seconds / pieces - mean.seconds_per_piece) / mean.weight;
  }
  const bool tries = level_ != home_;
  if (std::max(expected_, actual_) >= window || (tries && actual_ > expected_ + most_lost)) end_window();
}

void TeamSize::end_window() {
  const double ratio = actual_ / expected_;
  expected_ = actual_ = 0;
  if (level_ == home_) {
    if (ratio > disturbed) trials_[fewer] = {shortest_interval, clock_};
    for (const Direction direction : {fewer, more}) {
      if (!can_try(direction) || clock_ < trials_[direction].due) continue;
      level_ = direction == fewer ? home_ - 1 : home_ + 1;
      return;
    }
    return;
  }
  const Direction tried = level_ < home_ ? fewer : more;
  if (ratio < (tried == fewer ? 1 / worthwhile : worthwhile)) {
    settle_on(level_);
    return;
  }
  level_ = home_;
  Trial& trial = trials_[tried];
  trial.interval = std::min(3 * trial.interval, longest_interval);
  trial.due = clock_ + trial.interval;
}

}  // namespace orthospike
