#include "kernels/cpu/cpu_backend.hpp"

#include <cblas.h>
#include <fmt/format.h>
#include <hwy/targets.h>

#include <bit>

#include "kernels/cpu/gemm.hpp"

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

CpuSpikeIndex& CpuBackend::index_of(const ConstSpikes& spikes) {
  if (spikes.index == nullptr) own_index_.spikes_changed(1);
  CpuSpikeIndex& index = spikes.index == nullptr ? own_index_ : static_cast<CpuSpikeIndex&>(*spikes.index);
  index.update(spikes, pool_);
  return index;
}

}  // namespace orthospike
