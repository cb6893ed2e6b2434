#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/encoding.hpp"

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

void execute(CudaContext& cuda, const EncodeImages& op) {
  constexpr unsigned threads = 256;
  launch(encode_samples, static_cast<unsigned>(op.samples.size()), threads, 0, cuda.stream, op.images,
         op.samples, op.pixel_order, op.mean, op.deviation, op.currents.cols, op.currents);
}

template std::shared_ptr<Encoding> make_family(CudaContext&, double&);

}  // namespace orthospike
