#include "learning/weights_file.hpp"

#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "kernels/error.hpp"
#include "learning/config.hpp"
#include "tests/catch.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

/// A network of 6 inputs and 3 logits.
Network small_network(Backend& backend, const std::string& model, std::uint64_t seed,
                      std::vector<std::size_t> hidden = {5, 4}) {
  Config config;
  config.neuron.choose(model);
  config.network.hidden = std::move(hidden);
  config.network.recurrent = model != "lif_dsr";
  Network network(backend);
  config.network.build(network, {.height = 1, .width = 2, .channels = 3}, 3, config.neuron, config.clock,
                       seed);
  return network;
}

TrainedNetwork stored(const Network& network, const std::string& model) {
  TrainedNetwork result{.path = {},
                        .version = "1.2.3",
                        .git_revision = "abc",
                        .config = config_text(Config()),
                        .shape = {.height = 1, .width = 2, .channels = 3},
                        .mean = 0.25F,
                        .deviation = 0.1F,
                        .tasks = {{"classes 0, 1", true}, {"class 2", false}},
                        .tasks_trained = 1,
                        .populations = {},
                        .projections = {}};
  store(network, model, result);
  return result;
}

/// Replaces an object of a file by another data set, or only removes it where that has no shape.
void replace(const std::filesystem::path& path, const std::string& object, const std::vector<hsize_t>& shape,
             const std::vector<float>& values) {
  const Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  REQUIRE(H5Ldelete(file.get(), object.c_str(), H5P_DEFAULT) >= 0);
  if (shape.empty()) return;
  const Hdf5Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose);
  const Hdf5Handle set(H5Dcreate2(file.get(), object.c_str(), H5T_NATIVE_FLOAT, space.get(), H5P_DEFAULT,
                                  H5P_DEFAULT, H5P_DEFAULT),
                       H5Dclose);
  REQUIRE(H5Dwrite(set.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
}

std::string refusal(const std::filesystem::path& path) {
  try {
    read_weights(path);
  } catch (const EnvironmentError& error) {
    const std::string sentence = error.what();
    CHECK(sentence.starts_with(path.string()));
    return sentence.substr(path.string().size());
  }
  return "";
}

TEST_CASE("a network of every neuron model comes back from its weights file", "[weights_file]") {
  on_each_backend([](Backend& backend) {
    for (const std::string& model : neuron_models().names()) {
      INFO(model);
      const TemporaryFolder folder;
      const Network network = small_network(backend, model, 1);
      for (const Population& population : network.populations()) {
        const View<float> threshold =
            population.neuron == nullptr ? View<float>() : population.neuron->threshold();
        const std::vector<float> trained(threshold.size(), 0.5F + static_cast<float>(population.size));
        backend.upload(std::span(trained), threshold);
      }
      TrainedNetwork written = stored(network, model);
      write_weights(written, folder.path(), weights_name);
      const TrainedNetwork read = read_weights(folder.path() / weights_name);
      written.path = folder.path() / weights_name;
      CHECK(read == written);
      CHECK(read.populations[1].threshold ==
            (model == "lif_dsr" ? std::vector<float>{5.5F} : std::vector<float>()));
      CHECK(read.projections.size() == (model == "lif_dsr" ? 3 : 5));
      CHECK(read.logits() == 3);

      Network other = small_network(backend, model, 2);
      CHECK_FALSE(stored(other, model).projections == read.projections);
      CHECK(difference(read, other, model).empty());
      load(read, other);
      const TrainedNetwork again = stored(other, model);
      CHECK(again.projections == read.projections);
      CHECK(again.populations == read.populations);
    }
  });
}

TEST_CASE("a network of convolutions comes back from its weights file", "[weights_file]") {
  const auto built = [](Network& network, std::uint64_t seed, const std::vector<std::string>& layers) {
    Config config;
    config.network.layers = layers;
    config.network.build(network, {.height = 4, .width = 4, .channels = 3}, 3, config.neuron, config.clock,
                         seed);
  };
  const std::vector<std::string> layers = {"5c3", "bn", "lif", "p2", "6", "lif"};
  const auto backend = make_backend("reference", 1);
  const TemporaryFolder folder;
  Network network(*backend), other(*backend), wider(*backend);
  built(network, 1, layers);
  Normalisation& normalisation = *network.populations()[1].normalisation;
  const std::vector<float> variances = {1, 2, 3, 4, 0}, offsets = {0, 1, -1, 2, -2};
  backend->upload(std::span(variances), normalisation.variance());
  backend->upload(std::span(offsets), normalisation.offset());
  TrainedNetwork written = stored(network, "lif_dsr");
  written.shape = {.height = 4, .width = 4, .channels = 3};
  CHECK(written.projections[0].presynaptic == 27);
  CHECK(written.projections[0].outputs() == 5);
  CHECK(written.projections[1].presynaptic == 20);
  write_weights(written, folder.path(), weights_name,
                {{"input_to_hidden1", std::vector<float>(2 * 27, 0.5F)}});
  CHECK(Hdf5File::open(folder.path() / weights_name).shape("/lateral/input_to_hidden1") ==
        std::vector<std::size_t>{2, 27});
  const TrainedNetwork read = read_weights(folder.path() / weights_name);
  CHECK(read.projections == written.projections);
  CHECK(read.populations == written.populations);
  CHECK(read.populations[1].normalisation ==
        std::vector<float>{1, 1, 1, 1, 1, 0, 1, -1, 2, -2, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0});
  CHECK(read.populations[2].normalisation.empty());
  built(other, 2, layers);
  CHECK(difference(read, other, "lif_dsr").empty());
  load(read, other);
  CHECK(stored(other, "lif_dsr").projections == read.projections);
  CHECK(stored(other, "lif_dsr").populations == read.populations);
  built(wider, 1, {"5c5", "lif", "p2", "6", "lif"});
  CHECK(difference(read, wider, "lif_dsr").find("input_to_hidden1 (75 × 5)") != std::string::npos);
  CHECK(difference(read, wider, "lif_dsr").find("trained threshold, normalised in 5 channels)") !=
        std::string::npos);

  const std::string object = "/normalisation/hidden1", file = folder.path() / weights_name;
  const auto damaged = [&](const std::vector<hsize_t>& size, float value) {
    write_weights(written, folder.path(), weights_name);
    replace(file, object, size, std::vector<float>(size[0] * size[1], value));
    return refusal(file);
  };
  CHECK(damaged({4, 5}, 1).empty());
  CHECK(damaged({3, 5}, 1) == ": " + object + " is [3 × 5], expected [4 × channels of 80 neurons]");
  CHECK(damaged({4, 3}, 1) == ": " + object + " is [4 × 3], expected [4 × channels of 80 neurons]");
  CHECK(damaged({4, 5}, -1) == ": " + object + ", a variance is -1, expected a number ≥ 0");
  CHECK(damaged({4, 5}, not_a_number) == ": " + object + ", element 0 is nan, expected a finite number");
}

TEST_CASE("a weights file is not taken for a network of other neurons", "[weights_file]") {
  const auto backend = make_backend("reference", 1);
  const TrainedNetwork from = stored(small_network(*backend, "lif", 1), "lif");
  const auto found = [&](const std::string& model, const std::vector<std::size_t>& hidden) {
    return difference(from, small_network(*backend, model, 1, hidden), model);
  };
  CHECK(found("lif", {5, 4}).empty());
  CHECK(found("lif", {5, 3}).find("hidden2 (4 lif), ") != std::string::npos);
  CHECK(found("lif", {5, 3}).find("; here ") != std::string::npos);
  CHECK(found("lif", {5, 3}).find("hidden2 (3 lif), ") != std::string::npos);
  CHECK(found("alif", {5, 4}).find("hidden2 (4 alif), ") != std::string::npos);
  CHECK_FALSE(found("lif", {5}).empty());
  Network feed_forward(*backend);
  Config config;
  config.neuron.choose("lif");
  config.network.hidden = {5, 4};
  config.network.build(feed_forward, {.height = 1, .width = 2, .channels = 3}, 3, config.neuron, config.clock,
                       1);
  CHECK_FALSE(difference(from, feed_forward, "lif").empty());
}

TEST_CASE("a damaged weights file is refused in a sentence that says what is wrong", "[weights_file]") {
  const auto backend = make_backend("reference", 1);
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / weights_name;
  const TrainedNetwork whole = stored(small_network(*backend, "lif_dsr", 1), "lif_dsr");
  const auto damaged = [&](const std::string& object, const std::vector<hsize_t>& shape,
                           const std::vector<float>& values) {
    write_weights(whole, folder.path(), weights_name);
    replace(path, object, shape, values);
    return refusal(path);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> values(12, 1.0F);
  CHECK(damaged("/weights/hidden2_to_readout", {4, 3}, values).empty());
  CHECK(
      damaged("/weights/hidden2_to_readout", {3, 4}, values) ==
      ": /weights/hidden2_to_readout is [3 × 4], expected as many columns as the target has neurons, 3, or a part "
      "of them");
  CHECK(
      damaged("/weights/hidden2_to_readout", {12}, values) ==
      ": /weights/hidden2_to_readout is [12], expected as many columns as the target has neurons, 3, or a part of "
      "them");
  values[7] = nan;
  CHECK(damaged("/weights/hidden2_to_readout", {4, 3}, values) ==
        ": /weights/hidden2_to_readout, element 7 is nan, expected a finite number");
  CHECK(damaged("/weights/hidden2_to_readout", {}, {}) == ": cannot open /weights/hidden2_to_readout");
  CHECK(damaged("/thresholds/hidden1", {1}, {nan}) ==
        ": /thresholds/hidden1, element 0 is nan, expected a finite number");
  CHECK(damaged("/thresholds/hidden1", {2}, {1, 1}) == ": /thresholds/hidden1 is [2], expected [1]");
  CHECK(damaged("/input/mean", {1}, {nan}) == ": /input/mean, element 0 is nan, expected a finite number");
  CHECK(damaged("/input/deviation", {1}, {0}) == ": /input/deviation is 0, expected a number > 0");
  CHECK(damaged("/input/shape", {3}, {1, 2, 4}) ==
        ": /populations/size is [6, 5, 4, 3], expected an input of 8 values, then neurons");
  CHECK(damaged("/tasks/trained", {1}, {3}) == ": /tasks/trained is 3, expected at most 2");
  CHECK_FALSE(damaged("/config", {}, {}).empty());
  CHECK_FALSE(damaged("/populations/size", {4}, {6, 5, 4, 3}).empty());  // without its attributes
  CHECK_FALSE(damaged("/projections/populations", {3, 2}, {0, 1, 1, 2, 2, 3}).empty());

  TrainedNetwork other = whole;
  other.projections[2].target = 2;
  other.projections[2].values.resize(16);
  write_weights(other, folder.path(), weights_name);
  CHECK(refusal(path).empty());  // consistent; the config says that it is not the network of the run
  CHECK_FALSE(difference(read_weights(path), small_network(*backend, "lif_dsr", 1), "lif_dsr").empty());

  {
    Hdf5File file = Hdf5File::create(path);
    file.add_attribute("/", "format", std::string("orthospike run"));
    file.add_attribute("/", "format_version", std::uint64_t{1});
    file.close();
  }
  CHECK(refusal(path) == ": the attribute 'format' of / is 'orthospike run', expected 'orthospike weights'");
  {
    Hdf5File file = Hdf5File::create(path);
    file.add_attribute("/", "format", std::string("orthospike weights"));
    file.add_attribute("/", "format_version", std::uint64_t{2});
    file.close();
  }
  CHECK(refusal(path) == ": the attribute 'format_version' of / is 2, expected 1");

  write_weights(whole, folder.path(), weights_name);
  std::vector<std::uint8_t> bytes(std::filesystem::file_size(path));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  for (std::size_t length = 0; length < bytes.size(); length += bytes.size() / 50) {
    INFO(length);
    CHECK_FALSE(refusal(folder.write(weights_name, std::span(bytes).first(length))).empty());
  }
}

TEST_CASE("the old weights file stays until the new one is whole", "[weights_file]") {
  const auto backend = make_backend("reference", 1);
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / weights_name;
  TrainedNetwork network = stored(small_network(*backend, "lif", 1), "lif");
  write_weights(network, folder.path(), weights_name);
  network.tasks_trained = 2;
  std::filesystem::create_directory(folder.path() / "weights.partial.h5");  // in the way of the new one
  CHECK_THROWS_AS(write_weights(network, folder.path(), weights_name), EnvironmentError);
  CHECK(read_weights(path).tasks_trained == 1);
  std::filesystem::remove(folder.path() / "weights.partial.h5");
  write_weights(network, folder.path(), weights_name);
  CHECK(read_weights(path).tasks_trained == 2);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "weights.partial.h5"));
}

