#include "learning/protections/leaky_lowrank.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/dense.hpp"
#include "kernels/subspaces.hpp"
#include "learning/protections/leaky.hpp"
#include "learning/protections/symmetric.hpp"

namespace orthospike {

namespace {

/// sum[0] ← alpha · ‖x‖² + beta · sum[0]
void add_energy(Backend& backend, float alpha, ConstMatrix x, float beta, View<float> sum) {
  const ConstMatrix row{x.values, 1, x.values.size()};
  backend.dense().run(
      Multiply{.alpha = alpha, .a = row, .b = row, .transpose_b = true, .beta = beta, .c = {sum, 1, 1}});
}

}  // namespace

LeakyLowrank::Part::Part(Backend& backend, LinearNeurons& neurons, const Projection& projection,
                         std::size_t most_rows)
    : projection(projection.name),
      max_rows(most_rows),
      subspace(backend, projection.presynaptic()),
      damping(backend, projection.presynaptic()),
      explain(backend, neurons, subspace, max_rows),
      damp(backend, neurons, damping, max_rows),
      energy(backend.allocate<float>(1)) {}

void LeakyLowrank::Settings::describe(SettingsVisitor& visit) {
  describe_lambda(visit, lambda);
  learning.describe(visit);
  visit("leaky.neurons", neurons, at_least(1), "neurons",
        "Lateral neurons that all projections share over all tasks.");
  visit(
      "leaky.unexplained", unexplained, fraction, "-",
      "A projection gets lateral neurons while more than this part of its activity's energy is outside their span.");
  visit("leaky.growth", growth, at_least(1), "neurons", "So many are added to a projection at a time.");
  visit("leaky.growth_batches", growth_batches, at_least(1), "batches",
        "So many batches lie between two additions.");
}

LeakyLowrank::LeakyLowrank(const ProtectionContext& context, const Settings& settings)
    : backend_(context.backend),
      settings_(settings),
      seed_(context.seed),
      ranks_(context.ranks),
      energies_(backend_.allocate<float>(2)) {
  for (std::size_t p = 0; p < context.projections.size(); ++p) {
    const Projection& projection = context.projections[p];
    parts_.push_back(std::make_unique<Part>(backend_, neurons_, projection, context.max_rows_of(projection)));
    parts_[p]->extractor = std::make_unique<LateralHebbian>(
        backend_, neurons_, ExtractorContext{.projection = p, .ranks = ranks_}, settings_.learning);
  }
}

void LeakyLowrank::Part::state(Archive& archive) {
  archive("subspace", subspace);
  archive("damping", damping);
  archive("damp", damp);
  archive("extractor", *extractor);
  archive.resizable("energies", energies);
  archive("rest", rest);
  archive("measured", measured);
  archive("weight", weight);
  archive.resizable_summed("moment", moment);
  archive.check(energies.size() == damping.rank() && moment.size() >= measured * measured,
                "energies and responses of the rows were expected");
  archive.summed("energy", energy);
  archive("additions", additions);
}

void LeakyLowrank::state(Archive& archive) {
  archive("batches", batches_);
  archive("projection", parts_);
  for (const auto& part : parts_) {
    if (archive.loads()) part->response = backend_.allocate<float>(part->max_rows * part->measured);
  }
}

void LeakyLowrank::begin_task(std::size_t /*task*/) {
  batches_ = 0;
  for (const auto& part : parts_) part->measured = 0;
}

PresynapticOperator* LeakyLowrank::presynaptic_operator(std::size_t projection) {
  Part& part = *parts_[projection];
  return part.damping.old_rank() == 0 ? nullptr : &part.damp;
}

void LeakyLowrank::observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) {
  Part& part = *parts_[projection];
  measure(part, activity);  // first, for learning fits rows to this batch
  if (part.subspace.new_rank() > 0)
    part.extractor->learn(activity, part.explain.lazy_residual_of(activity), part.subspace);
  part.explain.forget();
  const bool grows = batches_ % settings_.growth_batches == 0;
  if (grows) part.unexplained = unexplained(part, activity);
  if (projection + 1 < parts_.size()) return;
  if (grows) grow();
  ++batches_;
}

void LeakyLowrank::measure(Part& part, const Presynaptic& activity) {
  const std::size_t rank = part.subspace.rank();
  if (rank == 0) return;
  if (part.measured != rank) {
    part.measured = rank;
    part.weight = 0;
    part.response = backend_.allocate<float>(part.max_rows * rank);
    part.moment = backend_.allocate<float>(rank * rank);
    backend_.clear(part.energy.view());
  }
  const Matrix y = part.response.matrix(activity.rows, rank);
  backend_.dense().run(
      Multiply{.a = activity, .b = std::as_const(part.subspace).rows(), .transpose_b = true, .c = y});
  ++part.weight;
  backend_.dense().run(Multiply{.alpha = part.weight,
                                .a = y,
                                .transpose_a = true,
                                .b = y,
                                .beta = 1.0F,
                                .c = part.moment.matrix(rank, rank)});
  add_energy(backend_, part.weight, activity, 1.0F, part.energy.view());
}

