#pragma once

#include "learning/protections/protection.hpp"

namespace orthospike {

/// Changes nothing: the network forgets as it will.
class NoProtection final : public Protection {
 public:
  struct Settings {
    void describe(SettingsVisitor& /*visit*/) {}
    Traits traits() const { return {.observes = false}; }
  };

  NoProtection(const ProtectionContext& /*context*/, const Settings& /*settings*/) {}

  void begin_task(std::size_t /*task*/) override {}
  PresynapticOperator* presynaptic_operator(std::size_t /*projection*/) override { return nullptr; }
  void observe(std::size_t /*projection*/, const Presynaptic& /*activity*/, ConstMatrix /*post*/) override {}
  void end_task() override {}
  void state(Archive& /*archive*/) override {}
  double effective_rank(std::size_t /*projection*/) const override { return 0; }
  std::size_t memory(std::size_t /*projection*/) const override { return 0; }
};

}  // namespace orthospike
