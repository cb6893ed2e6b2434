#include <filesystem>

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/error.hpp"

namespace orthospike {

namespace {

/// Fails where this build has no code for the device.
__global__ void probe() {}

/// Whether cudaGetDeviceCount returns `status` because there is no GPU, not because it cannot be used.
bool means_no_device(cudaError_t status) {
  if (status != cudaErrorInsufficientDriver) return status == cudaErrorNoDevice;
  // That is a driver older than this program needs, or none (version 0).
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess && version == 0 &&
         !std::filesystem::exists("/dev/nvidiactl");
}

/// Makes device `number` the current one and describes it.
cudaDeviceProp select_device(int number) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    const std::string sentence =
        std::string("run.device: no CUDA device can be used: ") + cudaGetErrorString(status);
    if (means_no_device(status)) throw NoCudaDevice(sentence);
    throw EnvironmentError(sentence);
  }
  if (number < 0 || number >= count) {
    throw EnvironmentError("run.device: there is no cuda:" + std::to_string(number) +
                           "; CUDA devices on this machine: " + std::to_string(count) + ", numbered from 0");
  }
  check(cudaSetDevice(number), "cudaSetDevice");
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, number), "cudaGetDeviceProperties");
  return properties;
}

/// Work as a graph, once its memory is known to be there.
struct GraphWork final : RepeatedWork {
  Graph graph;
  bool was_done = false;
  unsigned scratch_moves = 0;  ///< Context::scratch_moves when it was done
};

}  // namespace

CudaBackend::CudaBackend(int device_number) {
  const cudaDeviceProp properties = select_device(device_number);
  const std::string name = std::string(properties.name) + ", compute capability " +
                           std::to_string(properties.major) + "." + std::to_string(properties.minor);
  try {
    context_ = std::make_unique<Context>();
    launch(probe, 1, 1, 0, context_->stream);
    context_->stream.synchronise();
  } catch (const EnvironmentError& error) {
    throw EnvironmentError("run.device: " + name + ": " + error.what());
  }
  context_->number = device_number;
  context_->name = name;
  context_->multiprocessors = properties.multiProcessorCount;
  context_->partial_sums = allocate<double>(most_partial_sums);
  context_->finished = allocate<std::uint32_t>(1);
}

CudaBackend::~CudaBackend() = default;

std::string CudaBackend::device() const {
  return "cuda:" + std::to_string(context_->number) + " (" + context_->name + ")";
}

void CudaBackend::synchronise() {
  context_->stream.synchronise();
}

Memory CudaBackend::allocate_bytes(std::size_t bytes) {
  DeviceMemory& owner = context_->memory;
  Memory memory(owner.take(bytes), [&owner](void* block) { owner.give_back(block); });
  do_clear(memory.get(), bytes);
  return memory;
}

/// Waits, because the caller may change or free `from` as soon as this returns. Uploads are rare: images and
/// sample orders, once a task or an epoch.
void CudaBackend::do_upload(const void* from, void* to, std::size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, context_->stream.get()), "cudaMemcpyAsync");
  context_->stream.synchronise();
}

void CudaBackend::do_download(const void* from, void* to, std::size_t bytes) {
  if (bytes > 0)
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, context_->stream.get()),
          "cudaMemcpyAsync");
  context_->stream.synchronise();
}

void CudaBackend::do_copy(const void* from, void* to, std::size_t bytes) {
  if (bytes > 0)
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, context_->stream.get()),
          "cudaMemcpyAsync");
}

void CudaBackend::do_clear(void* to, std::size_t bytes) {
  if (bytes > 0) check(cudaMemsetAsync(to, 0, bytes, context_->stream.get()), "cudaMemsetAsync");
}

std::unique_ptr<RepeatedWork> CudaBackend::make_repeated_work() {
  return std::make_unique<GraphWork>();
}

bool CudaBackend::do_repeat(RepeatedWork& repeated, const std::function<void()>& work) {
  auto& own = static_cast<GraphWork&>(repeated);
  if (!own.was_done || own.scratch_moves != context_->scratch_moves) {
    own.graph.clear();
    work();
    own.was_done = true;
    own.scratch_moves = context_->scratch_moves;
    return true;
  }
  const bool record = !own.graph.is_recorded();
  if (record) own.graph.record(context_->stream, work);
  own.graph.launch(context_->stream);
  return record;
}

Matrix CudaBackend::scratch(std::size_t rows, std::size_t cols) {
  Array<float>& array = context_->scratch;
  if (array.size() < rows * cols) {
    array = allocate<float>(rows * cols);
    ++context_->scratch_moves;
  }
  return array.matrix(rows, cols);
}

bool has_cuda_backend() {
  return true;
}

std::unique_ptr<Backend> make_cuda_backend(int device_number) {
  return std::make_unique<CudaBackend>(device_number);
}

}  // namespace orthospike
