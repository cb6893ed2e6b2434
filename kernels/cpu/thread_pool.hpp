#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "kernels/cpu/team_size.hpp"

namespace orthospike {

/// Threads that share the pieces of a loop with the one that calls it.
///
/// The caller works itself and waits only for pieces that another thread has begun: a thread that sleeps, or that
/// another program displaces between two loops, holds up nobody. Each thread begins with neighbouring pieces of its
/// own, the same in every loop of as many, so that what it wrote is in its cache when it is read; who has done
/// these takes pieces from the far end of the others'. Between loops threads spin for a moment and then sleep. How
/// many take part follows what that gains (TeamSize).
class ThreadPool {
 public:
  /// most: threads that may take part, the caller counted; at least 1.
  explicit ThreadPool(int most);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int most() const { return static_cast<int>(helpers_.size()) + 1; }

  /// Calls work(piece) for piece = 0 … pieces - 1. What a piece computes must not depend on the others. Throws what
  /// the first of them to throw has thrown, when all have ended. Called by one thread at a time, not from a piece.
  template <class Work>
  void for_each(std::size_t pieces, const Work& work) {
    if (pieces <= 1 || helpers_.empty()) {
      for (std::size_t piece = 0; piece < pieces; ++piece) work(piece);
      return;
    }
    // One, but of very many pieces.
    const std::size_t together = (pieces + most_groups - 1) / most_groups;
    const auto group = [&](std::size_t number) {
      const std::size_t end = std::min(pieces, (number + 1) * together);
      for (std::size_t piece = number * together; piece < end; ++piece) work(piece);
    };
    run((pieces + together - 1) / together,
        [](const void* of, std::size_t number) { (*static_cast<const decltype(group)*>(of))(number); },
        &group);
  }

 private:
  using Piece = void (*)(const void* work, std::size_t piece);
  static constexpr std::size_t most_groups = 0xffff;  ///< of pieces, so that Share fits a word
  static constexpr std::size_t line = 64;             ///< bytes of the cache that change hands together

  /// Pieces [first, last) of one loop that nobody has begun, and the loop's number, in one word: who still has an
  /// earlier loop in mind takes nothing from this one.
  class alignas(line) Share {
   public:
    void set(std::uint32_t loop, std::size_t first, std::size_t last);
    /// Takes the first piece, or the last; false where none of this loop is left.
    bool take(std::uint32_t loop, bool from_front, std::size_t& piece);

   private:
    std::atomic<std::uint64_t> left_{0};
  };
  struct alignas(line) Helper {
    std::atomic<std::uint32_t> called{0};  ///< number of the last loop that it is to take part in
    std::thread thread;
  };

  void run(std::size_t pieces, Piece piece, const void* work);
  void run_team(std::size_t pieces, Piece piece, const void* work, std::size_t team);
  void help(std::size_t self);
  /// Takes pieces, its own first, until nobody has any left.
  void take_part(std::uint32_t loop, std::size_t self);
  void wait_for(std::uint32_t pieces);

  // What a helper reads of a loop may already be of the next one; then it finds no piece to take.
  std::atomic<Piece> piece_{nullptr};
  std::atomic<const void*> work_{nullptr};
  std::atomic<std::size_t> team_{1};
  std::atomic<bool> ends_{false};
  std::uint32_t loop_ = 0;
  alignas(line) std::atomic<std::uint32_t> done_{0};  ///< pieces of the loop
  std::atomic_flag failed_;                           ///< whose setter owns failure_
  std::exception_ptr failure_;
  std::vector<Share> shares_;
  std::vector<Helper> helpers_;
  TeamSize team_size_;
};

}  // namespace orthospike
