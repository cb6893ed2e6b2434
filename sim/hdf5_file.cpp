#include "sim/hdf5_file.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <thread>

#include "kernels/error.hpp"
#include "sim/final_name.hpp"

namespace orthospike {

namespace {

template <class T>
hid_t native_type();
template <>
hid_t native_type<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
hid_t native_type<double>() {
  return H5T_NATIVE_DOUBLE;
}
template <>
hid_t native_type<std::uint8_t>() {
  return H5T_NATIVE_UINT8;
}
template <>
hid_t native_type<std::uint32_t>() {
  return H5T_NATIVE_UINT32;
}
template <>
hid_t native_type<std::uint64_t>() {
  return H5T_NATIVE_UINT64;
}
template <>
hid_t native_type<std::int64_t>() {
  return H5T_NATIVE_INT64;
}

/// The library prints its error stack unless told not to; our sentence says enough. Its clean-up at exit
/// crashes when a file could not be written; our handles close all files that were, so it is not needed. A file that
/// names a filter of its own gets no code for it from elsewhere.
void prepare_library() {
  static const bool prepared = H5dont_atexit() >= 0 && H5PLset_loading_state(0) >= 0;
  thread_local const bool silent = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  static_cast<void>(prepared && silent);
}

/// Rows of one chunk of a data set that grows.
constexpr hsize_t chunk_rows = 1024;

/// The attribute of a data set with the checksum of its bytes. Those that the library has of its own take zeros and
/// 0xff for the same; attributes are under better ones.
constexpr const char* checksum_name = "crc32";

template <class T>
std::uint64_t checksum(std::span<const T> values) {
  return crc32_z(0, reinterpret_cast<const Bytef*>(values.data()), values.size_bytes());
}

/// The most elements that a data set may claim to hold when read: more is damage, not data.
constexpr hssize_t most_elements = hssize_t{1} << 30;

/// The most bytes that a compressed byte stands for: deflate's most, about 1030, and room for a header.
constexpr std::size_t most_compression = 2048;

/// The most of one text of variable length.
constexpr std::size_t longest_text = std::size_t{1} << 24;

/// Strings of a fixed length: unlike those of variable length, whose heap has no checksum and crashes the
/// library when it is damaged, they can be read from any file.
Hdf5Handle text_type(std::size_t length) {
  Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), std::max<std::size_t>(length, 1));
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

/// Whether the file is as long as it says. The library looks only where there is no writer, and reads zeros
/// behind the end.
bool has_all_bytes(hid_t file, const std::filesystem::path& path) {
  hsize_t expected = 0;
  if (H5Fget_filesize(file, &expected) < 0) return false;
  // A writer notes the new length a moment before it has it.
  constexpr int attempts = 20;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    std::error_code renamed;  // and so finished
    if (std::filesystem::file_size(path, renamed) >= expected || renamed) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

std::size_t elements(const std::vector<std::size_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

}  // namespace

void Hdf5File::fail(const std::string& action, const std::string& object) const {
  throw EnvironmentError(fmt::format("{}: cannot {} {}", path_.string(), action, object));
}

Hdf5Handle Hdf5File::checked(hid_t id, Hdf5Handle::Close close, const std::string& action,
                             const std::string& object) const {
  if (id < 0) fail(action, object);
  return {id, close};
}

void Hdf5File::check(herr_t status, const std::string& action, const std::string& object) const {
  if (status < 0) fail(action, object);
}

void Hdf5File::check_written(bool written, const std::string& object) {
  if (written) return;
  // Closing would write once more, in part perhaps, and mark as whole what is not.
  file_.release();
  fail("write", object);
}

Hdf5File Hdf5File::create(const std::filesystem::path& path) {
  prepare_library();
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  Hdf5File file(path, {H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose});
  if (file.file_.get() < 0) file.fail("create", "the file");
  return file;
}

Hdf5File Hdf5File::open(const std::filesystem::path& path) {
  prepare_library();
  if (!std::filesystem::is_regular_file(path)) {
    throw EnvironmentError(fmt::format("{}: there is no such file", path.string()));
  }
  // Beside a writer a wrong checksum may be right a moment later. The library doubles its pause with each
  // attempt; by default it would wait for ever for a file that is only damaged.
  constexpr unsigned attempts = 20;
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  // A reader's lock would make a writer fail that creates the file at that moment; marks in the file say who writes.
  H5Pset_file_locking(access.get(), false, true);
  hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get());
  H5Pset_metadata_read_attempts(access.get(), attempts);
  if (id < 0) id = H5Fopen(path.c_str(), H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, access.get());
  Hdf5File file(path, {id, H5Fclose});
  if (id < 0 || !has_all_bytes(id, path))
    throw EnvironmentError(fmt::format("{}: not an HDF5 file, or a damaged one", path.string()));
  return file;
}

Hdf5Handle Hdf5File::dataset(const std::string& object) const {
  prepare_library();  // of this thread
  return checked(H5Dopen2(file_.get(), object.c_str(), H5P_DEFAULT), H5Dclose, "open", object);
}

template <class T>
void Hdf5File::add(const std::string& object, const std::vector<std::size_t>& shape, T fill) {
  const bool grows = !shape.empty() && shape.front() == 0;
  const std::vector<hsize_t> size(shape.begin(), shape.end());
  std::vector<hsize_t> largest = size;
  if (grows) largest.front() = H5S_UNLIMITED;
  const auto space =
      checked(shape.empty() ? H5Screate(H5S_SCALAR)
                            : H5Screate_simple(static_cast<int>(size.size()), size.data(), largest.data()),
              H5Sclose, "add", object);
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  if (!shape.empty()) {
    // Concurrent readers see only chunked data sets change.
    std::vector<hsize_t> chunk = size;
    if (grows) chunk.front() = chunk_rows;
    std::ranges::replace(chunk, hsize_t{0}, hsize_t{1});
    H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data());
  }
  H5Pset_fill_value(creation.get(), native_type<T>(), &fill);
  add_dataset(object, native_type<T>(), space, creation);
}

