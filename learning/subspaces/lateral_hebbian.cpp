#include "learning/subspaces/lateral_hebbian.hpp"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/subspaces.hpp"
#include "learning/protections/symmetric.hpp"

namespace orthospike {

void LateralHebbian::Settings::describe(SettingsVisitor& visit) {
  visit("hebbian.learning_rate", learning_rate, not_negative, "-",
        "Rate of the lateral Hebbian step, one a projection; the last holds for the rest.");
  visit("hebbian.iterations", iterations, {.lowest = 1, .highest = 1000}, "steps",
        "Hebbian steps on each batch.");
  visit("hebbian.momentum", momentum, fraction, "-", "Part of the Hebbian velocity kept in each step.");
  visit("hebbian.clamp", clamp, positive, "-", "Bound on each entry of the Hebbian change before momentum.");
}

LateralHebbian::LateralHebbian(Backend& backend, LateralNeurons& neurons, const ExtractorContext& context,
                               const Settings& settings)
    : backend_(backend),
      neurons_(neurons),
      ranks_(context.ranks),
      finds_unlearned_(context.finds_unlearned),
      learning_rate_(settings.learning_rate[std::min(context.projection, settings.learning_rate.size() - 1)]),
      settings_(settings) {}

void LateralHebbian::begin_task(const Subspace& subspace) {
  const ConstMatrix added = subspace.new_rows();
  velocity_ = backend_.allocate<float>(added.values.size());
  if (!finds_unlearned_) return;
  first_ = backend_.allocate<float>(added.values.size());
  backend_.copy(added.values, first_.view());
  moment_ = backend_.allocate<float>(added.rows * added.rows);
  batches_ = 0;
}

void LateralHebbian::remove_unlearned(Subspace& subspace) {
  const std::size_t m = subspace.new_rank(), n = subspace.presynaptic_size();
  if (!finds_unlearned_ || m == 0 || batches_ == 0) return;
  const std::vector<float> rows = backend_.download(View<const float>(subspace.new_rows().values));
  const std::vector<float> first = backend_.download(View<const float>(first_.view()));
  std::vector<float> moment = backend_.download(View<const float>(moment_.view()));
  ranks_.sum(std::span(moment));
  std::vector<double> moves(m * n);
  double largest = 0, strongest = 0;  // of ‖row‖², of a row's response energy
  for (std::size_t k = 0; k < m; ++k) {
    double size = 0;
    for (std::size_t i = k * n; i < (k + 1) * n; ++i) {
      moves[i] = static_cast<double>(rows[i]) - first[i];
      size += static_cast<double>(rows[i]) * rows[i];
    }
    const double energy = moment[k * m + k];
    if (!std::isfinite(size + energy)) return;  // what measures or uses the rows says so
    largest = std::max(largest, size);
    strongest = std::max(strongest, energy);
  }
  const auto rounding = [](std::size_t steps) {
    return 8 * std::ldexp(std::sqrt(static_cast<double>(steps)), -24);
  };
  const double move = largest * std::pow(rounding(batches_ * settings_.iterations), 2);
  const double response = strongest == 0 ? 1 : strongest * rounding(batches_);
  // cᵀ · evidence · c ≤ 1: neither moved nor responded more than that.
  std::vector<double> evidence(moment.begin(), moment.end());
  const auto rank = static_cast<int>(m), size = static_cast<int>(n);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rank, rank, size, 1 / move, moves.data(), size,
              moves.data(), size, 1 / response, evidence.data(), rank);
  const Eigensystem axes = eigensystem("a subspace", std::move(evidence), m);
  const auto learned =
      static_cast<std::size_t>(std::ranges::count_if(axes.values, [](double value) { return value > 1; }));
  if (learned == m) return;
  std::vector<float> kept(learned * n);
  const std::vector<float> turn(axes.vectors.begin(),
                                axes.vectors.begin() + static_cast<std::ptrdiff_t>(learned * m));
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<int>(learned), size, rank, 1.0F,
              turn.data(), rank, rows.data(), size, 0.0F, kept.data(), size);
  subspace.replace_new_rows(kept);
}

void LateralHebbian::state(Archive& archive) {
  archive.resizable("velocity", velocity_);
  archive.resizable("first", first_);
  archive.resizable_summed("moment", moment_);
  archive("batches", batches_);
}

double LateralHebbian::Work::direct() const {
  const double residual = residual_is_held ? 0 : 2 * product(rows, old_neurons, inputs);
  return residual + static_cast<double>(iterations) * 3 * product(rows, new_neurons, inputs);
}

double LateralHebbian::Work::shortcut() const {
  const std::size_t all_neurons = old_neurons + new_neurons;
  return product(rows, inputs, inputs + 1) / 2 +
         static_cast<double>(iterations) *
             (product(new_neurons, inputs, inputs) + 2 * product(new_neurons, all_neurons, inputs));
}

void LateralHebbian::learn(const Presynaptic& x, const OldResidual& old_residual, Subspace& subspace) {
  ++batches_;
  const Work work{.rows = x.rows,
                  .inputs = x.cols,
                  .new_neurons = subspace.new_rank(),
                  .old_neurons = subspace.old_rank(),
                  .iterations = settings_.iterations,
                  .residual_is_held = old_residual.is_held};
  if (neurons_.linear() && x.has_events()) {
    learn_by_events(x, old_residual, subspace);
  } else if (neurons_.linear() && work.shortcut() < work.direct()) {
    learn_by_shortcut(x, subspace);
  } else {
    learn_direct(x, old_residual.get(), subspace.new_rows());
  }
}

