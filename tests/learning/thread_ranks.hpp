#pragma once

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

#include "learning/communicator.hpp"

namespace orthospike::testing {

/// Ranks that are threads of one program.
class ThreadRanks {
 public:
  explicit ThreadRanks(std::size_t size) : size_(size), given_(size) {}

  /// Does the work of each rank at the same time; then throws what the first threw that did. A sum in which ranks
  /// disagree about how many numbers there are, or that one of them never comes to, is an error.
  void run(const std::function<void(Communicator&)>& work) {
    std::vector<std::thread> threads;
    for (std::size_t rank = 0; rank < size_; ++rank) {
      threads.emplace_back([this, rank, &work] {
        Rank own(*this, rank);
        try {
          work(own);
        } catch (...) {
          give_up(std::current_exception());
          return;
        }
        leave();
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  class Rank final : public Communicator {
   public:
    Rank(ThreadRanks& all, std::size_t rank) : Communicator(rank, all.size_), all_(all) {}

   private:
    void sum_over_ranks(std::span<float> values) override { all_.sum(rank(), values); }
    void sum_over_ranks(std::span<double> values) override { all_.sum(rank(), values); }

    ThreadRanks& all_;
  };

  struct Given {
    const void* values = nullptr;
    std::size_t bytes = 0;
  };

  template <class T>
  void sum(std::size_t rank, std::span<T> values) {
    given_[rank] = {values.data(), values.size_bytes()};
    meet();
    std::vector<T> sums(values.size());
    for (const Given& given : given_) {
      if (given.bytes != values.size_bytes()) throw std::logic_error("ranks sum different things");
      const auto* const others = static_cast<const T*>(given.values);
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += others[i];
    }
    meet();
    std::ranges::copy(sums, values.begin());
  }

  /// Waits for all.
  void meet() {
    std::unique_lock lock(mutex_);
    const std::size_t round = round_;
    if (++waiting_ == size_) {
      waiting_ = 0;
      ++round_;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return round_ != round || gone_ > 0; });
    if (round_ == round) throw std::logic_error("a rank sums what another never comes to");
  }
  void give_up(std::exception_ptr error) {
    const std::scoped_lock lock(mutex_);
    if (!error_) error_ = std::move(error);
    ++gone_;
    changed_.notify_all();
  }
  void leave() {
    const std::scoped_lock lock(mutex_);
    ++gone_;
    changed_.notify_all();
  }

  std::size_t size_;
  std::vector<Given> given_;  ///< by each rank to the sum that is going on
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t waiting_ = 0, round_ = 0, gone_ = 0;
  std::exception_ptr error_;
};

}  // namespace orthospike::testing
