#pragma once

#include <string>
#include <vector>

namespace orthospike {

/// What code for x86-64 may take for granted. On other processors all is baseline.
enum class InstructionSet { baseline, avx2, avx512 };

std::string name_of(InstructionSet set);

InstructionSet processor_instruction_set();
/// Of the code that OpenBLAS, which decides by the model of the processor, has picked.
InstructionSet openblas_instruction_set();

/// Of each library that picked less than the processor offers, though nobody told it to, a sentence for the user.
std::vector<std::string> slow_libraries();
/// The same of given instruction sets: of the processor, of dense products, of factorisations (OpenBLAS).
std::vector<std::string> slow_libraries(InstructionSet processor, InstructionSet products,
                                        InstructionSet factorisations);

}  // namespace orthospike
