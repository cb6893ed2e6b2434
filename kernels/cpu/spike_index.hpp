#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "kernels/array.hpp"
#include "kernels/cpu/thread_pool.hpp"

namespace orthospike {

/// Event lists on the host: row r holds the numbers indices[start(r) … start(r) + counts[r]).
struct EventRows {
  const std::uint32_t* indices = nullptr;
  const std::uint32_t* counts = nullptr;
  const std::size_t* starts = nullptr;  ///< null: row · stride
  std::size_t stride = 0;
  std::size_t rows = 0;
  std::size_t events = 0;  ///< in all rows

  std::size_t start(std::size_t row) const { return starts == nullptr ? row * stride : starts[row]; }
};

/// Spikes x [rows × neurons] as the product of two sparser matrices.
///
/// Neurons that a static image drives fire in few different trains. The neurons of a sample that share their
/// train within a window of steps are a group; x = (groups of each row) · (neurons of each group), so that a
/// product with x adds weights once for each neuron that fires in the window, not once for each spike, and
/// then the sums of groups once for each step of their train. Where that saves too little there are no
/// groups.
class CpuSpikeIndex {
 public:
  /// Finds the groups, unless spikes.index says that they are of the same content as before.
  void update(const ConstSpikes& spikes, ThreadPool& pool);

  /// Share of a dense product's additions that one along the events takes.
  double relative_cost() const { return relative_cost_; }
  /// 0 where groups do not pay.
  std::size_t groups() const { return groups_; }
  EventRows neurons_of_row() const { return neurons_of_row_; }
  EventRows neurons_of_group() const { return neurons_of_group_.view(); }
  EventRows groups_of_row() const { return groups_of_row_.view(); }
  EventRows rows_of_group() const { return rows_of_group_.view(); }
  /// Of each neuron its groups, or the rows in which it spikes where there are no groups.
  EventRows of_neuron();

 private:
  struct Lists {
    std::vector<std::uint32_t> indices, counts;
    std::vector<std::size_t> starts;
    std::size_t events = 0;

    EventRows view() const {
      return {indices.data(), counts.data(), starts.data(), 0, counts.size(), events};
    }
    void resize(std::size_t rows, std::size_t all_events);
  };
  /// The steps of a run in windows of almost equal length, a window and sample to each part.
  struct Parts {
    Parts(std::size_t steps, std::size_t batch);

    std::size_t count() const { return (steps + window - 1) / window * batch; }
    std::size_t steps_of(std::size_t part) const { return std::min(window, steps - part / batch * window); }
    std::size_t row(std::size_t part, std::size_t step) const {
      return (part / batch * window + step) * batch + part % batch;
    }

    std::size_t steps, batch, window;
  };
  /// A group of a part, before the number of groups in the parts before is known.
  struct Train {
    std::uint8_t steps;     ///< bit t: a spike in step t of the window
    std::uint32_t first;    ///< place of the group's first neuron among those of the part
    std::uint32_t neurons;  ///< of the group

    unsigned spikes() const { return static_cast<unsigned>(std::popcount(steps)); }
  };

  void find_groups(const ConstSpikes& spikes, ThreadPool& pool);
  void find_trains(const ConstSpikes& spikes, const Parts& parts, std::size_t part);
  void list_groups(const Parts& parts, std::size_t part, std::size_t first_group, std::size_t first_event);

  std::uint64_t version_ = 0;  ///< of the spikes that it is of
  bool has_neurons_ = false;   ///< of_neuron_ is up to date
  double relative_cost_ = 0;
  std::size_t neurons_ = 0;
  std::size_t groups_ = 0;
  EventRows neurons_of_row_;
  Lists neurons_of_group_, groups_of_row_, rows_of_group_, of_neuron_;
  std::vector<std::vector<Train>> trains_;  ///< of each part
};

}  // namespace orthospike