template <class T>
void Hdf5File::add_growing(const std::string& object, const std::vector<std::size_t>& row, std::size_t chunk,
                           bool compressed) {
  std::vector<hsize_t> size{0}, largest{H5S_UNLIMITED}, shape{chunk};
  for (std::vector<hsize_t>* const to : {&size, &largest, &shape})
    to->insert(to->end(), row.begin(), row.end());
  const auto space = checked(H5Screate_simple(static_cast<int>(size.size()), size.data(), largest.data()),
                             H5Sclose, "add", object);
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_chunk(creation.get(), static_cast<int>(shape.size()), shape.data());
  if (compressed) {
    H5Pset_shuffle(creation.get());
    H5Pset_deflate(creation.get(), 1);
  }
  add_dataset(object, native_type<T>(), space, creation);
}

void Hdf5File::add_group(const std::string& object) {
  const Hdf5Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.get(), 1);
  checked(H5Gcreate2(file_.get(), object.c_str(), links.get(), H5P_DEFAULT, H5P_DEFAULT), H5Gclose, "add",
          object);
}

void Hdf5File::add_link(const std::string& object, const std::string& name) {
  const std::string link = object.substr(0, object.rfind('/') + 1) + name;
  check(H5Lcreate_hard(file_.get(), object.c_str(), file_.get(), link.c_str(), H5P_DEFAULT, H5P_DEFAULT),
        "add", link);
}

void Hdf5File::add_dataset(const std::string& object, hid_t type, const Hdf5Handle& space,
                           const Hdf5Handle& creation) {
  const Hdf5Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.get(), 1);
  checked(
      H5Dcreate2(file_.get(), object.c_str(), type, space.get(), links.get(), creation.get(), H5P_DEFAULT),
      H5Dclose, "add", object);
}

template <class T>
void Hdf5File::add_checked(const std::string& object, std::span<const T> values) {
  const hsize_t size = values.size();
  const auto space = checked(H5Screate_simple(1, &size, nullptr), H5Sclose, "add", object);
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  add_dataset(object, native_type<T>(), space, creation);
  // What is not written is read as zeros and takes no room.
  const std::span<const std::byte> bytes = std::as_bytes(values);
  if (!std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{}; }))
    write_rows(object, 0, values);
  add_attribute(object, checksum_name, checksum(values));
}

void Hdf5File::add_text(const std::string& object, const std::string& text) {
  add_texts(object, {}, {text});
}

