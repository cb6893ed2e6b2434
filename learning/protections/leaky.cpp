#include "learning/protections/leaky.hpp"

#include "learning/protections/symmetric.hpp"

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
  visit.only(is_circuit(), "leaky.form circuit", [&] {
    visit(
        "leaky.learning_rate", learning_rate, fraction, "1/batch",
        "Rate of the circuit's lateral weights once a task has had more than 1/rate batches; before, and with 0 "
        "always, they are the mean over the batches.");
    visit("leaky.lateral_neurons", lateral_neurons,
          {{"linear", Neurons::linear, ""}, {"spiking", Neurons::spiking, ""}},
          "How neurons of the circuit inhibit each other");
    visit.only(!is_spiking(), "leaky.lateral_neurons linear", [&] {
      visit("leaky.tolerance", tolerance, positive_fraction, "-",
            "Largest relative error that settling leaves along each eigenvector.");
    });
    visit.only(is_spiking(), "leaky.lateral_neurons spiking", [&] {
      visit("leaky.spike_height", spike_height, positive, "-", "Activity that one spike stands for.");
      visit(
          "leaky.sweeps", sweeps, {.lowest = 1, .highest = 100000}, "-",
          "How often each neuron may fire a burst while a trace settles; it ends earlier when all are silent.");
    });
  });
}

Leaky::Part::Part(Backend& backend, const Projection& projection)
    : n(projection.fan_in),
      moment(backend.allocate<float>(n * n)),
      moments(n * n),
      damp(backend, projection) {}

Leaky::Leaky(const Network& network, const LeakySettings& settings)
    : backend_(network.backend()), settings_(settings) {
  for (const Projection& projection : network.projections())
    parts_.push_back(std::make_unique<Part>(backend_, projection));
}

PresynapticOperator* Leaky::presynaptic_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : &parts_[projection]->damp;
}

void Leaky::observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) {
  Part& part = *parts_[projection];
  add_outer_products(backend_, 1.0F, activity, activity, 1.0F, part.moment.matrix(part.n, part.n));
}

void Leaky::end_task() {
  for (const auto& part : parts_) {
    const std::vector<float> sum = backend_.download(View<const float>(part->moment.view()));
    backend_.clear(part->moment.view());
    const std::vector<double> moment(sum.begin(), sum.end());
    const double energy = trace(moment, part->n);
    if (energy != 0) {  // a silent source has nothing to protect
      for (std::size_t i = 0; i < moment.size(); ++i)
        part->moments[i] += moment[i] * static_cast<double>(part->n) / energy;
    }
    part->damp.set(part->moments, settings_.lambda);
  }
}

}  // namespace orthospike
