#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <sys/wait.h>
#include <thrust/transform.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/emulation/device_array.hpp"
#include "tests/emulation/launch.hpp"
#include "tests/emulation/memory.hpp"
#include "tests/emulation/sanitizer.hpp"
#include "tests/emulation/thrust_policy.hpp"

namespace orthospike::emulation {

namespace {

constexpr unsigned all_lanes = 0xffffffffU;
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

/// An environment variable with a value until the end of the scope.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* const before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() {
    if (before_) {
      setenv(name_, before_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

std::vector<float> numbered(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0F);
  return values;
}

template <class T>
std::vector<T> reversed(std::vector<T> values) {
  std::reverse(values.begin(), values.end());
  return values;
}

/// counts[thread] += 1, the thread's place found from all four built-in variables.
__global__ void count_threads(unsigned* counts) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  counts[block * blockDim.x * blockDim.y * blockDim.z + thread] += 1;
}

constexpr unsigned block_size = 96;

__global__ void reverse_in_shared(const float* from, float* to) {
  __shared__ float values[block_size];
  const unsigned first = blockIdx.x * blockDim.x;
  values[threadIdx.x] = from[first + threadIdx.x];
  __syncthreads();
  to[first + threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}

__global__ void reverse_without_barrier(const float* from, float* to) {
  __shared__ float values[block_size];
  const unsigned first = blockIdx.x * blockDim.x;
  values[threadIdx.x] = from[first + threadIdx.x];
  to[first + threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}

__global__ void reverse_in_dynamic_shared(const float* from, float* to) {
  auto* const values = dynamic_shared<float>();
  const unsigned first = blockIdx.x * blockDim.x;
  values[threadIdx.x] = from[first + threadIdx.x];
  __syncthreads();
  to[first + threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}

/// Each block reports what it finds in shared memory and leaves something there.
template <class T>
__global__ void look_into_shared(T* found) {
  __shared__ T kept;
  auto* const dynamic = dynamic_shared<T>();
  found[2 * blockIdx.x] = kept;
  found[2 * blockIdx.x + 1] = *dynamic;
  kept = 7;
  *dynamic = 7;
}

/// Sums 2^threadIdx.x tree by tree: a barrier in each step.
__global__ void sum_block(const float* values, float* sums) {
  auto* const partial = dynamic_shared<float>();
  partial[threadIdx.x] = values[blockIdx.x * blockDim.x + threadIdx.x];
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = partial[0];
}

/// The barrier between writing and reading of each step is missing.
__global__ void sum_block_without_barrier(const float* values, float* sums) {
  auto* const partial = dynamic_shared<float>();
  partial[threadIdx.x] = values[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2)
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
  if (threadIdx.x == 0) sums[blockIdx.x] = partial[0];
}

/// Neighbouring lanes swap through memory; the second barrier, before the next round, is missing.
__global__ void swap_without_second_barrier(const float* from, float* to) {
  __shared__ float values[block_size];
  float own = from[threadIdx.x];
  for (int round = 0; round < 3; ++round) {
    values[threadIdx.x] = own;
    __syncthreads();
    own = values[(threadIdx.x + 1) % blockDim.x];
  }
  to[threadIdx.x] = own;
}

/// As above within one warp, where __syncwarp is what is missing.
__global__ void shift_without_syncwarp(const float* from, float* to) {
  __shared__ float values[32];
  values[threadIdx.x] = from[threadIdx.x];
  to[threadIdx.x] = values[(threadIdx.x + 1) % 32];
}

__global__ void shift_with_syncwarp(const float* from, float* to) {
  __shared__ float values[32];
  values[threadIdx.x] = from[threadIdx.x];
  __syncwarp();
  to[threadIdx.x] = values[(threadIdx.x + 1) % 32];
}

template <class T>
__global__ void shuffle_all_ways(T* results, int width) {
  const T own = static_cast<T>(threadIdx.x + 1);
  T* const out = results + 4 * threadIdx.x;
  out[0] = __shfl_sync(all_lanes, own, 5, width);
  out[1] = __shfl_up_sync(all_lanes, own, 3, width);
  out[2] = __shfl_down_sync(all_lanes, own, 3, width);
  out[3] = __shfl_xor_sync(all_lanes, own, 6, width);
}

__global__ void vote_all_ways(unsigned* results) {
  unsigned* const out = results + 4 * threadIdx.x;
  const bool odd = threadIdx.x % 2 != 0;
  out[0] = __ballot_sync(all_lanes, odd);
  out[1] = static_cast<unsigned>(__any_sync(all_lanes, threadIdx.x == 31));
  out[2] = static_cast<unsigned>(__all_sync(all_lanes, threadIdx.x != 31));
  out[3] = static_cast<unsigned>(__all_sync(all_lanes, 1));
}

/// Either half of a warp goes its own way.
__global__ void exchange_in_halves(unsigned* results) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned mask = lane < 16 ? 0x0000ffffU : 0xffff0000U;
  unsigned sum = lane;
  for (int distance = lane < 16 ? 8 : 4; distance > 0; distance /= 2)
    sum += __shfl_xor_sync(mask, sum, distance);
  results[threadIdx.x] = sum;
}

__global__ void count_in_block(int* results) {
  int* const out = results + 3 * threadIdx.x;
  out[0] = __syncthreads_count(threadIdx.x % 3 == 0);
  out[1] = __syncthreads_or(threadIdx.x == 77);
  out[2] = __syncthreads_and(threadIdx.x != 77);
}

__global__ void add_atomically(unsigned* count, unsigned long long* sum, unsigned* largest) {
  atomicAdd(count, 1);
  atomicAdd(sum, static_cast<unsigned long long>(threadIdx.x) << 32);
  atomicMax(largest, blockIdx.x * blockDim.x + threadIdx.x);
}

/// The order in which threads come.
__global__ void take_tickets(unsigned* next, unsigned* tickets) {
  tickets[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(next, 1);
}

/// The block that comes last adds what the others have left.
__global__ void sum_of_blocks(const float* values, float* partial, unsigned* finished, float* sum) {
  __shared__ bool is_last;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = values[blockIdx.x];
    __threadfence();
    is_last = atomicAdd(finished, 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!is_last || threadIdx.x > 0) return;
  float total = 0;
  for (unsigned block = 0; block < gridDim.x; ++block) total += partial[block];
  *sum = total;
}

__global__ void add_one(float* values) {
  values[blockIdx.x * blockDim.x + threadIdx.x] += 1.0F;
}

std::vector<unsigned> tickets(unsigned blocks, unsigned threads) {
  DeviceArray<unsigned> next{0};
  DeviceArray<unsigned> all(blocks * threads);
  emulated_launch(take_tickets, blocks, threads, 0, nullptr, next.address(), all.address());
  return all.values();
}

using Reversal = void (*)(const float*, float*);

std::vector<float> result_of(Reversal kernel, const std::vector<float>& input, unsigned threads,
                             std::size_t shared_bytes = 0, std::size_t outputs = 0) {
  DeviceArray<float> from(input);
  DeviceArray<float> to(outputs == 0 ? input.size() : outputs);
  emulated_launch(kernel, static_cast<unsigned>(input.size()) / threads, threads, shared_bytes, nullptr,
                  from.address(), to.address());
  return to.values();
}

std::vector<float> result_with_seed(int seed, Reversal kernel, const std::vector<float>& input,
                                    unsigned threads, std::size_t shared_bytes = 0, std::size_t outputs = 0) {
  const Environment environment("ORTHOSPIKE_EMULATION_SEED", std::to_string(seed));
  return result_of(kernel, input, threads, shared_bytes, outputs);
}

/// Of three seeds, how many give the first result and how many the second kernel another one.
void check_shown(Reversal right, Reversal wrong, const std::vector<float>& input, unsigned threads,
                 std::size_t shared_bytes = 0, std::size_t outputs = 0) {
  int shown = 0;
  const std::vector<float> expected = result_of(right, input, threads, shared_bytes, outputs);
  for (const int seed : {1, 2, 3}) {
    CHECK(result_with_seed(seed, right, input, threads, shared_bytes, outputs) == expected);
    if (result_with_seed(seed, wrong, input, threads, shared_bytes, outputs) != expected) ++shown;
  }
  CHECK(shown > 0);
}

struct Ending {
  bool aborted = false;
  std::string output;
};

Ending ending_of(const std::string& fault, const std::string& environment = "") {
  const std::string command = environment + " '" ORTHOSPIKE_FAULTS "' " + fault + " 2>&1";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), [](FILE*) { return 0; });
  REQUIRE(pipe != nullptr);
  Ending ending;
  std::array<char, 4096> part{};
  while (const std::size_t count = fread(part.data(), 1, part.size(), pipe.get()))
    ending.output.append(part.data(), count);
  const int status = pclose(pipe.get());
  ending.aborted = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  return ending;
}

void check_caught(const std::string& fault, const std::string& sentence,
                  const std::string& environment = "") {
  const Ending ending = ending_of(fault, environment);
  INFO(fault << " printed: " << ending.output);
  CHECK(ending.aborted);
  CHECK(ending.output.find(sentence) != std::string::npos);
}

void check_unnoticed(const std::string& fault) {
  const Ending ending = ending_of(fault);
  INFO(fault << " printed: " << ending.output);
  CHECK_FALSE(ending.aborted);
}

}  // namespace

TEST_CASE("each thread of each block runs once", "[emulation]") {
  for (const auto& [grid, block] :
       {std::pair(dim3(1), dim3(1)), std::pair(dim3(5), dim3(33)), std::pair(dim3(2, 3, 4), dim3(3, 5, 2)),
        std::pair(dim3(300), dim3(1024))}) {
    const std::size_t threads = std::size_t{grid.x} * grid.y * grid.z * block.x * block.y * block.z;
    DeviceArray<unsigned> counts(std::vector<unsigned>(threads, 0));
    emulated_launch(count_threads, grid, block, 0, nullptr, counts.address());
    CHECK(counts.values() == std::vector<unsigned>(threads, 1));
  }
}

TEST_CASE("threads of a block share memory", "[emulation]") {
  const std::vector<float> one_block = numbered(block_size);
  CHECK(result_of(reverse_in_shared, one_block, block_size) == reversed(one_block));
  CHECK(result_of(reverse_in_dynamic_shared, one_block, block_size, block_size * sizeof(float)) ==
        reversed(one_block));

  const std::vector<float> many = numbered(std::size_t{50} * block_size);
  std::vector<float> expected = many;
  for (auto block = expected.begin(); block != expected.end(); block += block_size)
    std::reverse(block, block + block_size);
  CHECK(result_of(reverse_in_shared, many, block_size) == expected);
  CHECK(result_of(reverse_in_dynamic_shared, many, block_size, block_size * sizeof(float)) == expected);
}

TEST_CASE("a block finds garbage in shared memory, not what another left", "[emulation]") {
  DeviceArray<float> found(20);
  emulated_launch(look_into_shared<float>, 10, 1, sizeof(float), nullptr, found.address());
  for (const float value : found.values()) CHECK(std::isnan(value));
  DeviceArray<double> wide(20);
  emulated_launch(look_into_shared<double>, 10, 1, sizeof(double), nullptr, wide.address());
  for (const double value : wide.values()) CHECK(std::isnan(value));
}

TEST_CASE("barriers hold in loops", "[emulation]") {
  std::vector<float> sums;
  for (const unsigned threads : {2U, 64U, 1024U}) {
    const std::vector<float> values = numbered(std::size_t{7} * threads);
    const std::vector<float> result = result_of(sum_block, values, threads, threads * sizeof(float), 7);
    for (std::size_t block = 0; block < 7; ++block) {
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(block * threads);
      CHECK(result[block] == std::accumulate(first, first + threads, 0.0F));
    }
  }
  DeviceArray<int> results(std::size_t{3} * 100);
  emulated_launch(count_in_block, 1, 100, 0, nullptr, results.address());
  const std::vector<int> values = results.values();
  for (std::size_t thread = 0; thread < 100; ++thread) {
    CHECK(values[3 * thread] == 34);
    CHECK(values[3 * thread + 1] == 1);
    CHECK(values[3 * thread + 2] == 0);
  }
}

TEMPLATE_TEST_CASE("shuffles follow CUDA's rules", "[emulation]", int, unsigned, float, double,
                   unsigned long long) {
  for (const int width : {32, 8}) {
    DeviceArray<TestType> results(std::size_t{4} * 64);
    emulated_launch(shuffle_all_ways<TestType>, 1, 64, 0, nullptr, results.address(), width);
    const std::vector<TestType> values = results.values();
    for (int thread = 0; thread < 64; ++thread) {
      INFO("thread " << thread << ", width " << width);
      const int first = thread / width * width;
      const int last = first + width - 1;
      const auto of = [](int lane) { return static_cast<TestType>(lane + 1); };
      const std::size_t at = 4 * static_cast<std::size_t>(thread);
      CHECK(values[at] == of(first + 5));
      CHECK(values[at + 1] == of(thread - 3 >= first ? thread - 3 : thread));
      CHECK(values[at + 2] == of(thread + 3 <= last ? thread + 3 : thread));
      CHECK(values[at + 3] == of(thread ^ 6));
    }
  }
}

TEST_CASE("votes count the lanes there are", "[emulation]") {
  for (const unsigned threads : {32U, 64U, 20U}) {
    DeviceArray<unsigned> results(std::size_t{4} * threads);
    emulated_launch(vote_all_ways, 1, threads, 0, nullptr, results.address());
    const std::vector<unsigned> values = results.values();
    const unsigned lanes = threads < 32 ? (1U << threads) - 1 : all_lanes;
    for (std::size_t thread = 0; thread < threads; ++thread) {
      CHECK(values[4 * thread] == (0xaaaaaaaaU & lanes));
      const bool has_lane_31 = threads >= 32 && thread < 32;
      CHECK(values[4 * thread + 1] == (has_lane_31 ? 1 : 0));
      CHECK(values[4 * thread + 2] == (has_lane_31 ? 0 : 1));
      CHECK(values[4 * thread + 3] == 1);
    }
  }
}

TEST_CASE("parts of a warp exchange by themselves", "[emulation]") {
  DeviceArray<unsigned> results(64);
  emulated_launch(exchange_in_halves, 1, 64, 0, nullptr, results.address());
  const std::vector<unsigned> values = results.values();
  for (std::size_t thread = 0; thread < 64; ++thread) {
    const std::size_t lane = thread % 32;
    unsigned expected = 0;  // over 16 lanes, or in the upper half over 8
    const std::size_t group = lane < 16 ? 16 : 8;
    for (std::size_t other = lane / group * group; other < (lane / group + 1) * group; ++other)
      expected += static_cast<unsigned>(other);
    CHECK(values[thread] == expected);
  }
}

TEST_CASE("atomic operations count across blocks", "[emulation]") {
  DeviceArray<unsigned> count{0};
  DeviceArray<unsigned long long> sum{0};
  DeviceArray<unsigned> largest{0};
  emulated_launch(add_atomically, 30, 100, 0, nullptr, count.address(), sum.address(), largest.address());
  CHECK(count.values()[0] == 3000);
  CHECK(sum.values()[0] == (30ULL * 99 * 50) << 32);
  CHECK(largest.values()[0] == 2999);

  const std::vector<float> values = numbered(40);
  DeviceArray<float> from(values);
  DeviceArray<float> partial(40);
  DeviceArray<unsigned> finished{0};
  DeviceArray<float> total(1);
  emulated_launch(sum_of_blocks, 40, 64, 0, nullptr, from.address(), partial.address(), finished.address(),
                  total.address());
  CHECK(total.values()[0] == 820);
}

TEST_CASE("blocks and threads come in an order of the seed", "[emulation]") {
  const auto with_seed = [](int seed) {
    const Environment environment("ORTHOSPIKE_EMULATION_SEED", std::to_string(seed));
    return tickets(4, 64);
  };
  const std::vector<unsigned> one = with_seed(1);
  const std::vector<unsigned> two = with_seed(2);
  CHECK(one != two);
  CHECK_FALSE(std::is_sorted(one.begin(), one.end()));
  // Blocks one after the other, in no fixed order.
  std::set<std::vector<unsigned>> orders;
  for (int seed = 0; seed < 20; ++seed) {
    const std::vector<unsigned> order = with_seed(seed);
    std::vector<unsigned> of_blocks;
    for (std::size_t block = 0; block < 4; ++block) {
      const auto first = order.begin() + static_cast<std::ptrdiff_t>(64 * block);
      const auto [least, most] = std::minmax_element(first, first + 64);
      CHECK(*most - *least == 63);
      of_blocks.push_back(*least);
    }
    orders.insert(of_blocks);
  }
  CHECK(orders.size() > 5);
}

TEST_CASE("device code's arithmetic is CUDA's", "[emulation]") {
  CHECK(min(3U, 5) == 3U);
  CHECK(max(-1, 2) == 2);
  CHECK(min(1.0F, not_a_number) == 1.0F);
  CHECK(max(not_a_number, 1.0F) == 1.0F);
  CHECK(__popc(0xf0f0U) == 8);
  CHECK(__popcll(~0ULL) == 64);
  CHECK(__ffs(0) == 0);
  CHECK(__ffs(8) == 4);
  CHECK(__clz(1) == 31);
  CHECK(__clz(0) == 32);
  CHECK(rsqrtf(4.0F) == 0.5F);
}

TEST_CASE("a missing barrier shows with some seed", "[emulation]") {
  const std::vector<float> values = numbered(block_size);
  check_shown(reverse_in_shared, reverse_without_barrier, values, block_size);
  check_shown(sum_block, sum_block_without_barrier, numbered(128), 128, 128 * sizeof(float), 1);
  check_shown(shift_with_syncwarp, shift_without_syncwarp, numbered(32), 32);

  int shown = 0;
  std::vector<float> expected = values;
  std::rotate(expected.begin(), expected.begin() + 3, expected.end());
  for (const int seed : {1, 2, 3})
    if (result_with_seed(seed, swap_without_second_barrier, values, block_size) != expected) ++shown;
  CHECK(shown > 0);
}

TEST_CASE("launches that the driver refuses", "[emulation]") {
  DeviceArray<float> values(std::vector<float>(4, 1.0F));
  const auto status_of = [&](dim3 grid, dim3 block, std::size_t shared_bytes) {
    emulated_launch(add_one, grid, block, shared_bytes, nullptr, values.address());
    return cudaGetLastError();
  };
  CHECK(status_of(0, 1, 0) == cudaErrorInvalidConfiguration);
  CHECK(status_of(1, 0, 0) == cudaErrorInvalidConfiguration);
  CHECK(status_of(1, 1025, 0) == cudaErrorInvalidConfiguration);
  CHECK(status_of(1, dim3(32, 33), 0) == cudaErrorInvalidConfiguration);
  CHECK(status_of(dim3(1, 65536), 1, 0) == cudaErrorInvalidConfiguration);
  CHECK(status_of(1, 1, 48 * 1024 + 1) == cudaErrorInvalidConfiguration);
  CHECK(values.values() == std::vector<float>(4, 1.0F));
  CHECK(status_of(1, 4, 48 * 1024) == cudaSuccess);
  CHECK(values.values() == std::vector<float>(4, 2.0F));
}

TEST_CASE("device memory is limited, and new memory holds no numbers", "[emulation]") {
  for (const float value : DeviceArray<float>(10).values()) CHECK(std::isnan(value));

  const std::size_t used = heap().used();
  const Environment environment("ORTHOSPIKE_EMULATED_MEMORY", std::to_string(used + 1000));
  void* block = nullptr;
  CHECK(cudaMalloc(&block, 1001) == cudaErrorMemoryAllocation);
  CHECK(block == nullptr);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(cudaMalloc(&block, 600) == cudaSuccess);
  std::size_t free = 0;
  std::size_t total = 0;
  CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
  CHECK(free == 400);
  CHECK(total == used + 1000);
  CHECK(cudaFree(block) == cudaSuccess);
  CHECK(cudaFree(block) == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
  CHECK(heap().used() == used);
}

TEST_CASE("the host sees a download only after it has waited", "[emulation]") {
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
  DeviceArray<float> values(std::vector<float>(4, 1.0F));
  std::vector<float> to(4, 0.0F);
  cudaMemcpyAsync(to.data(), values.address(), 16, cudaMemcpyDeviceToHost, stream);
  emulated_launch(add_one, 1, 4, 0, stream, values.address());
  CHECK(std::isnan(to[0]));
  cudaStreamSynchronize(stream);
  CHECK(to == std::vector<float>(4, 1.0F));
  CHECK(values.values() == std::vector<float>(4, 2.0F));
  cudaStreamDestroy(stream);
}

TEST_CASE("a graph does what its stream recorded, as often as it is launched", "[emulation]") {
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
  DeviceArray<float> values(std::vector<float>(4, 0.0F));
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
  emulated_launch(add_one, 1, 4, 0, stream, values.address());
  emulated_launch(add_one, 1, 2, 0, stream, values.address());
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  CHECK(values.values() == std::vector<float>(4, 0.0F));

  cudaGraphExec_t executable = nullptr;
  REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  REQUIRE(cudaGraphDestroy(graph) == cudaSuccess);
  cudaGraphLaunch(executable, stream);
  cudaGraphLaunch(executable, stream);
  CHECK(values.values() == std::vector<float>{4, 4, 2, 2});
  cudaGraphExecDestroy(executable);
  cudaStreamDestroy(stream);
}

TEST_CASE("events tell the time between them", "[emulation]") {
  cudaEvent_t start = nullptr;
  cudaEvent_t end = nullptr;
  cudaEventCreate(&start);
  cudaEventCreate(&end);
  float milliseconds = -1;
  CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaErrorInvalidResourceHandle);
  CHECK(cudaGetLastError() == cudaErrorInvalidResourceHandle);
  cudaEventRecord(start, nullptr);
  tickets(1, 64);
  cudaEventRecord(end, nullptr);
  cudaEventSynchronize(end);
  CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaSuccess);
  CHECK(milliseconds > 0);
  cudaEventDestroy(start);
  cudaEventDestroy(end);
}

TEST_CASE("Thrust's algorithms may use device memory", "[emulation]") {
  DeviceArray<float> values(numbered(100));
  thrust::transform(DevicePolicy(), values.address(), values.address() + 100, values.address(),
                    [](float value) { return 2 * value; });
  const std::vector<float> result = values.values();
  for (std::size_t i = 0; i < 100; ++i) CHECK(result[i] == 2 * static_cast<float>(i + 1));
}

TEST_CASE("matrix products are cuBLAS's", "[emulation]") {
  cublasHandle_t blas = nullptr;
  REQUIRE(cublasCreate(&blas) == CUBLAS_STATUS_SUCCESS);
  constexpr int m = 3, n = 4, k = 5;
  constexpr std::size_t c_size = std::size_t{m} * n;
  const std::vector<float> a_values = numbered(std::size_t{m} * k);
  const std::vector<float> b_values = numbered(std::size_t{k} * n);
  DeviceArray<float> a(a_values);
  DeviceArray<float> b(b_values);
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      for (const float beta : {0.0F, 2.0F}) {
        DeviceArray<float> c(std::vector<float>(c_size, beta == 0.0F ? not_a_number : 10.0F));
        const float alpha = 0.5F;
        REQUIRE(cublasSgemm(blas, transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                            transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k, &alpha, a.address(),
                            transpose_a ? k : m, b.address(), transpose_b ? n : k, &beta, c.address(),
                            m) == CUBLAS_STATUS_SUCCESS);
        const std::vector<float> result = c.values();
        for (int row = 0; row < m; ++row) {
          for (int col = 0; col < n; ++col) {
            float sum = 0;
            for (int i = 0; i < k; ++i) {
              sum += a_values[static_cast<std::size_t>(transpose_a ? row * k + i : i * m + row)] *
                     b_values[static_cast<std::size_t>(transpose_b ? i * n + col : col * k + i)];
            }
            CHECK(result[static_cast<std::size_t>(col * m + row)] == alpha * sum + beta * 10.0F);
          }
        }
      }
    }
  }
  const float one = 1;
  CHECK(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, a.address(), m - 1, b.address(), k, &one,
                    a.address(), m) == CUBLAS_STATUS_INVALID_VALUE);
  cublasDestroy(blas);
}

