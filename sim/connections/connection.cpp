#include "sim/connections/connection.hpp"

#include <cmath>
#include <utility>

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/random_numbers.hpp"

namespace orthospike {

void draw(Backend& backend, const InitialWeights& initial, const RandomKey& key, View<float> weights) {
  if (initial.distribution == InitialWeights::Distribution::uniform) {
    backend.random_numbers().run(
        FillUniform{.values = weights, .low = -initial.scale, .high = initial.scale, .key = key});
    return;
  }
  Array<float> drawn = backend.allocate<float>(weights.size());
  backend.random_numbers().run(FillNormal{.values = drawn.view(), .key = key});
  backend.elementwise().run(
      Add{.alpha = initial.scale, .x = std::as_const(drawn).view(), .beta = 0.0F, .y = weights});
}

InitialWeights Connection::initial_weights() const {
  return {.distribution = InitialWeights::Distribution::uniform,
          .scale = 1.0F / std::sqrt(static_cast<float>(presynaptic()))};
}

void Connection::deliver(Backend& backend, ConstMatrix weights, ConstMatrix values, Matrix currents) const {
  check_weights(weights);
  require(values.cols == sources() && currents.cols == targets() && values.rows == currents.rows, "deliver",
          "values and currents are not those of the connection's neurons");
  deliver_values(backend, weights, values, currents);
}

void Connection::deliver(Backend& backend, ConstMatrix weights, const SentSpikes& sent, Matrix currents,
                         View<const float> offset) const {
  check_weights(weights);
  require(sent.spikes.neurons == sources() && currents.cols == targets() && sent.spikes.rows == currents.rows,
          "deliver", "spikes and currents are not those of the connection's neurons");
  require(offset.empty() || offset.size() == outputs(), "deliver",
          "offsets are not those of the connection's outputs");
  deliver_spikes(backend, weights, sent, currents, offset);
}

void Connection::return_errors(Backend& backend, ConstMatrix weights, ConstMatrix errors,
                               Matrix sources) const {
  check_weights(weights);
  require(errors.cols == targets() && sources.cols == this->sources() && errors.rows == sources.rows,
          "return_errors", "errors are not those of the connection's neurons");
  return_from(backend, weights, errors, sources);
}

Presynaptic Connection::values_of(Backend& backend, const Presynaptic& trace) const {
  if (trace.has_values()) return trace;
  const Matrix all = grown(backend, all_expanded_, trace.rows, trace.cols);
  backend.delivery().run(
      ExpandSpikes{.spikes = trace.spikes, .height = trace.height, .dt = trace.dt, .x = all});
  return Presynaptic(all);
}

Presynaptic Connection::rows(Backend& backend, const Presynaptic& trace) const {
  require(trace.cols == sources(), "presynaptic rows", "traces are not those of the connection's sources");
  Presynaptic found = find_rows(backend, values_of(backend, trace));
  found.rows_of_ranks = trace.rows_of_ranks * places();
  return found;
}

ConstMatrix Connection::factors(ConstMatrix post) const {
  require(post.cols == targets(), "factors", "they are not those of the connection's targets");
  if (outputs() == 0) return {};
  return {post.values, post.rows * places(), outputs()};
}

Pairs Connection::sampled_pairs(Backend& backend, const Presynaptic& trace, ConstMatrix post,
                                std::size_t every) const {
  if (places() == 1 || every == 1) return pairs(backend, trace, post);
  require(every > 0 && trace.cols == sources() && post.cols == targets(), "sampled pairs",
          "traces and factors are not those of the connection's neurons");
  Presynaptic values = values_of(backend, trace);
  values.rows_of_ranks = trace.rows_of_ranks;
  return sample(backend, values, post, every);
}

void Connection::add_gradient(Backend& backend, const Presynaptic& trace, ConstMatrix post, float beta,
                              Matrix sum) const {
  check_weights(sum);
  require(trace.cols == sources() && post.cols == targets() && trace.rows == post.rows, "add_gradient",
          "traces and factors are not those of the connection's neurons");
  if (trace.has_events() && trace.rows > 0) {
    add_gradient_of_spikes(backend, trace, post, beta, sum);
  } else {
    add_gradient_of_values(backend, trace, post, beta, sum);
  }
}

void Connection::add_gradient_of_values(Backend& backend, ConstMatrix values, ConstMatrix post, float beta,
                                        Matrix sum) const {
  add_outer_products(backend, 1.0F, find_rows(backend, values), factors(post), beta, sum);
}

void Connection::add_gradient_of_spikes(Backend& backend, const Presynaptic& trace, ConstMatrix post,
                                        float beta, Matrix sum) const {
  for_each_chunk(trace.rows, expanded_.most_rows(), [&](std::size_t first, std::size_t count) {
    const Matrix values = expanded_.matrix(backend, count);
    backend.delivery().run(ExpandSpikes{
        .spikes = trace.spikes.row_range(first, count), .height = trace.height, .dt = trace.dt, .x = values});
    add_gradient_of_values(backend, values, post.row_range(first, count), first == 0 ? beta : 1.0F, sum);
  });
}

void Connection::deliver_spikes(Backend& backend, ConstMatrix weights, const SentSpikes& sent,
                                Matrix currents, View<const float> offset) const {
  for_each_chunk(currents.rows, expanded_.most_rows(), [&](std::size_t first, std::size_t count) {
    const Matrix values = expanded_.matrix(backend, count);
    backend.delivery().run(ExpandSpikes{
        .spikes = sent.spikes.row_range(first, count), .height = sent.height, .dt = sent.dt, .x = values});
    deliver_values(backend, weights, values, currents.row_range(first, count));
  });
  add_offset(backend, offset, currents);
}

void Connection::add_offset(Backend& backend, View<const float> offset, Matrix currents) const {
  if (offset.empty()) return;
  const std::size_t rows = currents.rows * places();
  if (ones_.size() < rows) {
    ones_ = backend.allocate<float>(rows);
    backend.elementwise().run(RaiseTo{.bound = 1.0F, .values = ones_.view()});
  }
  backend.dense().run(Multiply{.a = std::as_const(ones_).matrix(rows, 1),
                               .b = {offset, 1, outputs()},
                               .beta = 1,
                               .c = {currents.values, rows, outputs()}});
}

void Connection::check_weights(ConstMatrix weights) const {
  require(weights.rows == presynaptic() && weights.cols == outputs(), "connection",
          "weights are not [presynaptic × outputs]");
}

}  // namespace orthospike
