#include "kernels/cpu/thread_pool.hpp"

#include <chrono>
#include <utility>

namespace orthospike {

namespace {

using Clock = std::chrono::steady_clock;

/// How long who waits spins. Longer than the serial work between two loops of a batch and than a piece, shorter than
/// what falling asleep and waking up cost.
constexpr std::chrono::microseconds spinning{100};

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Spins until the condition holds; whether it does.
template <class Condition>
bool spin_until(const Condition& holds) {
  constexpr int between_looks_at_the_clock = 32;
  const auto end = Clock::now() + spinning;
  do {
    for (int i = 0; i < between_looks_at_the_clock; ++i) {
      if (holds()) return true;
      relax();
    }
  } while (Clock::now() < end);
  return false;
}

}  // namespace

void ThreadPool::Share::set(std::uint32_t loop, std::size_t first, std::size_t last) {
  left_.store(std::uint64_t{loop} << 32 | first << 16 | last, std::memory_order_release);
}

bool ThreadPool::Share::take(std::uint32_t loop, bool from_front, std::size_t& piece) {
  std::uint64_t left = left_.load(std::memory_order_acquire);
  while (left >> 32 == loop) {
    const std::size_t first = left >> 16 & most_groups;
    const std::size_t last = left & most_groups;
    if (first == last) return false;
    piece = from_front ? first : last - 1;
    const std::uint64_t fewer = from_front ? left + (1U << 16) : left - 1;
    if (left_.compare_exchange_weak(left, fewer, std::memory_order_acq_rel, std::memory_order_acquire))
      return true;
  }
  return false;
}

ThreadPool::ThreadPool(int most)
    : shares_(static_cast<std::size_t>(most)),
      helpers_(static_cast<std::size_t>(most) - 1),
      team_size_(most) {
  for (std::size_t i = 0; i < helpers_.size(); ++i)
    helpers_[i].thread = std::thread([this, i] { help(i + 1); });
}

ThreadPool::~ThreadPool() {
  ends_.store(true);
  for (Helper& helper : helpers_) {
    ++helper.called;
    helper.called.notify_one();
  }
  for (Helper& helper : helpers_) helper.thread.join();
}

void ThreadPool::run(std::size_t pieces, Piece piece, const void* work) {
  const auto start = Clock::now();
  const std::size_t team = std::min<std::size_t>(pieces, static_cast<std::size_t>(team_size_.now()));
  if (team == 1) {
    for (std::size_t i = 0; i < pieces; ++i) piece(work, i);
  } else {
    run_team(pieces, piece, work, team);
  }
  team_size_.took({reinterpret_cast<std::uintptr_t>(piece), pieces},
                  std::chrono::duration<double>(Clock::now() - start).count());
}

void ThreadPool::run_team(std::size_t pieces, Piece piece, const void* work, std::size_t team) {
  ++loop_;
  piece_.store(piece, std::memory_order_relaxed);
  work_.store(work, std::memory_order_relaxed);
  team_.store(team, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  for (std::size_t i = 0; i < team; ++i) shares_[i].set(loop_, i * pieces / team, (i + 1) * pieces / team);
  for (std::size_t i = 1; i < team; ++i) {
    helpers_[i - 1].called.store(loop_);
    helpers_[i - 1].called.notify_one();
  }
  take_part(loop_, 0);
  wait_for(static_cast<std::uint32_t>(pieces));
  if (failure_ != nullptr) {
    failed_.clear();
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
}

void ThreadPool::wait_for(std::uint32_t pieces) {
  const auto done = [&] { return done_.load(std::memory_order_acquire) == pieces; };
  if (spin_until(done)) return;
  while (!done()) {
    const std::uint32_t so_far = done_.load(std::memory_order_acquire);
    if (so_far != pieces) done_.wait(so_far);
  }
}

void ThreadPool::help(std::size_t self) {
  std::atomic<std::uint32_t>& called = helpers_[self - 1].called;
  std::uint32_t seen = 0;
  while (true) {
    if (!spin_until([&] { return called.load(std::memory_order_acquire) != seen; })) called.wait(seen);
    if (ends_.load()) return;
    seen = called.load(std::memory_order_acquire);
    take_part(seen, self);
  }
}

void ThreadPool::take_part(std::uint32_t loop, std::size_t self) {
  const Piece piece = piece_.load(std::memory_order_relaxed);
  const void* const work = work_.load(std::memory_order_relaxed);
  const std::size_t team = team_.load(std::memory_order_relaxed);
  std::uint32_t count = 0;
  for (std::size_t k = 0; k < team; ++k) {
    const std::size_t whose = (self + k) % team;
    for (std::size_t taken = 0; shares_[whose].take(loop, whose == self, taken); ++count) {
      try {
        piece(work, taken);
      } catch (...) {
        if (!failed_.test_and_set()) failure_ = std::current_exception();
      }
    }
  }
  if (count == 0) return;
  done_.fetch_add(count, std::memory_order_acq_rel);
  if (self != 0) done_.notify_one();
}

}  // namespace orthospike