TEST_CASE("weights files of a run are found and removed by their names", "[weights_file]") {
  const TemporaryFolder folder;
  const auto is_there = [&](const std::string& name) {
    return std::filesystem::exists(folder.path() / name);
  };
  CHECK_THROWS_WITH(weights_file_at(folder.path()),
                    Catch::Matchers::Contains("there is no") && Catch::Matchers::Contains("weights.h5"));
  CHECK_THROWS_AS(weights_file_at(folder.path() / "none.h5"), EnvironmentError);
  const std::vector<std::string> ours = {weights_name, weights_name_after(12), "weights.partial.h5",
                                         "weights-task-1.partial.h5"};
  const std::vector<std::string> others = {"weights-mine.h5", "my-weights.h5", "run.h5", "weights.h5.bak"};
  for (const auto& names : {ours, others}) {
    for (const std::string& name : names) folder.write(name, {});
  }
  CHECK(weights_file_at(folder.path()) == folder.path() / weights_name);
  CHECK(weights_file_at(folder.path() / "run.h5") == folder.path() / weights_name);
  CHECK(weights_file_at(folder.path() / "weights-task-12.h5") == folder.path() / "weights-task-12.h5");
  remove_weights(folder.path());
  CHECK(std::ranges::none_of(ours, is_there));
  CHECK(std::ranges::all_of(others, is_there));
}

}  // namespace
}  // namespace orthospike::testing
