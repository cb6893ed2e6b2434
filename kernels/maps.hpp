#pragma once

#include "kernels/family.hpp"
#include "kernels/map_shape.hpp"

namespace orthospike {

// Each row of maps, of pooled maps, of currents and of spikes is one sample in one step. A convolution is a product of
// its patches, [rows × places · patch] read as [rows · places × patch], with its weights [patch × outputs]: outputs are the
// output channels, or those of one group, for each of which the window has a place and which follow one another at a pixel.

/// patches[r · places + place, (ky, kx, c)] ← the element of channel c of map r that the kernel sees at (ky, kx) from
/// place, 0 beyond the edges and where c is not of the place's group. Places are in the order of rows, columns, groups.
struct Unfold {
  ConstMatrix maps;  ///< [rows × map size]
  Window window;
  Matrix patches;  ///< [rows · places × patch]

  void check() const {
    require(window.fits(), "unfold", "the kernel has no place in the map");
    require(maps.cols == window.map.size(), "unfold", "maps are not [rows × map size]");
    require(patches.rows == maps.rows * window.places() && patches.cols == window.patch(), "unfold",
            "patches are not [rows · places × patch]");
  }
  bool empty() const { return patches.empty(); }
};

/// The adjoint of Unfold: maps[r, i] ← Σ over elements of the patches of r that see i + beta · maps[r, i]. With beta 0
/// maps need not hold numbers.
struct Fold {
  ConstMatrix patches;  ///< [rows · places × patch]
  Window window;
  float beta = 0;
  Matrix maps;  ///< [rows × map size]

  void check() const {
    require(window.fits(), "fold", "the kernel has no place in the map");
    require(maps.cols == window.map.size(), "fold", "maps are not [rows × map size]");
    require(patches.rows == maps.rows * window.places() && patches.cols == window.patch(), "fold",
            "patches are not [rows · places × patch]");
  }
  bool empty() const { return maps.empty(); }
};

/// pooled[r, (y, x, c)] ← mean of channel c of map r over the square of size × size pixels at (y · size, x · size). Rows
/// and columns beyond the last whole square are left out.
struct Pool {
  ConstMatrix maps;  ///< [rows × map size]
  MapShape map;
  std::size_t size = 1;
  Matrix pooled;  ///< [rows × pooled map size]

  void check() const {
    require(size > 0, "pool", "squares have no size");
    require(maps.cols == map.size(), "pool", "maps are not [rows × map size]");
    require(pooled.rows == maps.rows && pooled.cols == map.pooled(size).size(), "pool",
            "pooled is not [rows × pooled map size]");
  }
  bool empty() const { return pooled.empty(); }
};

/// The adjoint of Pool: maps[r, i] ← pooled[r, square of i] / size², 0 in what is left out, + beta · maps[r, i]. With
/// beta 0 maps need not hold numbers.
struct Unpool {
  ConstMatrix pooled;  ///< [rows × pooled map size]
  MapShape map;
  std::size_t size = 1;
  float beta = 0;
  Matrix maps;  ///< [rows × map size]

  void check() const {
    require(size > 0, "unpool", "squares have no size");
    require(maps.cols == map.size(), "unpool", "maps are not [rows × map size]");
    require(pooled.rows == maps.rows && pooled.cols == map.pooled(size).size(), "unpool",
            "pooled is not [rows × pooled map size]");
  }
  bool empty() const { return maps.empty(); }
};

/// Throws std::invalid_argument unless the spiking population is a map with `pooled` times the height and width of the
/// window's, and that has a place.
inline void require_seen(const ConstSpikes& spikes, std::size_t pooled, const Window& window,
                         const char* operation) {
  require(window.fits(), operation, "the kernel has no place in the map");
  require(pooled > 0 && spikes.neurons == window.map.size() * pooled * pooled, operation,
          "the spiking population has not one neuron for each element of the squares");
}

/// A convolution along the event lists: currents[r, (place, m)] ← height / (dt · pooled²) · Σ over spikes of row r and
/// over (ky, kx) that see the spike's element from place of weights[(ky, kx, c), m] + offset[m].
///
/// The population that spikes is a map with `pooled` times the height and width of the window's; average pooling of its
/// events is a renaming: each is an event of its square's element and counts 1 / pooled².
struct DeliverConvolved {
  ConstSpikes spikes;
  View<const float> height;  ///< [1] the threshold of the spiking population
  float dt = 1;
  std::size_t pooled = 1;
  Window window;
  ConstMatrix weights;            ///< [patch × outputs]
  View<const float> offset = {};  ///< [outputs], or empty: 0
  Matrix currents;                ///< [rows × places · outputs]

  void check() const {
    require_seen(spikes, pooled, window, "deliver_convolved");
    require(weights.rows == window.patch(), "deliver_convolved",
            "weights do not have one row for each element of a patch");
    require(spikes.rows == currents.rows && currents.cols == window.places() * weights.cols,
            "deliver_convolved", "currents are not [rows × places · outputs]");
    require(height.size() == 1, "deliver_convolved", "height is not one number");
    require(offset.empty() || offset.size() == weights.cols, "deliver_convolved",
            "offsets are not one an output");
  }
  bool empty() const { return currents.empty(); }
};

/// The gradient of DeliverConvolved by its weights, of errors b by its currents:
///   sum[(ky, kx, c), m] ← height / (dt · pooled²) · Σ over rows r, over spikes of row r and over places from which
///   (ky, kx) sees the spike's element of channel c of b[r, (place, m)] + beta · sum[(ky, kx, c), m].
/// With beta 0 sum need not hold numbers.
struct CorrelateConvolved {
  ConstSpikes spikes;
  View<const float> height = {};  ///< [1], or empty: 1
  float dt = 1;
  std::size_t pooled = 1;  ///< as in DeliverConvolved
  Window window;
  ConstMatrix b;  ///< [rows × places · outputs]
  float beta = 0;
  Matrix sum;  ///< [patch × outputs]

  void check() const {
    require_seen(spikes, pooled, window, "correlate_convolved");
    require(sum.rows == window.patch(), "correlate_convolved",
            "the sum does not have one row for each element of a patch");
    require(spikes.rows == b.rows && b.rows > 0 && b.cols == window.places() * sum.cols,
            "correlate_convolved", "errors are not [rows × places · outputs]");
    require(height.size() <= 1, "correlate_convolved", "height is not one number");
  }
  bool empty() const { return sum.empty(); }
};

struct Maps : Family<Unfold, Fold, Pool, Unpool, DeliverConvolved, CorrelateConvolved> {
  using Family::Family;
};

}  // namespace orthospike
