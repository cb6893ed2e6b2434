#include "learning/protections/kfac.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "learning/protections/symmetric.hpp"

namespace orthospike {

namespace {

void store(Backend& backend, const std::vector<double>& values, Array<float>& array) {
  const std::vector<float> rounded(values.begin(), values.end());
  backend.upload(std::span<const float>(rounded), array.view());
}

}  // namespace

void KfacSettings::describe(SettingsVisitor& visit) {
  visit("kfac.form", form,
        {{"product", Form::product, "by the product of energies"},
         {"separable", Form::separable, "each side by its own energy"},
         {"circuit", Form::circuit, "the same by lateral inhibition among sources and among targets"}},
        "How changes are weakened");
  visit(
      "kfac.lambda", lambda, positive, "-",
      "Energy at which changes are halved, of a presynaptic direction or, in the form product, times that of the "
      "postsynaptic one; a task has energy 1 in its mean direction. One a projection; the last holds for the rest.");
  visit.only(form == Form::product, "kfac.form product", [&] {
    visit(
        "kfac.directions", directions, at_least(1), "-",
        "Postsynaptic directions of a projection that have an energy of their own; the others share their mean. As "
        "many as there are neurons or more: the exact form.");
    visit(
        "kfac.power", power, positive, "-",
        "1 / (1 + (energy / lambda)^power) of a change is left: the step from free to protected directions is the "
        "steeper the higher.");
    visit(
        "kfac.source_isotropy", source_isotropy, fraction, "-",
        "How much earlier tasks count as using all sources alike: 0 as they did, 1 alike, so that only targets count.");
    visit(
        "kfac.target_isotropy", target_isotropy, fraction, "-",
        "How much they count as caring about all targets alike: 0 as their errors say, 1 alike, which is leaky. Where "
        "one read-out serves all tasks, what a task has not seen is not in its errors, and wants some.");
  });
  visit.only(form != Form::product, "kfac.form separable, circuit", [&] {
    visit("kfac.mu", mu, positive, "-", "Energy of a postsynaptic direction at which changes are halved.");
  });
  visit.only(form == Form::circuit, "kfac.form circuit", [&] { circuit.describe(visit, "kfac"); });
}

Kfac::Part::Part(Backend& backend_, const KfacSettings& settings_, const Projection& its, std::size_t number,
                 Communicator& ranks)
    : backend(backend_),
      settings(settings_),
      projection(its.name),
      lambda(settings_.lambda_of(number)),
      directions(std::min(settings_.directions, its.outputs())),
      pre(backend_, its.name, its.presynaptic(), ranks),
      post(backend_, its.name, its.outputs(), ranks),
      axes(backend_.allocate<float>(its.presynaptic() * its.presynaptic())),
      columns(backend_.allocate<float>(its.presynaptic() * its.presynaptic())),
      leading(backend_.allocate<float>(directions * its.outputs())),
      factor(backend_.allocate<float>(directions * its.presynaptic())),
      rest(backend_, its.name, its.presynaptic()),
      mean(backend_, its.name, its.presynaptic()) {}

void Kfac::Part::end_task() {
  pre.end_task();
  post.end_task();
  if (pre.tasks() == 0 || post.tasks() == 0) return;
  const std::size_t n = pre.size(), m = post.size();

  Eigensystem sources = eigensystem(projection, pre.sum(), n);
  Eigensystem targets = leading_eigensystem(projection, post.sum(), m, directions);
  double others = static_cast<double>(m);
  for (double& energy : targets.values) others -= energy /= static_cast<double>(post.tasks());
  double other = is_exact() ? 0 : std::max(others, 0.0) / static_cast<double>(m - directions);
  const double alike = settings.source_isotropy, cared = settings.target_isotropy;
  for (double& energy : sources.values)
    energy = (1 - alike) * energy + alike * static_cast<double>(pre.tasks());
  for (double& energy : targets.values) energy = (1 - cared) * energy + cared;
  other = (1 - cared) * other + cared;

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
  transpose_axes();
  store(backend, targets.vectors, leading);
  store(backend, factors, factor);
  if (!is_exact()) rest.set(std::as_const(axes).matrix(n, n), gains);
  mean.set(std::as_const(axes).matrix(n, n), means);
}

void Kfac::Part::transpose_axes() {
  const std::size_t n = pre.size();
  backend.dense().run(Transpose{.a = std::as_const(axes).matrix(n, n), .b = columns.matrix(n, n)});
}

void Kfac::Part::state(Archive& archive) {
  archive("pre", pre);
  archive("post", post);
  archive("axes", axes);
  archive("leading", leading);
  archive("factor", factor);
  if (!is_exact()) archive("rest", rest);
  archive("mean", mean);
  if (archive.loads()) transpose_axes();
}

void Kfac::Part::damp(ConstMatrix g, Matrix rows) {
  const std::size_t n = pre.size();
  const Matrix turned = grown(backend, damped, directions, n);
  backend.dense().run(
      Multiply{.a = g, .transpose_a = true, .b = std::as_const(columns).matrix(n, n), .c = turned});
  backend.elementwise().run(Modulate{.factor = std::as_const(factor).matrix(directions, n), .x = turned});
  backend.dense().run(Multiply{.a = turned, .b = std::as_const(axes).matrix(n, n), .c = rows});
}

/// Of G = xᵀ δ the part xᵀ (δ - δ Vᵀ V) goes to other directions than V, where the operator acts on x alone; along V
/// go the columns xᵀ (δ Vᵀ), which are damped and paired with the rows of V.
Pairs Kfac::Part::apply_to_pairs(const Pairs& pairs) {
  const std::size_t rows = pairs.trace.rows, n = pre.size(), m = post.size();
  const ConstMatrix v = std::as_const(leading).matrix(directions, m);
  const std::size_t kept = is_exact() ? 0 : rows;
  const Matrix x = grown(backend, traces, kept + directions, n);
  const Matrix d = grown(backend, posts, kept + directions, m);

  const Matrix sums = grown(backend, along, rows + n, directions);
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
  const std::size_t n = pre.size(), m = post.size();
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

Kfac::Kfac(const ProtectionContext& context, const KfacSettings& settings)
    : backend_(context.backend), settings_(settings), ranks_(context.ranks) {
  for (const Projection& projection : context.projections)
    parts_.push_back(std::make_unique<Part>(backend_, settings_, projection, parts_.size(), context.ranks));
}

ChangeOperator* Kfac::change_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : parts_[projection].get();
}

PresynapticOperator* Kfac::presynaptic_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : &parts_[projection]->mean;
}

