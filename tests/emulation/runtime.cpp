// The functions of the CUDA runtime that the back end may call, for a device that does everything at once.

#include <cuda_runtime.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "tests/emulation/memory.hpp"
#include "tests/emulation/stream.hpp"

namespace orthospike::emulation {

namespace {

/// Operations in order; both a recorded graph and one ready to run.
using Operations = std::vector<std::function<void()>>;

/// A copy to the host that nobody has waited for yet: until then the host sees garbage in its place.
struct Delivery {
  void* to;
  std::vector<char> bytes;
};

}  // namespace

}  // namespace orthospike::emulation

struct CUstream_st {
  std::vector<orthospike::emulation::Delivery> undelivered;
  std::unique_ptr<orthospike::emulation::Operations> recording;
};

struct CUgraph_st {
  orthospike::emulation::Operations operations;
};

struct CUgraphExec_st {
  orthospike::emulation::Operations operations;
};

struct CUevent_st {
  cudaStream_t stream = nullptr;
  std::chrono::steady_clock::time_point time;
  bool is_recorded = false;
};

namespace orthospike::emulation {

namespace {

cudaError_t last_error = cudaSuccess;
int current_device = 0;

/// All there are, the null stream among them.
std::set<CUstream_st*>& streams() {
  static std::set<CUstream_st*> all;
  return all;
}

CUstream_st& stream_of(cudaStream_t stream) {
  static CUstream_st null_stream;
  if (stream == nullptr) {
    streams().insert(&null_stream);
    return null_stream;
  }
  if (!streams().contains(stream)) fail("a stream is used that does not exist");
  return *stream;
}

void deliver(CUstream_st& stream) {
  if (stream.recording != nullptr) fail("the host waits for a stream that is recording a graph");
  for (const Delivery& delivery : std::exchange(stream.undelivered, {}))
    std::memcpy(delivery.to, delivery.bytes.data(), delivery.bytes.size());
}

int device_count() {
  const char* const text = std::getenv("ORTHOSPIKE_EMULATED_DEVICES");
  return text == nullptr ? 1 : std::atoi(text);
}

int driver_version() {
  const char* const text = std::getenv("ORTHOSPIKE_EMULATED_DRIVER");
  return text == nullptr ? CUDART_VERSION : std::atoi(text);
}

/// What every call that needs a device starts with.
cudaError_t device_status() {
  if (driver_version() < CUDART_VERSION) return cudaErrorInsufficientDriver;
  return device_count() > 0 ? cudaSuccess : cudaErrorNoDevice;
}

void require_device_memory(const char* call, const void* address, std::size_t bytes) {
  if (heap().contains(address, bytes)) return;
  fail(fmt::format("{} of {} bytes reaches outside a block of device memory", call, bytes));
}

void require_host_memory(const char* call, const void* address) {
  if (heap().contains(address, 1))
    fail(fmt::format("{} takes device memory for the host's, or the other way round", call));
}

void to_host(const char* call, void* to, const void* from, std::size_t bytes, cudaStream_t stream) {
  require_device_memory(call, from, bytes);
  require_host_memory(call, to);
  const DeviceScope scope;
  const auto* const begin = static_cast<const char*>(from);
  std::vector<char> content(begin, begin + bytes);
  std::memset(to, 0xff, bytes);
  stream_of(stream).undelivered.push_back({to, std::move(content)});
}

void to_device(const char* call, void* to, const void* from, std::size_t bytes) {
  require_device_memory(call, to, bytes);
  require_host_memory(call, from);
  const DeviceScope scope;
  std::memcpy(to, from, bytes);
}

void on_device(const char* call, void* to, const void* from, std::size_t bytes) {
  require_device_memory(call, to, bytes);
  require_device_memory(call, from, bytes);
  const auto* const source = static_cast<const char*>(from);
  const auto* const target = static_cast<const char*>(to);
  if (source < target + bytes && target < source + bytes)
    fail(fmt::format("{} between runs of {} bytes that overlap", call, bytes));
  const DeviceScope scope;
  std::memcpy(to, from, bytes);
}

cudaError_t copy(const char* call, void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                 cudaStream_t stream) {
  if (device_status() != cudaSuccess) return returned(device_status());
  if (bytes == 0) return cudaSuccess;
  switch (kind) {
    case cudaMemcpyHostToDevice:
      enqueue(stream, [=] { to_device(call, to, from, bytes); });
      return cudaSuccess;
    case cudaMemcpyDeviceToHost:
      enqueue(stream, [=] { to_host(call, to, from, bytes, stream); });
      return cudaSuccess;
    case cudaMemcpyDeviceToDevice:
      enqueue(stream, [=] { on_device(call, to, from, bytes); });
      return cudaSuccess;
    default:
      return returned(cudaErrorInvalidMemcpyDirection);
  }
}

void run_all(const Operations& operations) {
  for (const auto& operation : operations) operation();
}

}  // namespace

void enqueue(cudaStream_t stream, std::function<void()> operation) {
  CUstream_st& queue = stream_of(stream);
  if (queue.recording != nullptr) {
    queue.recording->push_back(std::move(operation));
  } else {
    operation();
  }
}

cudaError_t returned(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

}  // namespace orthospike::emulation

using namespace orthospike::emulation;  // the rest is the toolkit's interface, outside all namespaces

cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}

