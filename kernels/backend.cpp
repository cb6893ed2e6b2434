#include "kernels/backend.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace orthospike {

namespace {

void require(bool holds, const char* operation, const char* what) {
  if (!holds) throw std::invalid_argument(fmt::format("{}: {}", operation, what));
}

bool same_shape(ConstMatrix a, ConstMatrix b) {
  return a.rows == b.rows && a.cols == b.cols;
}

std::size_t rows_of(ConstMatrix m, Transpose transpose) {
  return transpose == Transpose::no ? m.rows : m.cols;
}
std::size_t cols_of(ConstMatrix m, Transpose transpose) {
  return transpose == Transpose::no ? m.cols : m.rows;
}

double product(std::size_t a, std::size_t b, std::size_t c) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

}  // namespace

void Backend::check_equal(const char* operation, std::size_t left, std::size_t right) {
  require(left == right, operation, "source and destination differ in size");
}

void Backend::repeat(RepeatedWork& repeated, const std::function<void()>& work) {
  const double before = multiply_adds_;
  if (do_repeat(repeated, work)) {
    repeated.multiply_adds_ = multiply_adds_ - before;
  } else {
    multiply_adds_ += repeated.multiply_adds_;
  }
}

bool Backend::do_repeat(RepeatedWork& /*repeated*/, const std::function<void()>& work) {
  work();
  return true;
}

void Backend::fill_uniform(View<float> values, float low, float high, const RandomKey& key) {
  do_fill_uniform(values, low, high, key);
}

void Backend::fill_normal(View<float> values, const RandomKey& key) {
  do_fill_normal(values, key);
}

void Backend::multiply(float alpha, ConstMatrix a, Transpose transpose_a, ConstMatrix b,
                       Transpose transpose_b, float beta, ConstMatrix addend, Matrix c) {
  require(rows_of(a, transpose_a) == c.rows && cols_of(b, transpose_b) == c.cols &&
              cols_of(a, transpose_a) == rows_of(b, transpose_b) && same_shape(addend, c),
          "multiply", "shapes do not chain");
  multiply_adds_ += product(c.rows, c.cols, cols_of(a, transpose_a));
  if (!c.empty()) do_multiply(alpha, a, transpose_a, b, transpose_b, beta, addend, c);
}

void Backend::multiply(float alpha, ConstMatrix a, Transpose transpose_a, ConstMatrix b,
                       Transpose transpose_b, float beta, Matrix c) {
  multiply(alpha, a, transpose_a, b, transpose_b, beta, c, c);
}

void Backend::transpose(ConstMatrix a, Matrix b) {
  require(a.rows == b.cols && a.cols == b.rows, "transpose", "the result has not the transposed shape");
  if (!a.empty()) do_transpose(a, b);
}

void Backend::add(float alpha, View<const float> x, float beta, View<float> y) {
  check_equal("add", x.size(), y.size());
  do_add(alpha, x, beta, y);
}

void Backend::raise_to(float bound, View<float> values) {
  do_raise_to(bound, values);
}

void Backend::sign(float scale, View<const float> x, View<float> y) {
  check_equal("sign", x.size(), y.size());
  do_sign(scale, x, y);
}

void Backend::modulate(ConstMatrix factor, Matrix x) {
  require(factor.rows == x.rows && (factor.cols == x.cols || factor.cols == 1), "modulate",
          "factor has other rows, or neither one column nor those of x");
  if (!x.empty()) do_modulate(factor, x);
}

void Backend::encode_images(View<const std::uint8_t> images, View<const std::uint32_t> samples,
                            View<const std::uint32_t> pixel_order, float mean, float deviation,
                            Matrix currents) {
  require(samples.size() == currents.rows && pixel_order.size() == currents.cols, "encode_images",
          "currents are not [samples × pixels]");
  require(currents.cols > 0 && images.size() % currents.cols == 0, "encode_images", "images are not whole");
  do_encode_images(images, samples, pixel_order, mean, deviation, currents);
}

void Backend::deliver(ConstSpikes spikes, ConstMatrix weights, View<const float> height, float dt,
                      Delivery delivery, float crossover, Matrix currents) {
  require(spikes.neurons == weights.rows, "deliver", "weights do not have one row for each spiking neuron");
  require(spikes.rows == currents.rows && weights.cols == currents.cols, "deliver",
          "currents are not [rows × targets]");
  require(height.size() == 1, "deliver", "height is not one number");
  do_deliver(spikes, weights, height, dt, delivery, crossover, currents);
}