void LateralHebbian::learn_direct(const Presynaptic& x, ConstMatrix old_residual, Matrix h) {
  const Matrix y = grown(backend_, response_, x.rows, h.rows);
  const Matrix residual = grown(backend_, residual_, x.rows, x.cols);
  for (std::size_t k = 0; k < settings_.iterations; ++k) {
    backend_.dense().run(Multiply{.a = x, .b = h, .transpose_b = true, .c = y});
    neurons_.respond(y);
    if (k == 0 && finds_unlearned_)
      backend_.dense().run(
          Multiply{.a = y, .transpose_a = true, .b = y, .beta = 1.0F, .c = moment_.matrix(h.rows, h.rows)});
    backend_.dense().run(
        Multiply{.alpha = -1.0F, .a = y, .b = h, .beta = 1.0F, .addend = old_residual, .c = residual});
    const Matrix velocity = velocity_.matrix(h.rows, h.cols);
    if (ranks_.is_alone()) {
      backend_.subspaces().run(
          HebbianStep{.rates = rates(x), .response = y, .residual = residual, .velocity = velocity, .h = h});
      continue;
    }
    const Matrix d = grown(backend_, correlation_, h.rows, h.cols);
    backend_.dense().run(Multiply{.a = y, .transpose_a = true, .b = residual, .c = d});
    ranks_.sum(backend_, d.values);
    backend_.subspaces().run(
        FollowCorrelation{.rates = rates(x), .correlation = d, .velocity = velocity, .h = h});
  }
}

void LateralHebbian::learn_by_events(const Presynaptic& x, const OldResidual& old_residual,
                                     Subspace& subspace) {
  const Matrix h = subspace.new_rows();
  if (one_.size() == 0) {
    one_ = backend_.allocate<float>(1);
    backend_.elementwise().run(RaiseTo{.bound = 1.0F, .values = one_.view()});
  }
  const std::size_t n = x.cols;
  const Matrix y = grown(backend_, response_, x.rows, h.rows);
  const Matrix transposed = grown(backend_, transposed_, n, h.rows);
  const Matrix d = grown(backend_, correlation_, n, h.rows);
  const Matrix overlap = grown(backend_, overlap_, h.rows, h.rows);
  backend_.dense().run(Transpose{.a = h, .b = transposed});
  for (std::size_t k = 0; k < settings_.iterations; ++k) {
    backend_.delivery().run(Deliver{.spikes = x.spikes,
                                    .weights = transposed,
                                    .height = one_.view(),
                                    .crossover = subspace_crossover,
                                    .currents = y});
    if (subspace.old_rank() > 0) {
      backend_.dense().run(Multiply{.a = old_residual.get(), .transpose_a = true, .b = y, .c = d});
    } else {
      add_outer_products(backend_, 1.0F, x, y, 0.0F, d);
    }
    backend_.dense().run(Multiply{.a = y, .transpose_a = true, .b = y, .c = overlap});
    if (k == 0 && finds_unlearned_) backend_.elementwise().run(Add{.x = overlap.values, .y = moment_.view()});
    backend_.dense().run(Multiply{.alpha = -1.0F, .a = transposed, .b = overlap, .beta = 1.0F, .c = d});
    ranks_.sum(backend_, d.values);
    backend_.subspaces().run(FollowCorrelation{
        .rates = rates(x), .correlation = d, .velocity = velocity_.matrix(n, h.rows), .h = transposed});
  }
  backend_.dense().run(Transpose{.a = transposed, .b = h});
}

void LateralHebbian::learn_by_shortcut(const Presynaptic& x, Subspace& subspace) {
  const Matrix h = subspace.new_rows();
  const ConstMatrix old = subspace.old_rows();
  const std::size_t n = x.cols;
  const Matrix c = grown(backend_, second_moment_, n, n);
  backend_.dense().run(AddMoment{.x = x, .sum = c});
  backend_.dense().run(MirrorLower{.matrix = c});
  const Matrix hc = grown(backend_, mapped_, h.rows, n);
  const Matrix overlap = grown(backend_, overlap_, h.rows, h.rows);
  const Matrix old_overlap = grown(backend_, old_overlap_, h.rows, old.rows);
  const Matrix d = grown(backend_, correlation_, h.rows, n);
  for (std::size_t k = 0; k < settings_.iterations; ++k) {
    backend_.dense().run(Multiply{.a = h, .b = c, .c = hc});
    backend_.dense().run(Multiply{.a = hc, .b = h, .transpose_b = true, .c = overlap});
    if (k == 0 && finds_unlearned_) backend_.elementwise().run(Add{.x = overlap.values, .y = moment_.view()});
    backend_.dense().run(Multiply{.alpha = -1.0F, .a = overlap, .b = h, .beta = 1.0F, .addend = hc, .c = d});
    if (old.rows > 0) {
      backend_.dense().run(Multiply{.a = hc, .b = old, .transpose_b = true, .c = old_overlap});
      backend_.dense().run(Multiply{.alpha = -1.0F, .a = old_overlap, .b = old, .beta = 1.0F, .c = d});
    }
    ranks_.sum(backend_, d.values);
    backend_.subspaces().run(FollowCorrelation{
        .rates = rates(x), .correlation = d, .velocity = velocity_.matrix(h.rows, n), .h = h});
  }
}

HebbianRates LateralHebbian::rates(const Presynaptic& x) const {
  return {.learning_rate = learning_rate_,
          .momentum = settings_.momentum,
          .scale = 1.0F / static_cast<float>(x.all_rows()),
          .clamp = settings_.clamp};
}

}  // namespace orthospike
