#include "sim/connections/channel_bias.hpp"

#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"

namespace orthospike {

void ChannelBias::deliver_values(Backend& backend, ConstMatrix weights, ConstMatrix values,
                                 Matrix currents) const {
  for_each_chunk(values.rows, repeated_.most_rows(), [&](std::size_t first, std::size_t count) {
    const Matrix repeated = repeated_.matrix(backend, count);
    repeat(backend, values.row_range(first, count), repeated);
    backend.dense().run(
        Multiply{.a = {repeated.values, count * places(), 1},
                 .b = weights,
                 .c = {currents.row_range(first, count).values, count * places(), outputs()}});
  });
}

void ChannelBias::return_from(Backend& backend, ConstMatrix weights, ConstMatrix errors,
                              Matrix sources) const {
  for_each_chunk(errors.rows, repeated_.most_rows(), [&](std::size_t first, std::size_t count) {
    const Matrix repeated = repeated_.matrix(backend, count);
    backend.dense().run(Multiply{.a = factors(errors.row_range(first, count)),
                                 .b = weights,
                                 .transpose_b = true,
                                 .c = {repeated.values, count * places(), 1}});
    backend.dense().run(Multiply{
        .a = repeated, .b = ones(backend), .transpose_b = true, .c = sources.row_range(first, count)});
  });
}

Presynaptic ChannelBias::find_rows(Backend& backend, const Presynaptic& trace) const {
  const Matrix rows = grown(backend, rows_, trace.rows * places(), 1);
  repeat(backend, trace, {rows.values, trace.rows, places()});
  return rows;
}

void ChannelBias::repeat(Backend& backend, ConstMatrix values, Matrix result) const {
  backend.dense().run(Multiply{.a = values, .b = ones(backend), .c = result});
}

ConstMatrix ChannelBias::ones(Backend& backend) const {
  if (ones_.size() == 0) {
    ones_ = backend.allocate<float>(places());
    backend.elementwise().run(RaiseTo{.bound = 1.0F, .values = ones_.view()});
  }
  return std::as_const(ones_).matrix(1, places());
}

}  // namespace orthospike