void Backend::correlate(float alpha, ConstSpikes spikes, ConstMatrix b, float beta, Matrix c) {
  require(spikes.rows == b.rows && spikes.neurons == c.rows && b.cols == c.cols, "correlate",
          "shapes do not chain");
  if (!c.empty()) do_correlate(alpha, spikes, b, beta, c);
}

void Backend::lif_dsr(const LifDsr& neuron, View<const float> threshold, std::size_t steps,
                      ConstMatrix currents, const LifDsrOutputs& outputs) {
  const Matrix& shape = outputs.membrane;
  require(same_shape(shape, outputs.average_current) && same_shape(shape, outputs.average_output) &&
              same_shape(shape, outputs.mean_output),
          "lif_dsr", "outputs differ in shape");
  require(steps > 0 && (currents.rows == shape.rows || currents.rows == steps * shape.rows) &&
              currents.cols == shape.cols,
          "lif_dsr", "currents are neither [batch × neurons] nor [steps·batch × neurons]");
  require(outputs.spikes.rows == steps * shape.rows && outputs.spikes.neurons == shape.cols, "lif_dsr",
          "spikes do not have one row for each step and sample");
  require(threshold.size() == 1, "lif_dsr", "threshold is not one number");
  do_lif_dsr(neuron, threshold, steps, currents, outputs);
}

void Backend::lif_dsr_backward(const LifDsr& neuron, View<const float> threshold, float scale,
                               ConstMatrix average_current, Matrix gradient, View<float> threshold_gradient) {
  require(same_shape(average_current, gradient), "lif_dsr_backward", "gradient and currents differ in shape");
  require(threshold.size() == 1 && threshold_gradient.size() == 1, "lif_dsr_backward",
          "threshold and its gradient are not one number each");
  do_lif_dsr_backward(neuron, threshold, scale, average_current, gradient, threshold_gradient);
}

void Backend::lif(const Lif& neuron, std::size_t steps, bool from_rest, ConstMatrix currents,
                  const LifState& state, const LifOutputs& outputs) {
  const Matrix& shape = state.potential;
  require(same_shape(shape, state.synapse) && same_shape(shape, state.adaptation) &&
              same_shape(shape, outputs.mean_output),
          "lif", "states and outputs differ in shape");
  require(steps > 0 && (currents.rows == shape.rows || currents.rows == steps * shape.rows) &&
              currents.cols == shape.cols,
          "lif", "currents are neither [batch × neurons] nor [steps·batch × neurons]");
  require(outputs.spikes.rows == steps * shape.rows && outputs.spikes.neurons == shape.cols &&
              (outputs.margin.empty() ||
               (outputs.margin.rows == steps * shape.rows && outputs.margin.cols == shape.cols)),
          "lif", "spikes or margins do not have one row for each step and sample");
  if (!shape.empty()) do_lif(neuron, steps, from_rest, currents, state, outputs);
}

void Backend::lif_backward(const Lif& neuron, const LifDerivative& derivative, std::size_t steps,
                           ConstMatrix margin, ConstMatrix output_error, const LifState& later,
                           Matrix current_error) {
  require(same_shape(margin, current_error) && steps > 0 && margin.rows % steps == 0, "lif_backward",
          "margins and errors are not [steps·batch × neurons]");
  require((output_error.rows == margin.rows || output_error.rows * steps == margin.rows) &&
              output_error.cols == margin.cols,
          "lif_backward", "errors are neither [batch × neurons] nor [steps·batch × neurons]");
  require(same_shape(later.potential, later.synapse) && same_shape(later.potential, later.adaptation) &&
              (later.potential.empty() ||
               (later.potential.rows * steps == margin.rows && later.potential.cols == margin.cols)),
          "lif_backward", "errors of the step after are not [batch × neurons]");
  require(derivative.detached_reset || !neuron.hard_reset || neuron.adaptation == 0.0F, "lif_backward",
          "errors through a hard reset of adaptive neurons are not defined by their margins");
  if (!margin.empty()) do_lif_backward(neuron, derivative, steps, margin, output_error, later, current_error);
}

void Backend::count_spikes(View<const std::uint32_t> counts, View<std::uint64_t> total) {
  require(total.size() == 1, "count_spikes", "total is not one number");
  do_count_spikes(counts, total);
}

void Backend::expand_spikes(ConstSpikes spikes, Matrix x) {
  require(spikes.rows == x.rows && spikes.neurons == x.cols, "expand_spikes",
          "the matrix is not [rows × neurons]");
  if (!x.empty()) do_expand_spikes(spikes, x);
}

void Backend::filter(float decay, std::size_t steps, Matrix x, Matrix last) {
  require(x.rows == steps * last.rows && x.cols == last.cols, "filter", "x is not [steps·batch × n]");
  if (!x.empty()) do_filter(decay, steps, x, last);
}