cudaError_t cudaPeekAtLastError() {
  return last_error;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidMemcpyDirection:
      return "cudaErrorInvalidMemcpyDirection";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    default:
      return "cudaErrorUnknown";
  }
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInvalidMemcpyDirection:
      return "invalid copy direction for memcpy";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    default:
      return "unknown error";
  }
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = driver_version();
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = device_count();
  return returned(device_status());
}

cudaError_t cudaSetDevice(int device) {
  if (device_status() != cudaSuccess) return returned(device_status());
  if (device < 0 || device >= device_count()) return returned(cudaErrorInvalidDevice);
  current_device = device;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return returned(device_status());
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device_status() != cudaSuccess) return returned(device_status());
  if (device < 0 || device >= device_count()) return returned(cudaErrorInvalidDevice);
  *properties = {};
  std::strncpy(properties->name, "emulated device", sizeof properties->name - 1);
  properties->major = 8;
  properties->multiProcessorCount = 4;
  properties->warpSize = warpSize;
  properties->totalGlobalMem = Heap::total();
  properties->maxThreadsPerBlock = static_cast<int>(most_threads_per_block);
  properties->maxThreadsPerMultiProcessor = 2 * static_cast<int>(most_threads_per_block);
  properties->sharedMemPerBlock = 48 * 1024;
  properties->sharedMemPerBlockOptin = 48 * 1024;
  properties->sharedMemPerMultiprocessor = 100 * 1024;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** block, std::size_t bytes) {
  if (device_status() != cudaSuccess) return returned(device_status());
  *block = nullptr;
  if (bytes == 0) return cudaSuccess;
  *block = heap().allocate(bytes);
  return returned(*block == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}

cudaError_t cudaFree(void* block) {
  for (CUstream_st* const stream : streams()) deliver(*stream);  // it waits for the device
  if (block == nullptr || heap().free(block)) return cudaSuccess;
  return returned(cudaErrorInvalidValue);
}

cudaError_t cudaMallocHost(void** block, std::size_t bytes) {
  *block = std::malloc(bytes);
  if (*block != nullptr) std::memset(*block, 0xff, bytes);
  return returned(*block == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}

cudaError_t cudaFreeHost(void* block) {
  std::free(block);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = Heap::total();
  *free = *total - std::min(*total, heap().used());
  return returned(device_status());
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return copy("cudaMemcpyAsync", to, from, bytes, kind, stream);
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t status = copy("cudaMemcpy", to, from, bytes, kind, nullptr);
  deliver(stream_of(nullptr));
  return status;
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (device_status() != cudaSuccess) return returned(device_status());
  if (bytes == 0) return cudaSuccess;
  enqueue(stream, [=] {
    require_device_memory("cudaMemsetAsync", to, bytes);
    const DeviceScope scope;
    std::memset(to, value, bytes);
  });
  return cudaSuccess;
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return cudaMemsetAsync(to, value, bytes, nullptr);
}

cudaError_t cudaDeviceSynchronize() {
  if (device_status() != cudaSuccess) return returned(device_status());
  for (CUstream_st* const stream : streams()) deliver(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  if (device_status() != cudaSuccess) return returned(device_status());
  *stream = new CUstream_st;
  streams().insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (stream == nullptr) return returned(cudaErrorInvalidValue);
  deliver(stream_of(stream));
  streams().erase(stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  deliver(stream_of(stream));
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t /*event*/, unsigned /*flags*/) {
  stream_of(stream);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  if (device_status() != cudaSuccess) return returned(device_status());
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  enqueue(stream, [=] {
    event->stream = stream;
    event->time = std::chrono::steady_clock::now();
    event->is_recorded = true;
  });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->is_recorded) deliver(stream_of(event->stream));
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (!start->is_recorded || !end->is_recorded) return returned(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  CUstream_st& queue = stream_of(stream);
  if (stream == nullptr || queue.recording != nullptr) return returned(cudaErrorInvalidValue);
  queue.recording = std::make_unique<Operations>();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  CUstream_st& queue = stream_of(stream);
  if (queue.recording == nullptr) return returned(cudaErrorInvalidValue);
  *graph = new CUgraph_st{std::move(*queue.recording)};
  queue.recording = nullptr;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long /*flags*/) {
  *executable = new CUgraphExec_st{graph->operations};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  stream_of(stream);
  run_all(executable->operations);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