TEST_CASE("vector operations are cuBLAS's", "[emulation]") {
  cublasHandle_t blas = nullptr;
  REQUIRE(cublasCreate(&blas) == CUBLAS_STATUS_SUCCESS);
  const float two = 2, zero = 0;
  DeviceArray<float> matrix{1, 2, 3, 4, 5, 6};  // columns (1 2) (3 4) (5 6)
  DeviceArray<float> x{1, 1, 1};
  DeviceArray<float> y{not_a_number, not_a_number};
  cublasSgemv(blas, CUBLAS_OP_N, 2, 3, &two, matrix.address(), 2, x.address(), 1, &zero, y.address(), 1);
  CHECK(y.values() == std::vector<float>{18, 24});
  cublasSgemv(blas, CUBLAS_OP_T, 2, 3, &two, matrix.address(), 2, y.address(), 1, &zero, x.address(), 1);
  CHECK(x.values() == std::vector<float>{132, 300, 468});
  cublasSscal(blas, 2, &two, y.address(), 1);
  CHECK(y.values() == std::vector<float>{36, 48});
  float norm = 0;
  cublasSnrm2(blas, 2, y.address(), 1, &norm);
  CHECK(norm == 60);
  cublasSaxpy(blas, 2, &two, matrix.address(), 3, y.address(), 1);
  CHECK(y.values() == std::vector<float>{38, 56});
  cublasScopy(blas, 2, y.address(), 1, matrix.address(), 2);
  CHECK(matrix.values() == std::vector<float>{38, 2, 56, 4, 5, 6});

  DeviceArray<float> factor{0.5F};
  DeviceArray<float> on_device(1);
  cublasSetPointerMode(blas, CUBLAS_POINTER_MODE_DEVICE);
  cublasSscal(blas, 2, factor.address(), y.address(), 1);
  CHECK(y.values() == std::vector<float>{19, 28});
  cublasSnrm2(blas, 2, y.address(), 1, on_device.address());
  CHECK(on_device.values()[0] == Approx(std::sqrt(19.0 * 19 + 28 * 28)));
  cublasDestroy(blas);
}

