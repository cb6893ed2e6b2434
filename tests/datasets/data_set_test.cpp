#include "datasets/data_set.hpp"

#include <fmt/format.h>
#include <stdlib.h>
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike {
namespace {

namespace fs = std::filesystem;

using Bytes = std::vector<std::uint8_t>;

const std::string train_images = "train-images-idx3-ubyte";
const std::string train_labels = "train-labels-idx1-ubyte";
const std::string test_images = "t10k-images-idx3-ubyte";
const std::string test_labels = "t10k-labels-idx1-ubyte";
const std::string files =
    "train-images-idx3-ubyte (or idx4, with channels), train-labels-idx1-ubyte, t10k-images-idx3-ubyte, "
    "t10k-labels-idx1-ubyte, or the .bin files of CIFAR-10 or CIFAR-100";
const std::vector<std::string> file_names = {train_images, train_labels, test_images, test_labels};

/// An IDX file of sizes under 256 with `values`.
Bytes idx(const Bytes& sizes, const Bytes& values) {
  Bytes bytes = {0, 0, 8, static_cast<std::uint8_t>(sizes.size())};
  for (const std::uint8_t size : sizes) bytes.insert(bytes.end(), {0, 0, 0, size});
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

/// Three training images and two test images of 1 × 2 pixels, below `subfolder`.
void write_image_data(const TemporaryFolder& folder, const fs::path& subfolder = "") {
  folder.write(subfolder / train_images, idx({3, 1, 2}, {1, 2, 3, 4, 5, 6}));
  folder.write(subfolder / train_labels, idx({3}, {0, 2, 1}));
  folder.write(subfolder / test_images, idx({2, 1, 2}, {7, 8, 9, 10}));
  folder.write(subfolder / test_labels, idx({2}, {1, 2}));
}

/// Replaces a file by its gzip form with .gz.
void compress(const fs::path& path) {
  std::ifstream input(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(input), {});
  const gzFile output = gzopen((path.string() + ".gz").c_str(), "wb");
  if (output == nullptr) throw std::runtime_error("gzopen failed");
  gzwrite(output, bytes.data(), static_cast<unsigned>(bytes.size()));
  if (gzclose_w(output) != Z_OK) throw std::runtime_error("gzclose failed");
  fs::remove(path);
}

/// The message of the EnvironmentError that `action` throws; anything else fails the test.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const EnvironmentError& error) {
    return error.what();
  }
  FAIL("no error");
  return {};
}

ImageData read(const fs::path& folder, DataSettings::Gaps gaps = DataSettings::Gaps::refuse) {
  DataSettings settings;
  settings.label_gaps = gaps;
  return read_image_data(folder, settings);
}

std::string read_error(const TemporaryFolder& folder) {
  return error_of([&folder] { read(folder.path()); });
}

/// Gives an environment variable a value, or none, and its old one back at the end.
class ScopedVariable {
 public:
  ScopedVariable(std::string name, const std::optional<std::string>& value) : name_(std::move(name)) {
    if (const char* before = getenv(name_.c_str()); before != nullptr) before_ = before;
    set(value);
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;
  ~ScopedVariable() { set(before_); }

 private:
  void set(const std::optional<std::string>& value) const {
    if (value) {
      setenv(name_.c_str(), value->c_str(), 1);
    } else {
      unsetenv(name_.c_str());
    }
  }

  std::string name_;
  std::optional<std::string> before_;
};

TEST_CASE("read_image_data reads the four files, plain and gzip mixed", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder);
  CHECK(holds_image_data(folder.path()));
  for (const std::string& name : file_names) {
    const ImageData data = read(folder.path());
    CHECK(data.train.count == 3);
    CHECK(data.train.height == 1);
    CHECK(data.train.width == 2);
    CHECK(data.train.pixels_per_image() == 2);
    CHECK(data.train.pixels == Bytes{1, 2, 3, 4, 5, 6});
    CHECK(data.train.labels == Bytes{0, 2, 1});
    CHECK(data.test.count == 2);
    CHECK(data.test.height == 1);
    CHECK(data.test.width == 2);
    CHECK(data.test.pixels == Bytes{7, 8, 9, 10});
    CHECK(data.test.labels == Bytes{1, 2});
    CHECK(data.train.classes == 3);
    CHECK(data.test.classes == 3);

    compress(folder.path() / name);
    CHECK(holds_image_data(folder.path()));
  }
  CHECK(read(folder.path()).train.pixels == Bytes{1, 2, 3, 4, 5, 6});
}

TEST_CASE("classes goes from 1 to 256", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder);
  folder.write(train_labels, idx({3}, {0, 0, 0}));
  folder.write(test_labels, idx({2}, {0, 0}));
  CHECK(read(folder.path()).train.classes == 1);
  Bytes all(256);
  std::iota(all.begin(), all.end(), std::uint8_t{0});
  Bytes images = {0, 0, 8, 3, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1}, labels = {0, 0, 8, 1, 0, 0, 1, 0};
  images.insert(images.end(), all.begin(), all.end());
  labels.insert(labels.end(), all.begin(), all.end());
  folder.write(train_images, images);
  folder.write(train_labels, labels);
  folder.write(test_images, idx({2, 1, 1}, {1, 2}));
  folder.write(test_labels, idx({2}, {255, 0}));
  const ImageData data = read(folder.path());
  CHECK(data.train.classes == 256);
  CHECK(data.test.classes == 256);
}