void Hdf5File::add_texts(const std::string& object, const std::vector<std::size_t>& shape,
                         const std::vector<std::string>& texts) {
  std::size_t length = 1;  // the least that HDF5 has
  for (const std::string& text : texts) length = std::max(length, text.size());
  const Hdf5Handle type = text_type(length);
  const std::vector<hsize_t> size(shape.begin(), shape.end());
  const auto space =
      checked(size.empty() ? H5Screate(H5S_SCALAR)
                           : H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr),
              H5Sclose, "add", object);
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  add_dataset(object, type.get(), space, creation);
  std::string padded;
  for (const std::string& text : texts) padded += text + std::string(length - text.size(), '\0');
  auto set = dataset(object);
  const bool taken = H5Dwrite(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, padded.c_str()) >= 0;
  check_written(set.close() && taken, object);
}

void Hdf5File::add_attribute(const std::string& object, const std::string& name,
                             const std::vector<std::string>& texts) {
  std::size_t length = 1;  // the least that HDF5 has
  for (const std::string& text : texts) length = std::max(length, text.size());
  const Hdf5Handle type = text_type(length);
  const hsize_t size = texts.size();
  const Hdf5Handle space(H5Screate_simple(1, &size, nullptr), H5Sclose);
  std::string padded;
  for (const std::string& text : texts) padded += text + std::string(length - text.size(), '\0');
  write_attribute(object, name, type.get(), space, padded.c_str());
}

void Hdf5File::add_attribute(const std::string& object, const std::string& name, const std::string& text) {
  const Hdf5Handle type = text_type(text.size());
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  write_attribute(object, name, type.get(), space, text.c_str());
}

void Hdf5File::add_attribute(const std::string& object, const std::string& name, double value) {
  write_attribute(object, name, H5T_NATIVE_DOUBLE, Hdf5Handle(H5Screate(H5S_SCALAR), H5Sclose), &value);
}

void Hdf5File::add_attribute(const std::string& object, const std::string& name, std::uint64_t value) {
  write_attribute(object, name, H5T_NATIVE_UINT64, Hdf5Handle(H5Screate(H5S_SCALAR), H5Sclose), &value);
}

void Hdf5File::add_attribute(const std::string& object, const std::string& name, std::uint8_t value) {
  write_attribute(object, name, H5T_NATIVE_UINT8, Hdf5Handle(H5Screate(H5S_SCALAR), H5Sclose), &value);
}

void Hdf5File::add_attribute(const std::string& object, const std::string& name,
                             std::span<const std::uint32_t> values) {
  const hsize_t size = values.size();
  const Hdf5Handle space(size == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &size, nullptr), H5Sclose);
  write_attribute(object, name, H5T_NATIVE_UINT32, space, values.data());
}

void Hdf5File::add_variable_text(const std::string& object, const std::string& name,
                                 const std::string& text) {
  const Hdf5Handle type = text_type(1);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_strpad(type.get(), H5T_STR_NULLTERM);
  const char* const characters = text.c_str();
  write_attribute(object, name, type.get(), Hdf5Handle(H5Screate(H5S_SCALAR), H5Sclose), &characters);
}

void Hdf5File::add_enumeration(const std::string& object, const std::string& name,
                               const std::vector<std::string>& names, std::uint8_t value) {
  const Hdf5Handle type(H5Tenum_create(H5T_NATIVE_UINT8), H5Tclose);
  for (std::uint8_t i = 0; i < names.size(); ++i) H5Tenum_insert(type.get(), names[i].c_str(), &i);
  write_attribute(object, name, type.get(), Hdf5Handle(H5Screate(H5S_SCALAR), H5Sclose), &value);
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name, hid_t type,
                               const Hdf5Handle& space, const void* values) {
  const auto at = checked(H5Acreate_by_name(file_.get(), object.c_str(), name.c_str(), type, space.get(),
                                            H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                          H5Aclose, "add an attribute to", object);
  check(H5Awrite(at.get(), type, values), "write an attribute of", object);
}

template <class T>
void Hdf5File::write_rows(const std::string& object, std::size_t first, std::span<const T> values) {
  auto set = dataset(object);
  const std::vector<std::size_t> size = shape(object);
  const auto space = checked(H5Dget_space(set.get()), H5Sclose, "write", object);
  std::vector<hsize_t> count(size.begin(), size.end());
  std::vector<hsize_t> start(size.size(), 0);
  if (!size.empty()) {
    const std::size_t row = elements({size.begin() + 1, size.end()});
    count.front() = row == 0 ? 0 : values.size() / row;
    start.front() = first;
    check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
          "write", object);
  }
  const auto memory =
      checked(count.empty() ? H5Screate(H5S_SCALAR)
                            : H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr),
              H5Sclose, "write", object);
  const bool taken =
      H5Dwrite(set.get(), native_type<T>(), memory.get(), space.get(), H5P_DEFAULT, values.data()) >= 0;
  check_written(set.close() && taken, object);
}

