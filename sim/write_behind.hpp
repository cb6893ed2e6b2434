#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace orthospike {

/// Writes in a thread of its own what it is given, one after another, while it holds no more than so many bytes.
class WriteBehind {
 public:
  explicit WriteBehind(std::size_t most_bytes);
  WriteBehind(const WriteBehind&) = delete;
  WriteBehind& operator=(const WriteBehind&) = delete;
  /// Leaves what is not written yet.
  ~WriteBehind();

  /// `write` is called later and holds so many bytes until then. Waits while they are too many with those before. Throws
  /// what an earlier one threw; after that, none is called any more.
  void push(std::size_t bytes, std::function<void()> write);
  /// Until all is written. Throws as `push` does.
  void wait();

 private:
  struct Job {
    std::size_t bytes;
    std::function<void()> write;
  };

  void work();

  const std::size_t most_bytes_;
  std::mutex mutex_;
  std::condition_variable pushed_, written_;
  std::deque<Job> jobs_;   ///< the first one is being written
  std::size_t bytes_ = 0;  ///< of them all
  std::exception_ptr error_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace orthospike