TEST_CASE("labels that leave gaps are refused, or counted anew", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder);
  folder.write(train_labels, idx({3}, {255, 2, 7}));
  folder.write(test_labels, idx({2}, {255, 2}));
  CHECK(read_error(folder) == folder.path().string() +
                                  ": no image has label 0, expected all labels up to the largest, 255; with "
                                  "data.label_gaps = remap those that are there are counted from 0");
  const ImageData data = read(folder.path(), DataSettings::Gaps::remap);
  CHECK(data.train.labels == Bytes{2, 0, 1});
  CHECK(data.test.labels == Bytes{2, 0});
  CHECK(data.train.classes == 3);
  CHECK(data.test.classes == 3);
  write_image_data(folder);  // no gaps: nothing to map
  CHECK(read(folder.path(), DataSettings::Gaps::remap).train.labels == Bytes{0, 2, 1});
}

TEST_CASE("a label that only test images have is refused", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder);
  folder.write(test_labels, idx({2}, {1, 3}));
  const std::string sentence =
      folder.path().string() + ": a test image has label 3, expected one that a training image has";
  CHECK(read_error(folder) == sentence);
  CHECK(error_of([&] { read(folder.path(), DataSettings::Gaps::remap); }) == sentence);
}

TEST_CASE("images with channels come in idx4 files", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder);
  fs::remove(folder.path() / train_images);
  folder.write("train-images-idx4-ubyte", idx({3, 1, 1, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9}));
  CHECK(holds_image_data(folder.path()));
  CHECK(read_error(folder) ==
        folder.path().string() + ": the test images have 1 x 2 pixels, expected 1 x 1 x 3 as in training");
  fs::remove(folder.path() / test_images);
  CHECK_FALSE(holds_image_data(folder.path()));
  folder.write("t10k-images-idx4-ubyte", idx({2, 1, 1, 3}, {9, 8, 7, 6, 5, 4}));
  const ImageData data = read(folder.path());
  CHECK(data.train.shape() == MapShape{1, 1, 3});
  CHECK(data.train.pixels == Bytes{1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(data.test.pixels == Bytes{9, 8, 7, 6, 5, 4});
  folder.write("t10k-images-idx4-ubyte", idx({2, 1, 3}, {9, 8, 7, 6, 5, 4}));
  CHECK(read_error(folder) == (folder.path() / "t10k-images-idx4-ubyte").string() +
                                  ": the rank is 3, expected 4 (image, row, column, channel)");
}

TEST_CASE("a folder with CIFAR's files is read as such", "[data_set]") {
  const TemporaryFolder folder;
  for (const std::uint8_t batch : {1, 2, 3, 4, 5}) {
    Bytes record(3073, batch);
    record[0] = batch % 3;
    folder.write(fmt::format("data_batch_{}.bin", batch), record);
  }
  CHECK_FALSE(holds_image_data(folder.path()));
  folder.write("test_batch.bin", Bytes(3073, 0));
  CHECK(holds_image_data(folder.path()));
  CHECK(find_data_set("any", folder.path()) == folder.path());
  const ImageData data = read(folder.path());
  CHECK(data.train.shape() == MapShape{32, 32, 3});
  CHECK(data.train.count == 5);
  CHECK(data.train.labels == Bytes{1, 2, 0, 1, 2});
  CHECK(data.train.classes == 3);
  CHECK(data.test.count == 1);
}

TEST_CASE("data.name may name several data sets, in subfolders of data.path", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder, "one");
  write_image_data(folder, "two");
  write_image_data(folder);  // not one of them
  folder.write("two/" + test_images, idx({2, 1, 2}, {70, 80, 90, 100}));
  DataSettings settings;
  settings.path = folder.path().string();
  settings.name = "two , one";
  const std::vector<ImageData> sets = read_data_sets(settings);
  REQUIRE(sets.size() == 2);
  CHECK(sets[0].name == "two");
  CHECK(sets[0].test.pixels == Bytes{70, 80, 90, 100});
  CHECK(sets[1].test.pixels == Bytes{7, 8, 9, 10});
  settings.name = "one";
  CHECK(read_data_sets(settings).size() == 1);
  settings.name = "one,,two";
  CHECK_THROWS_AS(read_data_sets(settings), ConfigError);
}

