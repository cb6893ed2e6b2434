#include "sim/normalisation.hpp"

#include <algorithm>
#include <utility>

#include "kernels/elementwise.hpp"
#include "kernels/normalisation.hpp"
#include "kernels/traces.hpp"

namespace orthospike {

void NormalisationSettings::describe(SettingsVisitor& visit) {
  visit("normalisation.statistics", statistics,
        {{"first_task", Statistics::first_task,
          "of each batch of the first task, over its steps and samples; later their averages"},
         {"each_step", Statistics::each_step, "the same, but each step has its own"},
         {"frozen", Statistics::frozen, "what the network starts with, 0 and 1 or those of network.weights"}},
        "Means and variances by which currents are normalised");
  visit.only(statistics != Statistics::frozen, "normalisation.statistics first_task or each_step", [&] {
    visit("normalisation.momentum", momentum, positive_fraction, "-",
          "Part of the averages that a new batch makes up.");
  });
  visit("normalisation.epsilon", epsilon, positive, "-", "Added to variances.");
}

Normalisation::Normalisation(Backend& backend, std::size_t channels, const NormalisationSettings& settings)
    : backend_(backend),
      settings_(settings),
      gain_(backend.allocate<float>(channels)),
      offset_(backend.allocate<float>(channels)),
      mean_(backend.allocate<float>(channels)),
      variance_(backend.allocate<float>(channels)) {
  for (Array<float>* const ones : {&gain_, &variance_})
    backend.elementwise().run(RaiseTo{.bound = 1, .values = ones->view()});
}

void Normalisation::run(Matrix currents) const {
  const Matrix x = by_channel(currents);
  backend_.normalisation().run(NormaliseChannels{.x = x,
                                                 .mean = mean_.view(),
                                                 .variance = variance_.view(),
                                                 .epsilon = settings_.epsilon,
                                                 .gain = gain_.view(),
                                                 .offset = offset_.view(),
                                                 .y = x});
}

void Normalisation::train(Matrix currents, std::size_t batch, std::size_t steps, Matrix normalised) {
  const std::size_t count = groups(currents.rows / batch), rows = currents.rows / count;
  const std::size_t repeats = steps * batch / currents.rows;  // of currents that are the same in all steps
  const std::size_t repeated_groups = groups(repeats);
  make_room(batch_means_, count);
  make_room(batch_variances_, count);
  for (std::size_t group = 0; group < count; ++group) {
    const Matrix x = by_channel(currents.row_range(group * rows, rows));
    NormaliseChannels operation{.x = x,
                                .mean = mean_.view(),
                                .variance = variance_.view(),
                                .epsilon = settings_.epsilon,
                                .gain = gain_.view(),
                                .offset = offset_.view(),
                                .normalised = by_channel(normalised.row_range(group * rows, rows)),
                                .y = x};
    if (takes_batches()) {
      const View<float> mean = batch_means_.view().subview(group * channels(), channels());
      const View<float> variance = batch_variances_.view().subview(group * channels(), channels());
      backend_.normalisation().run(MeasureChannels{.x = x, .mean = mean, .variance = variance});
      const auto size = static_cast<float>(x.rows * repeats / repeated_groups);
      for (std::size_t repeat = 0; repeat < repeated_groups; ++repeat) {
        average(mean, 1, mean_.view());
        average(variance, size / std::max(1.0F, size - 1), variance_.view());  // unbiased
      }
      operation.mean = mean;
      operation.variance = variance;
    }
    backend_.normalisation().run(operation);
  }
}

void Normalisation::fold(ConstMatrix weights, Matrix folded, View<float> offset) const {
  // Weights are scaled as errors are, and the offset is what becomes of a current of 0.
  backend_.normalisation().run(NormalisationBackward{.errors = weights,
                                                     .variance = variance_.view(),
                                                     .epsilon = settings_.epsilon,
                                                     .gain = gain_.view(),
                                                     .x_errors = folded});
  backend_.clear(offset);
  run({offset, 1, channels()});
}

void Normalisation::make_room(Array<float>& array, std::size_t groups) {
  if (array.size() < groups * channels()) array = backend_.allocate<float>(groups * channels());
}

void Normalisation::average(View<const float> measured, float scale, View<float> averages) {
  backend_.elementwise().run(
      Add{.alpha = settings_.momentum * scale, .x = measured, .beta = 1 - settings_.momentum, .y = averages});
}

void Normalisation::backward(Matrix errors) const {
  backend_.normalisation().run(NormalisationBackward{.errors = by_channel(errors),
                                                     .variance = variance_.view(),
                                                     .epsilon = settings_.epsilon,
                                                     .gain = gain_.view(),
                                                     .x_errors = by_channel(errors)});
}

void Normalisation::backward(const Training& training) {
  // What is the same in all steps belongs to each group.
  const std::size_t count = groups(training.by_currents.rows / training.batch);
  make_room(sums_, count);
  make_room(products_, count);
  const auto of_group = [&](auto matrix, std::size_t group) {
    const bool is_shared = matrix.rows < training.by_currents.rows && count > 1;
    const std::size_t rows = is_shared ? matrix.rows : matrix.rows / count;
    return by_channel(matrix.row_range(is_shared ? 0 : group * rows, rows));
  };
  for (std::size_t group = 0; group < count; ++group) {
    const std::size_t at = group * channels();
    const View<float> sum = sums_.view().subview(at, channels());
    const View<float> product = products_.view().subview(at, channels());
    const ConstMatrix errors = of_group(training.errors, group);
    const ConstMatrix normalised = of_group(training.normalised, group);
    backend_.normalisation().run(SumChannels{.scale = training.scale,
                                             .errors = errors,
                                             .normalised = normalised,
                                             .error = sum,
                                             .product = product});
    // Statistics of currents that are the same in all steps are one group's.
    const std::size_t measured = training.normalised.rows < training.by_currents.rows ? 0 : at;
    NormalisationBackward operation{.scale = training.scale,
                                    .errors = errors,
                                    .variance = variance_.view(),
                                    .epsilon = settings_.epsilon,
                                    .gain = gain_.view(),
                                    .x_errors = of_group(training.by_currents, group)};
    if (takes_batches()) {
      operation.variance = std::as_const(batch_variances_).view().subview(measured, channels());
      operation.normalised = normalised;
      operation.error = sum;
      operation.product = product;
    }
    backend_.normalisation().run(operation);
  }
  for (const auto& [sums, total] :
       {std::pair(&products_, training.by_gain), std::pair(&sums_, training.by_offset)}) {
    backend_.traces().run(SumSteps{
        .steps = count, .x = std::as_const(*sums).matrix(count, channels()), .sum = {total, 1, channels()}});
  }
}

void Normalisation::state(Archive& archive) {
  archive("gain", gain_);
  archive("offset", offset_);
  archive("mean", mean_);
  archive("variance", variance_);
}

}  // namespace orthospike
