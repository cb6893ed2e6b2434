// What is known of real data sets. Those that no folder holds are passed over.

#include <fmt/format.h>

#include <numeric>
#include <optional>

#include "datasets/data_set.hpp"
#include "datasets/task_sequence.hpp"
#include "kernels/error.hpp"
#include "tests/catch.hpp"

namespace orthospike {
namespace {

std::optional<std::vector<ImageData>> found(const std::string& names,
                                            CifarLabels labels = CifarLabels::fine) {
  DataSettings settings;
  settings.name = names;
  settings.labels = labels;
  try {
    for (const std::string& name : settings.names()) find_data_set(name, "");
  } catch (const EnvironmentError& error) {
    WARN("skipped: " << error.what());
    return std::nullopt;
  }
  return read_data_sets(settings);
}

std::vector<std::size_t> per_class(const ImageSet& set) {
  std::vector<std::size_t> counts(set.classes);
  for (const std::uint8_t label : set.labels) ++counts[label];
  return counts;
}

/// Of one channel of the training images.
double mean(const ImageSet& set, std::size_t channel) {
  double sum = 0;
  for (std::size_t i = channel; i < set.pixels.size(); i += set.channels) sum += set.pixels[i];
  return sum * static_cast<double>(set.channels) / static_cast<double>(set.pixels.size()) / 255;
}

TEST_CASE("MNIST is what it should be", "[real_data]") {
  const auto data = found("mnist");
  if (!data) return;
  const auto sequence =
      task_sequences().make("permuted", TaskContext{.data = *data, .settings = {}, .seed = 1});
  CHECK(sequence->training_moments().mean == Approx(0.1307).margin(0.0001));
  CHECK(sequence->training_moments().deviation == Approx(0.3081).margin(0.0001));
  CHECK(per_class(data->front().train) ==
        std::vector<std::size_t>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949});
  const auto split = task_sequences().make("split", TaskContext{.data = *data, .settings = {}, .seed = 1});
  CHECK(split->task(0).train.size() == 5923 + 6742);
  CHECK(split->task(4).test.size() == 974 + 1009);
}

TEST_CASE("CIFAR-10 is what it should be", "[real_data]") {
  const auto data = found("cifar10");
  if (!data) return;
  CHECK(per_class(data->front().train) == std::vector<std::size_t>(10, 5000));
  CHECK(per_class(data->front().test) == std::vector<std::size_t>(10, 1000));
  CHECK(mean(data->front().train, 0) == Approx(0.4914).margin(0.003));  // copies may be lossy
  CHECK(mean(data->front().train, 1) == Approx(0.4822).margin(0.003));
  CHECK(mean(data->front().train, 2) == Approx(0.4465).margin(0.003));
}

TEST_CASE("CIFAR-100 is what it should be, with either labels", "[real_data]") {
  const auto fine = found("cifar100");
  if (!fine) return;
  CHECK(per_class(fine->front().train) == std::vector<std::size_t>(100, 500));
  CHECK(mean(fine->front().train, 0) == Approx(0.5071).margin(0.0001));
  CHECK(mean(fine->front().train, 1) == Approx(0.4865).margin(0.0001));
  CHECK(mean(fine->front().train, 2) == Approx(0.4409).margin(0.0001));
  CHECK(per_class(found("cifar100", CifarLabels::coarse)->front().test) == std::vector<std::size_t>(20, 500));
}

TEST_CASE("MNIST, Fashion-MNIST and notMNIST join", "[real_data]") {
  const auto data = found("mnist, fashion-mnist, notmnist");
  if (!data) return;
  const auto sequence =
      task_sequences().make("joined", TaskContext{.data = *data, .settings = {}, .seed = 1});
  CHECK(sequence->count() == 3);
  CHECK(sequence->logits() == 30);
  CHECK(sequence->shape() == MapShape{28, 28, 1});
  CHECK(sequence->task(2).train.size() == 16854);
  CHECK(sequence->task(2).test.size() == 1870);
}

}  // namespace
}  // namespace orthospike