TEST_CASE("accesses outside a block of memory are caught", "[emulation]") {
  check_caught("write_behind", has_address_sanitizer ? "heap-buffer-overflow" : "wrote behind block");
  check_caught("write_before", has_address_sanitizer ? "heap-buffer-overflow" : "wrote before block");
  check_caught("write_after_free", "argument 1 of kernel emulation::write_at points at no device memory");
  check_caught("copy_too_long", "cudaMemcpy of 404 bytes reaches outside a block");
  check_caught("copy_of_wrong_kind", "the other way round");
  check_caught("copy_onto_itself", "overlap");
  check_caught("host_argument", "argument 1 of kernel emulation::write_at points at no device memory");
  if (has_address_sanitizer) {
    check_caught("write_behind_shared", "heap-buffer-overflow");
    check_caught("thrust_behind", "heap-buffer-overflow");
    check_caught("host_reads_device", "use-after-poison");
  } else {
    WARN("not looked for without the address sanitizer: reads outside a block, shared memory, the host");
    check_caught("thrust_behind", "wrote behind block");
  }
}

TEST_CASE("data races are caught", "[emulation]") {
  const std::string checked = "ORTHOSPIKE_EMULATION_CHECK_RACES=1";
  check_caught("race_of_threads", "data race: kernel emulation::write_own_number (launch 1)", checked);
  check_caught("race_of_blocks", "data race: kernel emulation::write_own_block (launch 1)", checked);
  check_caught("race_of_reads", "data race: kernel emulation::shift (launch 2)", checked);
  check_caught("unwritten_shared", "data race: kernel emulation::read_unwritten_shared (launch 1)", checked);
  check_unnoticed("race_of_threads");
  check_unnoticed("race_of_blocks");
}

