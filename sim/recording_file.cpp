#include "sim/recording_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "kernels/error.hpp"
#include "sim/final_name.hpp"
#include "sim/run_deflate.hpp"

namespace orthospike {

namespace {

constexpr const char* head_group = "/orthospike";
constexpr const char* finished_ending = ".h5";
constexpr const char* partial_ending = ".partial.h5";
/// What a partial file is called while what it holds is taken over.
constexpr const char* earlier_ending = ".earlier.h5";
constexpr const char* spikes_name = "spikes";
constexpr const char* report_prefix = "report-";

/// Spikes of a chunk: two of a quarter of a megabyte each, read at once.
constexpr std::size_t chunk_spikes = 32768;
constexpr std::size_t chunk_presentations = 4096;
constexpr std::size_t most_populations = 1000;
/// Bytes of a chunk of a report, about.
constexpr std::size_t chunk_bytes = 1U << 18;
constexpr std::size_t copied_rows = 1U << 20;

/// One of the data sets that say what was shown.
template <class Member>
struct Column {
  const char* name;
  Member Presentation::*member;
};
constexpr std::array<Column<std::uint32_t>, 5> columns = {{{"task", &Presentation::task},
                                                           {"sample", &Presentation::sample},
                                                           {"label", &Presentation::label},
                                                           {"after", &Presentation::after},
                                                           {"epoch", &Presentation::epoch}}};

std::string presentations_set(const std::string& name) {
  return fmt::format("{}/presentations/{}", head_group, name);
}
std::string neurons_group(const std::string& population) {
  return fmt::format("{}/neurons/{}", head_group, population);
}
std::string spikes_group(const std::string& population) {
  return "/spikes/" + population;
}
std::string report_group(const std::string& population) {
  return "/report/" + population;
}

std::string data_set(const std::string& population) {
  return report_group(population) + "/data";
}
std::size_t frames_of_chunk(std::size_t neurons) {
  return std::max<std::size_t>(chunk_bytes / (neurons * sizeof(float)), 1);
}

template <class T, class From>
void add_list(Hdf5File& file, const std::string& object, const std::vector<From>& from) {
  const std::vector<T> values(from.begin(), from.end());
  file.add<T>(object, {values.size()}, T{});
  if (!values.empty()) file.write_rows(object, 0, std::span<const T>(values));
}

/// Byte `plane` of each of some numbers of eight bytes, all of which are below 2^32.
void put_plane(RunDeflate& to, std::span<const std::uint32_t> numbers, unsigned plane, std::uint32_t all_bits,
               std::vector<std::uint8_t>& room) {
  if (plane >= 4 || (all_bits >> 8 * plane & 0xFFU) == 0) {
    to.run(0, numbers.size());
    return;
  }
  room.resize(numbers.size());
  std::ranges::transform(numbers, room.begin(),
                         [&](std::uint32_t n) { return static_cast<std::uint8_t>(n >> 8 * plane); });
  // Neurons that fire in one step ascend, and few are next to each other.
  if (plane == 0) {
    to.literals(room);
  } else {
    to.bytes(room);
  }
}

}  // namespace

std::size_t RecordedBlock::bytes() const {
  std::size_t bytes = presentations.size() * sizeof(Presentation);
  for (const Spikes& of : spikes) bytes += (of.counts.size() + of.neurons.size()) * sizeof(std::uint32_t);
  for (const auto& variable : frames) {
    for (const std::vector<float>& of : variable) bytes += of.size() * sizeof(float);
  }
  return bytes;
}

RecordingFile::RecordingFile(const std::filesystem::path& folder, const std::string& name,
                             const RecordingHead& head)
    : head_(head), folder_(folder), name_(name) {}

std::filesystem::path RecordingFile::path(const std::string& ending) const {
  return folder_ / (name_ + ending);
}

Hdf5File& RecordingFile::file() {
  if (!file_) {
    file_.emplace(Hdf5File::create(path(partial_ending)));
    add_head();
    add_sets();
    file_->start_concurrent_reading();
  }
  return *file_;
}

void RecordingFile::add_head() {
  constexpr std::uint32_t magic = 0x0A7A, version[] = {0, 1};
  file_->add_attribute("/", "magic", std::span(&magic, 1));
  file_->add_attribute("/", "version", std::span<const std::uint32_t>(version));
  file_->add_group(head_group);
  file_->add_attribute(head_group, "dt", head_.dt);
  file_->add_attribute(head_group, "first_step", std::uint64_t{head_.first_step});
  file_->add_attribute(head_group, "steps", std::uint64_t{head_.steps});
  file_->add_attribute(head_group, "version", head_.version);
  file_->add_attribute(head_group, "git_revision", head_.git_revision);
  file_->add_text(fmt::format("{}/config", head_group), head_.config);
  for (const auto& [name, member] : columns)
    file_->add_growing<std::uint32_t>(presentations_set(name), {}, chunk_presentations, head_.compressed);
  file_->add_growing<std::uint8_t>(presentations_set("phase"), {}, chunk_presentations, head_.compressed);
  for (const RecordedNeurons& of : head_.populations) {
    const std::string group = neurons_group(of.population);
    add_list<std::uint64_t>(*file_, group + "/ids", of.neurons);
    file_->add_attribute(group, "size", std::uint64_t{of.size});
  }
}

void RecordingFile::append(const RecordedBlock& block) {
  append_values(block);
  presentations_ += block.presentations.size();
  unwritten_.insert(unwritten_.end(), block.presentations.begin(), block.presentations.end());
  if (unwritten_.size() >= chunk_presentations) flush_presentations();
}

void RecordingFile::flush_presentations() {
  std::vector<std::uint32_t> values(unwritten_.size());
  for (const auto& [name, member] : columns) {
    std::ranges::transform(unwritten_, values.begin(), member);
    file().append(presentations_set(name), std::span<const std::uint32_t>(values));
  }
  std::vector<std::uint8_t> phases;
  for (const Presentation& shown : unwritten_) phases.push_back(static_cast<std::uint8_t>(shown.phase));
  file().append(presentations_set("phase"), std::span<const std::uint8_t>(phases));
  unwritten_.clear();
}

void RecordingFile::flush() {
  flush_presentations();
  flush_values();
  file().flush();
  static_cast<void>(reaches_disk(file().path()));
}

void RecordingFile::finish() {
  flush();
  file().close_as(path(finished_ending));
}

void RecordingFile::take_over(const Extent& extent) {
  const std::filesystem::path earlier = path(earlier_ending);
  // Where a kill ended taking over, the partial file is not whole; where it came just after the end, it has its name.
  for (const char* ending : {partial_ending, finished_ending}) {
    if (!std::filesystem::exists(earlier) && std::filesystem::exists(path(ending)))
      give_final_name(path(ending), earlier);
  }
  if (extent.presentations > 0) {
    const Hdf5File from = Hdf5File::open(earlier);
    for (std::uint64_t first = 0; first < extent.presentations; first += copied_rows) {
      const std::size_t count = std::min<std::uint64_t>(copied_rows, extent.presentations - first);
      unwritten_.resize(count);
      for (const auto& [name, member] : columns) {
        const auto values = from.read_rows<std::uint32_t>(presentations_set(name), first, count);
        for (std::size_t i = 0; i < count; ++i) unwritten_[i].*member = values[i];
      }
      const auto phases = from.read_rows<std::uint8_t>(presentations_set("phase"), first, count);
      for (std::size_t i = 0; i < count; ++i)
        unwritten_[i].phase = static_cast<Presentation::Phase>(phases[i]);
      flush_presentations();
    }
    presentations_ = extent.presentations;
    copy_values(from, extent);
    flush();
  }
  std::filesystem::remove(earlier);
}

SpikesFile::SpikesFile(const std::filesystem::path& folder, const RecordingHead& head)
    : RecordingFile(folder, spikes_name, head) {
  for (const RecordedNeurons& of : head.populations) tails_.emplace_back().counts.resize(of.size);
}

void SpikesFile::add_sets() {
  for (const RecordedNeurons& of : head_.populations) {
    const std::string group = spikes_group(of.population);
    file().add_growing<double>(group + "/timestamps", {}, chunk_spikes, head_.compressed);
    file().add_variable_text(group + "/timestamps", "units", "ms");
    file().add_growing<std::uint64_t>(group + "/node_ids", {}, chunk_spikes, head_.compressed);
    constexpr std::uint8_t by_time = 2;
    file().add_enumeration(group, "sorting", {"none", "by_id", "by_time"}, by_time);
    file().add<std::uint64_t>(neurons_group(of.population) + "/spike_counts", {of.neurons.size()}, 0);
  }
}

void SpikesFile::append_values(const RecordedBlock& block) {
  for (std::size_t p = 0; p < tails_.size(); ++p) {
    const auto& [counts, neurons] = block.spikes[p];
    std::size_t first = 0;
    for (std::size_t step = 0; step < counts.size(); ++step) {
      append_step(p, std::span(neurons).subspan(first, counts[step]),
                  static_cast<double>(presentations_ * head_.steps + step) * head_.dt);
      first += counts[step];
    }
  }
}

void SpikesFile::append_step(std::size_t population, std::span<const std::uint32_t> neurons, double time) {
  Tail& tail = tails_[population];
  if (neurons.empty()) return;
  tail.neurons.insert(tail.neurons.end(), neurons.begin(), neurons.end());
  tail.times.push_back({time, neurons.size()});
  for (const std::uint32_t neuron : neurons) ++tail.counts[neuron];
  while (tail.neurons.size() >= chunk_spikes) {
    write_chunk(population, chunk_spikes);
    tail.written += chunk_spikes;
    tail.neurons.erase(tail.neurons.begin(), tail.neurons.begin() + chunk_spikes);
    std::size_t gone = 0, steps = 0;
    while (gone + tail.times[steps].spikes <= chunk_spikes) {
      gone += tail.times[steps++].spikes;
      if (steps == tail.times.size()) break;
    }
    if (steps < tail.times.size()) tail.times[steps].spikes -= chunk_spikes - gone;
    tail.times.erase(tail.times.begin(), tail.times.begin() + static_cast<std::ptrdiff_t>(steps));
  }
}

/// The first `spikes` of the tail as a chunk, with zeros behind them.
void SpikesFile::write_chunk(std::size_t population, std::size_t spikes) {
  const Tail& tail = tails_[population];
  const std::string group = spikes_group(head_.populations[population].population);
  if (!head_.compressed) {
    std::vector<double> each_time;
    for (const auto& [time, count] : tail.times)
      each_time.insert(each_time.end(), std::min(count, spikes - each_time.size()), time);
    const std::vector<std::uint64_t> ids(tail.neurons.begin(),
                                         tail.neurons.begin() + static_cast<std::ptrdiff_t>(spikes));
    file().extend(group + "/timestamps", tail.written + spikes);
    file().write_rows(group + "/timestamps", tail.written, std::span<const double>(each_time));
    file().extend(group + "/node_ids", tail.written + spikes);
    file().write_rows(group + "/node_ids", tail.written, std::span<const std::uint64_t>(ids));
    return;
  }
  RunDeflate times, ids;
  std::vector<std::uint8_t> room;
  const auto neurons = std::span(tail.neurons).first(spikes);
  const std::uint32_t all_bits = std::accumulate(neurons.begin(), neurons.end(), 0U, std::bit_or<>());
  for (unsigned plane = 0; plane < sizeof(std::uint64_t); ++plane) {
    put_plane(ids, neurons, plane, all_bits, room);
    ids.run(0, chunk_spikes - spikes);
    std::size_t left = spikes;
    for (const auto& [time, count] : tail.times) {
      const auto byte = static_cast<std::uint8_t>(std::bit_cast<std::uint64_t>(time) >> 8 * plane);
      times.run(byte, std::min(count, left));
      left -= std::min(count, left);
      if (left == 0) break;
    }
    times.run(0, chunk_spikes - spikes);
  }
  file().write_chunk(group + "/timestamps", tail.written, tail.written + spikes, times.finish());
  file().write_chunk(group + "/node_ids", tail.written, tail.written + spikes, ids.finish());
}

void SpikesFile::flush_values() {
  for (std::size_t p = 0; p < tails_.size(); ++p) {
    const RecordedNeurons& of = head_.populations[p];
    if (!tails_[p].neurons.empty()) write_chunk(p, tails_[p].neurons.size());
    std::vector<std::uint64_t> counts;
    for (const std::uint32_t neuron : of.neurons) counts.push_back(tails_[p].counts[neuron]);
    file().write_rows(neurons_group(of.population) + "/spike_counts", 0,
                      std::span<const std::uint64_t>(counts));
  }
}

void SpikesFile::copy_values(const Hdf5File& from, const Extent& extent) {
  for (std::size_t p = 0; p < tails_.size(); ++p) {
    const std::string group = spikes_group(head_.populations[p].population);
    for (std::uint64_t first = 0; first < extent.spikes[p]; first += copied_rows) {
      const std::size_t count = std::min<std::uint64_t>(copied_rows, extent.spikes[p] - first);
      const auto times = from.read_rows<double>(group + "/timestamps", first, count);
      const auto ids = from.read_rows<std::uint64_t>(group + "/node_ids", first, count);
      if (std::ranges::any_of(ids, [&](std::uint64_t id) { return id >= tails_[p].counts.size(); }))
        throw EnvironmentError(
            fmt::format("{}: {}/node_ids has numbers of no neuron", from.path().string(), group));
      const std::vector<std::uint32_t> neurons(ids.begin(), ids.end());
      for (std::size_t i = 0; i < count;) {
        std::size_t end = i + 1;
        while (end < count && times[end] == times[i]) ++end;
        append_step(p, std::span(neurons).subspan(i, end - i), times[i]);
        i = end;
      }
    }
  }
}

ReportFile::ReportFile(const std::filesystem::path& folder, const std::string& variable, std::size_t index,
                       const RecordingHead& head)
    : RecordingFile(folder, report_prefix + variable, head),
      variable_(variable),
      index_(index),
      unwritten_(head.populations.size()) {}

void ReportFile::add_sets() {
  for (const RecordedNeurons& of : head_.populations) {
    const std::string group = report_group(of.population), mapping = group + "/mapping";
    file().add_growing<float>(data_set(of.population), {of.neurons.size()},
                              frames_of_chunk(of.neurons.size()), head_.compressed);
    file().add_variable_text(data_set(of.population), "units", "1");
    add_list<std::uint64_t>(file(), mapping + "/node_ids", of.neurons);
    constexpr std::uint8_t sorted = 1;
    file().add_attribute(mapping + "/node_ids", "sorted", sorted);
    std::vector<std::uint64_t> pointers(of.neurons.size() + 1);
    std::iota(pointers.begin(), pointers.end(), std::uint64_t{0});
    add_list<std::uint64_t>(file(), mapping + "/index_pointers", pointers);
    file().add_link(mapping + "/index_pointers", "index_pointer");
    add_list<std::uint32_t>(file(), mapping + "/element_ids", std::vector<std::uint32_t>(of.neurons.size()));
    add_list<float>(file(), mapping + "/element_pos", std::vector<float>(of.neurons.size()));
    add_list<double>(file(), mapping + "/time", std::vector<double>{0, 0, head_.dt});
    file().add_variable_text(mapping + "/time", "units", "ms");
  }
}

void ReportFile::append_values(const RecordedBlock& block) {
  for (std::size_t p = 0; p < head_.populations.size(); ++p) append_frames(p, block.frames[index_][p]);
}

void ReportFile::append_frames(std::size_t population, std::span<const float> values) {
  std::vector<float>& unwritten = unwritten_[population];
  unwritten.insert(unwritten.end(), values.begin(), values.end());
  const std::size_t width = head_.populations[population].neurons.size();
  const std::size_t chunk = frames_of_chunk(width) * width;
  const std::size_t whole = unwritten.size() / chunk * chunk;
  file().append(data_set(head_.populations[population].population),
                std::span<const float>(unwritten).first(whole));
  unwritten.erase(unwritten.begin(), unwritten.begin() + static_cast<std::ptrdiff_t>(whole));
}

void ReportFile::flush_values() {
  const std::uint64_t frames = presentations_ * head_.steps;
  double stop = static_cast<double>(frames) * head_.dt;
  // pysonata rounds the number of frames down.
  while (static_cast<std::uint64_t>(stop / head_.dt) < frames) stop = std::nextafter(stop, 2 * stop);
  for (std::size_t p = 0; p < head_.populations.size(); ++p) {
    const std::string& population = head_.populations[p].population;
    file().append(data_set(population), std::span<const float>(unwritten_[p]));
    unwritten_[p].clear();
    file().write_rows(report_group(population) + "/mapping/time", 1, std::span<const double>(&stop, 1));
  }
}

void ReportFile::copy_values(const Hdf5File& from, const Extent& extent) {
  const std::size_t frames = extent.presentations * head_.steps;
  for (std::size_t p = 0; p < head_.populations.size(); ++p) {
    const std::size_t at_once = frames_of_chunk(head_.populations[p].neurons.size());
    for (std::size_t first = 0; first < frames; first += at_once) {
      append_frames(p, from.read_rows<float>(data_set(head_.populations[p].population), first,
                                             std::min(at_once, frames - first)));
    }
  }
}

namespace {

/// Of a file that belongs to a recording, its name without any ending; else empty.
std::string recording_name(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  for (const std::string ending : {earlier_ending, partial_ending, finished_ending}) {
    if (!name.ends_with(ending)) continue;
    const std::string stem = name.substr(0, name.size() - ending.size());
    return stem == spikes_name || stem.starts_with(report_prefix) ? stem : "";
  }
  return "";
}

RecordingSummary read_summary(const std::filesystem::path& path, const std::string& name) {
  const Hdf5File file = Hdf5File::open(path);
  RecordingSummary summary{
      .path = path,
      .finished = !path.filename().string().ends_with(partial_ending),
      .variable = name == spikes_name ? name : name.substr(std::string(report_prefix).size()),
      .dt = file.number_attribute(head_group, "dt"),
      .first_step = file.integer_attribute(head_group, "first_step"),
      .steps = file.integer_attribute(head_group, "steps"),
      .presentations = file.shape(presentations_set("task")).at(0),
      .populations = {}};
  for (const std::string& population :
       file.members(fmt::format("{}/neurons", head_group), most_populations)) {
    const std::string group = neurons_group(population);
    RecordedPopulation& of = summary.populations.emplace_back();
    of.name = population;
    of.size = file.integer_attribute(group, "size");
    of.neurons = file.read<std::uint64_t>(group + "/ids");
    if (name == spikes_name) of.spike_counts = file.read<std::uint64_t>(group + "/spike_counts");
  }
  return summary;
}

}  // namespace

std::vector<std::filesystem::path> recordings_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!recording_name(entry.path()).empty()) paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

std::vector<RecordingSummary> read_recordings(const std::filesystem::path& folder) {
  std::vector<RecordingSummary> summaries;
  for (const std::filesystem::path& path : recordings_in(folder)) {
    if (!path.filename().string().ends_with(earlier_ending))
      summaries.push_back(read_summary(path, recording_name(path)));
  }
  return summaries;
}

void remove_recordings(const std::filesystem::path& folder) {
  for (const std::filesystem::path& path : recordings_in(folder)) std::filesystem::remove(path);
}

}  // namespace orthospike