TEST_CASE("read_image_data names the file that lacks, and why", "[data_set]") {
  for (const std::string& name : file_names) {
    const TemporaryFolder folder;
    write_image_data(folder);
    fs::remove(folder.path() / name);
    CHECK_FALSE(holds_image_data(folder.path()));
    CHECK(read_error(folder) == (folder.path() / name).string() +
                                    ": No such file or directory, expected this file, plain or with .gz");
    fs::create_directory(folder.path() / name);
    CHECK_FALSE(holds_image_data(folder.path()));
    CHECK(read_error(folder) ==
          (folder.path() / name).string() + ": Not a regular file, expected this file, plain or with .gz");
  }
  const TemporaryFolder folder;
  const fs::path no_folder = folder.write("file", Bytes{});
  CHECK_FALSE(holds_image_data(no_folder));
  CHECK(error_of([&no_folder] { read(no_folder); }).find("Not a directory") != std::string::npos);
  CHECK_FALSE(holds_image_data(folder.path() / "nowhere"));
}

TEST_CASE("read_image_data passes on what read_idx says", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder);
  folder.write(test_labels, Bytes{'h', 'e', 'l', 'l', 'o'});
  CHECK(read_error(folder).starts_with((folder.path() / test_labels).string() + ", byte 0: bad magic"));
}

TEST_CASE("read_image_data checks the ranks", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder);
  SECTION("of images") {
    folder.write(test_images, idx({2, 2}, {7, 8, 9, 10}));
    CHECK(read_error(folder) ==
          (folder.path() / test_images).string() + ": the rank is 2, expected 3 (image, row, column)");
  }
  SECTION("of labels") {
    folder.write(train_labels, idx({3, 1}, {0, 2, 1}));
    CHECK(read_error(folder) ==
          (folder.path() / train_labels).string() + ": the rank is 2, expected 1 (label)");
  }
}

TEST_CASE("read_image_data checks that there are as many labels as images", "[data_set]") {
  const TemporaryFolder folder;
  for (const std::uint8_t count : {1, 3}) {
    write_image_data(folder);
    folder.write(test_labels, idx({count}, Bytes(count)));
    CHECK(read_error(folder) ==
          fmt::format("{}: the number of labels is {}, expected 2, one for each image of {}",
                      (folder.path() / test_labels).string(), count, (folder.path() / test_images).string()));
  }
}

TEST_CASE("read_image_data checks that training and test images are of one size", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder);
  for (const Bytes& sizes : {Bytes{2, 2, 1}, Bytes{2, 2, 2}, Bytes{2, 1, 3}}) {
    folder.write(test_images, idx(sizes, Bytes(std::size_t{sizes[0]} * sizes[1] * sizes[2])));
    CHECK(read_error(folder) ==
          fmt::format("{}: the test images have {} x {} pixels, expected 1 x 2 as in training",
                      folder.path().string(), sizes[1], sizes[2]));
  }
}

TEST_CASE("read_image_data refuses an empty set", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder);
  folder.write(test_images, idx({0, 1, 2}, {}));
  folder.write(test_labels, idx({0}, {}));
  CHECK(read_error(folder) ==
        (folder.path() / test_images).string() + ", byte 4: size 1 is zero, expected at least 1");
}

