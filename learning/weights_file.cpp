#include "learning/weights_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <regex>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

constexpr const char* format = "orthospike weights";
constexpr std::uint64_t format_version = 1;
constexpr std::size_t normalisation_rows = TrainedNetwork::normalisation_rows;

std::string model_of(const Population& population, const std::string& model) {
  switch (population.kind) {
    case Population::Kind::input:
      return "input";
    case Population::Kind::bias:
      return "bias";
    case Population::Kind::readout:
      return "readout";
    default:
      return model;
  }
}

/// "input (784 input), hidden1 (800 lif_dsr, trained threshold), … joined by input_to_hidden1 (784 × 800), …"
std::string architecture(const TrainedNetwork& network) {
  std::vector<std::string> populations, projections;
  for (const auto& [name, size, model, threshold, normalisation] : network.populations)
    populations.push_back(fmt::format(
        "{} ({} {}{}{})", name, size, model, threshold.empty() ? "" : ", trained threshold",
        normalisation.empty()
            ? ""
            : fmt::format(", normalised in {} channels", normalisation.size() / normalisation_rows)));
  for (const TrainedNetwork::Weights& projection : network.projections)
    projections.push_back(
        fmt::format("{} ({} × {})", projection.name, projection.presynaptic, projection.outputs()));
  return fmt::format("{} joined by {}", fmt::join(populations, ", "), fmt::join(projections, ", "));
}

/// What a normalisation has for each channel, in the order of TrainedNetwork::Neurons::normalisation.
std::array<View<float>, normalisation_rows> rows_of(Normalisation& normalisation) {
  return {normalisation.gain(), normalisation.offset(), normalisation.mean(), normalisation.variance()};
}

/// Without values.
TrainedNetwork described(const Network& network, const std::string& model) {
  TrainedNetwork result;
  for (const Population& population : network.populations()) {
    const std::size_t channels =
        population.normalisation == nullptr ? 0 : population.normalisation->channels();
    const std::size_t thresholds = population.neuron == nullptr ? 0 : population.neuron->threshold().size();
    result.populations.push_back({.name = population.name,
                                  .size = population.size,
                                  .model = model_of(population, model),
                                  .threshold = std::vector<float>(thresholds),
                                  .normalisation = std::vector<float>(normalisation_rows * channels)});
  }
  for (const Projection& projection : network.projections())
    result.projections.push_back({.name = projection.name,
                                  .source = projection.source,
                                  .target = projection.target,
                                  .presynaptic = projection.presynaptic(),
                                  .values = std::vector<float>(projection.weights.size())});
  return result;
}

template <class T>
void add_all(Hdf5File& file, const std::string& object, const std::vector<std::size_t>& shape,
             const std::vector<T>& values, const std::string& definition) {
  file.add<T>(object, shape, T{});
  file.write_rows<T>(object, 0, values);
  file.add_attribute(object, "definition", definition);
}

std::string weights_object(const std::string& projection) {
  return "/weights/" + projection;
}

std::string normalisation_object(const std::string& population) {
  return "/normalisation/" + population;
}

std::string threshold_object(const std::string& population) {
  return "/thresholds/" + population;
}

