#include "learning/rules/rule.hpp"

#include "learning/rules/bptt.hpp"
#include "learning/rules/decolle.hpp"
#include "learning/rules/dsr.hpp"
#include "learning/rules/eprop.hpp"
#include "learning/rules/ottt.hpp"
#include "learning/rules/rstdp.hpp"
#include "learning/rules/stdp.hpp"

namespace orthospike {

Rules& rules() {
  static auto registry = [] {
    Rules known("rule.name", "Training rule");
    known.add<Dsr>("dsr", "spike representation");
    known.add<Bptt>("bptt", "surrogate derivatives through time");
    known.add<Ottt>("ottt", "online through time");
    known.add<Eprop>("eprop", "eligibility traces");
    known.add<Decolle>("decolle", "local losses of each population");
    known.add<Stdp>("stdp", "spike-timing-dependent plasticity under a trained read-out");
    known.add<Rstdp>("rstdp", "the same, modulated by rewards or errors");
    return known;
  }();
  return registry;
}

}  // namespace orthospike
