#include "sim/recorder.hpp"

#include <set>

#include "kernels/error.hpp"
#include "tests/plain_lif.hpp"
#include "tests/sim/simulation.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

/// What a neuron got and what it was left with in each step; all neurons of a network write into one list.
struct Logged : PlainLif {
  struct Entry {
    double current, synapse, potential, adaptation;
  };

  Logged(const PlainNetwork& network, std::vector<Entry>& log) : PlainLif(network), entries(&log) {}

  double step(double current) {
    const double margin = PlainLif::step(current);
    entries->push_back({current, synapse, potential, adapted});
    return margin;
  }

  std::vector<Entry>* entries;
};

const std::vector<std::string> all_variables = {"spikes",  "current",   "trace",
                                                "synapse", "potential", "adaptation"};

/// Samples 0 … batch - 1 as the first ones of a task.
std::vector<ShownSample> shown(const std::set<std::uint32_t>& recorded, std::uint32_t after = 0) {
  std::vector<ShownSample> samples;
  for (std::uint32_t i = 0; i < batch; ++i) {
    samples.push_back({.presentation = {.task = 1, .sample = 100 + i, .label = i % 3, .after = after},
                       .recorded = recorded.contains(i)});
  }
  return samples;
}

std::unique_ptr<Recorder> make_recorder(ClockEngine& engine, const PlainNetwork& plain,
                                        const RecorderSettings& settings,
                                        const std::filesystem::path& folder) {
  return std::make_unique<Recorder>(engine, settings,
                                    Clock{.steps = plain.neuron.steps, .dt = plain.neuron.dt}, 1, folder,
                                    RecordingHead{.populations = {}, .config = "[a]\n"});
}

/// Of spikes.h5, as (time step of the file, neuron).
std::vector<std::pair<std::size_t, std::uint64_t>> spikes_in(const std::filesystem::path& folder,
                                                             const std::string& population, double dt) {
  const Hdf5File file = Hdf5File::open(folder / "spikes.h5");
  const auto times = file.read<double>("/spikes/" + population + "/timestamps");
  const auto neurons = file.read<std::uint64_t>("/spikes/" + population + "/node_ids");
  REQUIRE(times.size() == neurons.size());
  std::vector<std::pair<std::size_t, std::uint64_t>> spikes;
  for (std::size_t i = 0; i < times.size(); ++i) {
    const double step = times[i] / dt;
    CHECK(step == std::round(step));
    spikes.emplace_back(static_cast<std::size_t>(step), neurons[i]);
  }
  return spikes;
}

}  // namespace

