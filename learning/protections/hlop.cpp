#include "learning/protections/hlop.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "kernels/error.hpp"

namespace orthospike {

Hlop::Part::Part(Backend& backend, LateralNeurons& neurons, const Projection& projection,
                 std::size_t max_rows)
    : subspace(backend, projection.presynaptic()), remove(backend, neurons, subspace, max_rows) {}

void Hlop::Settings::describe(SettingsVisitor& visit) {
  extractor.describe(visit);
  visit(
      "hlop.ranks", ranks, at_least(0), "neurons",
      "New subspace neurons: an entry a task, in it one number for all projections that tasks share or one each; the "
      "last entry holds for later tasks. Capped at the presynaptic size.");
  neurons.describe(visit);
  visit("hlop.orthonormalise", orthonormalise,
        "Make the learned rows of a subspace orthonormal at the end of each task.");
}

Hlop::Hlop(const ProtectionContext& context, const Settings& settings)
    : projections_(context.projections),
      settings_(settings),
      seed_(context.seed),
      neurons_(settings.neurons.make(context.backend)) {
  const std::size_t projections = context.projections.size();
  for (const std::vector<std::size_t>& entry : settings_.ranks) {
    if (entry.size() != 1 && entry.size() != projections) {
      throw ConfigError(fmt::format(
          "hlop.ranks: entry '{}' has {} ranks; expected 1 or {}, one a projection that tasks share",
          fmt::join(entry, ","), entry.size(), projections));
    }
  }
  for (std::size_t p = 0; p < projections; ++p) {
    const Projection& projection = context.projections[p];
    parts_.push_back(
        std::make_unique<Part>(context.backend, *neurons_, projection, context.max_rows_of(projection)));
    parts_[p]->extractor = settings.extractor.make(
        context.backend, *neurons_,
        ExtractorContext{.projection = p, .finds_unlearned = true, .ranks = context.ranks});
  }
}

std::size_t Hlop::rank(std::size_t task, std::size_t projection) const {
  const std::vector<std::size_t>& entry = settings_.ranks[std::min(task, settings_.ranks.size() - 1)];
  return entry[std::min(projection, entry.size() - 1)];
}

std::vector<std::string> Hlop::warnings(std::size_t tasks) const {
  std::vector<std::string> sentences;
  for (std::size_t p = 0; p < parts_.size(); ++p) {
    std::size_t wanted = 0;
    for (std::size_t task = 0; task < tasks; ++task) wanted += rank(task, p);
    const Projection& projection = projections_[p];
    const bool is_bias = projection.presynaptic() == 1;
    if (wanted <= projection.presynaptic() || is_bias) continue;  // of a bias nobody expects more
    sentences.push_back(fmt::format(
        "hlop.ranks asks for {} subspace neurons of {}, which has {} presynaptic neurons; the rank "
        "stops there and later tasks can no longer change these weights",
        wanted, projection.name, projection.presynaptic()));
  }
  return sentences;
}

void Hlop::begin_task(std::size_t task) {
  for (std::size_t p = 0; p < parts_.size(); ++p) {
    Subspace& subspace = parts_[p]->subspace;
    const std::size_t left = subspace.presynaptic_size() - subspace.rank();
    const auto stream = static_cast<std::uint32_t>(task * parts_.size() + p);
    subspace.append(std::min(rank(task, p), left), {seed_, RandomPurpose::subspace, stream});
    parts_[p]->extractor->begin_task(subspace);
  }
}

PresynapticOperator* Hlop::presynaptic_operator(std::size_t projection) {
  return parts_[projection]->subspace.old_rank() == 0 ? nullptr : &parts_[projection]->remove;
}

void Hlop::observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) {
  Part& part = *parts_[projection];
  if (part.subspace.new_rank() > 0)
    part.extractor->learn(activity, part.remove.lazy_residual_of(activity), part.subspace);
  part.remove.forget();
}

void Hlop::end_task() {
  for (const auto& part : parts_) {
    part->extractor->remove_unlearned(part->subspace);
    if (settings_.orthonormalise) part->subspace.orthonormalise_new_rows();
    part->subspace.freeze();
  }
}

}  // namespace orthospike