template <class T>
void Hdf5File::append(const std::string& object, std::span<const T> values) {
  if (values.empty()) return;
  const std::vector<std::size_t> size = shape(object);
  const std::size_t row = elements({size.begin() + 1, size.end()});
  extend(object, size.front() + values.size() / row);
  write_rows(object, size.front(), values);
}

void Hdf5File::extend(const std::string& object, std::size_t rows) {
  auto set = dataset(object);
  const std::vector<std::size_t> size = shape(object);
  std::vector<hsize_t> extent(size.begin(), size.end());
  extent.front() = rows;
  const bool extended = H5Dset_extent(set.get(), extent.data()) >= 0;
  check_written(set.close() && extended, object);
}

void Hdf5File::write_chunk(const std::string& object, std::size_t first, std::size_t rows,
                           std::span<const std::uint8_t> filtered) {
  auto set = dataset(object);
  const hsize_t extent = rows, offset = first;
  const bool taken =
      H5Dset_extent(set.get(), &extent) >= 0 &&
      H5Dwrite_chunk(set.get(), H5P_DEFAULT, 0, &offset, filtered.size(), filtered.data()) >= 0;
  check_written(set.close() && taken, object);
}

void Hdf5File::start_concurrent_reading() {
  check_written(H5Fstart_swmr_write(file_.get()) >= 0, "the file");
}

void Hdf5File::flush() {
  check_written(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL) >= 0, "to the disk");
}

void Hdf5File::close() {
  flush();
  check(H5Fclose(file_.release()), "close", "the file");
  if (!reaches_disk(path_)) fail("write to", "the disk");
}

void Hdf5File::close_as(const std::filesystem::path& name) {
  close();
  give_final_name(path_, name);
}

std::vector<std::size_t> Hdf5File::shape(const std::string& object) const {
  const auto set = dataset(object);
  const auto space = checked(H5Dget_space(set.get()), H5Sclose, "read", object);
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (rank < 0) fail("read the shape of", object);
  std::vector<hsize_t> size(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space.get(), size.data(), nullptr);
  return {size.begin(), size.end()};
}

template <class T>
std::vector<T> Hdf5File::read(const std::string& object) const {
  const auto set = dataset(object);
  const auto space = checked(H5Dget_space(set.get()), H5Sclose, "read", object);
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  if (count < 0 || count > most_elements) fail("read", object);
  std::vector<T> values(static_cast<std::size_t>(count));
  if (count > 0) {
    check(H5Dread(set.get(), native_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "read", object);
  }
  if (H5Aexists(set.get(), checksum_name) > 0 &&
      integer_attribute(object, checksum_name) != checksum(std::span<const T>(values)))
    throw EnvironmentError(
        fmt::format("{}: the bytes of {} are not those that were written", path_.string(), object));
  return values;
}

template <class T>
std::vector<T> Hdf5File::read_rows(const std::string& object, std::size_t first, std::size_t count) const {
  const auto set = dataset(object);
  const std::vector<std::size_t> size = shape(object);
  if (size.empty() || first + count > size.front()) fail("read so many rows of", object);
  std::vector<hsize_t> start(size.size(), 0), counts(size.begin(), size.end());
  start.front() = first;
  counts.front() = count;
  std::vector<T> values(elements({counts.begin(), counts.end()}));
  if (values.empty()) return values;
  const auto space = checked(H5Dget_space(set.get()), H5Sclose, "read", object);
  const auto memory = checked(H5Screate_simple(static_cast<int>(counts.size()), counts.data(), nullptr),
                              H5Sclose, "read", object);
  check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, counts.data(), nullptr),
        "read", object);
  check(H5Dread(set.get(), native_type<T>(), memory.get(), space.get(), H5P_DEFAULT, values.data()), "read",
        object);
  return values;
}

Hdf5Values Hdf5File::read_values(const std::string& object) const {
  const auto set = dataset(object);
  const auto type = checked(H5Dget_type(set.get()), H5Tclose, "read", object);
  const auto is = [&](hid_t native) { return H5Tequal(type.get(), native) > 0; };
  if (is(H5T_NATIVE_FLOAT)) return read<float>(object);
  if (is(H5T_NATIVE_DOUBLE)) return read<double>(object);
  if (is(H5T_NATIVE_UINT8)) return read<std::uint8_t>(object);
  if (is(H5T_NATIVE_UINT32)) return read<std::uint32_t>(object);
  if (is(H5T_NATIVE_UINT64)) return read<std::uint64_t>(object);
  fail("read the numbers of", object);
}

