#include "kernels/reference/reference_backend.hpp"

namespace orthospike {

void ReferenceBackend::do_encode_images(View<const std::uint8_t> images, View<const std::uint32_t> samples,
                                        View<const std::uint32_t> pixel_order, float mean, float deviation,
                                        Matrix currents) {
  const std::size_t pixels = pixel_order.size();
  for (std::size_t b = 0; b < samples.size(); ++b) {
    const std::uint8_t* image = images.address() + samples.address()[b] * pixels;
    for (std::size_t j = 0; j < pixels; ++j) {
      const auto pixel = static_cast<float>(image[pixel_order.address()[j]]);
      currents.address()[b * pixels + j] = (pixel / 255.0F - mean) / deviation;
    }
  }
}

}  // namespace orthospike