TEST_CASE("a recorder writes what plain loops over steps do", "[recorder]") {
  std::vector<PlainNetwork> networks = {network_of("lif", false, 0.0F), network_of("alif", true, 0.0F),
                                        network_of("if", false, 0.5F)};
  networks[1].neuron.synapse_tau = 0.5F;
  on_each_backend([&](Backend& backend) {
    for (const PlainNetwork& plain : networks) {
      for (const bool in_windows : {false, true}) {
        INFO(plain.model << (in_windows ? ", in windows" : ""));
        const TemporaryFolder folder;
        Simulation simulation(backend, plain);
        ClockEngine& engine = *simulation.engine;
        const std::size_t first = 2, last = 6, steps = last - first + 1;
        const std::vector<std::uint32_t> samples = {0, 3};
        const auto recorder = make_recorder(engine, plain,
                                            {.variables = all_variables,
                                             .populations = {},
                                             .neurons = *Selection::parse("random 7"),
                                             .steps = Selection::range(first, last)},
                                            folder.path());
        recorder->follow(shown({0, 3}));
        if (in_windows) {
          std::size_t begin = 0;
          for (const std::size_t count : {4U, 1U, 1U, 3U}) {
            engine.run_steps(begin, count, {});
            begin += count;
          }
        } else {
          engine.run();
        }
        engine.run();  // not followed any more
        recorder->finish();

        for (const std::size_t k : {1U, 2U}) {
          const std::string population = std::to_string(k);
          const auto of = [&](const std::string& name) {
            return Hdf5File::open(folder.path() / (name + ".h5"));
          };
          const auto chosen = of("spikes").read<std::uint64_t>("/orthospike/neurons/" + population + "/ids");
          REQUIRE(chosen.size() == 7);
          CHECK(of("report-trace").read<std::uint64_t>("/report/" + population + "/mapping/node_ids") ==
                chosen);
          CHECK(of("report-trace").read<double>("/report/" + population + "/mapping/time") ==
                std::vector<double>{0, static_cast<double>(2 * steps) * 0.25, 0.25});
          std::map<std::string, std::vector<float>> frames;
          for (const std::string& variable : all_variables) {
            if (variable != "spikes")
              frames[variable] = of("report-" + variable).read<float>("/report/" + population + "/data");
          }
          std::vector<std::pair<std::size_t, std::uint64_t>> expected;
          std::vector<std::uint64_t> counts(7);
          for (std::size_t r = 0; r < samples.size(); ++r) {
            std::vector<Logged::Entry> log;
            const auto input = simulation.inputs.begin() + 13 * samples[r];
            const PlainNetwork::Run run = plain.run({input, input + 13}, Logged(plain, log));
            REQUIRE(run.nearest > 1e-6);
            const PlainLif constants(plain);
            for (std::size_t i = 0; i < chosen.size(); ++i) {
              double filtered = 0, trace = 0;
              for (std::size_t t = 0; t < plain.neuron.steps; ++t) {
                const double spike = run.output[t][k][chosen[i]];
                filtered = constants.synapse_decay * filtered + spike;
                trace = constants.decay * trace + filtered;
                if (t < first || t > last) continue;
                const std::size_t frame = r * steps + t - first;
                const Logged::Entry& entry = log[t * (37 + 29) + (k == 2 ? 37 : 0) + chosen[i]];
                const auto close = [&](const std::string& variable, double value) {
                  CHECK(frames[variable].at(frame * 7 + i) == Approx(value).margin(1e-5));
                };
                close("current", entry.current);
                close("synapse", entry.synapse);
                close("potential", entry.potential);
                close("adaptation", entry.adaptation);
                close("trace", trace);
                if (spike == 0) continue;
                expected.emplace_back(frame, chosen[i]);
                ++counts[i];
              }
            }
          }
          std::ranges::sort(expected);
          CHECK(spikes_in(folder.path(), population, 0.25) == expected);
          CHECK(expected.size() > 7);
          CHECK(of("spikes").read<std::uint64_t>("/orthospike/neurons/" + population + "/spike_counts") ==
                counts);
          CHECK(of("report-trace").read<std::uint32_t>("/orthospike/presentations/sample") ==
                std::vector<std::uint32_t>{100, 103});
        }
      }
    }
  });
}

TEST_CASE("a recorder keeps the potential of models with weighted averages", "[recorder]") {
  on_each_backend([](Backend& backend) {
    for (const std::string& model : neuron_models_with(&NeuronModel::Traits::has_weighted_averages)) {
      INFO(model);
      PlainNetwork plain = network_of(model, false, 0.0F);
      plain.neuron.firing_fraction = 0.5F;
      const TemporaryFolder folder;
      Simulation simulation(backend, plain);
      ClockEngine& engine = *simulation.engine;
      std::vector<std::string> variables = {"spikes"};
      for (const char* field : engine.network().populations()[1].neuron->state_fields())
        variables.push_back(field);
      const auto recorder = make_recorder(
          engine, plain, {.variables = variables, .populations = {"2"}, .neurons = {}, .steps = {}},
          folder.path());
      recorder->follow(shown({0, 1, 2, 3, 4}));
      engine.run();
      recorder->finish();
      const EventLists spikes = downloaded_spikes(backend, engine.activity(2).spikes);
      std::vector<std::pair<std::size_t, std::uint64_t>> expected;
      for (std::size_t b = 0; b < batch; ++b) {
        for (std::size_t t = 0; t < 9; ++t) {
          for (const std::uint32_t neuron : spikes[t * batch + b]) expected.emplace_back(b * 9 + t, neuron);
        }
      }
      CHECK(!expected.empty());
      CHECK(spikes_in(folder.path(), "2", 0.25) == expected);
      for (std::size_t v = 1; v < variables.size(); ++v) {
        const auto frames =
            Hdf5File::open(folder.path() / ("report-" + variables[v] + ".h5")).read<float>("/report/2/data");
        const std::vector<float> last = backend.download(engine.state(2, variables[v]).values);
        REQUIRE(frames.size() == batch * 9 * 29);
        for (std::size_t b = 0; b < batch; ++b) {
          for (std::size_t i = 0; i < 29; ++i) CHECK(frames[(b * 9 + 8) * 29 + i] == last[b * 29 + i]);
        }
      }
    }
  });
}

