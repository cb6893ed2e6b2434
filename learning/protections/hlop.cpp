#include "learning/protections/hlop.hpp"

#include <algorithm>

namespace orthospike {

Hlop::Part::Part(Backend& backend, LateralNeurons& neurons, std::size_t presynaptic_size,
                 std::size_t max_rows)
    : backend(backend),
      neurons(neurons),
      subspace(backend, presynaptic_size),
      residual(backend.allocate<float>(max_rows * presynaptic_size)),
      one(backend.allocate<float>(1)) {
  backend.raise_to(1.0F, one.view());
}

ConstMatrix Hlop::Part::residual_of(const Presynaptic& x) {
  if (subspace.old_rank() == 0) return x;
  const Matrix result = residual.matrix(x.rows, x.cols);
  if (x.address() != residual_source.address() || x.rows != residual_source.rows) {
    remove_responses(x, result);
    residual_source = x;
  }
  return result;
}

void Hlop::Part::remove_responses(const Presynaptic& x, Matrix result) {
  const ConstMatrix h = subspace.old_rows();
  if (neurons.linear() && !x.has_events()) {
    backend.remove_subspace(h, x, result);
    return;
  }
  const Matrix y = responses(x.rows, h.rows);
  if (x.has_events()) {
    backend.deliver(x.spikes, subspace.old_rows_transposed(), one.view(), 1.0F, Delivery::automatic,
                    subspace_crossover, y);
  } else {
    backend.multiply(1.0F, x, Transpose::no, h, Transpose::yes, 0.0F, y);
  }
  neurons.respond(y);
  backend.multiply(-1.0F, y, Transpose::no, h, Transpose::no, 1.0F, x, result);
}

Matrix Hlop::Part::responses(std::size_t rows, std::size_t cols) {
  if (response.size() < rows * cols) response = backend.allocate<float>(rows * cols);
  return response.matrix(rows, cols);
}

ConstMatrix Hlop::Part::apply_to_traces(const Presynaptic& traces) {
  residual_source = {};
  return residual_of(traces);
}

void Hlop::Part::apply_to_gradient(Matrix gradient) {
  const ConstMatrix h = subspace.old_rows();
  const Matrix y = responses(h.rows, gradient.cols);
  backend.multiply(1.0F, h, Transpose::no, gradient, Transpose::no, 0.0F, y);
  backend.multiply(-1.0F, h, Transpose::yes, y, Transpose::no, 1.0F, gradient);
}

Hlop::Hlop(const Network& network, const ProtectionSettings& settings)
    : settings_(settings.hlop),
      seed_(settings.seed),
      neurons_(lateral_neurons().make(settings_.lateral_neurons, network.backend(), settings_.lateral)) {
  for (std::size_t p = 0; p < network.projections().size(); ++p) {
    parts_.push_back(std::make_unique<Part>(network.backend(), *neurons_, network.projections()[p].fan_in,
                                            settings.max_rows));
    parts_[p]->extractor =
        extractors().make(settings_.extractor, network.backend(), *neurons_, settings_.learning[p]);
  }
}

void Hlop::begin_task(std::size_t task) {
  for (std::size_t p = 0; p < parts_.size(); ++p) {
    Subspace& subspace = parts_[p]->subspace;
    const std::size_t left = subspace.presynaptic_size() - subspace.rank();
    const auto stream = static_cast<std::uint32_t>(task * parts_.size() + p);
    subspace.append(std::min(settings_.ranks[task][p], left), {seed_, RandomPurpose::subspace, stream});
    parts_[p]->extractor->begin_task(subspace);
  }
}

PresynapticOperator* Hlop::presynaptic_operator(std::size_t projection) {
  return parts_[projection]->subspace.old_rank() == 0 ? nullptr : parts_[projection].get();
}

void Hlop::observe(std::size_t projection, const Presynaptic& activity) {
  Part& part = *parts_[projection];
  if (part.subspace.new_rank() > 0)
    part.extractor->learn(activity, part.residual_of(activity), part.subspace);
  part.residual_source = {};
}

void Hlop::end_task() {
  for (const auto& part : parts_) {
    if (settings_.orthonormalise) part->subspace.orthonormalise_new_rows();
    part->subspace.freeze();
  }
}

}  // namespace orthospike
