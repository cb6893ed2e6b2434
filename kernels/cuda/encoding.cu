#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"

namespace orthospike {

namespace {

/// One block a sample. Writes are coalesced; the permuted reads stay within one image, which the first-level
/// cache holds.
__global__ void encode_samples(const std::uint8_t* images, const std::uint32_t* samples,
                               const std::uint32_t* pixel_order, float mean, float deviation,
                               std::size_t pixels, float* currents) {
  const std::uint8_t* const image = images + samples[blockIdx.x] * pixels;
  float* const out = currents + blockIdx.x * pixels;
  for (std::size_t j = threadIdx.x; j < pixels; j += blockDim.x) {
    const auto pixel = static_cast<float>(image[pixel_order[j]]);
    out[j] = (pixel / 255.0F - mean) / deviation;
  }
}

}  // namespace

void CudaBackend::do_encode_images(View<const std::uint8_t> images, View<const std::uint32_t> samples,
                                   View<const std::uint32_t> pixel_order, float mean, float deviation,
                                   Matrix currents) {
  if (currents.empty()) return;
  constexpr unsigned threads = 256;
  launch(encode_samples, static_cast<unsigned>(samples.size()), threads, 0, context_->stream,
         images.address(), samples.address(), pixel_order.address(), mean, deviation, currents.cols,
         currents.address());
}

}  // namespace orthospike