void Kfac::observe(std::size_t projection, const Presynaptic& activity, ConstMatrix post) {
  Part& part = *parts_[projection];
  part.pre.add(activity);
  // Else the first batches of a task, whose errors are large, would say what matters to it.
  const Matrix errors = grown(backend_, part.normed, post.rows, post.cols);
  normalise(post, errors);
  part.post.add(ConstMatrix(errors));
}

void Kfac::normalise(ConstMatrix errors, Matrix to) {
  const std::size_t size = errors.values.size();
  backend_.elementwise().run(NormaliseRows{.x = {errors.values, 1, size}, .y = {to.values, 1, size}});
  if (ranks_.is_alone()) return;
  const ConstMatrix all{errors.values, 1, size}, unit{to.values, 1, size};
  if (norm_.size() == 0) norm_ = backend_.allocate<float>(1);
  // Of small errors the square of the norm may be too small for a float; the norm, a product with the unit vector, not.
  backend_.dense().run(Multiply{.a = all, .b = unit, .transpose_b = true, .c = norm_.matrix(1, 1)});
  const double norm = backend_.download(std::as_const(norm_).view())[0];
  double energy = norm * norm;
  ranks_.sum(std::span(&energy, 1));
  if (energy == 0) return;
  const auto share = static_cast<float>(norm / std::sqrt(energy));
  backend_.upload(std::span<const float>(&share, 1), norm_.view());
  backend_.elementwise().run(
      Modulate{.factor = std::as_const(norm_).matrix(1, 1), .x = {to.values, 1, size}});
}

void Kfac::end_task() {
  for (const auto& part : parts_) part->end_task();
}

std::size_t Kfac::memory(std::size_t projection) const {
  return parts_[projection]->pre.memory() + parts_[projection]->post.memory();
}

}  // namespace orthospike
