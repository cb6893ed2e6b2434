#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace orthospike {

/// A run of elements in a back end's memory. Only that back end may follow the address: it can lie on a
/// device.
template <class T>
class View {
 public:
  View() = default;
  View(T* address, std::size_t size) : address_(address), size_(size) {}
  operator View<const T>() const { return {address_, size_}; }

  T* address() const { return address_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  View subview(std::size_t offset, std::size_t count) const {
    assert(offset + count <= size_);
    return {address_ + offset, count};
  }

 private:
  T* address_ = nullptr;
  std::size_t size_ = 0;
};

/// A row-major matrix in a back end's memory, without gaps between rows.
template <class T>
struct MatrixView {
  View<T> values;
  std::size_t rows = 0;
  std::size_t cols = 0;

  operator MatrixView<const T>() const { return {values, rows, cols}; }
  T* address() const { return values.address(); }
  bool empty() const { return rows * cols == 0; }
  MatrixView row_range(std::size_t first, std::size_t count) const {
    assert(first + count <= rows);
    return {values.subview(first * cols, count * cols), count, cols};
  }
  MatrixView first_rows(std::size_t count) const { return row_range(0, count); }
};

using Matrix = MatrixView<float>;
using ConstMatrix = MatrixView<const float>;

/// Back-end memory and how to give it back.
using Memory = std::unique_ptr<void, std::function<void(void*)>>;

/// Owner of elements in a back end's memory. The back end must outlive it.
template <class T>
class Array {
 public:
  Array() = default;
  Array(Memory memory, std::size_t size) : memory_(std::move(memory)), size_(size) {}

  std::size_t size() const { return size_; }
  View<T> view() { return {static_cast<T*>(memory_.get()), size_}; }
  View<const T> view() const { return {static_cast<const T*>(memory_.get()), size_}; }
  Matrix matrix(std::size_t rows, std::size_t cols) requires std::is_same_v<T, float> {
    return {view().subview(0, rows * cols), rows, cols};
  }
  ConstMatrix matrix(std::size_t rows, std::size_t cols) const requires std::is_same_v<T, float> {
    return {view().subview(0, rows * cols), rows, cols};
  }

 private:
  Memory memory_;
  std::size_t size_ = 0;
};

/// Names the index that a back end keeps of spikes, and the content that it is of. A value: only that back end has the
/// index itself.
struct SpikeIndexKey {
  const void* index = nullptr;  ///< null: none is kept
  std::uint64_t version = 1;    ///< the content, from 1 on
  std::size_t steps = 1;        ///< rows are of so many steps, ordered step · batch + sample
};

/// Has a back end keep what it works out about the spikes in some memory, so that products with them cost less; made by
/// Backend::make_spike_index, which must outlive it.
class SpikeIndex {
 public:
  SpikeIndex() = default;
  explicit SpikeIndex(Memory kept) : kept_(std::move(kept)) {}

  /// To be called when the spikes were written anew.
  void spikes_changed(std::size_t steps) {
    ++version_;
    steps_ = steps;
  }
  /// For views of exactly these spikes.
  SpikeIndexKey key() const { return {kept_.get(), version_, steps_}; }

 private:
  Memory kept_;
  std::uint64_t version_ = 1;
  std::size_t steps_ = 1;
};

/// Spikes of `rows` (step, sample) pairs of one population as event lists: row r holds the ascending neuron
/// indices `indices[r·neurons … r·neurons + counts[r])`.
template <class T>
struct SpikeView {
  View<T> counts;   ///< [rows]
  View<T> indices;  ///< [rows × neurons]
  std::size_t rows = 0;
  std::size_t neurons = 0;
  SpikeIndexKey index = {};  ///< of exactly these rows

  operator SpikeView<const T>() const { return {counts, indices, rows, neurons, index}; }
  SpikeView row_range(std::size_t first, std::size_t count) const {
    return {
        counts.subview(first, count), indices.subview(first * neurons, count * neurons), count, neurons, {}};
  }
};

using Spikes = SpikeView<std::uint32_t>;
using ConstSpikes = SpikeView<const std::uint32_t>;

}  // namespace orthospike