std::vector<std::string> Hdf5File::numeric_objects(const std::string& group) const {
  const auto top = checked(H5Gopen2(file_.get(), group.c_str(), H5P_DEFAULT), H5Gclose, "open", group);
  std::vector<std::string> names;
  const auto take = [](hid_t, const char* name, const auto*, void* to) -> herr_t {
    static_cast<std::vector<std::string>*>(to)->push_back(name);
    return 0;
  };
  check(H5Lvisit(top.get(), H5_INDEX_NAME, H5_ITER_INC, take, &names), "list", group);
  std::vector<std::string> objects;
  for (const std::string& name : names) {
    const std::string object = group == "/" ? "/" + name : group + "/" + name;
    const Hdf5Handle at(H5Oopen(file_.get(), object.c_str(), H5P_DEFAULT), H5Oclose);
    if (at.get() < 0) fail("open", object);
    if (H5Iget_type(at.get()) != H5I_DATASET) continue;
    const auto type = checked(H5Dget_type(at.get()), H5Tclose, "read", object);
    if (H5Tget_class(type.get()) != H5T_STRING) objects.push_back(object);
  }
  return objects;
}

std::string Hdf5File::read_text(const std::string& object) const {
  const auto set = dataset(object);
  const auto type = checked(H5Dget_type(set.get()), H5Tclose, "read", object);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0)
    fail("read the text", object);
  std::string text(H5Tget_size(type.get()), '\0');
  check(H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()), "read", object);
  return text.substr(0, text.find('\0'));
}

std::vector<std::string> Hdf5File::read_texts(const std::string& object) const {
  const auto set = dataset(object);
  const auto type = checked(H5Dget_type(set.get()), H5Tclose, "read", object);
  const auto space = checked(H5Dget_space(set.get()), H5Sclose, "read", object);
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  const std::size_t length = H5Tget_size(type.get());
  if (H5Tget_class(type.get()) != H5T_STRING || length == 0 || count < 0 ||
      count > most_elements / static_cast<hssize_t>(length))
    fail("read the texts of", object);
  const auto elements = static_cast<std::size_t>(count);
  std::vector<std::string> texts;
  if (elements == 0) return texts;
  if (H5Tis_variable_str(type.get()) == 0) {
    std::string padded(elements * length, '\0');
    check(H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, padded.data()), "read", object);
    for (std::size_t first = 0; first < padded.size(); first += length)
      texts.emplace_back(padded.substr(first, length).c_str());
    return texts;
  }
  std::vector<char*> starts(elements, nullptr);
  const herr_t status = H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, starts.data());
  if (status >= 0) {
    for (const char* start : starts)
      texts.emplace_back(start == nullptr ? std::string() : std::string(start, strnlen(start, longest_text)));
  }
  H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, starts.data());
  check(status, "read", object);
  return texts;
}

bool Hdf5File::is_text(const std::string& object) const {
  const auto set = dataset(object);
  const auto type = checked(H5Dget_type(set.get()), H5Tclose, "read", object);
  return H5Tget_class(type.get()) == H5T_STRING;
}

bool Hdf5File::is_group(const std::string& object) const {
  const auto at = checked(H5Oopen(file_.get(), object.c_str(), H5P_DEFAULT), H5Oclose, "open", object);
  return H5Iget_type(at.get()) == H5I_GROUP;
}

std::vector<std::string> Hdf5File::members(const std::string& group, std::size_t most) const {
  const auto at = checked(H5Gopen2(file_.get(), group.c_str(), H5P_DEFAULT), H5Gclose, "open", group);
  struct Found {
    std::vector<std::string> names;
    std::size_t most;
  } found{{}, most};
  const auto take = [](hid_t, const char* name, const H5L_info_t* link, void* to) -> herr_t {
    auto& [names, room] = *static_cast<Found*>(to);
    if (link->type != H5L_TYPE_HARD || names.size() == room) return -1;
    names.emplace_back(name);
    return 0;
  };
  if (H5Literate(at.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, take, &found) < 0)
    fail(fmt::format("list up to {} objects of this file in", most), group);
  return found.names;
}

