#include "sim/recorder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

constexpr const char* spikes_variable = "spikes";
/// That are not written yet.
constexpr std::size_t most_bytes = 64U << 20;
/// On the disk, of a spike with its time and of a number of a report.
constexpr double bytes_of_spike = 1.5, bytes_of_plain_spike = 16, bytes_of_value = 4;
constexpr double expected_rate = 0.25;  ///< spikes of a neuron and step

/// Elements in the host's memory.
template <class T>
class OnHost {
 public:
  OnHost(Backend& backend, View<const T> values) : span_(backend.in_host_memory(values)) {
    if (!span_.empty() || values.size() == 0) return;
    copy_ = backend.download(values);
    span_ = copy_;
  }
  std::span<const T> row(std::size_t row, std::size_t size) const { return span_.subspan(row * size, size); }
  T operator[](std::size_t i) const { return span_[i]; }

 private:
  std::vector<T> copy_;
  std::span<const T> span_;
};

/// How the membrane of a population's neurons low-passes currents.
PotentialResponse response_of(const NeuronModel& neuron) {
  if (const auto traits = neuron.surrogate_traits()) return traits->response;
  return {.decay = neuron.averaging_decay().value_or(0.0F)};
}

}  // namespace

Recorder::Recorder(ClockEngine& engine, const RecorderSettings& settings, const Clock& clock,
                   std::uint64_t seed, const std::filesystem::path& folder, RecordingHead head)
    : engine_(engine),
      populations_(populations_of(settings, seed)),
      variables_(variables_of(settings)),
      steps_(settings.steps.size(engine.steps())),
      compressed_(settings.compressed),
      records_spikes_(std::ranges::find(settings.variables, spikes_variable) != settings.variables.end()),
      writer_(most_bytes) {
  if (steps_ == 0) {
    throw ConfigError(fmt::format("record.steps: {} has none of the {} steps, which count from 0",
                                  settings.steps.text(), engine.steps()));
  }
  first_step_ = settings.steps.choose(engine.steps(), {}).front();
  head.dt = std::stod(fmt::format("{}", clock.dt));  // 0.1, not the nearest float
  head.first_step = first_step_;
  head.steps = steps_;
  head.compressed = settings.compressed;
  for (const Of& of : populations_) {
    const Population& population = engine.network().populations()[of.population];
    head.populations.push_back({population.name, population.size, of.neurons});
  }
  pushed_.spikes.resize(records_spikes_ ? populations_.size() : 0);
  if (records_spikes_) files_.push_back(std::make_unique<SpikesFile>(folder, head));
  for (std::size_t v = 0; v < variables_.size(); ++v)
    files_.push_back(std::make_unique<ReportFile>(folder, variables_[v].name, v, head));
  engine_.set_observer(this);
}

Recorder::~Recorder() {
  engine_.set_observer(nullptr);
}

std::vector<Recorder::Of> Recorder::populations_of(const RecorderSettings& settings,
                                                   std::uint64_t seed) const {
  std::vector<Of> chosen;
  std::vector<std::string> names;
  const std::vector<Population>& populations = std::as_const(engine_).network().populations();
  for (std::size_t i = 0; i < populations.size(); ++i) {
    const Population& population = populations[i];
    if (population.kind != Population::Kind::spiking) continue;
    names.push_back(population.name);
    const auto& wanted = settings.populations;
    if (!wanted.empty() && std::ranges::find(wanted, population.name) == wanted.end()) continue;
    Of& of = chosen.emplace_back();
    of.population = i;
    of.neurons = settings.neurons.choose(
        population.size, {seed, RandomPurpose::recorded_neurons, static_cast<std::uint32_t>(i)});
    of.all = of.neurons.size() == population.size;
    of.is_recorded.resize(population.size);
    for (const std::uint32_t neuron : of.neurons) of.is_recorded[neuron] = 1;
    if (of.neurons.empty()) {
      throw ConfigError(fmt::format("record.neurons: {} has none of the {} neurons of {}, which count from 0",
                                    settings.neurons.text(), population.size, population.name));
    }
  }
  for (const std::string& name : settings.populations) {
    if (std::ranges::find(names, name) == names.end())
      throw ConfigError(
          fmt::format("record.populations: '{}' is no population that spikes; expected some of {}", name,
                      fmt::join(names, ", ")));
  }
  return chosen;
}

