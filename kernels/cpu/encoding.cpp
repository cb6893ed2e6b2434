#include <array>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/parallel.hpp"

namespace orthospike {

void CpuBackend::do_encode_images(View<const std::uint8_t> images, View<const std::uint32_t> samples,
                                  View<const std::uint32_t> pixel_order, float mean, float deviation,
                                  Matrix currents) {
  std::array<float, 256> current_of_pixel{};
  for (std::size_t pixel = 0; pixel < current_of_pixel.size(); ++pixel) {
    current_of_pixel[pixel] = (static_cast<float>(pixel) / 255.0F - mean) / deviation;
  }
  const std::size_t pixels = pixel_order.size();
  constexpr std::size_t rows_per_piece = 16;
  for_each_range(pool_, samples.size(), rows_per_piece,
                 [&](std::size_t, std::size_t first, std::size_t last) {
                   for (std::size_t b = first; b < last; ++b) {
                     const std::uint8_t* image = images.address() + samples.address()[b] * pixels;
                     float* out = currents.address() + b * pixels;
                     for (std::size_t j = 0; j < pixels; ++j)
                       out[j] = current_of_pixel[image[pixel_order.address()[j]]];
                   }
                 });
}

}  // namespace orthospike