TEST_CASE("a recording goes on from a checkpoint as it would have without", "[recorder]") {
  const auto backend = make_backend("cpu", 1);
  const PlainNetwork plain = network_of("lif", false, 0.0F);
  const TemporaryFolder whole, parts;
  const RecorderSettings settings{
      .variables = {"spikes", "potential"}, .populations = {}, .neurons = {}, .steps = {}};
  const auto run = [](Simulation& simulation, Recorder& recorder, std::uint32_t after) {
    recorder.follow(shown({1, 2, 4}, after));
    simulation.engine->run();
  };
  {
    Simulation simulation(*backend, plain);
    const auto recorder = make_recorder(*simulation.engine, plain, settings, whole.path());
    for (std::uint32_t after = 0; after < 3; ++after) run(simulation, *recorder, after);
    recorder->finish();
  }
  const std::filesystem::path saved = parts.path() / "state.h5";
  const auto go_on = [&](const std::function<void(Simulation&, Recorder&)>& what) {
    Simulation simulation(*backend, plain);
    const auto recorder = make_recorder(*simulation.engine, plain, settings, parts.path());
    if (std::filesystem::exists(saved)) {
      const Hdf5File file = Hdf5File::open(saved);
      StateReader reader(*backend, file);
      reader("recorder", *recorder);
      reader.finish();
    }
    what(simulation, *recorder);
  };
  const auto save = [&](Recorder& recorder) {
    Hdf5File file = Hdf5File::create(saved);
    StateWriter writer(*backend, file);
    writer("recorder", recorder);
    file.close();
  };
  go_on([&](Simulation& simulation, Recorder& recorder) {
    run(simulation, recorder, 0);
    save(recorder);
    run(simulation, recorder, 1);  // lost
  });
  go_on([&](Simulation& simulation, Recorder& recorder) {
    run(simulation, recorder, 1);
    recorder.mark();
    run(simulation, recorder, 2);  // what it belongs to did not end
    save(recorder);
  });
  // A kill while the recording was taken over, and one after it had its name.
  std::filesystem::copy_file(parts.path() / "spikes.partial.h5", parts.path() / "spikes.earlier.h5");
  std::filesystem::resize_file(parts.path() / "spikes.partial.h5", 100);
  std::filesystem::rename(parts.path() / "report-potential.partial.h5", parts.path() / "report-potential.h5");
  go_on([&](Simulation& simulation, Recorder& recorder) {
    recorder.mark();
    run(simulation, recorder, 2);
    recorder.release();
    save(recorder);
    recorder.finish();
  });
  for (const std::string name : {"spikes.h5", "report-potential.h5"}) {
    const Hdf5File one = Hdf5File::open(whole.path() / name), other = Hdf5File::open(parts.path() / name);
    const std::vector<std::string> objects = one.numeric_objects("/");
    CHECK(objects == other.numeric_objects("/"));
    for (const std::string& object : objects) {
      INFO(name << object);
      CHECK(one.read_values(object) == other.read_values(object));
    }
    CHECK(one.read<std::uint32_t>("/orthospike/presentations/after") ==
          std::vector<std::uint32_t>{0, 0, 0, 1, 1, 1, 2, 2, 2});
  }
  CHECK(recordings_in(parts.path()).size() == 2);
}