std::vector<Recorder::Variable> Recorder::variables_of(const RecorderSettings& settings) const {
  std::vector<Variable> known = {{"current", Kind::current}, {"trace", Kind::trace}};
  const NeuronModel& neuron =
      *std::as_const(engine_).network().populations()[populations_.front().population].neuron;
  for (const char* field : neuron.state_fields()) known.push_back({field, Kind::state});
  std::vector<Variable> chosen;
  std::set<std::string> names;
  for (const std::string& name : settings.variables) {
    const auto found = std::ranges::find(known, name, &Variable::name);
    if (name != spikes_variable && found == known.end()) {
      std::vector<std::string> words = {spikes_variable};
      for (const Variable& variable : known) words.push_back(variable.name);
      throw ConfigError(fmt::format("record.variables: '{}' is none of these neurons; expected some of {}",
                                    name, fmt::join(words, ", ")));
    }
    if (!names.insert(name).second)
      throw ConfigError(fmt::format("record.variables: '{}' is there twice", name));
    if (name != spikes_variable) chosen.push_back(*found);
  }
  return chosen;
}

void Recorder::follow(std::vector<ShownSample> samples, std::size_t first) {
  samples_ = std::move(samples);
  next_ = first;
}

double Recorder::expected_bytes(std::size_t presentations) const {
  double neurons = 0;
  for (const Of& of : populations_) neurons += static_cast<double>(of.neurons.size());
  const double each =
      (records_spikes_ ? expected_rate * (compressed_ ? bytes_of_spike : bytes_of_plain_spike) : 0) +
      bytes_of_value * static_cast<double>(variables_.size());
  return static_cast<double>(presentations * steps_) * neurons * each;
}

Recording Recorder::wanted(std::size_t first_step, std::size_t batch) {
  if (first_step == 0) {
    chosen_.clear();
    for (std::size_t row = 0; row < batch && next_ + row < samples_.size(); ++row) {
      if (samples_[next_ + row].recorded) chosen_.push_back(row);
    }
    if (!chosen_.empty()) begin_block();
    next_ = std::min(next_ + batch, samples_.size());
  }
  if (chosen_.empty()) return {};
  const auto has = [&](Kind kind) {
    return std::ranges::find(variables_, kind, &Variable::kind) != variables_.end();
  };
  return {.states = has(Kind::state), .currents = has(Kind::current)};
}

void Recorder::begin_block() {
  block_ = std::make_shared<RecordedBlock>();
  for (const std::size_t row : chosen_) block_->presentations.push_back(samples_[next_ + row].presentation);
  if (records_spikes_) block_->spikes.resize(populations_.size());
  block_->frames.resize(variables_.size());
  const std::size_t frames = chosen_.size() * steps_;
  for (std::size_t p = 0; p < populations_.size(); ++p) {
    Of& of = populations_[p];
    of.pieces.clear();
    of.trace.assign(chosen_.size() * of.neurons.size(), 0.0F);
    of.trace_current = of.trace;
    if (records_spikes_) block_->spikes[p].counts.resize(frames);
    for (auto& variable : block_->frames) variable.emplace_back(frames * of.neurons.size());
  }
  run_ends_.clear();
}

void Recorder::ran(const ClockEngine& engine) {
  if (chosen_.empty()) return;
  const std::size_t end = engine.first_step() + engine.step_count();
  run_ends_.push_back(std::clamp(end, first_step_, first_step_ + steps_) - first_step_);
  for (std::size_t p = 0; p < populations_.size(); ++p) {
    const ConstActivity activity = engine.activity(populations_[p].population);
    if (records_spikes_) take_spikes(p, activity.spikes);
    if (!variables_.empty()) take_frames(p, activity);
  }
  if (end == engine.steps()) push_block();
}

void Recorder::take_spikes(std::size_t p, const ConstSpikes& spikes) {
  Of& of = populations_[p];
  Backend& backend = engine_.network().backend();
  const OnHost<std::uint32_t> counts(backend, spikes.counts), indices(backend, spikes.indices);
  std::vector<std::uint32_t>& piece = of.pieces.emplace_back();
  RecordedBlock::Spikes& to = block_->spikes[p];
  const std::size_t begin = run_ends_.size() == 1 ? 0 : run_ends_[run_ends_.size() - 2];
  for (std::size_t r = 0; r < chosen_.size(); ++r) {
    for (std::size_t step = begin; step < run_ends_.back(); ++step) {
      const std::size_t row = (first_step_ + step - engine_.first_step()) * engine_.batch() + chosen_[r];
      const auto fired = indices.row(row, spikes.neurons).first(counts[row]);
      const std::size_t before = piece.size();
      if (of.all) {
        piece.insert(piece.end(), fired.begin(), fired.end());
      } else {
        std::ranges::copy_if(fired, std::back_inserter(piece),
                             [&](std::uint32_t neuron) { return of.is_recorded[neuron] != 0; });
      }
      to.counts[r * steps_ + step] = static_cast<std::uint32_t>(piece.size() - before);
    }
  }
}

