#pragma once

#include "sim/recorder.hpp"

namespace orthospike {

/// What to record, of which samples (section record).
struct RecordSettings {
  enum class Phases { test, training, both };

  RecorderSettings network;
  Phases phases = Phases::test;
  Selection tasks;                              ///< whose samples, counted from 1
  Selection after;                              ///< tests after so many tasks
  Selection samples = Selection::range(0, 99);  ///< places in the list of a task's samples

  void describe(SettingsVisitor& visit);
  bool is_on() const { return network.is_on(); }
  bool has(Presentation::Phase phase) const {
    return phases == Phases::both || (phases == Phases::test) == (phase == Presentation::Phase::test);
  }
};

}  // namespace orthospike
