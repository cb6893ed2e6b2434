#include "datasets/cifar.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t plane = 32 * 32;

/// A record whose red, green and blue planes begin with those three values and go on with their own number.
Bytes record(const Bytes& labels, std::uint8_t first) {
  Bytes bytes = labels;
  for (std::uint8_t channel = 0; channel < 3; ++channel) {
    bytes.push_back(static_cast<std::uint8_t>(first + channel));
    bytes.insert(bytes.end(), plane - 1, static_cast<std::uint8_t>(100 + channel));
  }
  return bytes;
}

Bytes joined(const std::vector<Bytes>& parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

template <class Error = EnvironmentError, class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  FAIL("no error");
  return {};
}

TEST_CASE("records become images with their channels last") {
  const TemporaryFolder folder;
  const fs::path path = folder.write("batch.bin", joined({record({7}, 1), record({9}, 11)}));
  const CifarRecords records = read_cifar_records(path, 1);
  CHECK(records.count == 2);
  CHECK(records.labels == Bytes{7, 9});
  REQUIRE(records.pixels.size() == 2 * 3 * plane);
  CHECK(Bytes(records.pixels.begin(), records.pixels.begin() + 6) == Bytes{1, 2, 3, 100, 101, 102});
  CHECK(Bytes(records.pixels.begin() + 3 * plane, records.pixels.begin() + 3 * plane + 3) ==
        Bytes{11, 12, 13});
}

TEST_CASE("whether records have one or two labels follows from the sizes of both files") {
  const TemporaryFolder folder;
  const auto read = [&] { return read_cifar(folder.path(), CifarLabels::fine); };
  folder.write("train.bin", joined({record({1}, 1), record({2}, 2)}));
  folder.write("test.bin", record({3}, 3));
  CHECK(read().train.labels == Bytes{1, 2});
  CHECK(read().test.labels == Bytes{3});
  folder.write("test.bin", record({3, 4}, 3));
  CHECK(error_of(read) ==
        fmt::format("{}: with 6146 bytes, and 3074 of test.bin, records may have neither one label nor "
                    "two in both files; expected whole records of 3073 or, in all files, 3074 bytes",
                    (folder.path() / "train.bin").string()));
  // As many bytes as 3073 records with two labels.
  folder.write("train.bin", Bytes(std::size_t{3073} * 3074));
  CHECK(read().train.count == 3073);
  folder.write("test.bin", Bytes(3073));
  CHECK(read().train.count == 3074);
  folder.write("test.bin", Bytes(std::size_t{3073} * 3074));
  CHECK(error_of(read).find("records may have one label or two") != std::string::npos);
  folder.write("test.bin", Bytes(3072));
  CHECK(error_of(read).find("test.bin: the file has 3072 bytes, expected whole records of 3073 or") !=
        std::string::npos);
}

TEST_CASE("gzip files are read like plain ones") {
  const TemporaryFolder folder;
  const Bytes bytes = record({3}, 5);
  const fs::path path = folder.path() / "batch.bin.gz";
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  CHECK(read_cifar_records(path, 1).labels == Bytes{3});
  fs::resize_file(path, fs::file_size(path) - 5);
  CHECK(error_of([&] { read_cifar_records(path, 1); }).find("the gzip stream is cut off here") !=
        std::string::npos);
}

TEST_CASE("files that are no whole number of records are refused, with what was expected") {
  const TemporaryFolder folder;
  const Bytes whole = joined({record({1}, 1), record({2}, 2)});
  for (const std::size_t size : {0UL, 1UL, 3072UL, 3074UL, 6145UL}) {
    const fs::path path = folder.write("batch.bin", std::span(whole).first(size));
    CHECK(
        error_of([&] { read_cifar_records(path, 1); }) ==
        fmt::format(
            "{}: the file has {} bytes, expected whole records of 3073 bytes, at least one: labels and 32 x 32 "
            "red, green and blue bytes",
            path.string(), size));
  }
  CHECK(error_of([&] { read_cifar_records(folder.path() / "none.bin", 1); }) ==
        (folder.path() / "none.bin").string() + ": cannot be opened: No such file or directory");
}

TEST_CASE("CIFAR-10 is five batches and a test batch") {
  const TemporaryFolder folder;
  for (std::uint8_t batch = 1; batch <= 5; ++batch)
    folder.write(fmt::format("data_batch_{}.bin", batch),
                 joined({record({batch}, batch), record({0}, batch)}));
  CHECK_FALSE(holds_cifar(folder.path()));
  CHECK(error_of([&] { read_cifar(folder.path(), CifarLabels::fine); }) ==
        (folder.path() / "test_batch.bin").string() +
            ": No such file or directory, expected this file, plain or with .gz");
  folder.write("test_batch.bin", record({4}, 40));
  CHECK(holds_cifar(folder.path()));
  const ImageData data = read_cifar(folder.path(), CifarLabels::fine);
  CHECK(data.train.count == 10);
  CHECK(data.train.labels == Bytes{1, 0, 2, 0, 3, 0, 4, 0, 5, 0});
  CHECK(data.train.pixels[8 * 3 * plane] == 5);  // the first of the last batch
  CHECK(data.test.labels == Bytes{4});
  CHECK(data.test.pixels[2] == 42);
  CHECK(data.test.shape() == MapShape{32, 32, 3});
  CHECK(error_of<ConfigError>([&] {
          read_cifar(folder.path(), CifarLabels::coarse);
        }).starts_with("data.labels: " + (folder.path() / "data_batch_1.bin").string()));
  fs::remove(folder.path() / "data_batch_3.bin");
  CHECK_FALSE(holds_cifar(folder.path()));
}

TEST_CASE("CIFAR-100 has a coarse label and a fine one") {
  const TemporaryFolder folder;
  folder.write("train.bin", joined({record({1, 20}, 1), record({2, 30}, 2)}));
  folder.write("test.bin", record({3, 40}, 3));
  CHECK(holds_cifar(folder.path()));
  CHECK(read_cifar(folder.path(), CifarLabels::fine).train.labels == Bytes{20, 30});
  CHECK(read_cifar(folder.path(), CifarLabels::fine).test.labels == Bytes{40});
  CHECK(read_cifar(folder.path(), CifarLabels::coarse).train.labels == Bytes{1, 2});
}

}  // namespace
}  // namespace orthospike