/// Reads objects and says what is wrong with them.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : file_(Hdf5File::open(path)) {}

  const Hdf5File& file() const { return file_; }

  [[noreturn]] void refuse(const std::string& object, const std::string& found,
                           const std::string& expected) const {
    throw EnvironmentError(
        fmt::format("{}: {} is {}, expected {}", file_.path().string(), object, found, expected));
  }

  template <class T>
  std::vector<T> read(const std::string& object, const std::vector<std::size_t>& shape) const {
    const std::vector<std::size_t> found = file_.shape(object);
    if (found != shape)
      refuse(object, fmt::format("[{}]", fmt::join(found, " × ")),
             fmt::format("[{}]", fmt::join(shape, " × ")));
    std::vector<T> values = file_.read<T>(object);
    if constexpr (std::is_floating_point_v<T>) {
      const auto wrong = std::ranges::find_if_not(values, [](T value) { return std::isfinite(value); });
      if (wrong != values.end())
        refuse(fmt::format("{}, element {}", object, wrong - values.begin()), fmt::format("{}", *wrong),
               "a finite number");
    }
    return values;
  }

  /// An attribute of one text for each of `count` elements.
  std::vector<std::string> texts(const std::string& object, const std::string& name,
                                 std::size_t count) const {
    std::vector<std::string> texts = file_.texts_attribute(object, name);
    if (texts.size() != count)
      refuse(fmt::format("the attribute '{}' of {}", name, object), fmt::format("{} texts", texts.size()),
             fmt::format("{}", count));
    return texts;
  }

  /// Of a population of so many neurons; empty where it has none.
  std::vector<float> normalisation(const std::string& population, std::size_t neurons) const {
    const std::string object = normalisation_object(population);
    if (!file_.exists(object)) return {};
    const std::vector<std::size_t> shape = file_.shape(object);
    if (shape.size() != 2 || shape[0] != normalisation_rows || shape[1] == 0 || neurons % shape[1] != 0)
      refuse(object, fmt::format("[{}]", fmt::join(shape, " × ")),
             fmt::format("[{} × channels of {} neurons]", normalisation_rows, neurons));
    std::vector<float> values = read<float>(object, shape);
    const auto variances = std::span(values).last(shape[1]);
    if (const auto wrong = std::ranges::find_if(variances, [](float value) { return value < 0; });
        wrong != variances.end())
      refuse(object + ", a variance", fmt::format("{}", *wrong), "a number ≥ 0");
    return values;
  }
  /// Of an object that is a list.
  std::size_t length(const std::string& object) const {
    const std::vector<std::size_t> shape = file_.shape(object);
    if (shape.size() != 1) refuse(object, fmt::format("of {} dimensions", shape.size()), "a list");
    return shape.front();
  }

 private:
  Hdf5File file_;
};

}  // namespace

void store(const Network& network, const std::string& model, TrainedNetwork& to) {
  TrainedNetwork all = described(network, model);
  to.populations = std::move(all.populations);
  to.projections = std::move(all.projections);
  for (std::size_t i = 0; i < to.populations.size(); ++i) {
    if (!to.populations[i].threshold.empty())
      to.populations[i].threshold =
          network.backend().download(View<const float>(network.populations()[i].neuron->threshold()));
    if (to.populations[i].normalisation.empty()) continue;
    to.populations[i].normalisation.clear();
    for (const View<float> row : rows_of(*network.populations()[i].normalisation)) {
      const std::vector<float> values = network.backend().download(View<const float>(row));
      to.populations[i].normalisation.insert(to.populations[i].normalisation.end(), values.begin(),
                                             values.end());
    }
  }
  for (std::size_t p = 0; p < to.projections.size(); ++p)
    to.projections[p].values = network.backend().download(network.projections()[p].weights.view());
}

void load(const TrainedNetwork& from, Network& network) {
  for (std::size_t i = 0; i < from.populations.size(); ++i) {
    const std::vector<float>& threshold = from.populations[i].threshold;
    if (!threshold.empty())
      network.backend().upload(std::span(threshold), network.populations()[i].neuron->threshold());
    if (from.populations[i].normalisation.empty()) continue;
    std::span<const float> left = from.populations[i].normalisation;
    for (const View<float> row : rows_of(*network.populations()[i].normalisation)) {
      network.backend().upload(left.first(row.size()), row);
      left = left.subspan(row.size());
    }
  }
  for (std::size_t p = 0; p < from.projections.size(); ++p)
    network.backend().upload(std::span(from.projections[p].values), network.projections()[p].weights.view());
}

std::string difference(const TrainedNetwork& stored, const Network& network, const std::string& model) {
  const std::string there = architecture(stored), here = architecture(described(network, model));
  return there == here ? "" : fmt::format("there the network is {}; here {}", there, here);
}

std::string weights_name_after(std::size_t task) {
  return fmt::format("weights-task-{}.h5", task);
}

