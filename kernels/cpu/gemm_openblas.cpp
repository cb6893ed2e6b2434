// Dense products by OpenBLAS: where oneDNN has no fast ones.
#include <cblas.h>

#include "kernels/cpu/gemm.hpp"

namespace orthospike {

void gemm(std::size_t rows, std::size_t cols, std::size_t inner, float alpha, const Operand& a,
          const Operand& b, float beta, float* c, std::size_t c_stride) {
  // OpenBLAS on OpenMP goes by what the calling thread is set to.
  thread_local const bool alone = (openblas_set_num_threads(1), true);
  static_cast<void>(alone);
  const auto blas = [](bool transpose) { return transpose ? CblasTrans : CblasNoTrans; };
  const auto size = [](std::size_t of) { return static_cast<int>(of); };
  cblas_sgemm(CblasRowMajor, blas(a.transpose), blas(b.transpose), size(rows), size(cols), size(inner), alpha,
              a.address, size(a.stride), b.address, size(b.stride), beta, c, size(c_stride));
}

std::string gemm_library() {
  return "OpenBLAS";
}

const char* gemm_variable() {
  return "OPENBLAS_CORETYPE";
}

InstructionSet gemm_instruction_set() {
  return openblas_instruction_set();
}

}  // namespace orthospike
