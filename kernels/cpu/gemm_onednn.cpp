// Dense products by oneDNN, which goes by instruction sets. On x86-64; elsewhere its products are slow.
#include <fmt/format.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <stdexcept>

#include "kernels/cpu/gemm.hpp"

namespace orthospike {

void gemm(std::size_t rows, std::size_t cols, std::size_t inner, float alpha, const Operand& a,
          const Operand& b, float beta, float* c, std::size_t c_stride) {
  if (rows == 0 || cols == 0) return;
  if (inner == 0) {  // which it refuses
    for (std::size_t row = 0; row < rows; ++row) {
      float* const of_row = c + row * c_stride;
      std::transform(of_row, of_row + cols, of_row,
                     [=](float value) { return beta == 0.0F ? 0.0F : beta * value; });
    }
    return;
  }
  // oneDNN would share a product among OpenMP's threads, as many as the calling thread is set to.
  thread_local const bool alone = (omp_set_num_threads(1), true);
  static_cast<void>(alone);
  const auto letter = [](bool transpose) { return transpose ? 'T' : 'N'; };
  const auto size = [](std::size_t of) { return static_cast<dnnl_dim_t>(of); };
  const dnnl_status_t status =
      dnnl_sgemm(letter(a.transpose), letter(b.transpose), size(rows), size(cols), size(inner), alpha,
                 a.address, size(a.stride), b.address, size(b.stride), beta, c, size(c_stride));
  if (status != dnnl_success)
    throw std::logic_error(fmt::format("dnnl_sgemm failed with status {}", int{status}));
}

std::string gemm_library() {
  const dnnl_version_t& version = *dnnl_version();
  return fmt::format("oneDNN {}.{}.{}", version.major, version.minor, version.patch);
}

const char* gemm_variable() {
  return "ONEDNN_MAX_CPU_ISA";
}

InstructionSet gemm_instruction_set() {
  switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_avx512_core:
    case dnnl_cpu_isa_avx512_core_vnni:
    case dnnl_cpu_isa_avx512_core_bf16:
    case dnnl_cpu_isa_avx512_core_amx:
    case dnnl_cpu_isa_all:
      return InstructionSet::avx512;
    case dnnl_cpu_isa_avx2:
    case dnnl_cpu_isa_avx2_vnni:
      return InstructionSet::avx2;
    default:
      return InstructionSet::baseline;
  }
}

}  // namespace orthospike
