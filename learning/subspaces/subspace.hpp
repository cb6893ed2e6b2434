#pragma once

#include "kernels/backend.hpp"
#include "kernels/random_key.hpp"
#include "sim/archive.hpp"

namespace orthospike {

/// The weights h [rank × n] of a projection's subspace neurons, one neuron a row. Old rows belong to finished
/// tasks and never change; new rows learn.
class Subspace {
 public:
  Subspace(Backend& backend, std::size_t presynaptic_size) : backend_(backend), size_(presynaptic_size) {}

  /// Adds new rows: random, orthonormal, orthogonal to the rows before. rank + count must not exceed n.
  void append(std::size_t count, const RandomKey& key);
  /// All rows become old.
  void freeze();
  /// Rows [count × n] from the host, all old, in place of the ones there were.
  void replace(std::span<const float> rows);
  /// Rows [count × n] from the host in place of the new ones.
  void replace_new_rows(std::span<const float> rows);
  /// Makes the new rows orthonormal and orthogonal to the old ones, with the same span together.
  void orthonormalise_new_rows();

  void state(Archive& archive);

  std::size_t presynaptic_size() const { return size_; }
  std::size_t rank() const { return rank_; }
  std::size_t old_rank() const { return old_; }
  std::size_t new_rank() const { return rank_ - old_; }
  Matrix rows() { return storage_.matrix(rank_, size_); }
  ConstMatrix rows() const { return storage_.matrix(rank_, size_); }
  ConstMatrix old_rows() const { return rows().first_rows(old_); }
  /// [n × old rank], the outgoing weights of each presynaptic neuron to the old subspace neurons.
  ConstMatrix old_rows_transposed() const { return old_transposed_.matrix(size_, old_); }
  ConstMatrix new_rows() const { return rows().row_range(old_, new_rank()); }
  Matrix new_rows() { return rows().row_range(old_, new_rank()); }

 private:
  void transpose_old_rows();

  Backend& backend_;
  std::size_t size_;
  std::size_t rank_ = 0;
  std::size_t old_ = 0;
  Array<float> storage_;
  Array<float> old_transposed_;
};

}  // namespace orthospike