TEST_CASE("spikes of many chunks are those that were recorded", "[recorder]") {
  const bool compressed = GENERATE(true, false);
  const TemporaryFolder folder;
  RecordingHead head{.dt = 0.1, .steps = 10, .populations = {{"a", 900, {}}, {"b", 3, {0, 1, 2}}}};
  head.compressed = compressed;
  for (std::uint32_t i = 0; i < 900; ++i) head.populations[0].neurons.push_back(i);
  std::vector<double> times;
  std::vector<std::uint64_t> neurons;
  {
    SpikesFile file(folder.path(), head);
    for (std::uint32_t presentation = 0; presentation < 200; ++presentation) {
      RecordedBlock block;
      block.presentations.push_back({.task = 1, .sample = presentation});
      RecordedBlock::Spikes all;
      for (std::uint32_t step = 0; step < 10; ++step) {
        std::uint32_t count = 0;
        for (std::uint32_t i = 0; i < 900; ++i) {
          if ((presentation * 31 + step * 17 + i * 7) % 11 > step) continue;
          all.neurons.push_back(i);
          times.push_back((presentation * 10 + step) * 0.1);
          neurons.push_back(i);
          ++count;
        }
        all.counts.push_back(count);
      }
      block.spikes = {all, {.counts = std::vector<std::uint32_t>(10), .neurons = {}}};
      file.append(block);
      if (presentation % 70 == 3) file.flush();
    }
    file.finish();
  }
  CHECK(neurons.size() > 20 * 32768);
  const Hdf5File file = Hdf5File::open(folder.path() / "spikes.h5");
  CHECK(file.read<double>("/spikes/a/timestamps") == times);
  CHECK(file.read<std::uint64_t>("/spikes/a/node_ids") == neurons);
  CHECK(file.read<double>("/spikes/b/timestamps").empty());
  const std::size_t bytes = std::filesystem::file_size(folder.path() / "spikes.h5");
  CHECK(bytes < (compressed ? 2 : 17) * neurons.size());
  CHECK((compressed || bytes > 16 * neurons.size()));
  const std::vector<RecordingSummary> summaries = read_recordings(folder.path());
  REQUIRE(summaries.size() == 1);
  CHECK(summaries[0].presentations == 200);
  CHECK(summaries[0].populations[0].size == 900);
  CHECK(std::accumulate(summaries[0].populations[0].spike_counts.begin(),
                        summaries[0].populations[0].spike_counts.end(), std::uint64_t{0}) == neurons.size());
}

TEST_CASE("what cannot be recorded is refused by its key", "[recorder]") {
  const auto backend = make_backend("cpu", 1);
  const PlainNetwork plain = network_of("lif", false, 0.0F);
  Simulation simulation(*backend, plain);
  const TemporaryFolder folder;
  const auto refusal = [&](const RecorderSettings& settings) -> std::string {
    try {
      make_recorder(*simulation.engine, plain, settings, folder.path());
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(
      refusal({.variables = {"spike"}, .populations = {}, .neurons = {}, .steps = {}}) ==
      "record.variables: 'spike' is none of these neurons; expected some of spikes, current, trace, synapse, "
      "potential, adaptation");
  CHECK(refusal({.variables = {"spikes", "spikes"}, .populations = {}, .neurons = {}, .steps = {}}) ==
        "record.variables: 'spikes' is there twice");
  CHECK(refusal({.variables = {"spikes"}, .populations = {"1", "3"}, .neurons = {}, .steps = {}}) ==
        "record.populations: '3' is no population that spikes; expected some of 1, 2");
  CHECK(refusal(
            {.variables = {"spikes"}, .populations = {}, .neurons = Selection::range(29, 40), .steps = {}}) ==
        "record.neurons: 29-40 has none of the 29 neurons of 2, which count from 0");
  CHECK(
      refusal({.variables = {"spikes"}, .populations = {}, .neurons = {}, .steps = Selection::range(9, 9)}) ==
      "record.steps: 9 has none of the 9 steps, which count from 0");
}

TEST_CASE("a recorder that cannot write says so where it is asked to go on", "[recorder]") {
  const auto backend = make_backend("cpu", 1);
  const PlainNetwork plain = network_of("lif", false, 0.0F);
  Simulation simulation(*backend, plain);
  const TemporaryFolder folder;
  const auto recorder = make_recorder(
      *simulation.engine, plain, {.variables = {"spikes"}, .populations = {}, .neurons = {}, .steps = {}},
      folder.path() / "none");
  recorder->follow(shown({0}));
  simulation.engine->run();
  CHECK_THROWS_AS(recorder->finish(), EnvironmentError);
}

}  // namespace orthospike::testing