TEST_CASE("find_data_set looks at the explicit path alone when there is one", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder, "environment/set");
  write_image_data(folder, "chosen");
  const ScopedVariable data("ORTHOSPIKE_DATA", (folder.path() / "environment").string());
  CHECK(find_data_set("set", folder.path() / "chosen") == folder.path() / "chosen");
  write_image_data(folder, "parent/set");
  CHECK(find_data_set("set", folder.path() / "parent") == folder.path() / "parent/set");

  const fs::path other = folder.path() / "other";
  CHECK(
      error_of([&other] { find_data_set("set", other); }) ==
      fmt::format(
          "data set 'set': none of the folders {0}, {0}/set holds {1}, each plain or with .gz: put the files into "
          "one of these folders or set data.path",
          other.string(), files));
}

TEST_CASE("~ in an explicit path is the home folder", "[data_set]") {
  const TemporaryFolder folder;
  write_image_data(folder, "data/set");
  const ScopedVariable home("HOME", folder.path().string());
  CHECK(find_data_set("set", "~/data/set") == folder.path() / "data/set");
  CHECK(find_data_set("set", "~/data") == folder.path() / "data/set");
  CHECK(fs::equivalent(find_data_set("data/set", "~"), folder.path() / "data/set"));
  CHECK_THROWS_AS(find_data_set("set", "~x/data"), EnvironmentError);
  const ScopedVariable no_home("HOME", std::nullopt);
  CHECK_THROWS_AS(find_data_set("set", "~/data"), EnvironmentError);
}

TEST_CASE("find_data_set searches ORTHOSPIKE_DATA, then HOME", "[data_set]") {
  const TemporaryFolder folder;
  const std::string root = folder.path().string();
  const ScopedVariable data("ORTHOSPIKE_DATA", fmt::format(":{0}/none::{0}/first:{0}/second:", root));
  const ScopedVariable home("HOME", root + "/home");
  const auto found = [] { return find_data_set("no-such-set", "").string(); };

  write_image_data(folder, "home/.local/share/orthospike/no-such-set");
  CHECK(found() == root + "/home/.local/share/orthospike/no-such-set");
  // The folder itself may hold any set: only its subfolder of that name counts.
  write_image_data(folder, "second");
  CHECK(found() == root + "/home/.local/share/orthospike/no-such-set");
  write_image_data(folder, "second/no-such-set");
  CHECK(found() == root + "/second/no-such-set");
  write_image_data(folder, "first/no-such-set");
  CHECK(found() == root + "/first/no-such-set");

  // A folder with three of the four files does not count.
  fs::remove(folder.path() / "first/no-such-set" / test_labels);
  CHECK(found() == root + "/second/no-such-set");
}

TEST_CASE("find_data_set says every place it looked in and how to get the data", "[data_set]") {
  const TemporaryFolder folder;
  const std::string root = folder.path().string();
  const auto message = [](const std::string& name, const fs::path& explicit_path) {
    return error_of([&name, &explicit_path] { find_data_set(name, explicit_path); });
  };
  SECTION("with both variables, empty entries left out") {
    const ScopedVariable data("ORTHOSPIKE_DATA", ":" + root + "/a::" + root + "/b:");
    const ScopedVariable home("HOME", root);
    CHECK(message("no-such-set", "") ==
          fmt::format("data set 'no-such-set': none of the folders {0}/a/no-such-set, {0}/b/no-such-set, "
                      "{0}/.local/share/orthospike/no-such-set, /usr/share/datasets/no-such-set holds {1}, "
                      "each plain or with .gz: put the files into one of these folders or set data.path",
                      root, files));
  }
  SECTION("with neither") {
    const ScopedVariable data("ORTHOSPIKE_DATA", std::nullopt);
    const ScopedVariable home("HOME", std::nullopt);
    CHECK(message("no-such-set", "")
              .starts_with(
                  "data set 'no-such-set': none of the folders /usr/share/datasets/no-such-set holds "));
  }
  SECTION("for the set that Debian packages") {
    CHECK(message("fashion-mnist", root)
              .ends_with(": install Debian's package dataset-fashion-mnist and leave data.path unset"));
  }
}

}  // namespace
}  // namespace orthospike
