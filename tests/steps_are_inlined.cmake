# A neuron model's step whose words are function calls takes four times as long (kernels/neurons/ops.hpp).
execute_process(COMMAND ${nm} -C ${library} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]*VectorOps[^\n]*" called "${symbols}")
if(called)
  list(JOIN called "\n  " called)
  message(FATAL_ERROR "The compiler calls words of neuron models instead of inlining them:\n  ${called}\n"
    "Write ORTHOSPIKE_STEP before the model's functions (kernels/neurons/); if they have it, make the words above "
    "HWY_INLINE in kernels/cpu/neurons.cpp on the targets (N_TARGET) named there, as exp is on HWY_SCALAR.")
endif()
