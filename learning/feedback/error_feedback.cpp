#include "learning/feedback/error_feedback.hpp"

#include "learning/feedback/backprop.hpp"

namespace orthospike {

Registry<ErrorFeedback, const Network&>& error_feedbacks() {
  static auto registry = [] {
    Registry<ErrorFeedback, const Network&> known("feedback.name");
    known.add("backprop", [](const Network& network) { return std::make_unique<Backprop>(network); });
    return known;
  }();
  return registry;
}

}  // namespace orthospike
