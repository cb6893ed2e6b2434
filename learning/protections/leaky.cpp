#include "learning/protections/leaky.hpp"

namespace orthospike {

void describe_lambda(SettingsVisitor& visit, float& lambda) {
  visit(
      "leaky.lambda", lambda, positive, "-",
      "Energy of a direction in earlier tasks at which changes along it are halved; a task has energy 1 in its "
      "mean direction.");
}

void LeakySettings::describe(SettingsVisitor& visit) {
  describe_lambda(visit, lambda);
  visit("leaky.consolidation", consolidation,
        {{"boundaries", Consolidation::boundaries, "at the end of its task"},
         {"slow", Consolidation::slow,
          "as it enters a slow average from a fast one, which needs no boundaries and detects none"}},
        "When activity comes to protect");
  visit.only(consolidation == Consolidation::slow, "leaky.consolidation slow", [&] {
    visit("leaky.fast_updates", fast_updates, at_least(1), "batches",
          "Time constant of the fast average: how late a task's own activity comes to protect.");
    visit("leaky.slow_updates", slow_updates, at_least(1), "batches",
          "So many batches protect as much as a finished task does with boundaries.");
    visit("leaky.refresh", refresh, at_least(1), "batches",
          "Batches from one computation of the slow average and its operator to the next.");
  });
  visit.only(consolidation == Consolidation::boundaries, "leaky.consolidation boundaries", [&] {
    visit("leaky.form", form,
          {{"exact", Form::exact, "an operator computed at the end of each task"},
           {"circuit", Form::circuit, "learned lateral weights under which traces settle"}},
          "How directions are weakened");
  });
  visit.only(is_circuit(), "leaky.form circuit", [&] { circuit.describe(visit, "leaky"); });
}

Leaky::Part::Part(Backend& backend, const Projection& projection, Communicator& ranks)
    : moment(backend, projection.name, projection.presynaptic(), ranks),
      damp(backend, projection.name, projection.presynaptic()) {}

Leaky::Leaky(const ProtectionContext& context, const LeakySettings& settings) : settings_(settings) {
  for (const Projection& projection : context.projections)
    parts_.push_back(std::make_unique<Part>(context.backend, projection, context.ranks));
}

PresynapticOperator* Leaky::presynaptic_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : &parts_[projection]->damp;
}

void Leaky::end_task() {
  for (const auto& part : parts_) {
    part->moment.end_task();
    part->damp.set(part->moment.sum(), settings_.lambda);
  }
}

}  // namespace orthospike
