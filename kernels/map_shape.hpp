#pragma once

#include <cstddef>

/// Stands before what code on the host and kernels share.
#ifdef __CUDACC__
#define ORTHOSPIKE_HOST_DEVICE __host__ __device__
#else
#define ORTHOSPIKE_HOST_DEVICE
#endif

namespace orthospike {

/// Values of a map lie channel last: [height × width × channels].
struct MapShape {
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 1;

  ORTHOSPIKE_HOST_DEVICE std::size_t size() const { return height * width * channels; }
  /// Where the channels of a pixel begin.
  ORTHOSPIKE_HOST_DEVICE std::size_t pixel(std::size_t y, std::size_t x) const {
    return (y * width + x) * channels;
  }
  /// The whole squares of size × size pixels.
  ORTHOSPIKE_HOST_DEVICE MapShape pooled(std::size_t size) const {
    return {height / size, width / size, channels};
  }
  bool operator==(const MapShape&) const = default;
};

/// Places on one side of a map: [first, last).
struct Stretch {
  std::size_t first;
  std::size_t last;

  ORTHOSPIKE_HOST_DEVICE std::size_t size() const { return last - first; }
};

/// From where a window looks: an output row and column, and a group of channels.
struct Place {
  std::size_t y, x, group;
};

/// Where a square kernel looks at a map: at places of all output rows and columns, beyond its edges at zeros. What it
/// sees from a place is a patch [kernel × kernel × channels]. Of channels in groups each group has places of its own, from
/// which the others are zeros.
struct Window {
  MapShape map;
  std::size_t kernel = 1;
  std::size_t stride = 1;
  std::size_t padding = 0;
  std::size_t groups = 1;  ///< of as many channels each

  bool operator==(const Window&) const = default;
  /// Whether the kernel has a place at all; else none of what follows may be asked for.
  bool fits() const {
    return map.size() > 0 && kernel > 0 && stride > 0 && kernel <= map.height + 2 * padding &&
           kernel <= map.width + 2 * padding && groups > 0 && map.channels % groups == 0;
  }
  ORTHOSPIKE_HOST_DEVICE std::size_t out_height() const { return places_along(map.height); }
  ORTHOSPIKE_HOST_DEVICE std::size_t out_width() const { return places_along(map.width); }
  ORTHOSPIKE_HOST_DEVICE std::size_t places() const { return out_height() * out_width() * groups; }
  ORTHOSPIKE_HOST_DEVICE Place place(std::size_t number) const {
    const std::size_t pixel = number / groups;
    return {pixel / out_width(), pixel % out_width(), number % groups};
  }
  ORTHOSPIKE_HOST_DEVICE std::size_t group_channels() const { return map.channels / groups; }
  ORTHOSPIKE_HOST_DEVICE std::size_t patch() const { return kernel * kernel * map.channels; }
  /// Where the channels of a pixel begin in a patch.
  ORTHOSPIKE_HOST_DEVICE std::size_t patch_pixel(std::size_t ky, std::size_t kx) const {
    return (ky * kernel + kx) * map.channels;
  }

  /// Rows, or columns, of the map that the kernel sees from that row, or column, of the output.
  ORTHOSPIKE_HOST_DEVICE Stretch rows_seen(std::size_t oy) const { return seen(oy, map.height); }
  ORTHOSPIKE_HOST_DEVICE Stretch columns_seen(std::size_t ox) const { return seen(ox, map.width); }
  /// Rows, or columns, of the output from which the kernel sees that row, or column, of the map.
  ORTHOSPIKE_HOST_DEVICE Stretch rows_seeing(std::size_t y) const { return seeing(y, out_height()); }
  ORTHOSPIKE_HOST_DEVICE Stretch columns_seeing(std::size_t x) const { return seeing(x, out_width()); }
  /// The kernel's own row, or column, that sees that of the map from that of the output.
  ORTHOSPIKE_HOST_DEVICE std::size_t in_kernel(std::size_t out, std::size_t at) const {
    return at + padding - out * stride;
  }

 private:
  ORTHOSPIKE_HOST_DEVICE std::size_t places_along(std::size_t side) const {
    return (side + 2 * padding - kernel) / stride + 1;
  }
  ORTHOSPIKE_HOST_DEVICE Stretch seen(std::size_t out, std::size_t side) const {
    const std::size_t start = out * stride, end = start + kernel;  // counted from the padding's edge
    const std::size_t first = start < padding ? 0 : start - padding;
    const std::size_t beyond = end < padding ? 0 : end - padding;
    const std::size_t last = beyond < side ? beyond : side;
    return {first < last ? first : last, last};
  }
  ORTHOSPIKE_HOST_DEVICE Stretch seeing(std::size_t at, std::size_t outs) const {
    const std::size_t padded = at + padding;
    const std::size_t first = padded < kernel ? 0 : (padded - kernel) / stride + 1;
    const std::size_t last = padded / stride < outs ? padded / stride + 1 : outs;
    return {first < last ? first : last, last};
  }
};

}  // namespace orthospike