void Hdf5File::check_stored(const std::string& object) const {
  const auto set = dataset(object);
  const auto type = checked(H5Dget_type(set.get()), H5Tclose, "read", object);
  const auto space = checked(H5Dget_space(set.get()), H5Sclose, "read", object);
  const auto creation = checked(H5Dget_create_plist(set.get()), H5Pclose, "read", object);
  if (H5Pget_layout(creation.get()) == H5D_VIRTUAL || H5Pget_external_count(creation.get()) != 0)
    fail("read from other files", object);
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  const double bytes = static_cast<double>(count) * static_cast<double>(H5Tget_size(type.get()));
  std::error_code error;
  const auto file_size = static_cast<double>(std::filesystem::file_size(path_, error));
  const double stored = std::min(static_cast<double>(H5Dget_storage_size(set.get())), file_size);
  if (error || count < 0 || bytes > most_compression * (1 + stored)) {
    throw EnvironmentError(fmt::format("{}: {} claims {} values, expected no more than its {} bytes can hold",
                                       path_.string(), object, count, stored));
  }
}

Hdf5Handle Hdf5File::attribute(const std::string& object, const std::string& name) const {
  return checked(H5Aopen_by_name(file_.get(), object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
                 H5Aclose, fmt::format("read the attribute '{}' of", name), object);
}

std::string Hdf5File::text_attribute(const std::string& object, const std::string& name) const {
  const std::vector<std::string> texts = texts_attribute(object, name);
  if (texts.size() != 1) fail("read as one text an attribute of", object);
  return texts.front();
}

std::uint64_t Hdf5File::integer_attribute(const std::string& object, const std::string& name) const {
  const auto at = attribute(object, name);
  std::uint64_t value = 0;
  check(H5Aread(at.get(), H5T_NATIVE_UINT64, &value), "read an attribute of", object);
  return value;
}

double Hdf5File::number_attribute(const std::string& object, const std::string& name) const {
  const auto at = attribute(object, name);
  double value = 0;
  check(H5Aread(at.get(), H5T_NATIVE_DOUBLE, &value), "read an attribute of", object);
  return value;
}

std::vector<std::string> Hdf5File::texts_attribute(const std::string& object, const std::string& name) const {
  const auto at = attribute(object, name);
  const auto type = checked(H5Aget_type(at.get()), H5Tclose, "read an attribute of", object);
  const auto space = checked(H5Aget_space(at.get()), H5Sclose, "read an attribute of", object);
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  const std::size_t length = H5Tget_size(type.get());
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 || count < 0 ||
      count > most_elements / static_cast<hssize_t>(std::max<std::size_t>(length, 1))) {
    fail("read as text an attribute of", object);
  }
  std::string padded(static_cast<std::size_t>(count) * length, '\0');
  check(H5Aread(at.get(), type.get(), padded.data()), "read an attribute of", object);
  std::vector<std::string> texts;
  for (std::size_t first = 0; first < padded.size(); first += length) {
    texts.emplace_back(padded.substr(first, length).c_str());
  }
  return texts;
}

bool Hdf5File::exists(const std::string& object) const {
  return H5Oexists_by_name(file_.get(), object.c_str(), H5P_DEFAULT) > 0;
}

#define ORTHOSPIKE_HDF5_TYPE(T)                                                                            \
  template void Hdf5File::add_growing<T>(const std::string&, const std::vector<std::size_t>&, std::size_t, \
                                         bool);                                                            \
  template std::vector<T> Hdf5File::read_rows<T>(const std::string&, std::size_t, std::size_t) const;      \
  template void Hdf5File::add<T>(const std::string&, const std::vector<std::size_t>&, T);                  \
  template void Hdf5File::write_rows<T>(const std::string&, std::size_t, std::span<const T>);              \
  template void Hdf5File::append<T>(const std::string&, std::span<const T>);                               \
  template void Hdf5File::add_checked<T>(const std::string&, std::span<const T>);                          \
  template std::vector<T> Hdf5File::read<T>(const std::string&) const;

ORTHOSPIKE_HDF5_TYPE(float)
ORTHOSPIKE_HDF5_TYPE(double)
ORTHOSPIKE_HDF5_TYPE(std::uint8_t)
ORTHOSPIKE_HDF5_TYPE(std::uint32_t)
ORTHOSPIKE_HDF5_TYPE(std::uint64_t)
ORTHOSPIKE_HDF5_TYPE(std::int64_t)
#undef ORTHOSPIKE_HDF5_TYPE

}  // namespace orthospike