void Backend::filter_back(float decay, std::size_t steps, Matrix x) {
  require(steps > 0 && x.rows % steps == 0, "filter_back", "x is not [steps·batch × n]");
  if (!x.empty()) do_filter_back(decay, steps, x);
}

void Backend::sum_steps(float scale, float decay, std::size_t steps, ConstMatrix x, Matrix sum) {
  require(x.rows == steps * sum.rows && x.cols == sum.cols, "sum_steps", "x is not [steps·batch × n]");
  if (!sum.empty()) do_sum_steps(scale, decay, steps, x, sum);
}

void Backend::cross_entropy(ConstMatrix logits, View<const std::uint8_t> labels,
                            View<const std::uint32_t> samples, float weight, Matrix logit_gradient,
                            View<double> loss, View<std::uint32_t> correct) {
  require(same_shape(logits, logit_gradient) &&
              (logits.rows == 0 || (!samples.empty() && logits.rows % samples.size() == 0)),
          "cross_entropy", "logits and gradient do not have one row for each step and sample");
  require(loss.size() == 1 && correct.size() == 1, "cross_entropy",
          "loss and correct are not one number each");
  if (!logits.empty()) do_cross_entropy(logits, labels, samples, weight, logit_gradient, loss, correct);
}

void Backend::mark_correct(ConstMatrix logits, View<const std::uint8_t> labels,
                           View<const std::uint32_t> samples, View<float> right) {
  require(logits.rows == samples.size() && right.size() == samples.size(), "mark_correct",
          "logits, samples and right differ in number");
  if (!logits.empty()) do_mark_correct(logits, labels, samples, right);
}

void Backend::remove_subspace(ConstMatrix h, ConstMatrix x, Matrix residual) {
  require(same_shape(x, residual) && h.cols == x.cols, "remove_subspace", "shapes do not chain");
  multiply_adds_ += 2 * product(x.rows, h.rows, x.cols);
  do_remove_subspace(h, x, residual);
}

void Backend::quantise(float scale, std::size_t levels, View<float> values) {
  require(scale > 0 && levels > 0, "quantise", "scale or levels are not positive");
  do_quantise(scale, levels, values);
}

void Backend::spike_signed(float scale, std::size_t steps, View<float> values, View<std::uint32_t> spikes) {
  require(scale > 0 && steps > 0, "spike_signed", "scale or steps are not positive");
  require(values.size() == spikes.size(), "spike_signed", "values and spikes differ in number");
  do_spike_signed(scale, steps, values, spikes);
}

void Backend::settle_by_spikes(float height, std::size_t sweeps, ConstMatrix inhibition, Matrix potential,
                               Matrix activity) {
  require(height > 0, "settle_by_spikes", "height is not positive");
  require(inhibition.rows == inhibition.cols && potential.cols == inhibition.cols &&
              same_shape(potential, activity),
          "settle_by_spikes", "potentials and activity do not fit the inhibition");
  if (!potential.empty()) do_settle_by_spikes(height, sweeps, inhibition, potential, activity);
}

void Backend::hebbian_step(const HebbianStep& step, ConstMatrix correlation, Matrix velocity, Matrix h) {
  require(same_shape(correlation, velocity) && same_shape(correlation, h), "hebbian_step",
          "correlation, velocity and weights differ in shape");
  if (!h.empty()) do_hebbian_step(step, correlation, velocity, h);
}

void Backend::hebbian_step(const HebbianStep& step, ConstMatrix response, ConstMatrix residual,
                           Matrix velocity, Matrix h) {
  require(response.rows == residual.rows && response.cols == h.rows && residual.cols == h.cols,
          "hebbian_step", "responses and residuals do not fit the weights");
  require(same_shape(velocity, h), "hebbian_step", "velocity and weights differ in shape");
  multiply_adds_ += product(response.rows, h.rows, h.cols);
  if (!h.empty()) do_hebbian_step(step, response, residual, velocity, h);
}

void Backend::orthonormalise_rows(Matrix h, std::size_t first) {
  require(first <= h.rows && h.rows <= h.cols, "orthonormalise_rows", "more rows than columns");
  do_orthonormalise_rows(h, first);
}

void Backend::adam_step(const AdamStep& step, View<float> mean, View<float> square, View<float> gradient) {
  require(mean.size() == gradient.size() && square.size() == gradient.size(), "adam_step",
          "moments and gradient differ in size");
  do_adam_step(step, mean, square, gradient);
}

}  // namespace orthospike
