#pragma once

#include <cstdint>

#include "kernels/family.hpp"
#include "kernels/random_key.hpp"

namespace orthospike {

/// Synapses from one population to one, perhaps the same: by block of targets, in it by source, of these by delay, of these
/// by target. What arrives in a step is found by the order: a source's synapses of one delay are neighbours, and a block's
/// currents stay in the cache.
struct SynapseTable {
  std::size_t sources = 0, targets = 0;
  std::size_t block = 1;  ///< targets of a block, at most 65536; the last one has the rest

  View<const std::uint32_t> delays;  ///< [D] those there are, ascending, in steps, at least 1
  View<const std::uint32_t>
      starts;  ///< [blocks · sources · D + 1] where the synapses of each such delay begin, and the end
  View<const std::uint16_t> within;  ///< [synapses] targets, counted from the first of the block
  bool own_weights = true;           ///< else all of a source have the same
  View<const float> weights;         ///< [synapses], or [sources]

  std::size_t blocks() const { return (targets + block - 1) / block; }
  std::size_t synapses() const { return within.size(); }
  void check(const char* operation) const {
    require(block > 0 && block <= 65536, operation, "blocks have not from 1 to 65536 targets");
    require(starts.size() == blocks() * sources * delays.size() + 1, operation,
            "there is not one start for each block, source and delay");
    require(weights.size() == (own_weights ? synapses() : sources), operation,
            "weights are neither one a synapse nor one a source");
  }
};

/// What arrives in the `arriving.rows` steps from `now` on:
///   arriving[s, j] ← Σ over synapses i → j of delay d of weight · [i spiked in step now + s - d] + beta · arriving[s, j].
/// Spikes of step t are row t modulo their rows; those of steps below 0 are none. Delays are longer than the steps before
/// the last row of arriving, so that all of these spikes are there, and shorter than there are rows, less those of
/// arriving. With beta 0 arriving need not hold numbers.
struct DeliverSynapses {
  SynapseTable synapses;
  ConstSpikes spikes;  ///< [ring of steps × sources]
  std::uint64_t now = 0;
  float beta = 0;
  Matrix arriving;  ///< [steps × targets]

  void check() const {
    synapses.check("deliver_synapses");
    require(spikes.neurons == synapses.sources && arriving.cols == synapses.targets, "deliver_synapses",
            "spikes and what arrives are not those of the synapses' populations");
  }
  bool empty() const { return arriving.empty(); }
};

/// values[s, i] ← values[s, i] + weight · a Poisson number, product and sum rounded apart, for element
/// (first + s) · cols + i of the stream: how many of `below` are at most word (element % 4) of block element / 4
/// (random.hpp). below[k] is 2³² · P(number ≤ k), rounded, ascending (poisson_table makes it).
struct AddPoisson {
  View<const std::uint32_t> below;  ///< [numbers]
  float weight = 1;
  RandomKey key;
  std::uint64_t first = 0;  ///< step
  Matrix values;            ///< [steps × neurons]

  void check() const {}
  bool empty() const { return values.empty(); }
};

struct SynapseSteps : Family<DeliverSynapses, AddPoisson> {
  using Family::Family;
};

}  // namespace orthospike