void write_weights(const TrainedNetwork& network, const std::filesystem::path& folder,
                   const std::string& name, const std::vector<LateralWeights>& lateral) {
  const std::filesystem::path path = folder / name;
  std::filesystem::path partial = path;
  Hdf5File file = Hdf5File::create(partial.replace_extension(".partial.h5"));
  file.add_attribute("/", "format", std::string(format));
  file.add_attribute("/", "format_version", format_version);
  file.add_attribute("/", "version", network.version);
  file.add_attribute("/", "git_revision", network.git_revision);
  file.add_text("/config", network.config);

  std::vector<std::string> names;
  std::vector<std::uint32_t> told;
  for (const TaskDescription& task : network.tasks) {
    names.push_back(task.name);
    told.push_back(task.told ? 1 : 0);
  }
  add_all<std::uint32_t>(file, "/tasks/told", {told.size()}, told,
                         "1 where the network is told at test time which task a sample is of; else 0");
  file.add_attribute("/tasks/told", "names", names);
  add_all<std::uint32_t>(file, "/tasks/trained", {1}, {static_cast<std::uint32_t>(network.tasks_trained)},
                         "tasks that the network was trained on, the first of them");

  const MapShape& shape = network.shape;
  add_all<std::uint32_t>(file, "/input/shape", {3},
                         {static_cast<std::uint32_t>(shape.channels),
                          static_cast<std::uint32_t>(shape.height), static_cast<std::uint32_t>(shape.width)},
                         "channels, height and width of an image");
  add_all<float>(file, "/input/mean", {1}, {network.mean},
                 "of pixels from 0 to 1; the input is (pixel - mean) / deviation");
  add_all<float>(file, "/input/deviation", {1}, {network.deviation}, "see mean");

  names.clear();
  std::vector<std::string> models;
  std::vector<std::uint32_t> sizes;
  for (const TrainedNetwork::Neurons& population : network.populations) {
    names.push_back(population.name);
    models.push_back(population.model);
    sizes.push_back(static_cast<std::uint32_t>(population.size));
    if (!population.threshold.empty())
      add_all<float>(file, threshold_object(population.name), {1}, population.threshold, "trained threshold");
    const std::size_t channels = population.normalisation.size() / normalisation_rows;
    if (channels > 0)
      add_all<float>(file, normalisation_object(population.name), {normalisation_rows, channels},
                     population.normalisation,
                     "gain, offset, mean and variance (rows) of each channel of the currents");
  }
  add_all<std::uint32_t>(file, "/populations/size", {sizes.size()}, sizes, "neurons");
  file.add_attribute("/populations/size", "names", names);
  file.add_attribute("/populations/size", "models", models);

  names.clear();
  std::vector<std::uint32_t> ends;
  for (const TrainedNetwork::Weights& projection : network.projections) {
    names.push_back(projection.name);
    ends.push_back(static_cast<std::uint32_t>(projection.source));
    ends.push_back(static_cast<std::uint32_t>(projection.target));
    add_all<float>(
        file, weights_object(projection.name), {projection.presynaptic, projection.outputs()},
        projection.values,
        "weights from each neuron of the source (row) to each of the target (column); of a convolution, from "
        "each value of a patch (kernel row, kernel column, channel) to each channel");
  }
  add_all<std::uint32_t>(file, "/projections/populations", {names.size(), 2}, ends,
                         "source and target of each projection, counted from 0 among the populations");
  file.add_attribute("/projections/populations", "names", names);
  for (const auto& [projection, values] : lateral) {
    const auto from = std::ranges::find(network.projections, projection, &TrainedNetwork::Weights::name);
    const std::size_t neurons = from->presynaptic;
    add_all<float>(
        file, "/lateral/" + projection, {values.size() / neurons, neurons}, values,
        "weights to each lateral neuron (row) from each of the source (column): the subspace of its activity");
  }
  file.close_as(path);
}

void remove_weights(const std::filesystem::path& folder) {
  static const std::regex ours("weights(-task-[0-9]+)?([.]partial)?[.]h5");
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (std::regex_match(entry.path().filename().string(), ours)) found.push_back(entry.path());
  }
  for (const std::filesystem::path& path : found) std::filesystem::remove(path);
}

std::filesystem::path weights_file_at(const std::filesystem::path& place) {
  std::filesystem::path path = place;
  if (std::filesystem::is_directory(place)) path = place / weights_name;
  if (place.filename() == RunFile::name || place.filename() == RunFile::partial_name)
    path.replace_filename(weights_name);
  if (!std::filesystem::exists(path)) {
    throw EnvironmentError(
        path == place
            ? fmt::format("{}: there is no such file or folder", place.string())
            : fmt::format("{}: there is no {}, which a run of this version writes at the end of each task",
                          place.string(), path.string()));
  }
  return path;
}

