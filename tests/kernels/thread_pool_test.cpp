#include "kernels/cpu/thread_pool.hpp"

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/catch.hpp"

namespace orthospike::testing {
namespace {

/// Spins until the condition holds, some seconds at most.
template <class Condition>
bool comes_true(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

TEST_CASE("each piece is done once, with any number of threads", "[thread_pool]") {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK(pool.most() == threads);
    for (const std::size_t pieces : {0UL, 1UL, 2UL, 3UL, 7UL, 1000UL, 65535UL, 65536UL, 200001UL}) {
      std::vector<unsigned char> times(pieces, 0);
      pool.for_each(pieces, [&](std::size_t piece) { ++times[piece]; });
      INFO(threads << " threads, " << pieces << " pieces");
      CHECK(times == std::vector<unsigned char>(pieces, 1));
    }
  }
}

TEST_CASE("loops that follow each other do not mix", "[thread_pool]") {
  ThreadPool pool(3);
  std::vector<std::uint64_t> values(5, 0);
  std::uint64_t wrong = 0;
  for (std::uint64_t loop = 1; loop <= 20'000; ++loop) {
    const std::size_t pieces = 2 + loop % 4;
    pool.for_each(pieces, [&values, loop](std::size_t piece) { values[piece] += loop * (piece + 1); });
    for (std::size_t piece = 0; piece < values.size(); ++piece) {
      wrong += values[piece] != (piece < pieces ? loop * (piece + 1) : 0);
      values[piece] = 0;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("who waits takes what others have not begun", "[thread_pool]") {
  ThreadPool pool(2);
  const std::thread::id caller = std::this_thread::get_id();
  constexpr std::size_t pieces = 16;
  std::size_t held_up = 0;
  // Half of the pieces are the other thread's own. It sticks in its first until all others are done.
  for (int loop = 0; loop < 1000 && held_up == 0; ++loop) {
    std::atomic<std::size_t> done{0};
    std::atomic<bool> stuck{false};
    pool.for_each(pieces, [&](std::size_t) {
      if (std::this_thread::get_id() != caller) {
        stuck = true;
        if (!comes_true([&] { return done == pieces - 1; }))
          throw std::runtime_error("pieces were left undone");
        ++held_up;
      } else if (done == 0) {
        // It needs time to come.
        for (int i = 0; i < 1000 && !stuck; ++i) std::this_thread::yield();
      }
      ++done;
    });
    REQUIRE(done == pieces);
  }
  CHECK(held_up == 1);
}

TEST_CASE("what a piece throws comes to the caller, and the pool goes on", "[thread_pool]") {
  ThreadPool pool(2);
  for (std::size_t bad = 0; bad < 8; ++bad) {
    std::vector<int> done(8, 0);
    CHECK_THROWS_WITH(pool.for_each(8,
                                    [&](std::size_t piece) {
                                      if (piece == bad) throw std::runtime_error("bad piece");
                                      done[piece] = 1;
                                    }),
                      "bad piece");
    CHECK(std::accumulate(done.begin(), done.end(), 0) == 7);
  }
}

}  // namespace orthospike::testing
