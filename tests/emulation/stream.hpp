#pragma once

#include <cuda_runtime.h>

#include <functional>

namespace orthospike::emulation {

/// Does the operation now, or keeps it for the graph that the stream is recording.
void enqueue(cudaStream_t stream, std::function<void()> operation);

/// The status, kept for cudaGetLastError when it is an error.
cudaError_t returned(cudaError_t status);

}  // namespace orthospike::emulation
