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

Registry<ErrorFeedback, const Network&, std::uint64_t>& error_feedbacks() {
  static auto registry = [] {
    Registry<ErrorFeedback, const Network&, std::uint64_t> known("feedback.name");
    known.add("backprop",
              [](const Network& network, std::uint64_t) { return std::make_unique<Backprop>(network); });
    known.add("feedback_alignment", [](const Network& network, std::uint64_t seed) {
      return std::make_unique<FeedbackAlignment>(network, seed);
    });
    known.add("sign_symmetric",
              [](const Network& network, std::uint64_t) { return std::make_unique<SignSymmetric>(network); });
    known.add("direct_feedback_alignment", [](const Network& network, std::uint64_t seed) {
      return std::make_unique<DirectFeedbackAlignment>(network, seed);
    });
    known.add("adaptive_broadcast", [](const Network& network, std::uint64_t seed) {
      return std::make_unique<AdaptiveBroadcast>(network, seed);
    });
    return known;
  }();
  return registry;
}

}  // namespace orthospike
