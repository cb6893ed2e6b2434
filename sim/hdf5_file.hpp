#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace orthospike {

/// Owner of an HDF5 identifier.
class Hdf5Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Hdf5Handle() = default;
  Hdf5Handle(hid_t id, Close close) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Hdf5Handle() {
    if (id_ >= 0) close_(id_);
  }
  hid_t get() const { return id_; }
  hid_t release() { return std::exchange(id_, -1); }
  /// Whether closing worked; of a data set, it writes what is still in memory.
  bool close() { return close_(release()) >= 0; }

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

/// All elements of a numeric data set.
using Hdf5Values = std::variant<std::vector<float>, std::vector<double>, std::vector<std::uint8_t>,
                                std::vector<std::uint32_t>, std::vector<std::uint64_t>>;

/// An HDF5 file of numeric data sets and strings. Objects are named by absolute path ("/metrics/accuracy");
/// groups on the way are made as needed. Every failure throws EnvironmentError naming the file and the
/// object. Element types: float, double, std::uint8_t, std::uint32_t, std::uint64_t, std::int64_t.
class Hdf5File {
 public:
  /// A new file in the format that single-writer-multiple-reader needs; replaces an existing one.
  static Hdf5File create(const std::filesystem::path& path);
  /// Reads; a file that is still being written is read as of its last flush.
  static Hdf5File open(const std::filesystem::path& path);

  /// A data set filled with `fill`. A first dimension of 0 can grow (append).
  template <class T>
  void add(const std::string& object, const std::vector<std::size_t>& shape, T fill);
  /// A list with these values and their checksum: reading them, in this type, fails where a byte has changed.
  template <class T>
  void add_checked(const std::string& object, std::span<const T> values);
  /// A data set without rows that grows, in chunks of so many of them, whose bytes are perhaps shuffled and deflated.
  template <class T>
  void add_growing(const std::string& object, const std::vector<std::size_t>& row, std::size_t chunk,
                   bool compressed);
  void add_text(const std::string& object, const std::string& text);
  void add_group(const std::string& object);
  /// A second name, in the same group.
  void add_link(const std::string& object, const std::string& name);
  /// Texts of a shape, row-major.
  void add_texts(const std::string& object, const std::vector<std::size_t>& shape,
                 const std::vector<std::string>& texts);
  void add_attribute(const std::string& object, const std::string& name, const std::string& text);
  void add_attribute(const std::string& object, const std::string& name, double value);
  void add_attribute(const std::string& object, const std::string& name, std::uint64_t value);
  void add_attribute(const std::string& object, const std::string& name, std::uint8_t value);
  /// One number where there is one, else a list.
  void add_attribute(const std::string& object, const std::string& name,
                     std::span<const std::uint32_t> values);
  /// A string of variable length, which some readers insist on.
  void add_variable_text(const std::string& object, const std::string& name, const std::string& text);
  /// One of some names that are numbered from 0, the number in a byte.
  void add_enumeration(const std::string& object, const std::string& name,
                       const std::vector<std::string>& names, std::uint8_t value);
  /// An attribute of several strings.
  void add_attribute(const std::string& object, const std::string& name,
                     const std::vector<std::string>& texts);

  /// Overwrites the elements from row `first` on (rows: slices along the first dimension).
  template <class T>
  void write_rows(const std::string& object, std::size_t first, std::span<const T> values);
  /// To so many rows.
  void extend(const std::string& object, std::size_t rows);
  /// Adds rows at the end.
  template <class T>
  void append(const std::string& object, std::span<const T> values);

  /// A whole chunk of a compressed list, from row `first` on, as its filters leave it, of a list that has `rows` rows now.
  void write_chunk(const std::string& object, std::size_t first, std::size_t rows,
                   std::span<const std::uint8_t> filtered);

  /// From now on others may read while this writes; nothing can be added any more.
  void start_concurrent_reading();
  void flush();
  /// Flushes, closes and forces the data to the disk. Errors on the way (a full disk) throw here.
  void close();
  /// The same, then gives the file its final name as give_final_name does.
  void close_as(const std::filesystem::path& name);

  template <class T>
  std::vector<T> read(const std::string& object) const;
  /// Slices along the first dimension.
  template <class T>
  std::vector<T> read_rows(const std::string& object, std::size_t first, std::size_t count) const;
  /// In the type that they have in the file.
  Hdf5Values read_values(const std::string& object) const;
  /// Paths of all numeric data sets in a group and those in it, sorted.
  std::vector<std::string> numeric_objects(const std::string& group) const;
  std::vector<std::size_t> shape(const std::string& object) const;
  std::string read_text(const std::string& object) const;
  /// Row-major, also texts of variable length, which only other programs write: where they are damaged, reading them may
  /// crash.
  std::vector<std::string> read_texts(const std::string& object) const;
  bool is_text(const std::string& object) const;
  bool is_group(const std::string& object) const;
  /// Names of the objects in a group, sorted. Fails where there are more, or one is a link that is not to an object here.
  std::vector<std::string> members(const std::string& group, std::size_t most) const;
  /// For files of other programs: fails unless the values of a data set are in this file, not in others, and as many as
  /// its bytes can hold, compressed or not.
  void check_stored(const std::string& object) const;
  std::string text_attribute(const std::string& object, const std::string& name) const;
  std::uint64_t integer_attribute(const std::string& object, const std::string& name) const;
  double number_attribute(const std::string& object, const std::string& name) const;
  std::vector<std::string> texts_attribute(const std::string& object, const std::string& name) const;
  bool exists(const std::string& object) const;

  const std::filesystem::path& path() const { return path_; }

 private:
  Hdf5File(std::filesystem::path path, Hdf5Handle file) : path_(std::move(path)), file_(std::move(file)) {}

  [[noreturn]] void fail(const std::string& action, const std::string& object) const;
  Hdf5Handle checked(hid_t id, Hdf5Handle::Close close, const std::string& action,
                     const std::string& object) const;
  void check(herr_t status, const std::string& action, const std::string& object) const;
  /// Throws when a write failed, and leaves the file on the disk as it is.
  void check_written(bool written, const std::string& object);
  /// Makes a data set, and groups on the way to it.
  void add_dataset(const std::string& object, hid_t type, const Hdf5Handle& space,
                   const Hdf5Handle& creation);
  void write_attribute(const std::string& object, const std::string& name, hid_t type,
                       const Hdf5Handle& space, const void* values);
  Hdf5Handle dataset(const std::string& object) const;
  Hdf5Handle attribute(const std::string& object, const std::string& name) const;

  std::filesystem::path path_;
  Hdf5Handle file_;
};

}  // namespace orthospike
