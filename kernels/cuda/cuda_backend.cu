#include <filesystem>

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/cuda_backend.hpp"
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
  unsigned scratch_moves = 0;  ///< CudaContext::scratch_moves when it was done
};

/// One NVIDIA GPU: cuBLAS for dense products, own kernels for spikes, neurons and subspaces and for what is
/// recorded as graphs, Thrust for other work on each element alone.
///
/// All work goes to one stream in order; the host waits in synchronise, download and upload only. No sum
/// depends on the order in which threads come: the same calls give the same bits on the same kind of device.
/// Every call must come from the thread that made the back end.
class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int device_number) : number_(device_number) {
    const cudaDeviceProp properties = select_device(device_number);
    name_ = std::string(properties.name) + ", compute capability " + std::to_string(properties.major) + "." +
            std::to_string(properties.minor);
    try {
      context_ = std::make_unique<CudaContext>();
      launch(probe, 1, 1, 0, context_->stream);
      context_->stream.synchronise();
    } catch (const EnvironmentError& error) {
      throw EnvironmentError("run.device: " + name_ + ": " + error.what());
    }
    context_->multiprocessors = properties.multiProcessorCount;
    make_families(*context_);
  }

  std::string name() const override { return "cuda"; }
  std::string device() const override { return "cuda:" + std::to_string(number_) + " (" + name_ + ")"; }
  void synchronise() override { context_->stream.synchronise(); }
  std::unique_ptr<RepeatedWork> make_repeated_work() override { return std::make_unique<GraphWork>(); }

 private:
  Memory allocate_bytes(std::size_t bytes) override { return context_->allocate(bytes); }

  /// Waits, because the caller may change or free `from` as soon as this returns. Uploads are rare: images and
  /// sample orders, once a task or an epoch.
  void do_upload(const void* from, void* to, std::size_t bytes) override {
    if (bytes == 0) return;
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, context_->stream.get()),
          "cudaMemcpyAsync");
    context_->stream.synchronise();
  }

  void do_download(const void* from, void* to, std::size_t bytes) override {
    if (bytes > 0)
      check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, context_->stream.get()),
            "cudaMemcpyAsync");
    context_->stream.synchronise();
  }

  void do_copy(const void* from, void* to, std::size_t bytes) override { context_->copy(from, to, bytes); }
  void do_clear(void* to, std::size_t bytes) override { context_->clear(to, bytes); }

  /// The first time calls the work, which may allocate; the second time records it as a CUDA graph; then
  /// launches that graph.
  bool do_repeat(RepeatedWork& repeated, const std::function<void()>& work) override {
    auto& own = static_cast<GraphWork&>(repeated);
    if (!own.was_done || own.scratch_moves != context_->scratch_moves()) {
      own.graph.clear();
      work();
      own.was_done = true;
      own.scratch_moves = context_->scratch_moves();
      return true;
    }
    const bool record = !own.graph.is_recorded();
    if (record) own.graph.record(context_->stream, work);
    own.graph.launch(context_->stream);
    return record;
  }

  int number_;
  std::string name_;  ///< of the device, with its compute capability
  std::unique_ptr<CudaContext> context_;
};

}  // namespace

CudaContext::CudaContext()
    : partial_sums_(allocate_array<double>(most_partial_sums)), finished_(allocate_array<std::uint32_t>(1)) {}

Memory CudaContext::allocate(std::size_t bytes) {
  Memory memory(memory_.take(bytes), [this](void* block) { memory_.give_back(block); });
  clear(memory.get(), bytes);
  return memory;
}

void CudaContext::copy(const void* from, void* to, std::size_t bytes) {
  if (bytes > 0)
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream.get()), "cudaMemcpyAsync");
}

void CudaContext::clear(void* to, std::size_t bytes) {
  if (bytes > 0) check(cudaMemsetAsync(to, 0, bytes, stream.get()), "cudaMemsetAsync");
}

Matrix CudaContext::scratch(std::size_t rows, std::size_t cols) {
  if (scratch_.size() < rows * cols) {
    scratch_ = allocate_array<float>(rows * cols);
    ++scratch_moves_;
  }
  return scratch_.matrix(rows, cols);
}

bool has_cuda_backend() {
  return true;
}

std::unique_ptr<Backend> make_cuda_backend(int device_number) {
  return std::make_unique<CudaBackend>(device_number);
}

}  // namespace orthospike
