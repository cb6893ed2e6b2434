#include "kernels/cpu/cpu_backend.hpp"

#include <cblas.h>
#include <fmt/format.h>
#include <hwy/targets.h>

#include <bit>

#include "kernels/cpu/gemm.hpp"
#include "kernels/shapes.hpp"

namespace orthospike {

CpuBackend::CpuBackend(int threads) : pool_(threads) {
  make_families(*this);
  // For what calls BLAS and LAPACK on this thread; threads of their own would disturb the pool's.
  openblas_set_num_threads(1);
}

std::string CpuBackend::device() const {
  // The lowest set bit among the supported targets is the best one.
  const auto supported = static_cast<std::uint64_t>(hwy::SupportedTargets());
  const auto best = static_cast<std::int64_t>(std::uint64_t{1} << std::countr_zero(supported));
  return fmt::format("cpu ({} SIMD, {} {}, OpenBLAS {})", hwy::TargetName(best), gemm_library(),
                     name_of(gemm_instruction_set()), openblas_get_corename());
}

Matrix CpuBackend::scratch(std::size_t rows, std::size_t cols) {
  // Some more than asked for: numbers of groups of spikes change from batch to batch.
  if (scratch_.size() < rows * cols) scratch_ = allocate<float>(rows * cols + rows * cols / 2);
  return scratch_.matrix(rows, cols);
}

SpikeIndex CpuBackend::make_spike_index() {
  auto index = std::make_unique<CpuSpikeIndex>();
  void* const name = index.get();
  indices_.emplace(name, std::move(index));
  return SpikeIndex(Memory(name, [this](void* kept) { indices_.erase(kept); }));
}

CpuSpikeIndex& CpuBackend::index_of(const ConstSpikes& spikes) {
  const auto kept = indices_.find(spikes.index.index);
  require(spikes.index.index == nullptr || kept != indices_.end(), "spikes",
          "their index is kept by another back end");
  CpuSpikeIndex& index = kept == indices_.end() ? passing_index_ : *kept->second;
  index.update(spikes, pool_);
  return index;
}

}  // namespace orthospike
