#include "learning/protections/kfac.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "learning/protections/symmetric.hpp"

namespace orthospike {

namespace {

Matrix grown(Backend& backend, Array<float>& array, std::size_t rows, std::size_t cols) {
  if (array.size() < rows * cols) array = backend.allocate<float>(rows * cols);
  return array.matrix(rows, cols);
}

void store(Backend& backend, const std::vector<double>& values, Array<float>& array) {
  const std::vector<float> rounded(values.begin(), values.end());
  backend.upload(std::span<const float>(rounded), array.view());
}

}  // namespace

void Kfac::Settings::describe(SettingsVisitor& visit) {
  visit(
      "kfac.lambda", lambda, positive, "-",
      "Product of a presynaptic and a postsynaptic energy at which changes along both directions are halved; a task has "
      "energy 1 in its mean direction. One a projection; the last holds for the rest.");
  visit(
      "kfac.directions", directions, at_least(1), "-",
      "Postsynaptic directions of a projection that have an energy of their own; the others share their mean. As many as "
      "there are neurons or more: the exact form.");
  visit(
      "kfac.power", power, positive, "-",
      "1 / (1 + energy^power) of a change is left: above 1 the step from free to protected directions is steeper.");
  visit("kfac.factors", factors,
        {{"both", Factors::both, ""},
         {"presynaptic", Factors::presynaptic, "as if earlier tasks cared about all targets alike"},
         {"postsynaptic", Factors::postsynaptic, "as if they used all sources alike"}},
        "Sides that count");
}

void Kfac::Side::end_task(Backend& backend, const std::string& projection) {
  const std::vector<float> sum = backend.download(View<const float>(moment.view()));
  backend.clear(moment.view());
  const std::vector<double> latest(sum.begin(), sum.end());
  const double energy = trace(latest, size);
  if (energy == 0) return;  // nothing to protect
  require_finite(latest, projection);
  for (std::size_t i = 0; i < latest.size(); ++i)
    moments[i] += latest[i] * static_cast<double>(size) / energy;
}

Kfac::Part::Part(Backend& backend_, const Settings& settings_, const Projection& its, std::size_t number)
    : backend(backend_),
      settings(settings_),
      projection(its.name),
      lambda(settings_.lambda[std::min(number, settings_.lambda.size() - 1)]),
      directions(std::min(settings_.directions, its.fan_out)),
      pre(backend_, its.fan_in),
      post(backend_, its.fan_out),
      axes(backend_.allocate<float>(its.fan_in * its.fan_in)),
      leading(backend_.allocate<float>(directions * its.fan_out)),
      factor(backend_.allocate<float>(directions * its.fan_in)),
      rest(backend_, its),
      mean(backend_, its) {}

void Kfac::Part::end_task() {
  pre.end_task(backend, projection);
  post.end_task(backend, projection);
  const std::size_t n = pre.size, m = post.size;
  const double tasks = trace(post.moments, m) / static_cast<double>(m);
  if (tasks == 0 || trace(pre.moments, n) == 0) return;

  Eigensystem sources = eigensystem(projection, pre.moments, n);
  Eigensystem targets = leading_eigensystem(projection, post.moments, m, directions);
  double others = static_cast<double>(m);
  for (double& energy : targets.values) others -= energy /= tasks;
  double other = is_exact() ? 0 : std::max(others, 0.0) / static_cast<double>(m - directions);
  if (settings.factors == Factors::postsynaptic) std::ranges::fill(sources.values, tasks);
  if (settings.factors == Factors::presynaptic) {
    std::ranges::fill(targets.values, 1.0);
    other = 1;
  }

  const auto left = [&](double a, double b) {
    return 1 / (1 + std::pow(std::max(a, 0.0) * std::max(b, 0.0) / lambda, settings.power));
  };
  std::vector<double> factors, gains, means;
  for (const double a : sources.values) {
    gains.push_back(left(a, other));
    means.push_back(gains.back() * static_cast<double>(m - directions) / static_cast<double>(m));
  }
  for (const double b : targets.values) {
    for (std::size_t i = 0; i < n; ++i) {
      factors.push_back(left(sources.values[i], b));
      means[i] += factors.back() / static_cast<double>(m);
    }
  }
  store(backend, sources.vectors, axes);
  store(backend, targets.vectors, leading);
  store(backend, factors, factor);
  if (!is_exact()) rest.set(std::as_const(axes).matrix(n, n), gains);
  mean.set(std::as_const(axes).matrix(n, n), means);
}

void Kfac::Part::damp(ConstMatrix g, Matrix rows) {
  const std::size_t n = pre.size;
  const ConstMatrix u = std::as_const(axes).matrix(n, n);
  const Matrix turned = grown(backend, damped, directions, n);
  backend.dense().run(Multiply{.a = g, .transpose_a = true, .b = u, .transpose_b = true, .c = turned});
  backend.elementwise().run(Modulate{.factor = std::as_const(factor).matrix(directions, n), .x = turned});
  backend.dense().run(Multiply{.a = turned, .b = u, .c = rows});
}

/// G = xᵀ δ has the part xᵀ (δ - δ Vᵀ V) in the other directions, where the operator acts on x alone, and xᵀ δ Vᵀ along
/// V, whose damped columns are paired with the rows of V.
Pairs Kfac::Part::apply_to_pairs(const Pairs& pairs) {
  const std::size_t rows = pairs.trace.rows, n = pre.size, m = post.size;
  const ConstMatrix v = std::as_const(leading).matrix(directions, m);
  const std::size_t kept = is_exact() ? 0 : rows;
  const Matrix x = grown(backend, traces, kept + directions, n);
  const Matrix d = grown(backend, posts, kept + directions, m);

  Array<float>& room = along;
  const Matrix sums = grown(backend, room, rows + n, directions);
  const Matrix e = sums.first_rows(rows), g = sums.row_range(rows, n);
  backend.dense().run(Multiply{.a = pairs.post, .b = v, .transpose_b = true, .c = e});
  add_outer_products(backend, 1.0F, pairs.trace, e, 0.0F, g);
  damp(g, x.row_range(kept, directions));
  backend.copy(v.values, d.row_range(kept, directions).values);
  if (kept > 0) {
    backend.dense().run(Multiply{
        .alpha = -1.0F, .a = e, .b = v, .beta = 1.0F, .addend = pairs.post, .c = d.first_rows(kept)});
    rest.apply(pairs.trace, x.first_rows(kept));
  }
  return {x, d};
}

void Kfac::Part::apply_to_gradient(Matrix gradient) {
  const std::size_t n = pre.size, m = post.size;
  const ConstMatrix v = std::as_const(leading).matrix(directions, m);
  const Matrix g = grown(backend, along, n, directions);
  backend.dense().run(Multiply{.a = gradient, .b = v, .transpose_b = true, .c = g});
  const Matrix rows = grown(backend, traces, directions, n);
  damp(g, rows);
  if (!is_exact()) {
    backend.dense().run(Multiply{.alpha = -1.0F, .a = g, .b = v, .beta = 1.0F, .c = gradient});
    rest.apply_to_gradient(gradient);
  }
  backend.dense().run(
      Multiply{.a = rows, .transpose_a = true, .b = v, .beta = is_exact() ? 0.0F : 1.0F, .c = gradient});
}

Kfac::Kfac(const Network& network, const ProtectionContext& /*context*/, const Settings& settings)
    : backend_(network.backend()), settings_(settings) {
  for (const Projection& projection : network.projections())
    parts_.push_back(std::make_unique<Part>(backend_, settings_, projection, parts_.size()));
}

ChangeOperator* Kfac::change_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : parts_[projection].get();
}

PresynapticOperator* Kfac::presynaptic_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : &parts_[projection]->mean;
}

void Kfac::observe(std::size_t projection, const Presynaptic& activity, ConstMatrix post) {
  Part& part = *parts_[projection];
  add_outer_products(backend_, 1.0F, activity, activity, 1.0F,
                     part.pre.moment.matrix(part.pre.size, part.pre.size));
  add_outer_products(backend_, 1.0F, post, post, 1.0F,
                     part.post.moment.matrix(part.post.size, part.post.size));
}

void Kfac::end_task() {
  for (const auto& part : parts_) part->end_task();
}

std::size_t Kfac::memory(std::size_t projection) const {
  const Part& part = *parts_[projection];
  return (part.pre.moments.size() + part.post.moments.size()) * sizeof(double);
}

}  // namespace orthospike
