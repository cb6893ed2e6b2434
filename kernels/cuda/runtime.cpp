#include "kernels/cuda/runtime.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

[[noreturn]] void fail(const char* call, const char* sentence, const std::source_location& where) {
  std::string_view file = where.file_name();
  file.remove_prefix(file.rfind('/') + 1);  // npos + 1 is 0
  throw EnvironmentError(fmt::format("{} failed: {} ({}:{})", call, sentence, file, where.line()));
}

/// A block this much larger than what is asked for is still handed out.
constexpr std::size_t accepted_waste = 4;  // a quarter

/// Blocks are whole lines of the device's memory, so that equal shapes find each other's blocks again.
std::size_t rounded(std::size_t bytes) {
  constexpr std::size_t line = 512;
  return bytes == 0 ? line : (bytes + line - 1) / line * line;
}

double megabytes(std::size_t bytes) {
  return static_cast<double>(bytes) * 1e-6;
}

/// Whether checkers of memory accesses (compute-sanitizer, the emulated device) are to see each array alone.
bool wants_exact_blocks() {
  const char* const text = std::getenv("ORTHOSPIKE_CUDA_EXACT_BLOCKS");
  return text != nullptr && std::string_view(text) != "0";
}

}  // namespace

void check(cudaError_t status, const char* call, std::source_location where) {
  if (status != cudaSuccess) fail(call, cudaGetErrorString(status), where);
}

void check(cublasStatus_t status, const char* call, std::source_location where) {
  if (status != CUBLAS_STATUS_SUCCESS) fail(call, cublasGetStatusString(status), where);
}

Stream::Stream() {
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
}

Stream::~Stream() {
  cudaStreamDestroy(stream_);
}

void Stream::synchronise() const {
  check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
}

void Graph::record(const Stream& stream, const std::function<void()>& work) {
  clear();
  check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(stream.get(), &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  check(cudaStreamEndCapture(stream.get(), &graph), "cudaStreamEndCapture");
  const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "cudaGraphInstantiate");
}

void Graph::launch(const Stream& stream) const {
  check(cudaGraphLaunch(executable_, stream.get()), "cudaGraphLaunch");
}

void Graph::clear() {
  if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
  executable_ = nullptr;
}

BlasHandle::BlasHandle(const Stream& stream) {
  check(cublasCreate(&handle_), "cublasCreate");
  const cublasStatus_t status = cublasSetStream(handle_, stream.get());
  if (status != CUBLAS_STATUS_SUCCESS) cublasDestroy(handle_);
  check(status, "cublasSetStream");
}

BlasHandle::~BlasHandle() {
  cublasDestroy(handle_);
}

DeviceMemory::DeviceMemory() : exact_(wants_exact_blocks()) {}

void* DeviceMemory::take(std::size_t bytes) {
  const std::size_t wanted = exact_ ? std::max<std::size_t>(bytes, 1) : rounded(bytes);
  const auto found = unused_.lower_bound(wanted);
  if (found != unused_.end() && found->first <= wanted + wanted / accepted_waste) {
    void* const block = found->second.back();
    used_.emplace(block, found->first);
    found->second.pop_back();
    if (found->second.empty()) unused_.erase(found);
    return block;
  }

  void* block = nullptr;
  cudaError_t status = cudaMalloc(&block, wanted);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // or the next launch would report it
    free_unused();
    status = cudaMalloc(&block, wanted);
  }
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t free = 0;
    std::size_t total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    std::size_t held = 0;
    for (const auto& [address, size] : used_) held += size;
    throw EnvironmentError(fmt::format(
        "not enough device memory: at least {:.1f} MB are needed ({:.1f} held and {:.1f} more) and "
        "{:.1f} of the device's {:.1f} MB are free; lower training.batch_size or network.hidden",
        megabytes(held + wanted), megabytes(held), megabytes(wanted), megabytes(free), megabytes(total)));
  }
  check(status, "cudaMalloc");
  used_.emplace(block, wanted);
  return block;
}

void DeviceMemory::give_back(void* block) {
  const auto found = used_.find(block);
  if (exact_) {
    cudaFree(block);
  } else {
    unused_[found->second].push_back(block);
  }
  used_.erase(found);
}

void DeviceMemory::free_unused() {
  for (const auto& [bytes, blocks] : unused_) {
    for (void* const block : blocks) cudaFree(block);
  }
  unused_.clear();
}

int blas_size(std::size_t size) {
  constexpr auto largest = static_cast<std::size_t>(std::numeric_limits<int>::max());
  if (size > largest)
    throw EnvironmentError(fmt::format("a matrix side of {} is above cuBLAS's {}", size, largest));
  return static_cast<int>(size);
}

}  // namespace orthospike
