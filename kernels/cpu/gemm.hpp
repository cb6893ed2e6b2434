#pragma once

#include <cstddef>
#include <string>

#include "kernels/cpu/instruction_set.hpp"

namespace orthospike {

/// A row-major operand of a dense product: element (i, j) is at address[i · stride + j] before it is transposed.
struct Operand {
  const float* address;
  std::size_t stride;
  bool transpose = false;
};

/// c [rows × cols, stride c_stride] ← alpha · op(a) · op(b) + beta · c, where op(a) has `inner` columns; c is not
/// read where beta is 0. In the calling thread alone. The library behind it, chosen when the program is built, picks
/// its code by what the processor can do.
void gemm(std::size_t rows, std::size_t cols, std::size_t inner, float alpha, const Operand& a,
          const Operand& b, float beta, float* c, std::size_t c_stride);

/// For people: "oneDNN 2.6.3".
std::string gemm_library();
/// Of the code that gemm uses on this processor.
InstructionSet gemm_instruction_set();
/// The environment variable with which a user tells the library what to use.
const char* gemm_variable();

}  // namespace orthospike