TrainedNetwork read_weights(const std::filesystem::path& path) {
  const Reader reader(path);
  const Hdf5File& file = reader.file();
  if (const std::string found = file.text_attribute("/", "format"); found != format)
    reader.refuse("the attribute 'format' of /", fmt::format("'{}'", found), fmt::format("'{}'", format));
  if (const std::uint64_t found = file.integer_attribute("/", "format_version"); found != format_version)
    reader.refuse("the attribute 'format_version' of /", fmt::format("{}", found),
                  fmt::format("{}", format_version));
  TrainedNetwork network;
  network.path = path;
  network.version = file.text_attribute("/", "version");
  network.git_revision = file.text_attribute("/", "git_revision");
  network.config = file.read_text("/config");

  const auto told = reader.read<std::uint32_t>("/tasks/told", {reader.length("/tasks/told")});
  const std::vector<std::string> tasks = reader.texts("/tasks/told", "names", told.size());
  for (std::size_t k = 0; k < told.size(); ++k)
    network.tasks.push_back({.name = tasks[k], .told = told[k] != 0});
  network.tasks_trained = reader.read<std::uint32_t>("/tasks/trained", {1})[0];
  if (network.tasks_trained > told.size())
    reader.refuse("/tasks/trained", fmt::format("{}", network.tasks_trained),
                  fmt::format("at most {}", told.size()));

  const auto shape = reader.read<std::uint32_t>("/input/shape", {3});
  network.shape = {.height = shape[1], .width = shape[2], .channels = shape[0]};
  network.mean = reader.read<float>("/input/mean", {1})[0];
  network.deviation = reader.read<float>("/input/deviation", {1})[0];
  if (!(network.deviation > 0))
    reader.refuse("/input/deviation", fmt::format("{}", network.deviation), "a number > 0");

  const auto sizes = reader.read<std::uint32_t>("/populations/size", {reader.length("/populations/size")});
  const std::vector<std::string> names = reader.texts("/populations/size", "names", sizes.size());
  const std::vector<std::string> models = reader.texts("/populations/size", "models", sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::string threshold = threshold_object(names[i]);
    network.populations.push_back(
        {.name = names[i],
         .size = sizes[i],
         .model = models[i],
         .threshold = file.exists(threshold) ? reader.read<float>(threshold, {1}) : std::vector<float>(),
         .normalisation = reader.normalisation(names[i], sizes[i])});
  }
  if (sizes.size() < 2 || sizes.front() != network.shape.size())
    reader.refuse("/populations/size", fmt::format("[{}]", fmt::join(sizes, ", ")),
                  fmt::format("an input of {} values, then neurons", network.shape.size()));

  const std::string projections = "/projections/populations";
  const std::vector<std::size_t> extent = file.shape(projections);
  const std::size_t count = extent.empty() ? 0 : extent.front();
  const auto ends = reader.read<std::uint32_t>(projections, {count, 2});
  const std::vector<std::string> projection_names = reader.texts(projections, "names", count);
  for (std::size_t p = 0; p < count; ++p) {
    const std::uint32_t source = ends[2 * p], target = ends[2 * p + 1];
    if (source >= sizes.size() || target >= sizes.size())
      reader.refuse(projections, fmt::format("from {} to {}", source, target),
                    fmt::format("among {} populations", sizes.size()));
    const std::string weights = weights_object(projection_names[p]);
    const std::vector<std::size_t> shape = file.shape(weights);
    // Of all places of a convolution they are the same.
    if (shape.size() != 2 || shape[0] == 0 || shape[1] == 0 || sizes[target] % shape[1] != 0)
      reader.refuse(
          weights, fmt::format("[{}]", fmt::join(shape, " × ")),
          fmt::format("as many columns as the target has neurons, {}, or a part of them", sizes[target]));
    network.projections.push_back({.name = projection_names[p],
                                   .source = source,
                                   .target = target,
                                   .presynaptic = shape[0],
                                   .values = reader.read<float>(weights, shape)});
  }
  return network;
}

}  // namespace orthospike
