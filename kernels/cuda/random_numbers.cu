#include <thrust/for_each.h>
#include <thrust/iterator/counting_iterator.h>

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/thrust_policy.cuh"
#include "kernels/random.hpp"
#include "kernels/random_numbers.hpp"

namespace orthospike {

namespace {

/// Numbers 4·i … 4·i + 3, from block i.
struct UniformBlock {
  RandomKey key;
  float low;
  float high;
  float* values;
  std::size_t size;
  __device__ void operator()(std::uint64_t i) const {
    const RandomBlock block = random_block(key, i);
    for (std::size_t word = 0; word < 4 && 4 * i + word < size; ++word)
      values[4 * i + word] = low + (high - low) * unit_uniform(block.v[word]);
  }
};

/// Numbers 2·i and 2·i + 1, from block i.
struct NormalBlock {
  RandomKey key;
  float* values;
  std::size_t size;
  __device__ void operator()(std::uint64_t i) const {
    const RandomBlock block = random_block(key, i);
    for (std::size_t part = 0; part < 2 && 2 * i + part < size; ++part)
      values[2 * i + part] = standard_normal(block.v[2 * part], block.v[2 * part + 1]);
  }
};

}  // namespace

void execute(CudaContext& cuda, const FillUniform& op) {
  thrust::for_each_n(thrust_policy(cuda.stream), thrust::counting_iterator<std::uint64_t>(0),
                     (op.values.size() + 3) / 4,
                     UniformBlock{op.key, op.low, op.high, op.values.address(), op.values.size()});
}

void execute(CudaContext& cuda, const FillNormal& op) {
  thrust::for_each_n(thrust_policy(cuda.stream), thrust::counting_iterator<std::uint64_t>(0),
                     (op.values.size() + 1) / 2, NormalBlock{op.key, op.values.address(), op.values.size()});
}

template std::shared_ptr<RandomNumbers> make_family(CudaContext&, double&);

}  // namespace orthospike
