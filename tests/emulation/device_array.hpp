#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <vector>

namespace orthospike::emulation {

/// Elements in the emulated device's memory, for tests.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t size) : size_(size) {
    if (cudaMalloc(reinterpret_cast<void**>(&begin_), size * sizeof(T)) != cudaSuccess)
      throw std::runtime_error("no device memory");
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    cudaMemcpy(begin_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice);
  }
  DeviceArray(std::initializer_list<T> values) : DeviceArray(std::vector<T>(values)) {}
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(begin_); }

  T* address() { return begin_; }
  std::size_t size() const { return size_; }
  std::vector<T> values() const {
    std::vector<T> to(size_);
    cudaMemcpy(to.data(), begin_, size_ * sizeof(T), cudaMemcpyDeviceToHost);
    return to;
  }

 private:
  T* begin_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace orthospike::emulation
