#include "learning/subspaces/subspace.hpp"

#include "kernels/dense.hpp"
#include "kernels/random_numbers.hpp"
#include "kernels/subspaces.hpp"

namespace orthospike {

void Subspace::append(std::size_t count, const RandomKey& key) {
  Array<float> larger = backend_.allocate<float>((rank_ + count) * size_);
  backend_.copy(View<const float>(storage_.view()), larger.view().subview(0, rank_ * size_));
  backend_.random_numbers().run(
      FillNormal{.values = larger.view().subview(rank_ * size_, count * size_), .key = key});
  storage_ = std::move(larger);
  const std::size_t first = rank_;
  rank_ += count;
  backend_.subspaces().run(OrthonormaliseRows{.h = rows(), .first = first});
}

void Subspace::orthonormalise_new_rows() {
  backend_.subspaces().run(OrthonormaliseRows{.h = rows(), .first = old_});
}

void Subspace::replace(std::span<const float> rows) {
  rank_ = rows.size() / size_;
  storage_ = backend_.allocate<float>(rows.size());
  backend_.upload(rows, storage_.view());
  freeze();
}

void Subspace::replace_new_rows(std::span<const float> rows) {
  Array<float> all = backend_.allocate<float>(old_ * size_ + rows.size());
  backend_.copy(old_rows().values, all.view().subview(0, old_ * size_));
  backend_.upload(rows, all.view().subview(old_ * size_, rows.size()));
  storage_ = std::move(all);
  rank_ = old_ + rows.size() / size_;
}

void Subspace::freeze() {
  old_ = rank_;
  transpose_old_rows();
}

void Subspace::state(Archive& archive) {
  archive.resizable("rows", storage_);
  archive("old_rows", old_);
  archive.check(storage_.size() % size_ == 0 && old_ * size_ <= storage_.size(), "whole rows were expected");
  rank_ = storage_.size() / size_;
  if (archive.loads()) transpose_old_rows();
}

void Subspace::transpose_old_rows() {
  old_transposed_ = backend_.allocate<float>(size_ * old_);
  backend_.dense().run(Transpose{.a = old_rows(), .b = old_transposed_.matrix(size_, old_)});
}

}  // namespace orthospike
