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

}  // namespace orthospike
