#include "learning/protections/leaky.hpp"

#include "learning/protections/symmetric.hpp"

namespace orthospike {

Leaky::Part::Part(Backend& backend, const Projection& projection)
    : n(projection.fan_in),
      moment(backend.allocate<float>(n * n)),
      moments(n * n),
      damp(backend, projection) {}

Leaky::Leaky(const Network& network, const ProtectionSettings& settings)
    : backend_(network.backend()), settings_(settings.leaky) {
  for (const Projection& projection : network.projections())
    parts_.push_back(std::make_unique<Part>(backend_, projection));
}

PresynapticOperator* Leaky::presynaptic_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : &parts_[projection]->damp;
}

void Leaky::observe(std::size_t projection, const Presynaptic& activity) {
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
