#pragma once

#include <cstdint>

#include "kernels/delivery_form.hpp"
#include "kernels/family.hpp"

namespace orthospike {

/// currents[r, :] ← height / dt · Σ over spikes i of row r of weights[i, :], the outgoing weights of neuron i.
struct Deliver {
  ConstSpikes spikes;
  ConstMatrix weights;       ///< [neurons × targets]
  View<const float> height;  ///< [1] the threshold of the spiking population
  float dt = 1;
  DeliveryForm form = DeliveryForm::automatic;
  /// Share of a dense product's additions above which DeliveryForm::automatic takes that product: the share of active
  /// neurons, or less where an index of the spikes saves some.
  float crossover;
  Matrix currents;  ///< [rows × targets]

  void check() const {
    require(spikes.neurons == weights.rows, "deliver", "weights do not have one row for each spiking neuron");
    require(spikes.rows == currents.rows && weights.cols == currents.cols, "deliver",
            "currents are not [rows × targets]");
    require(height.size() == 1, "deliver", "height is not one number");
  }
  bool empty() const { return currents.empty(); }
};

/// c ← alpha · xᵀ · b + beta · c, x [rows × neurons] being 1 where a neuron spikes and 0 elsewhere: each row of b is
/// added to the rows of c whose neurons spike in it. With beta 0 c need not hold numbers.
struct Correlate {
  float alpha = 1;
  ConstSpikes spikes;
  ConstMatrix b;  ///< [rows × m]
  float beta = 0;
  Matrix c;  ///< [neurons × m]

  void check() const {
    require(spikes.rows == b.rows && spikes.neurons == c.rows && b.cols == c.cols, "correlate",
            "shapes do not chain");
  }
  bool empty() const { return c.empty(); }
};

/// x[r, i] ← height / dt where neuron i spikes in row r, else 0.
struct ExpandSpikes {
  ConstSpikes spikes;
  View<const float> height = {};  ///< [1], or empty: 1
  float dt = 1;
  Matrix x;  ///< [rows × neurons]

  void check() const {
    require(spikes.rows == x.rows && spikes.neurons == x.cols, "expand_spikes",
            "the matrix is not [rows × neurons]");
    require(height.size() <= 1, "expand_spikes", "height is not one number");
  }
  bool empty() const { return x.empty(); }
};

/// total[0] ← total[0] + Σ counts
struct CountSpikes {
  View<const std::uint32_t> counts;
  View<std::uint64_t> total;  ///< [1]

  void check() const { require(total.size() == 1, "count_spikes", "total is not one number"); }
};

struct SpikeDelivery : Family<Deliver, Correlate, ExpandSpikes, CountSpikes> {
  using Family::Family;
};

}  // namespace orthospike
