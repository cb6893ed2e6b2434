#include "kernels/cpu/instruction_set.hpp"

#include <cblas.h>
#include <fmt/format.h>
#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "kernels/cpu/gemm.hpp"

namespace orthospike {

std::string name_of(InstructionSet set) {
  switch (set) {
    case InstructionSet::avx512:
      return "AVX-512";
    case InstructionSet::avx2:
      return "AVX2";
    case InstructionSet::baseline:
      break;
  }
  return "baseline";
}

InstructionSet processor_instruction_set() {
#if HWY_ARCH_X86
  const auto targets = hwy::SupportedTargets();
  if ((targets & (HWY_AVX3 | HWY_AVX3_DL)) != 0) return InstructionSet::avx512;
  if ((targets & HWY_AVX2) != 0) return InstructionSet::avx2;
#endif
  return InstructionSet::baseline;
}

InstructionSet openblas_instruction_set() {
  constexpr std::array avx512 = {"SkylakeX", "Cooperlake", "Sapphirerapids"};
  constexpr std::array avx2 = {"Haswell", "Zen", "Excavator"};
  const std::string_view core = openblas_get_corename();
  if (std::ranges::count(avx512, core) > 0) return InstructionSet::avx512;
  return std::ranges::count(avx2, core) > 0 ? InstructionSet::avx2 : InstructionSet::baseline;
}

std::vector<std::string> slow_libraries() {
  const auto told = [](const char* variable, InstructionSet otherwise) {
    return std::getenv(variable) == nullptr ? otherwise : InstructionSet::avx512;
  };
  return slow_libraries(processor_instruction_set(), told(gemm_variable(), gemm_instruction_set()),
                        told("OPENBLAS_CORETYPE", openblas_instruction_set()));
}

std::vector<std::string> slow_libraries(InstructionSet processor, InstructionSet products,
                                        InstructionSet factorisations) {
  std::vector<std::string> sentences;
  if (products < processor) {
    sentences.push_back(fmt::format("{} multiplies matrices with {} code, though this processor has {}",
                                    gemm_library(), name_of(products), name_of(processor)));
  }
  if (factorisations < processor) {
    sentences.push_back(fmt::format(
        "OpenBLAS takes this processor for a {} and factorises slowly, though this processor has {}; "
        "OPENBLAS_CORETYPE={} in the environment mends that",
        openblas_get_corename(), name_of(processor),
        processor == InstructionSet::avx512 ? "SkylakeX" : "Haswell"));
  }
  return sentences;
}

}  // namespace orthospike
