#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/backend.hpp"
#include "sim/hdf5_file.hpp"

namespace orthospike {

class Archive;

template <class T>
concept Stateful = requires(T& part, Archive& archive) {
  part.state(archive);
};

/// What parts keep from batch to batch, on its way to a file or back. A part has one member function for both ways,
///
///   void state(Archive& archive) {
///     archive("moment", moment_);
///     archive("batches", batches_);
///   }
///
/// that names each member on which a later batch depends, but for those that follow from the settings, such as random
/// numbers, and buffers. Names are unique within a part.
class Archive {
 public:
  /// values ← their sums over all programs that save together, the ranks of a run; all of them call it.
  using Sum = std::function<void(std::span<float> values)>;

  virtual ~Archive() = default;

  /// Whether members get what was saved of them; else they are saved.
  bool loads() const { return loads_; }

  template <class T>
  requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void operator()(const std::string& name, T& value) {
    std::vector<Stored<T>> one{static_cast<Stored<T>>(value)};
    exchange(name, one, 1);
    if (loads_) value = static_cast<T>(one[0]);
  }
  void operator()(const std::string& name, std::string& text);
  /// Vectors, arrays and views, with elements as in Hdf5Values, have the size that the part gave them: another one is an
  /// error.
  template <class T>
  void operator()(const std::string& name, std::vector<T>& values) {
    exchange(name, values, values.size());
  }
  template <class T>
  void operator()(const std::string& name, Array<T>& array) {
    (*this)(name, array.view());
  }
  template <class T>
  void operator()(const std::string& name, View<T> view) {
    std::vector<T> values = loads_ ? std::vector<T>() : backend_.download(View<const T>(view));
    exchange(name, values, view.size());
    if (loads_) backend_.upload(std::span<const T>(values), view);
  }
  /// One that grows, or is made when it is first needed, gets the size that was saved.
  template <class T>
  void resizable(const std::string& name, std::vector<T>& values) {
    exchange(name, values, any_size);
  }
  template <class T>
  void resizable(const std::string& name, Array<T>& array) {
    std::vector<T> values = loads_ ? std::vector<T>() : backend_.download(std::as_const(array).view());
    exchange(name, values, any_size);
    if (!loads_) return;
    array = backend_.allocate<T>(values.size());
    backend_.upload(std::span<const T>(values), array.view());
  }
  /// An array of which each rank of a run has a part, all of one size, and only the sum of these matters: that is saved,
  /// and what the first rank loads; the others get zeros.
  void summed(const std::string& name, Array<float>& array) { exchange_summed(name, array, array.size()); }
  void resizable_summed(const std::string& name, Array<float>& array) {
    exchange_summed(name, array, any_size);
  }
  template <Stateful T>
  void operator()(const std::string& name, T& part) {
    const std::string outer = std::exchange(group_, group_ + name + "/");
    part.state(*this);
    group_ = outer;
  }
  template <Stateful T>
  void operator()(const std::string& name, std::vector<T>& parts) {
    for (std::size_t i = 0; i < parts.size(); ++i) (*this)(name + std::to_string(i), parts[i]);
  }
  template <Stateful T>
  void operator()(const std::string& name, std::vector<std::unique_ptr<T>>& parts) {
    for (std::size_t i = 0; i < parts.size(); ++i) (*this)(name + std::to_string(i), *parts[i]);
  }

  /// Throws EnvironmentError where members that were loaded do not fit together, as a sentence about them.
  void check(bool holds, const std::string& sentence) const;

 protected:
  /// is_first: of all ranks, where it loads. sum: where it saves, and there are others.
  Archive(Backend& backend, bool loads, bool is_first, Sum sum)
      : backend_(backend), loads_(loads), is_first_(is_first), sum_(std::move(sum)) {}

 private:
  template <class T>
  using Stored = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
  static constexpr std::size_t any_size = ~std::size_t{0};

  /// Throws EnvironmentError where what was saved has another type or, but for any_size, another size.
  template <class T>
  void exchange(const std::string& name, std::vector<T>& values, std::size_t size) {
    Hdf5Values all(std::move(values));
    exchange_values(group_ + name, all, size);
    values = std::get<std::vector<T>>(std::move(all));
  }
  void exchange_values(const std::string& object, Hdf5Values& values, std::size_t size);
  void exchange_summed(const std::string& name, Array<float>& array, std::size_t size);
  virtual void save(const std::string& object, const Hdf5Values& values) = 0;
  virtual Hdf5Values load(const std::string& object) = 0;
  /// The file, for messages.
  virtual std::string source() const = 0;

  Backend& backend_;
  bool loads_, is_first_;
  Sum sum_;
  std::string group_ = "/state/";
};

/// Saves into a file, each member under a checksum. Throws EnvironmentError where one of single precision, of which all
/// that learns is, has a number that is not finite.
class StateWriter final : public Archive {
 public:
  StateWriter(Backend& backend, Hdf5File& file, Sum sum = {})
      : Archive(backend, false, true, std::move(sum)), file_(file) {}

 private:
  void save(const std::string& object, const Hdf5Values& values) override;
  Hdf5Values load(const std::string& /*object*/) override { return {}; }
  std::string source() const override { return file_.path().string(); }

  Hdf5File& file_;
};

/// What the other ranks take part with while the first one saves.
class StateOfOthers final : public Archive {
 public:
  StateOfOthers(Backend& backend, Sum sum) : Archive(backend, false, false, std::move(sum)) {}

 private:
  void save(const std::string& /*object*/, const Hdf5Values& /*values*/) override {}
  Hdf5Values load(const std::string& /*object*/) override { return {}; }
  std::string source() const override { return "a rank"; }
};

/// Loads from one. All errors are EnvironmentErrors that name the file and the member.
class StateReader final : public Archive {
 public:
  StateReader(Backend& backend, const Hdf5File& file, bool is_first = true);

  /// Throws where the file has a member that no part asked for.
  void finish() const;

 private:
  void save(const std::string& /*object*/, const Hdf5Values& /*values*/) override {}
  Hdf5Values load(const std::string& object) override;
  std::string source() const override { return file_.path().string(); }

  const Hdf5File& file_;
  std::set<std::string> left_;
};

}  // namespace orthospike
