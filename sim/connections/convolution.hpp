#pragma once

#include "kernels/map_shape.hpp"
#include "sim/connections/connection.hpp"

namespace orthospike {

/// A convolution from map to map, both channel last, perhaps after average pooling: weights [patch × channels], the same
/// at all places, from which the window sees a patch (kernel row, kernel column, channel) each. A presynaptic row is a
/// patch.
///
/// Channels may be in groups, each of which makes as many of the output's from its own ones alone: weights [patch × channels
/// / groups], where the row of a channel leads to the output's channels of its group. A presynaptic row is what a group has
/// of a patch, with zeros for the others, so that a subspace of such rows knows every group's. Along events only the
/// synapses that there are cost something; dense products, of values or at all places, cost as many operations as without
/// groups.
///
/// A spike adds kernel² runs of contiguous weights to as many runs of currents; pooling only renames it. Where the form is
/// left to be found and the host knows the spikes, patches and a dense product are taken above SentSpikes::crossover, the
/// share of that product's additions: spikes for each element of the window's maps.
class Convolution final : public Connection {
 public:
  /// The source has `pooled` times the height and width of the window's map. Throws std::invalid_argument for a window
  /// without a place, and for channels that its groups do not divide.
  Convolution(const Window& window, std::size_t channels, std::size_t pooled = 1);

  /// Normal with deviation √(2 / (kernel² · channels / groups)) (Kaiming, by what leaves a source); of a kernel that covers
  /// its whole map, and so joins all to all, as of a dense one.
  InitialWeights initial_weights() const override;

 private:
  void deliver_values(Backend& backend, ConstMatrix weights, ConstMatrix values,
                      Matrix currents) const override;
  void deliver_spikes(Backend& backend, ConstMatrix weights, const SentSpikes& sent, Matrix currents,
                      View<const float> offset) const override;
  void add_gradient_of_values(Backend& backend, ConstMatrix values, ConstMatrix post, float beta,
                              Matrix sum) const override;
  void add_gradient_of_spikes(Backend& backend, const Presynaptic& trace, ConstMatrix post, float beta,
                              Matrix sum) const override;
  void return_from(Backend& backend, ConstMatrix weights, ConstMatrix errors, Matrix sources) const override;
  Presynaptic find_rows(Backend& backend, const Presynaptic& trace) const override;
  Pairs sample(Backend& backend, const Presynaptic& trace, ConstMatrix post,
               std::size_t every) const override;

  MapShape source() const;
  /// Patches of some rows of sources that a window sees, into [rows · places × patch].
  void unfold(Backend& backend, ConstMatrix values, const Window& window, Matrix patches) const;
  bool is_dense(Backend& backend, const SentSpikes& sent) const;

  Window window_;
  std::size_t pooled_;
  ChunkRoom patches_;      ///< of each row, all its patches
  ChunkRoom pooled_maps_;  ///< of the window's map
  mutable Array<float> rows_;
  mutable Array<float> sampled_rows_, sampled_factors_;
};

}  // namespace orthospike