void Recorder::take_frames(std::size_t p, const ConstActivity& activity) {
  Of& of = populations_[p];
  Backend& backend = engine_.network().backend();
  const Population& population = engine_.network().populations()[of.population];
  const std::size_t width = of.neurons.size(), first = engine_.first_step(), batch = engine_.batch();
  std::size_t field = 0;
  for (std::size_t v = 0; v < variables_.size(); ++v) {
    std::vector<float>& to = block_->frames[v][p];
    const auto frame = [&](std::size_t r, std::size_t step) {
      return to.begin() + static_cast<std::ptrdiff_t>((r * steps_ + step - first_step_) * width);
    };
    const auto is_recorded = [&](std::size_t step) {
      return step >= first_step_ && step < first_step_ + steps_;
    };
    if (variables_[v].kind == Kind::trace) {
      const OnHost<std::uint32_t> counts(backend, activity.spikes.counts),
          indices(backend, activity.spikes.indices);
      const PotentialResponse response = response_of(*population.neuron);
      std::vector<float> spikes(population.size);
      for (std::size_t r = 0; r < chosen_.size(); ++r) {
        for (std::size_t step = first; step < first + engine_.step_count(); ++step) {
          const std::size_t row = (step - first) * batch + chosen_[r];
          const auto fired = indices.row(row, population.size).first(counts[row]);
          for (const std::uint32_t neuron : fired) spikes[neuron] = 1;
          for (std::size_t i = 0; i < width; ++i) {
            float& current = of.trace_current[r * width + i];
            float& trace = of.trace[r * width + i];
            current = response.synapse_decay * current + spikes[of.neurons[i]];
            trace = response.decay * trace + current;
            if (is_recorded(step)) frame(r, step)[static_cast<std::ptrdiff_t>(i)] = trace;
          }
          for (const std::uint32_t neuron : fired) spikes[neuron] = 0;
        }
      }
      continue;
    }
    if (variables_[v].kind == Kind::state) {
      const auto names = population.neuron->state_fields();
      field = static_cast<std::size_t>(std::ranges::find(names, variables_[v].name) - names.begin());
    }
    const ConstMatrix& values =
        variables_[v].kind == Kind::current ? activity.current : activity.each_state[field];
    const OnHost<float> all(backend, values.values);
    for (std::size_t r = 0; r < chosen_.size(); ++r) {
      for (std::size_t step = first; step < first + engine_.step_count(); ++step) {
        if (!is_recorded(step)) continue;
        const auto from = all.row((step - first) * batch + chosen_[r], population.size);
        std::ranges::transform(of.neurons, frame(r, step),
                               [&](std::uint32_t neuron) { return from[neuron]; });
      }
    }
  }
}

/// From the steps of each run, sample by sample in each of them, to those of each sample.
void Recorder::merge_pieces(std::size_t p) {
  Of& of = populations_[p];
  RecordedBlock::Spikes& to = block_->spikes[p];
  if (of.pieces.size() == 1) {
    to.neurons = std::move(of.pieces.front());
    return;
  }
  std::vector<std::size_t> taken(of.pieces.size());
  for (std::size_t r = 0; r < chosen_.size(); ++r) {
    std::size_t step = 0;
    for (std::size_t k = 0; k < of.pieces.size(); ++k) {
      std::size_t size = 0;
      for (; step < run_ends_[k]; ++step) size += to.counts[r * steps_ + step];
      const auto from = of.pieces[k].begin() + static_cast<std::ptrdiff_t>(taken[k]);
      to.neurons.insert(to.neurons.end(), from, from + static_cast<std::ptrdiff_t>(size));
      taken[k] += size;
    }
  }
}

void Recorder::push_block() {
  pushed_.presentations += chosen_.size();
  for (std::size_t p = 0; p < block_->spikes.size(); ++p) {
    merge_pieces(p);
    pushed_.spikes[p] += block_->spikes[p].neurons.size();
  }
  const std::size_t bytes = block_->bytes();
  writer_.push(bytes, [this, block = std::move(block_)] {
    for (const auto& file : files_) file->append(*block);
  });
}

void Recorder::state(Archive& archive) {
  if (!archive.loads()) {
    writer_.wait();
    for (const auto& file : files_) file->flush();
  }
  RecordingFile::Extent extent = marked_.value_or(pushed_);
  archive("presentations", extent.presentations);
  archive("spikes", extent.spikes);
  if (!archive.loads()) return;
  pushed_ = extent;
  for (const auto& file : files_) file->take_over(extent);
}

void Recorder::finish() {
  writer_.wait();
  for (const auto& file : files_) file->finish();
}

}  // namespace orthospike
