#include "datasets/cifar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>

#include "datasets/byte_reader.hpp"
#include "datasets/stored_file.hpp"
#include "kernels/error.hpp"

namespace orthospike {
namespace {

namespace fs = std::filesystem;

constexpr MapShape shape{.height = 32, .width = 32, .channels = 3};
constexpr std::uint64_t largest_file = std::uint64_t{4} << 30;

struct Files {
  std::vector<std::string> train;
  std::string test;
  std::size_t label_bytes;  ///< 0: one or two
};

const std::array<Files, 2>& known_files() {
  static const std::array<Files, 2> files = {
      Files{.train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                      "data_batch_5.bin"},
            .test = "test_batch.bin",
            .label_bytes = 1},
      Files{.train = {"train.bin"}, .test = "test.bin", .label_bytes = 0}};
  return files;
}

bool holds(const fs::path& folder, const Files& files) {
  const auto is_there = [&](const std::string& name) {
    std::error_code ignored;
    return stored_file(folder, name, ignored).has_value();
  };
  return std::ranges::all_of(files.train, is_there) && is_there(files.test);
}

struct File {
  fs::path path;
  std::vector<std::uint8_t> bytes;
};

File read_file(const fs::path& path) {
  constexpr std::size_t step = std::size_t{1} << 20;
  ByteReader reader(path);
  std::vector<std::uint8_t> bytes;
  for (std::size_t got = 1; got > 0;) {
    const std::size_t begin = bytes.size();
    bytes.resize(begin + step);
    got = reader.read_some(std::span(bytes).subspan(begin), "more records or the end of the stream");
    bytes.resize(begin + got);
    if (bytes.size() > largest_file)
      reader.fail(largest_file, fmt::format("the file goes on, expected at most {} bytes", largest_file));
  }
  return {path, bytes};
}

bool has_whole_records(const File& file, std::size_t label_bytes) {
  return !file.bytes.empty() && file.bytes.size() % (label_bytes + shape.size()) == 0;
}

[[noreturn]] void refuse(const File& file, const std::string& sizes) {
  throw EnvironmentError(
      fmt::format("{}: the file has {} bytes, expected whole records of {} bytes, at least one: labels "
                  "and 32 x 32 red, green and blue bytes",
                  file.path.string(), file.bytes.size(), sizes));
}

CifarRecords records_of(const File& file, std::size_t label_bytes) {
  const std::size_t record = label_bytes + shape.size();
  if (!has_whole_records(file, label_bytes)) refuse(file, fmt::format("{}", record));
  CifarRecords records;
  records.label_bytes = label_bytes;
  records.count = file.bytes.size() / record;
  records.labels.reserve(records.count * label_bytes);
  records.pixels.resize(records.count * shape.size());
  const std::size_t pixels = shape.height * shape.width;
  for (std::size_t i = 0; i < records.count; ++i) {
    const std::uint8_t* from = file.bytes.data() + i * record;
    records.labels.insert(records.labels.end(), from, from + label_bytes);
    from += label_bytes;
    std::uint8_t* to = records.pixels.data() + i * shape.size();
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      for (std::size_t channel = 0; channel < shape.channels; ++channel)
        *to++ = from[channel * pixels + pixel];
    }
  }
  return records;
}

/// The number of label bytes with which all files have whole records.
std::size_t label_bytes_of(const std::vector<File>& files) {
  std::vector<std::size_t> fitting;
  for (const std::size_t label_bytes : {1U, 2U}) {
    if (std::ranges::all_of(files, [&](const File& file) { return has_whole_records(file, label_bytes); }))
      fitting.push_back(label_bytes);
  }
  if (fitting.size() == 1) return fitting.front();
  const std::string sizes = fmt::format("{} or, in all files, {}", 1 + shape.size(), 2 + shape.size());
  for (const File& file : files) {
    if (!has_whole_records(file, 1) && !has_whole_records(file, 2)) refuse(file, sizes);
  }
  throw EnvironmentError(
      fmt::format("{}: with {} bytes, and {} of {}, records may have {}; expected whole records of {} bytes",
                  files.front().path.string(), files.front().bytes.size(), files.back().bytes.size(),
                  files.back().path.filename().string(),
                  fitting.empty() ? "neither one label nor two in both files" : "one label or two", sizes));
}

ImageSet image_set(std::span<const File> files, std::size_t label_bytes, CifarLabels labels) {
  ImageSet set{.count = 0,
               .height = shape.height,
               .width = shape.width,
               .channels = shape.channels,
               .pixels = {},
               .labels = {}};
  if (labels == CifarLabels::coarse && label_bytes == 1) {
    throw ConfigError(fmt::format(
        "data.labels: {} has one label an image; leave it at fine, as only CIFAR-100 has coarse ones",
        files.front().path.string()));
  }
  const std::size_t place = labels == CifarLabels::coarse ? 0 : label_bytes - 1;
  for (const File& file : files) {
    const CifarRecords records = records_of(file, label_bytes);
    set.count += records.count;
    set.pixels.insert(set.pixels.end(), records.pixels.begin(), records.pixels.end());
    for (std::size_t i = 0; i < records.count; ++i)
      set.labels.push_back(records.labels[i * label_bytes + place]);
  }
  return set;
}

}  // namespace

CifarRecords read_cifar_records(const fs::path& path, std::size_t label_bytes) {
  return records_of(read_file(path), label_bytes);
}

bool holds_cifar(const fs::path& folder) {
  return std::ranges::any_of(known_files(), [&](const Files& files) { return holds(folder, files); });
}

ImageData read_cifar(const fs::path& folder, CifarLabels labels) {
  const auto found =
      std::ranges::find_if(known_files(), [&](const Files& files) { return holds(folder, files); });
  const Files& names = found == known_files().end() ? known_files().front() : *found;
  std::vector<File> files;
  for (const std::string& name : names.train) files.push_back(read_file(required_file(folder, name)));
  files.push_back(read_file(required_file(folder, names.test)));
  const std::size_t label_bytes = names.label_bytes == 0 ? label_bytes_of(files) : names.label_bytes;
  const std::span<const File> all(files);
  ImageSet train = image_set(all.first(all.size() - 1), label_bytes, labels);
  return {std::move(train), image_set(all.last(1), label_bytes, labels)};
}

}  // namespace orthospike
