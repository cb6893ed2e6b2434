// Kernels and calls with one mistake each, for emulation_test.cpp to see how they end. Usage: emulation_faults
// NAME; without a name it lists them. Ends normally when nothing notices the mistake.

#include <cuda_runtime.h>
#include <thrust/transform.h>

#include <cstdio>
#include <functional>
#include <map>
#include <string>

#include "tests/emulation/device_array.hpp"
#include "tests/emulation/launch.hpp"
#include "tests/emulation/thrust_policy.hpp"

namespace orthospike::emulation {

namespace {

constexpr unsigned all_lanes = 0xffffffffU;

__global__ void write_at(float* values, int at) {
  values[at] = 1.0F;
}

__global__ void write_behind_shared(std::size_t count) {
  auto* const values = dynamic_shared<volatile float>();
  values[count] = 1.0F;
}

/// Threads overwrite each other.
__global__ void write_own_number(unsigned* value) {
  *value = threadIdx.x;
}

/// Blocks overwrite each other.
__global__ void write_own_block(unsigned* value) {
  if (threadIdx.x == 0) *value = blockIdx.x;
}

/// Reads what a neighbour writes, without a barrier.
__global__ void shift(float* values) {
  values[threadIdx.x] = values[(threadIdx.x + 1) % blockDim.x];
}

__global__ void read_unwritten_shared(float* values, bool written) {
  __shared__ float unwritten[64];
  if (written) unwritten[threadIdx.x] = 0.0F;
  values[threadIdx.x] = unwritten[threadIdx.x];
}

__global__ void barrier_for_some(unsigned count) {
  if (threadIdx.x < count) __syncthreads();
}

__global__ void barrier_after_return(unsigned count) {
  if (threadIdx.x >= count) return;
  __syncthreads();
}

__global__ void barriers_of_two_branches() {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void barrier_and_exchange() {
  if (threadIdx.x >= 32 && threadIdx.x < 40) __syncwarp();
  __syncthreads();
}

__global__ void shuffle_without_lane_3(unsigned* values) {
  if (threadIdx.x != 3) values[threadIdx.x] = __shfl_xor_sync(all_lanes, threadIdx.x, 1);
}

__global__ void shuffle_outside_mask(unsigned* values) {
  if (threadIdx.x < 16) values[threadIdx.x] = __shfl_sync(0xffffU, threadIdx.x, 16);
}

__global__ void vote_outside_mask(unsigned* values) {
  values[threadIdx.x] = __ballot_sync(0xffffU, 1);
}

__global__ void exchanges_of_two_branches(unsigned* values) {
  if (threadIdx.x % 2 == 0) {
    values[threadIdx.x] = __ballot_sync(all_lanes, 1);
  } else {
    values[threadIdx.x] = __ballot_sync(all_lanes, 0);
  }
}

void start(void (*kernel)(), unsigned threads) {
  emulated_launch(kernel, 1, threads, 0, nullptr);
}

/// The faults by name.
std::map<std::string, std::function<void()>> faults() {
  std::map<std::string, std::function<void()>> all;
  all["write_behind"] = [] {
    DeviceArray<float> values(100);
    emulated_launch(write_at, 1, 1, 0, nullptr, values.address(), 100);
  };
  all["write_before"] = [] {
    DeviceArray<float> values(100);
    emulated_launch(write_at, 1, 1, 0, nullptr, values.address(), -1);
  };
  all["write_behind_shared"] = [] {
    emulated_launch(write_behind_shared, 1, 1, 10 * sizeof(float), nullptr, std::size_t{10});
  };
  all["write_after_free"] = [] {
    float* kept = nullptr;
    {
      DeviceArray<float> values(100);
      kept = values.address();
    }
    emulated_launch(write_at, 1, 1, 0, nullptr, kept, 0);
  };
  all["race_of_threads"] = [] {
    DeviceArray<unsigned> value(1);
    emulated_launch(write_own_number, 1, 64, 0, nullptr, value.address());
  };
  all["race_of_blocks"] = [] {
    DeviceArray<unsigned> value(1);
    emulated_launch(write_own_block, 64, 32, 0, nullptr, value.address());
  };
  all["race_of_reads"] = [] {
    DeviceArray<float> values(std::vector<float>(64, 1.0F));
    emulated_launch(shift, 1, 64, 0, nullptr, values.address());
    DeviceArray<float> others{1, 2, 3, 4, 5, 6, 7, 8};
    emulated_launch(shift, 1, 8, 0, nullptr, others.address());
  };
  all["unwritten_shared"] = [] {
    DeviceArray<float> values(64);
    emulated_launch(read_unwritten_shared, 1, 64, 0, nullptr, values.address(), false);
  };
  all["barrier_for_some"] = [] { emulated_launch(barrier_for_some, 1, 64, 0, nullptr, 5U); };
  all["barrier_after_return"] = [] { emulated_launch(barrier_after_return, 1, 64, 0, nullptr, 63U); };
  all["barriers_of_two_branches"] = [] { start(barriers_of_two_branches, 64); };
  all["barrier_and_exchange"] = [] { start(barrier_and_exchange, 64); };
  const auto with_values = [](void (*kernel)(unsigned*)) {
    return [kernel] {
      DeviceArray<unsigned> values(32);
      emulated_launch(kernel, 1, 32, 0, nullptr, values.address());
    };
  };
  all["shuffle_without_lane_3"] = with_values(shuffle_without_lane_3);
  all["shuffle_outside_mask"] = with_values(shuffle_outside_mask);
  all["vote_outside_mask"] = with_values(vote_outside_mask);
  all["exchanges_of_two_branches"] = with_values(exchanges_of_two_branches);
  all["host_argument"] = [] {
    float on_host = 0;
    emulated_launch(write_at, 1, 1, 0, nullptr, &on_host, 0);
  };
  all["copy_too_long"] = [] {
    DeviceArray<float> values(100);
    const std::vector<float> from(101);
    cudaMemcpy(values.address(), from.data(), from.size() * sizeof(float), cudaMemcpyHostToDevice);
  };
  all["copy_of_wrong_kind"] = [] {
    DeviceArray<float> values(100);
    cudaMemcpy(values.address(), values.address() + 50, 8, cudaMemcpyHostToDevice);
  };
  all["copy_onto_itself"] = [] {
    DeviceArray<float> values(100);
    cudaMemcpy(values.address(), values.address() + 1, 8, cudaMemcpyDeviceToDevice);
  };
  all["host_reads_device"] = [] {
    DeviceArray<float> values(100);
    std::printf("%f\n", static_cast<double>(values.address()[0]));
  };
  all["thrust_behind"] = [] {
    DeviceArray<float> values(std::vector<float>(100, 1.0F));
    thrust::transform(DevicePolicy(), values.address(), values.address() + 101, values.address(),
                      [](float value) { return value + 1; });
  };
  all["wait_while_recording"] = [] {
    cudaStream_t stream = nullptr;
    cudaStreamCreate(&stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    cudaStreamSynchronize(stream);
  };
  return all;
}

}  // namespace

}  // namespace orthospike::emulation

int main(int argc, char* argv[]) {
  const auto all = orthospike::emulation::faults();
  const auto found = argc == 2 ? all.find(argv[1]) : all.end();
  if (found == all.end()) {
    for (const auto& [name, fault] : all) std::puts(name.c_str());
    return 2;
  }
  found->second();
  return 0;
}
