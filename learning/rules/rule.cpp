#include "learning/rules/rule.hpp"

#include "learning/rules/dsr.hpp"

namespace orthospike {

Registry<Rule, const Network&, ErrorFeedback&, std::size_t>& rules() {
  static auto registry = [] {
    Registry<Rule, const Network&, ErrorFeedback&, std::size_t> known("rule.name");
    known.add("dsr", [](const Network& network, ErrorFeedback& feedback, std::size_t max_batch) {
      return std::make_unique<Dsr>(network, feedback, max_batch);
    });
    return known;
  }();
  return registry;
}

}  // namespace orthospike
