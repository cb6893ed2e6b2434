#include "learning/protections/owm.hpp"

#include <algorithm>

#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"

namespace orthospike {

Owm::Part::Part(Backend& backend, const Projection& projection)
    : n(projection.presynaptic()),
      mean(backend.allocate<float>(n)),
      means(backend.allocate<float>(n * n)),
      remove(backend, projection.name, projection.presynaptic()) {}

void Owm::Settings::describe(SettingsVisitor& visit) {
  visit("owm.alpha", alpha, positive, "-",
        "Energy of one batch's mean activity at which changes along it are halved.");
}

Owm::Owm(const ProtectionContext& context, const Settings& settings)
    : backend_(context.backend), settings_(settings), ranks_(context.ranks) {
  std::size_t most = 0;
  for (const Projection& projection : context.projections) {
    parts_.push_back(std::make_unique<Part>(backend_, projection));
    most = std::max(most, context.max_rows_of(projection));
  }
  ones_ = backend_.allocate<float>(most);
  backend_.elementwise().run(RaiseTo{.bound = 1.0F, .values = ones_.view()});
}

PresynapticOperator* Owm::presynaptic_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : &parts_[projection]->remove;
}

void Owm::observe(std::size_t projection, const Presynaptic& activity, ConstMatrix /*post*/) {
  Part& part = *parts_[projection];
  const Matrix mean = part.mean.matrix(1, part.n);
  backend_.dense().run(Multiply{.alpha = 1.0F / static_cast<float>(activity.all_rows()),
                                .a = ones_.matrix(1, activity.rows),
                                .b = activity,
                                .c = mean});
  ranks_.sum(backend_, mean.values);
  backend_.dense().run(Multiply{
      .a = mean, .transpose_a = true, .b = mean, .beta = 1.0F, .c = part.means.matrix(part.n, part.n)});
}

void Owm::end_task() {
  for (const auto& part : parts_) {
    const std::vector<float> sum = backend_.download(View<const float>(part->means.view()));
    part->remove.set({sum.begin(), sum.end()}, settings_.alpha);
  }
}

}  // namespace orthospike
