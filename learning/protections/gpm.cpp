#include "learning/protections/gpm.hpp"

#include "kernels/subspaces.hpp"
#include "learning/protections/symmetric.hpp"

namespace orthospike {

Gpm::Part::Part(Backend& backend, LinearNeurons& neurons, const Projection& projection, std::size_t max_rows)
    : projection(projection.name),
      subspace(backend, projection.presynaptic()),
      moment(backend.allocate<float>(projection.presynaptic() * projection.presynaptic())),
      remove(backend, neurons, subspace, max_rows) {}

void Gpm::Settings::describe(SettingsVisitor& visit) {
  visit(
      "gpm.threshold", threshold, fraction, "-",
      "Part of a task's energy that the rows hold, one a projection; the last holds for the rest. Published for "
      "permuted MNIST: 0.95, 0.99 of later projections.");
}

Gpm::Gpm(const ProtectionContext& context, const Settings& settings)
    : backend_(context.backend), settings_(settings), ranks_(context.ranks) {
  for (const Projection& projection : context.projections)
    parts_.push_back(std::make_unique<Part>(backend_, neurons_, projection, context.max_rows_of(projection)));
}

PresynapticOperator* Gpm::presynaptic_operator(std::size_t projection) {
  Part& part = *parts_[projection];
  return part.subspace.old_rank() == 0 ? nullptr : &part.remove;
}

void Gpm::observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) {
  Part& part = *parts_[projection];
  add_outer_products(backend_, 1.0F, activity, activity, 1.0F,
                     part.moment.matrix(activity.cols, activity.cols));
}

void Gpm::end_task() {
  for (std::size_t p = 0; p < parts_.size(); ++p) {
    Part& part = *parts_[p];
    const std::size_t n = part.subspace.presynaptic_size();
    const Matrix moment = part.moment.matrix(n, n);
    ranks_.sum(backend_, moment.values);
    const auto host = [&] {
      const std::vector<float> values = backend_.download(View<const float>(moment.values));
      return std::vector<double>(values.begin(), values.end());
    };
    const double energy = trace(host(), n);
    if (part.subspace.old_rank() > 0) {  // from both sides: it is symmetric
      backend_.subspaces().run(
          RemoveSubspace{.h = part.subspace.old_rows(), .x = moment, .residual = moment});
      part.remove.apply_to_gradient(moment);
    }
    const std::vector<double> residual = host();
    backend_.clear(moment.values);

    const float threshold = settings_.threshold[std::min(p, settings_.threshold.size() - 1)];
    double missing = trace(residual, n) - (1.0 - threshold) * energy;
    if (missing <= 0) continue;
    const Eigensystem components = eigensystem(part.projection, residual, n);
    std::vector<float> rows = backend_.download(part.subspace.old_rows().values);
    for (std::size_t k = 0; rows.size() < n * n && missing > 0; ++k) {
      const auto row = components.vectors.begin() + static_cast<std::ptrdiff_t>(k * n);
      rows.insert(rows.end(), row, row + static_cast<std::ptrdiff_t>(n));
      missing -= components.values[k];
    }
    part.subspace.replace(rows);
  }
}

}  // namespace orthospike
