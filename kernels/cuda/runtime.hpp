#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <functional>
#include <map>
#include <source_location>
#include <string>
#include <vector>

namespace orthospike {

/// Throw EnvironmentError unless the call succeeded: the call, where it is, and the driver's sentence.
void check(cudaError_t status, const char* call,
           std::source_location where = std::source_location::current());
void check(cublasStatus_t status, const char* call,
           std::source_location where = std::source_location::current());

/// Owner of a stream: the one queue of all work of a back end.
class Stream {
 public:
  Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  cudaStream_t get() const { return stream_; }
  void synchronise() const;

 private:
  cudaStream_t stream_ = nullptr;
};

/// Owner of a recording of what was queued on a stream, ready to be queued again.
class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() { clear(); }

  /// Records what `work` queues, which is not done yet. Throws what `work` throws and then holds nothing.
  void record(const Stream& stream, const std::function<void()>& work);
  bool is_recorded() const { return executable_ != nullptr; }
  void launch(const Stream& stream) const;
  void clear();

 private:
  cudaGraphExec_t executable_ = nullptr;
};

/// Owner of a cuBLAS handle whose calls go to one stream. Math is cuBLAS's default: single precision
/// throughout, no TF32.
class BlasHandle {
 public:
  explicit BlasHandle(const Stream& stream);
  BlasHandle(const BlasHandle&) = delete;
  BlasHandle& operator=(const BlasHandle&) = delete;
  ~BlasHandle();

  cublasHandle_t get() const { return handle_; }

 private:
  cublasHandle_t handle_ = nullptr;
};

/// The device's memory: cudaMalloc behind a cache of the blocks given back, because cudaMalloc takes longer
/// than most operations and cudaFree waits for the device.
///
/// A block that is given back may be handed out again at once, while work that uses it is still queued: all
/// work is on one stream, so whatever the new owner queues comes after.
///
/// With ORTHOSPIKE_CUDA_EXACT_BLOCKS=1 in the environment nothing is cached or rounded up, so that tools which
/// check memory accesses see where each array begins, ends and is gone.
class DeviceMemory {
 public:
  DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() { free_unused(); }

  /// At least that many bytes, aligned for any type, with any content. Throws EnvironmentError when there are
  /// not enough even after the cache is emptied.
  void* take(std::size_t bytes);
  void give_back(void* block);

 private:
  void free_unused();

  bool exact_;
  std::map<void*, std::size_t> used_;                 ///< bytes of each block handed out
  std::map<std::size_t, std::vector<void*>> unused_;  ///< by bytes
};

/// A size as cuBLAS counts. Throws EnvironmentError beyond its 31 bits.
int blas_size(std::size_t size);

}  // namespace orthospike
