#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/array.hpp"

namespace orthospike {

// Elements of views, for back ends whose memory is the process's own.

template <class T>
std::span<T> host(View<T> values) {
  return {values.address(), values.size()};
}

/// A matrix by row and column, from 0.
template <class T>
struct HostMatrix {
  std::span<T> values;
  std::size_t rows;
  std::size_t cols;

  T& operator()(std::size_t row, std::size_t col) const { return values[row * cols + col]; }
  std::span<T> row(std::size_t row) const { return values.subspan(row * cols, cols); }
};

template <class T>
HostMatrix<T> host(MatrixView<T> matrix) {
  return {host(matrix.values), matrix.rows, matrix.cols};
}

/// The neurons that spike in a row.
inline std::span<const std::uint32_t> spikes_of_row(const ConstSpikes& spikes, std::size_t row) {
  return host(spikes.indices).subspan(row * spikes.neurons, host(spikes.counts)[row]);
}

/// Adds a spike to the end of a row.
inline void append_spike(const Spikes& spikes, std::size_t row, std::size_t neuron) {
  host(spikes.indices)[row * spikes.neurons + host(spikes.counts)[row]++] =
      static_cast<std::uint32_t>(neuron);
}

}  // namespace orthospike
