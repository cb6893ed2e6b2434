#include "learning/protections/leaky_circuit.hpp"

namespace orthospike {

LeakyCircuit::LeakyCircuit(const ProtectionContext& context, const LeakySettings& settings)
    : settings_(settings) {
  for (const Projection& projection : context.projections) {
    circuits_.push_back(std::make_unique<InhibitoryCircuit>(context.backend, settings_.circuit,
                                                            settings_.lambda, projection.name,
                                                            projection.presynaptic(), context.ranks));
  }
}

void LeakyCircuit::begin_task(std::size_t /*task*/) {
  for (const auto& circuit : circuits_) circuit->begin_task();
}

PresynapticOperator* LeakyCircuit::presynaptic_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : circuits_[projection].get();
}

void LeakyCircuit::end_task() {
  for (const auto& circuit : circuits_) circuit->end_task();
}

}  // namespace orthospike
