#include "learning/record_settings.hpp"

namespace orthospike {

void RecordSettings::describe(SettingsVisitor& visit) {
  visit(
      "record.variables", network.variables, "none",
      "What to record: spikes, current (that arrives at a neuron), trace (of its spikes), or names of what its model keeps, "
      "such as potential; sim/recording.md. Each is a file in the run's folder.");
  visit.only(is_on(), "record.variables other than none", [&] {
    visit("record.populations", network.populations, "all", "Populations, by name, such as hidden1.");
    visit("record.neurons", network.neurons, true, "neurons", "Which of each population, counted from 0.");
    visit("record.steps", network.steps, false, "steps", "Which of a sample, counted from 0.");
    visit("record.compression", network.compressed,
          {{"deflate", true, "a tenth of the bytes of spikes"},
           {"none", false, "for readers whose HDF5 has no deflate: libsonata since 0.1.26"}},
          "How files are compressed");
    visit("record.phase", phases,
          {{"test", Phases::test, "what tests show"},
           {"training", Phases::training, "what training shows, replay apart"},
           {"both", Phases::both, ""}},
          "When to record");
    visit("record.tasks", tasks, false, "tasks", "Whose samples, counted from 1.");
    visit.only(has(Presentation::Phase::test), "record.phase test", [&] {
      visit("record.after", after, false, "tasks", "Tests after so many tasks; 0: before any training.");
    });
    visit(
        "record.samples", samples, true, "samples",
        "Which of a task's test samples, or of its training samples in each epoch, by their place in its list, from 0.");
  });
}

}  // namespace orthospike
