#include "learning/protections/protection.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "learning/protections/gpm.hpp"
#include "learning/protections/hlop.hpp"
#include "learning/protections/kfac.hpp"
#include "learning/protections/kfac_separable.hpp"
#include "learning/protections/leaky.hpp"
#include "learning/protections/leaky_circuit.hpp"
#include "learning/protections/leaky_lowrank.hpp"
#include "learning/protections/leaky_slow.hpp"
#include "learning/protections/no_protection.hpp"
#include "learning/protections/owm.hpp"

namespace orthospike {

Protections& protections() {
  static auto registry = [] {
    Protections known("protection.name", "Protection of earlier tasks");
    known.add<Hlop>("hlop", "learned subspaces are removed from changes");
    known.add<NoProtection>("none", "");
    known.add(
        "leaky", "each direction is weakened by its use", LeakySettings{},
        [](const ProtectionContext& context, const LeakySettings& settings) -> std::unique_ptr<Protection> {
          if (!settings.traits().needs_boundaries) return std::make_unique<LeakySlow>(context, settings);
          if (settings.is_circuit()) return std::make_unique<LeakyCircuit>(context, settings);
          return std::make_unique<Leaky>(context, settings);
        });
    known.add<LeakyLowrank>("leaky_lowrank", "the same with few lateral neurons");
    known.add(
        "kfac", "each pair of directions is weakened by its use and by how much it matters", KfacSettings{},
        [](const ProtectionContext& context, const KfacSettings& settings) -> std::unique_ptr<Protection> {
          if (settings.form == KfacSettings::Form::product) return std::make_unique<Kfac>(context, settings);
          return std::make_unique<KfacSeparable>(context, settings);
        });
    known.add<Gpm>("gpm", "exact components are removed");
    known.add<Owm>("owm", "recursive least squares");
    return known;
  }();
  return registry;
}

std::span<const Projection> shared_projections(const Network& network, bool separate_readouts) {
  const std::span<const Projection> all = network.projections();
  if (!separate_readouts) return all;
  const auto is_shared = [&](const Projection& projection) {
    return network.populations()[projection.target].kind != Population::Kind::readout;
  };
  if (!std::ranges::is_partitioned(all, is_shared))
    throw std::invalid_argument("projections to read-outs of their own come last");
  return {all.begin(), std::ranges::partition_point(all, is_shared)};
}

ProtectionPlan::ProtectionPlan() : protection_(protections()) {}

std::string ProtectionPlan::name() const {
  const std::string& protection = protection_.name();
  if (kind_ == Kind::joint) return "joint";
  if (kind_ == Kind::single) return protection;
  return protection == "none" ? "replay" : protection + "+replay";
}

void ProtectionPlan::describe(SettingsVisitor& visit) {
  struct Plan {
    std::string protection;
    Kind kind;
  };
  std::vector<std::pair<std::string, std::string>> words;
  std::map<std::string, Plan> plans;
  for (const auto& entry : protections().entries()) {
    words.emplace_back(entry.name, entry.meaning);
    plans[entry.name] = {entry.name, Kind::single};
  }
  for (const std::string& protection : protections().names()) {
    const std::string name = protection == "none" ? "replay" : protection + "+replay";
    words.emplace_back(name, protection == "none" ? "samples of each task are stored and shown again" : "");
    plans[name] = {protection, Kind::replay};
  }
  words.emplace_back("joint", "all tasks learned at once: the upper bound");
  plans["joint"] = {"none", Kind::joint};

  const std::string before = name();
  std::string chosen = before;
  visit(protections().key(), chosen, words, protections().meaning());
  if (chosen != before) {
    kind_ = plans[chosen].kind;
    protection_.choose(plans[chosen].protection);
  }
  protection_.describe_parts(visit);
  visit.only(protection_.traits().observes, "protections that observe activity", [&] {
    visit(
        "protection.stride", stride_, at_least(1), "pixels",
        "Of the places of a convolution every so manieth along each side of its map is observed: activity of neighbours "
        "is alike.");
  });
  visit.only(has_replay(), "protection.name with replay", [&] { replay_.describe(visit); });
}

}  // namespace orthospike
