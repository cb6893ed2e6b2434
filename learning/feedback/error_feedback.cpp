#include "learning/feedback/error_feedback.hpp"

#include "kernels/dense.hpp"
#include "learning/feedback/adaptive_broadcast.hpp"
#include "learning/feedback/backprop.hpp"
#include "learning/feedback/direct_feedback_alignment.hpp"
#include "learning/feedback/feedback_alignment.hpp"
#include "learning/feedback/sign_symmetric.hpp"

namespace orthospike {

ConstMatrix error_through(Backend& backend, ConstMatrix weights, ConstMatrix error, View<float> room) {
  const Matrix result{room.subview(0, error.rows * weights.rows), error.rows, weights.rows};
  backend.dense().run(Multiply{.a = error, .b = weights, .transpose_b = true, .c = result});
  return result;
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
