#include "learning/protections/leaky_slow.hpp"

#include <algorithm>

#include "learning/protections/symmetric.hpp"

namespace orthospike {

LeakySlow::Part::Part(Backend& backend, const Projection& projection)
    : n(projection.presynaptic()),
      fast(backend.allocate<float>(n * n)),
      slow(n * n),
      damp(backend, projection.name, projection.presynaptic()) {}

LeakySlow::LeakySlow(const ProtectionContext& context, const LeakySettings& settings)
    : backend_(context.backend), settings_(settings), ranks_(context.ranks) {
  for (const Projection& projection : context.projections)
    parts_.push_back(std::make_unique<Part>(backend_, projection));
}

PresynapticOperator* LeakySlow::presynaptic_operator(std::size_t projection) {
  Part& part = *parts_[projection];
  return part.batches < settings_.refresh ? nullptr : &part.damp;
}

void LeakySlow::observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) {
  Part& part = *parts_[projection];
  const float rate = 1.0F / static_cast<float>(std::min(++part.batches, settings_.fast_updates));
  add_outer_products(backend_, rate / static_cast<float>(activity.all_rows()), activity, activity,
                     1.0F - rate, part.fast.matrix(part.n, part.n));
  if (part.batches % settings_.refresh != 0) return;
  std::vector<float> fast = backend_.download(View<const float>(part.fast.view()));
  ranks_.sum(std::span(fast));
  const double energy = trace({fast.begin(), fast.end()}, part.n);
  if (energy != 0) {  // a silent source has nothing to protect
    const double share = static_cast<double>(settings_.refresh) / static_cast<double>(settings_.slow_updates);
    for (std::size_t i = 0; i < fast.size(); ++i)
      part.slow[i] += share * fast[i] * static_cast<double>(part.n) / energy;
  }
  part.damp.set(part.slow, settings_.lambda);
}

}  // namespace orthospike
