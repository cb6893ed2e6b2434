#include "learning/rules/rule.hpp"

#include "learning/rules/bptt.hpp"
#include "learning/rules/decolle.hpp"
#include "learning/rules/dsr.hpp"
#include "learning/rules/eprop.hpp"
#include "learning/rules/ottt.hpp"
#include "learning/rules/rstdp.hpp"
#include "learning/rules/stdp.hpp"

namespace orthospike {

Registry<Rule, const Network&, ErrorFeedback&, const RuleSettings&>& rules() {
  static auto registry = [] {
    Registry<Rule, const Network&, ErrorFeedback&, const RuleSettings&> known("rule.name");
    known.add("dsr", [](const Network& network, ErrorFeedback& feedback, const RuleSettings& settings) {
      return std::make_unique<Dsr>(network, feedback, settings.max_batch);
    });
    known.add("bptt", [](const Network& network, ErrorFeedback& feedback, const RuleSettings& settings) {
      return std::make_unique<Bptt>(network, feedback, settings);
    });
    known.add("ottt", [](const Network& network, ErrorFeedback& feedback, const RuleSettings& settings) {
      return std::make_unique<Ottt>(network, feedback, settings);
    });
    known.add("eprop", [](const Network& network, ErrorFeedback& feedback, const RuleSettings& settings) {
      return std::make_unique<Eprop>(network, feedback, settings);
    });
    known.add("decolle", [](const Network& network, ErrorFeedback& feedback, const RuleSettings& settings) {
      return std::make_unique<Decolle>(network, feedback, settings);
    });
    known.add("stdp", [](const Network& network, ErrorFeedback&, const RuleSettings& settings) {
      return std::make_unique<Stdp>(network, settings);
    });
    known.add("rstdp", [](const Network& network, ErrorFeedback& feedback, const RuleSettings& settings) {
      return std::make_unique<Rstdp>(network, feedback, settings);
    });
    return known;
  }();
  return registry;
}

}  // namespace orthospike
