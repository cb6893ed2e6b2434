#include "learning/protections/hlop.hpp"

#include <algorithm>

namespace orthospike {

Hlop::Part::Part(Backend& backend, LateralNeurons& neurons, std::size_t presynaptic_size,
                 std::size_t max_rows)
    : subspace(backend, presynaptic_size), remove(backend, neurons, subspace, max_rows) {}

Hlop::Hlop(const Network& network, const ProtectionSettings& settings)
    : settings_(settings.hlop),
      seed_(settings.seed),
      neurons_(lateral_neurons().make(settings_.lateral_neurons, network.backend(), settings_.lateral)) {
  for (std::size_t p = 0; p < network.projections().size(); ++p) {
    parts_.push_back(std::make_unique<Part>(network.backend(), *neurons_, network.projections()[p].fan_in,
                                            settings.max_rows));
    settings_.learning[p].finds_unlearned = true;
    parts_[p]->extractor =
        extractors().make(settings_.extractor, network.backend(), *neurons_, settings_.learning[p]);
  }
}

void Hlop::begin_task(std::size_t task) {
  for (std::size_t p = 0; p < parts_.size(); ++p) {
    Subspace& subspace = parts_[p]->subspace;
    const std::size_t left = subspace.presynaptic_size() - subspace.rank();
    const auto stream = static_cast<std::uint32_t>(task * parts_.size() + p);
    // Where boundaries are detected there may be more tasks than expected.
    const std::size_t rank = settings_.ranks[std::min(task, settings_.ranks.size() - 1)][p];
    subspace.append(std::min(rank, left), {seed_, RandomPurpose::subspace, stream});
    parts_[p]->extractor->begin_task(subspace);
  }
}

PresynapticOperator* Hlop::presynaptic_operator(std::size_t projection) {
  return parts_[projection]->subspace.old_rank() == 0 ? nullptr : &parts_[projection]->remove;
}

void Hlop::observe(std::size_t projection, const Presynaptic& activity) {
  Part& part = *parts_[projection];
  if (part.subspace.new_rank() > 0)
    part.extractor->learn(activity, part.remove.residual_of(activity), part.subspace);
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
