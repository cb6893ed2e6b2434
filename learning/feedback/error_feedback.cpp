#include "learning/feedback/error_feedback.hpp"

#include "kernels/elementwise.hpp"
#include "learning/feedback/adaptive_broadcast.hpp"
#include "learning/feedback/backprop.hpp"
#include "learning/feedback/direct_feedback_alignment.hpp"
#include "learning/feedback/feedback_alignment.hpp"
#include "learning/feedback/sign_symmetric.hpp"
#include "sim/connections/dense.hpp"

namespace orthospike {

namespace {

/// `count` rows in `room`, all of them as the first ones there again.
Matrix repeated(Backend& backend, ConstMatrix first, std::size_t count, View<float> room) {
  const Matrix all{room.subview(0, count * first.cols), count, first.cols};
  for (std::size_t row = first.rows; row < count; row += first.rows)
    backend.copy(first.values, all.row_range(row, first.rows).values);
  return all;
}

}  // namespace

ConstMatrix error_through(Backend& backend, const Connection& connection, ConstMatrix weights,
                          ConstMatrix error, View<float> room) {
  const std::size_t sources = connection.sources();
  const Matrix result{room.subview(0, error.rows * sources), error.rows, sources};
  connection.return_errors(backend, weights, error, result);
  return result;
}

ConstMatrix error_through(Backend& backend, ConstMatrix weights, ConstMatrix error, View<float> room) {
  return error_through(backend, Dense(weights.rows, weights.cols), weights, error, room);
}

Matrix gather_errors(const Network& network, ErrorFeedback& feedback, std::size_t population,
                     const std::function<ReturningError(std::size_t projection)>& returning,
                     ConstMatrix readout_error, View<float> room, View<float> further) {
  Backend& backend = network.backend();
  const std::vector<std::size_t> from = network.projections_from(population);
  const auto [error, weight] = returning(from.front());
  const ConstMatrix first = feedback.propagate(from.front(), error, readout_error, room);
  Matrix sum{room.subview(0, first.values.size()), first.rows, first.cols};
  for (std::size_t i = 1; i < from.size() && !feedback.is_direct(); ++i) {
    const auto [further_error, further_weight] = returning(from[i]);
    const ConstMatrix own = feedback.propagate(from[i], further_error, readout_error, further);
    if (sum.rows < own.rows) sum = repeated(backend, sum, own.rows, room);
    for (std::size_t row = 0; row < sum.rows; row += own.rows)
      backend.elementwise().run(
          Add{.alpha = further_weight / weight, .x = own.values, .y = sum.row_range(row, own.rows).values});
  }
  return sum;
}

ErrorFeedbacks& error_feedbacks() {
  static auto registry = [] {
    ErrorFeedbacks known("feedback.name", "How errors travel back");
    known.add<Backprop>("backprop", "through the weights");
    known.add<FeedbackAlignment>("feedback_alignment", "through fixed random weights");
    known.add<SignSymmetric>("sign_symmetric", "through the signs of the weights");
    known.add<DirectFeedbackAlignment>("direct_feedback_alignment",
                                       "through random weights from the read-out to each population");
    known.add<AdaptiveBroadcast>(
        "adaptive_broadcast",
        "the same, but they learn as the read-out does, by the same optimiser; weight "
        "decay brings them closer to it");
    return known;
  }();
  return registry;
}

}  // namespace orthospike