TEST_CASE("divergent barriers and exchanges are caught", "[emulation]") {
  check_caught("barrier_for_some", "5 of 64 threads are at the barrier __syncthreads (faults.cpp:");
  check_caught("barrier_after_return", "thread (63, 0, 0) has left the kernel");
  check_caught("barriers_of_two_branches", "threads of one block are at different barriers");
  check_caught("barrier_and_exchange", "thread (32, 0, 0) is at __syncwarp (faults.cpp:");
  check_caught("shuffle_without_lane_3", "thread (3, 0, 0) has left the kernel");
  check_caught("shuffle_outside_mask", "asks for the value of lane 16, which takes no part");
  check_caught("vote_outside_mask", "is not in the mask 0x0000ffff of its __ballot_sync");
  check_caught("exchanges_of_two_branches", "lanes of one warp are at different exchanges");
  check_caught("wait_while_recording", "waits for a stream that is recording");
}

TEST_CASE("without a device the back end says so, and auto only where there is one that cannot be used",
          "[emulation]") {
  const auto refusal_and_warning = [](const char* name, const char* value) {
    const Environment environment(name, value);
    std::string refusal, warning;
    try {
      make_backend("cuda", 1);
    } catch (const EnvironmentError& error) {
      refusal = error.what();
    }
    cudaGetLastError();  // kept, like every error, until somebody asks
    const auto backend = make_backend("auto", 1, [&](const std::string& sentence) { warning = sentence; });
    CHECK(backend->name() == "cpu");
    cudaGetLastError();
    return std::pair(refusal, warning);
  };
  const std::string cannot = "run.device: no CUDA device can be used: ";
  const auto no_device = refusal_and_warning("ORTHOSPIKE_EMULATED_DEVICES", "0");
  CHECK(no_device.first == cannot + "no CUDA-capable device is detected");
  CHECK(no_device.second.empty());
  const std::string too_old = cannot + "CUDA driver version is insufficient for CUDA runtime version";
  const auto no_driver = refusal_and_warning("ORTHOSPIKE_EMULATED_DRIVER", "0");
  CHECK(no_driver.first == too_old);
  CHECK(no_driver.second.empty() != std::filesystem::exists("/dev/nvidiactl"));
  const auto old_driver = refusal_and_warning("ORTHOSPIKE_EMULATED_DRIVER", "11000");
  CHECK(old_driver.first == too_old);
  CHECK(old_driver.second.starts_with(too_old + "; the cpu computes"));
}

TEST_CASE("a device that is not there is named", "[emulation]") {
  CHECK_THROWS_AS(make_backend("cuda:1", 1), EnvironmentError);
  const Environment environment("ORTHOSPIKE_EMULATED_DEVICES", "2");
  CHECK(make_backend("cuda:1", 1)->device().starts_with("cuda:1 ("));
}

TEST_CASE("too little device memory is an error of the environment", "[emulation]") {
  const auto backend = make_backend("cuda", 1);
  const Environment environment("ORTHOSPIKE_EMULATED_MEMORY", std::to_string(heap().used() + 100000));
  CHECK_NOTHROW(backend->allocate<float>(20000));
  CHECK_THROWS_AS(backend->allocate<float>(30000), EnvironmentError);
  CHECK_NOTHROW(backend->allocate<float>(20000));
}

TEST_CASE("the back end gives all its memory back", "[emulation]") {
  const std::size_t before = heap().used();
  {
    const auto backend = make_backend("cuda", 1);
    const Array<float> array = backend->allocate<float>(1000);
    CHECK(heap().used() >= before + 4000);
  }
  CHECK(heap().used() == before);
}

}  // namespace orthospike::emulation
