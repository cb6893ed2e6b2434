#include "sim/archive.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

constexpr const char* state_group = "/state";

std::size_t size_of(const Hdf5Values& values) {
  return std::visit([](const auto& elements) { return elements.size(); }, values);
}

}  // namespace

void Archive::operator()(const std::string& name, std::string& text) {
  std::vector<std::uint8_t> bytes(text.begin(), text.end());
  exchange(name, bytes, any_size);
  text.assign(bytes.begin(), bytes.end());
}

void Archive::check(bool holds, const std::string& sentence) const {
  if (!holds) throw EnvironmentError(fmt::format("{}: {}: {}", source(), group_, sentence));
}

void Archive::exchange_values(const std::string& object, Hdf5Values& values, std::size_t size) {
  if (!loads_) {
    save(object, values);
    return;
  }
  const std::size_t type = values.index();
  values = load(object);
  if (values.index() != type)
    throw EnvironmentError(fmt::format("{}: {} has numbers of another type than expected", source(), object));
  if (size != any_size && size_of(values) != size)
    throw EnvironmentError(
        fmt::format("{}: {} has {} numbers, expected {}", source(), object, size_of(values), size));
}

void Archive::exchange_summed(const std::string& name, Array<float>& array, std::size_t size) {
  std::vector<float> values = loads_ ? std::vector<float>() : backend_.download(std::as_const(array).view());
  if (sum_) sum_(values);
  exchange(name, values, size);
  if (!loads_) return;
  if (!is_first_) std::ranges::fill(values, 0.0F);
  if (array.size() != values.size()) array = backend_.allocate<float>(values.size());
  backend_.upload(std::span<const float>(values), array.view());
}

void StateWriter::save(const std::string& object, const Hdf5Values& values) {
  if (const auto* weights = std::get_if<std::vector<float>>(&values)) {
    if (!std::ranges::all_of(*weights, [](float weight) { return std::isfinite(weight); }))
      throw EnvironmentError(fmt::format("{}: {} is not finite and not saved", source(), object));
  }
  std::visit([&]<class T>(const std::vector<T>& elements) { file_.add_checked<T>(object, elements); },
             values);
}

StateReader::StateReader(Backend& backend, const Hdf5File& file, bool is_first)
    : Archive(backend, true, is_first, {}), file_(file) {
  const std::vector<std::string> objects = file.numeric_objects(state_group);
  left_ = {objects.begin(), objects.end()};
}

Hdf5Values StateReader::load(const std::string& object) {
  if (left_.erase(object) == 0) throw EnvironmentError(fmt::format("{}: {} is not there", source(), object));
  return file_.read_values(object);
}

void StateReader::finish() const {
  if (left_.empty()) return;
  throw EnvironmentError(fmt::format("{}: nothing reads {}", source(), *left_.begin()));
}

}  // namespace orthospike
