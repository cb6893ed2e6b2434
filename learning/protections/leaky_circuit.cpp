#include "learning/protections/leaky_circuit.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/lateral.hpp"
#include "learning/protections/symmetric.hpp"

namespace orthospike {

LeakyCircuit::Part::Part(Backend& backend, const LeakySettings& settings, const Projection& projection)
    : backend(backend),
      settings(settings),
      projection(projection.name),
      n(projection.fan_in),
      old_weights(backend.allocate<float>(n * n)),
      new_weights(backend.allocate<float>(n * n)) {}

Matrix LeakyCircuit::Part::settle(ConstMatrix x, bool neurons_are_rows) {
  const std::size_t size = x.values.size();
  if (activity.size() < size) {
    for (Array<float>* array : {&activity, &drive, &change}) *array = backend.allocate<float>(size);
  }
  const ConstMatrix inhibition = std::as_const(old_weights).matrix(n, n);
  const Matrix z = activity.matrix(x.rows, x.cols);
  const Matrix r = drive.matrix(x.rows, x.cols);
  const Matrix d = change.matrix(x.rows, x.cols);
  backend.clear(z.values);
  backend.clear(d.values);
  const double centre = (bound + 1) / 2, radius = (bound - 1) / 2;
  double previous = 0;
  for (std::size_t k = 0; k < steps; ++k) {
    if (neurons_are_rows) {
      backend.dense().run(
          Multiply{.alpha = -1.0F, .a = inhibition, .b = z, .beta = 1.0F, .addend = x, .c = r});
    } else {
      backend.dense().run(
          Multiply{.alpha = -1.0F, .a = z, .b = inhibition, .beta = 1.0F, .addend = x, .c = r});
    }
    backend.elementwise().run(Add{.alpha = -1.0F, .x = z.values, .y = r.values});
    // a_0 = 1 / centre; then with ρ_k = 1 / (2 centre / radius - ρ_{k-1}), ρ_0 = radius / centre:
    // b_k = ρ_k ρ_{k-1}, a_k = 2 ρ_k / radius.
    const double rho = k == 0 ? radius / centre : radius / (2 * centre - radius * previous);
    const double gain = k == 0 ? 1 / centre : 2 / (2 * centre - radius * previous);
    backend.elementwise().run(Add{.alpha = static_cast<float>(gain),
                                  .x = r.values,
                                  .beta = static_cast<float>(rho * previous),
                                  .y = d.values});
    backend.elementwise().run(Add{.x = d.values, .y = z.values});
    previous = rho;
  }
  return z;
}

Matrix LeakyCircuit::Part::settle_by_spikes(ConstMatrix x) {
  const std::size_t size = x.values.size();
  if (activity.size() < size) {
    for (Array<float>* array : {&activity, &drive}) *array = backend.allocate<float>(size);
  }
  const Matrix z = activity.matrix(x.rows, x.cols);
  const Matrix potential = drive.matrix(x.rows, x.cols);
  backend.copy(x.values, potential.values);
  backend.lateral().run(SettleBySpikes{.height = settings.spike_height,
                                       .sweeps = settings.sweeps,
                                       .inhibition = std::as_const(old_weights).matrix(n, n),
                                       .potential = potential,
                                       .activity = z});
  return z;
}

ConstMatrix LeakyCircuit::Part::apply_to_traces(const Presynaptic& traces) {
  return settings.is_spiking() ? settle_by_spikes(traces) : settle(traces, false);
}

void LeakyCircuit::Part::apply_to_gradient(Matrix gradient) {
  backend.copy(View<const float>(settle(gradient, true).values), gradient.values);
}

LeakyCircuit::LeakyCircuit(const Network& network, const LeakySettings& settings)
    : backend_(network.backend()), settings_(settings) {
  for (const Projection& projection : network.projections())
    parts_.push_back(std::make_unique<Part>(backend_, settings_, projection));
}

void LeakyCircuit::begin_task(std::size_t /*task*/) {
  for (const auto& part : parts_) part->batches = 0;
}

PresynapticOperator* LeakyCircuit::presynaptic_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : parts_[projection].get();
}

void LeakyCircuit::observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) {
  Part& part = *parts_[projection];
  const float rate = std::max(settings_.learning_rate, 1.0F / static_cast<float>(++part.batches));
  add_outer_products(backend_, rate / (settings_.lambda * static_cast<float>(activity.rows)), activity,
                     activity, 1.0F - rate, part.new_weights.matrix(part.n, part.n));
}

void LeakyCircuit::end_task() {
  for (const auto& part : parts_) {
    if (part->batches == 0) continue;
    const auto host = [&](const Array<float>& weights) {
      const std::vector<float> values = backend_.download(weights.view());
      return std::vector<double>(values.begin(), values.end());
    };
    const double sum = trace(host(part->new_weights), part->n);
    if (sum != 0) {  // else the source is silent
      const double scale = static_cast<double>(part->n) / settings_.lambda / sum;
      backend_.elementwise().run(Add{.alpha = static_cast<float>(scale),
                                     .x = std::as_const(part->new_weights).view(),
                                     .y = part->old_weights.view()});
    }
    const std::vector<double> spectrum = eigenvalues(part->projection, host(part->old_weights), part->n);
    part->effective_rank = 0;
    for (const double value : spectrum) part->effective_rank += value / (1 + value);
    part->bound = 1 + 1.001 * spectrum.front();  // a margin for rounding
    const double root = std::sqrt(part->bound);
    const double wanted = std::log(2 / settings_.tolerance) / std::log((root + 1) / (root - 1));
    part->steps = std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(wanted)));
  }
}

}  // namespace orthospike
