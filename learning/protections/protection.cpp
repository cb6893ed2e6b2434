#include "learning/protections/protection.hpp"

#include <fmt/ranges.h>

#include "kernels/error.hpp"
#include "learning/protections/gpm.hpp"
#include "learning/protections/hlop.hpp"
#include "learning/protections/leaky.hpp"
#include "learning/protections/leaky_circuit.hpp"
#include "learning/protections/leaky_lowrank.hpp"
#include "learning/protections/leaky_slow.hpp"
#include "learning/protections/no_protection.hpp"
#include "learning/protections/owm.hpp"

namespace orthospike {

Registry<Protection, const Network&, const ProtectionSettings&>& protections() {
  static auto registry = [] {
    Registry<Protection, const Network&, const ProtectionSettings&> known("protection.name");
    known.add("none",
              [](const Network&, const ProtectionSettings&) { return std::make_unique<NoProtection>(); });
    known.add("hlop", [](const Network& network, const ProtectionSettings& settings) {
      return std::make_unique<Hlop>(network, settings);
    });
    known.add("leaky",
              [](const Network& network, const ProtectionSettings& settings) -> std::unique_ptr<Protection> {
                if (settings.leaky.consolidates) return std::make_unique<LeakySlow>(network, settings);
                if (settings.leaky.circuit) return std::make_unique<LeakyCircuit>(network, settings);
                return std::make_unique<Leaky>(network, settings);
              });
    known.add("leaky_lowrank", [](const Network& network, const ProtectionSettings& settings) {
      return std::make_unique<LeakyLowrank>(network, settings);
    });
    known.add("gpm", [](const Network& network, const ProtectionSettings& settings) {
      return std::make_unique<Gpm>(network, settings);
    });
    known.add("owm", [](const Network& network, const ProtectionSettings& settings) {
      return std::make_unique<Owm>(network, settings);
    });
    return known;
  }();
  return registry;
}

ProtectionPlan protection_plan(const std::string& name) {
  if (name == "joint") return {.protection = "none", .joint = true};
  std::vector<std::string> known;
  for (const std::string& protection : protections().names()) {
    const std::string replaying = protection == "none" ? "replay" : protection + "+replay";
    if (name == protection || name == replaying)
      return {.protection = protection, .replay = name == replaying};
    known.insert(known.end(), {protection, replaying});
  }
  throw ConfigError(fmt::format("protection.name: unknown name '{}'; expected one of {}, joint", name,
                                fmt::join(known, ", ")));
}

}  // namespace orthospike
