#include "learning/protections/protection.hpp"

#include "learning/protections/hlop.hpp"
#include "learning/protections/no_protection.hpp"

namespace orthospike {

Registry<Protection, const Network&, const ProtectionSettings&>& protections() {
  static auto registry = [] {
    Registry<Protection, const Network&, const ProtectionSettings&> known("protection.name");
    known.add("none",
              [](const Network&, const ProtectionSettings&) { return std::make_unique<NoProtection>(); });
    known.add("hlop", [](const Network& network, const ProtectionSettings& settings) {
      return std::make_unique<Hlop>(network, settings);
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
