#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.hpp"

namespace orthospike {

/// The ranks of a run: programs that train one network together, each on its part of every batch (communicator.md). All
/// of them call the same functions that sum in the same order.
class Communicator {
 public:
  Communicator(std::size_t rank, std::size_t size) : rank_(rank), size_(size) {}
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  std::size_t rank() const { return rank_; }
  std::size_t size() const { return size_; }
  bool is_alone() const { return size_ == 1; }
  /// The one that writes files.
  bool is_first() const { return rank_ == 0; }

  struct Slice {
    std::size_t first = 0, count = 0;
  };
  /// The part of `count` things that is this rank's. Parts lie in the order of ranks and differ by one at most.
  Slice slice(std::size_t count) const {
    const std::size_t first = count * rank_ / size_;
    return {first, count * (rank_ + 1) / size_ - first};
  }
  /// That of the rank with the most.
  std::size_t largest_slice(std::size_t count) const { return (count + size_ - 1) / size_; }

  /// While one lives, a rank is alone: it learns what others do not.
  class Apart {
   public:
    explicit Apart(Communicator& ranks) : ranks_(ranks), rank_(ranks.rank_), size_(ranks.size_) {
      ranks.rank_ = 0;
      ranks.size_ = 1;
    }
    Apart(const Apart&) = delete;
    Apart& operator=(const Apart&) = delete;
    ~Apart() {
      ranks_.rank_ = rank_;
      ranks_.size_ = size_;
    }

   private:
    Communicator& ranks_;
    std::size_t rank_, size_;
  };

  /// values ← their sums over all ranks, with the same bits on each rank.
  void sum(std::span<float> values);
  void sum(std::span<double> values);
  void sum(Backend& backend, View<float> values);
  /// Whether it holds on any rank.
  bool any(bool holds);

  /// That this rank sent for sums so far, by the least that n values of K ranks take: 2·n·(K - 1) / K.
  double bytes_sent() const { return bytes_; }
  /// That it spent in them, waiting for others included.
  double seconds() const { return seconds_; }

 private:
  virtual void sum_over_ranks(std::span<float> values) = 0;
  virtual void sum_over_ranks(std::span<double> values) = 0;
  template <class T>
  void sum_values(std::span<T> values);

  std::size_t rank_, size_;
  double bytes_ = 0;
  double seconds_ = 0;
  std::vector<float> room_;  ///< of what lies on a device
};

/// For a program that is all ranks itself: sums are what they are.
Communicator& alone();

/// What mpirun, or another that starts programs for MPI, made this program a rank of; of a single one, or when nobody
/// did, one like `alone`. Throws EnvironmentError where there are several and this program was built without MPI, or with
/// another one.
std::unique_ptr<Communicator> make_communicator();

}  // namespace orthospike