double LeakyLowrank::unexplained(const Part& part, ConstMatrix x) {
  ConstMatrix rest = x;
  if (part.subspace.rank() > 0) {
    if (rest_.size() < x.values.size()) rest_ = backend_.allocate<float>(x.values.size());
    backend_.subspaces().run(
        RemoveSubspace{.h = part.subspace.rows(), .x = x, .residual = rest_.matrix(x.rows, x.cols)});
    rest = rest_.matrix(x.rows, x.cols);
  }
  add_energy(backend_, 1.0F, x, 0.0F, energies_.view().subview(0, 1));
  add_energy(backend_, 1.0F, rest, 0.0F, energies_.view().subview(1, 1));
  ranks_.sum(backend_, energies_.view());
  const std::vector<float> energies = backend_.download(View<const float>(energies_.view()));
  return energies[0] > 0 ? static_cast<double>(energies[1]) / energies[0] : 0;
}

void LeakyLowrank::grow() {
  std::size_t left = settings_.neurons;
  std::vector<std::size_t> order;
  for (std::size_t p = 0; p < parts_.size(); ++p) {
    left -= parts_[p]->subspace.rank();
    if (parts_[p]->unexplained > settings_.unexplained) order.push_back(p);
  }
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t p) { return parts_[p]->unexplained; });
  for (const std::size_t p : order) {
    Part& part = *parts_[p];
    Subspace& subspace = part.subspace;
    const std::size_t count =
        std::min({settings_.growth, left, subspace.presynaptic_size() - subspace.rank()});
    if (count == 0) continue;
    const auto stream = static_cast<std::uint32_t>(part.additions++ * parts_.size() + p);
    subspace.append(count, {seed_, RandomPurpose::subspace, stream});
    part.extractor->begin_task(subspace);
    left -= count;
  }
}

std::vector<double> LeakyLowrank::sum_responses(Part& part) {
  const std::size_t rank = part.subspace.rank(), n = part.subspace.presynaptic_size();
  const std::size_t measured = part.measured;
  std::vector<double> sum(rank * rank, 0.0);
  for (std::size_t i = 0; i < rank; ++i)
    sum[i * rank + i] = i < part.energies.size() ? part.energies[i] : part.rest;
  if (measured > 0) {
    std::vector<float> moment = backend_.download(View<const float>(part.moment.view()));
    ranks_.sum(std::span(moment));
    double energy = backend_.download(View<const float>(part.energy.view()))[0];
    ranks_.sum(std::span(&energy, 1));
    const double scale = energy == 0 ? 0 : static_cast<double>(n) / energy;
    double left = energy;
    for (std::size_t i = 0; i < measured; ++i) {
      left -= moment[i * measured + i];
      for (std::size_t j = 0; j < measured; ++j) sum[i * rank + j] += moment[i * measured + j] * scale;
    }
    const double rest = measured == n ? 0 : std::max(left, 0.0) * scale / static_cast<double>(n - measured);
    for (std::size_t i = measured; i < rank; ++i) sum[i * rank + i] += rest;
    part.rest = rank == n ? 0 : part.rest + rest;
  }
  return sum;
}

void LeakyLowrank::end_task() {
  for (const auto& part : parts_) {
    Subspace& subspace = part->subspace;
    const std::size_t rank = subspace.rank(), n = subspace.presynaptic_size();
    if (rank == 0) continue;
    if (subspace.new_rank() > 0) subspace.orthonormalise_new_rows();
    const Eigensystem axes = eigensystem(part->projection, sum_responses(*part), rank);
    const std::vector<float> turn(axes.vectors.begin(), axes.vectors.end());
    Array<float> rotation = backend_.allocate<float>(turn.size());
    backend_.upload(std::span<const float>(turn), rotation.view());
    Array<float> turned = backend_.allocate<float>(rank * n);
    backend_.dense().run(Multiply{
        .a = rotation.matrix(rank, rank), .b = std::as_const(subspace).rows(), .c = turned.matrix(rank, n)});
    std::vector<float> rows = backend_.download(View<const float>(turned.view()));
    subspace.replace(rows);
    part->energies = axes.values;
    for (std::size_t i = 0; i < rank; ++i) {
      part->energies[i] = std::max(part->energies[i], 0.0);  // rounding
      const auto root = static_cast<float>(
          std::sqrt(std::max(0.0, part->energies[i] - part->rest) / (part->energies[i] + settings_.lambda)));
      for (std::size_t j = 0; j < n; ++j) rows[i * n + j] *= root;
    }
    part->damping.replace(rows);
    part->damp.set_scale(static_cast<float>(1 - gain(part->rest)));
  }
}

double LeakyLowrank::effective_rank(std::size_t projection) const {
  const Part& part = *parts_[projection];
  const std::size_t outside = part.subspace.presynaptic_size() - part.energies.size();
  double sum = static_cast<double>(outside) * gain(part.rest);
  for (const double energy : part.energies) sum += gain(std::max(energy, part.rest));
  return sum;
}

std::size_t LeakyLowrank::memory(std::size_t projection) const {
  const Part& part = *parts_[projection];
  return part.subspace.old_rows().values.size() * sizeof(float) + part.energies.size() * sizeof(double) +
         sizeof(part.rest);
}

}  // namespace orthospike
