#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/array.hpp"

namespace orthospike {

// Families of operations, each in the header of the name that it has in Backend; who calls its operations includes that.
struct RandomNumbers;
struct DenseProducts;
struct Elementwise;
struct Encoding;
struct SpikeDelivery;
struct Maps;
struct NeuronSteps;
struct NormalisationSteps;
struct Traces;
struct Loss;
struct SubspaceSteps;
struct LateralCircuits;
struct OptimiserSteps;
struct SynapseSteps;

/// Defined in family.hpp, for the back ends' files.
template <class Operations, class Device>
std::shared_ptr<Operations> make_family(Device& device, double& multiply_adds);

/// Operations that are queued again and again on the same memory (Backend::repeat).
class RepeatedWork {
 public:
  virtual ~RepeatedWork() = default;

 private:
  friend class Backend;
  double multiply_adds_ = 0;  ///< of one time
};

/// Memory and the numeric operations on it; the only thing above which code knows no device. Operations come in
/// families: backend.dense().run(Multiply{.a = x, .b = w, .c = y}) is one of those in dense.hpp.
///
/// Calls enqueue work in order and may return before it is done; `synchronise` and `download` wait. Operations on the
/// same arguments give the same bits whatever the number of threads.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// Config name: reference, cpu, cuda.
  virtual std::string name() const = 0;
  /// What the work runs on, in words, for run files.
  virtual std::string device() const = 0;
  /// Host threads that do the work.
  virtual int threads() const { return 1; }

  // Memory. `allocate` fills with zeros; throws EnvironmentError when there is not enough.
  template <class T>
  Array<T> allocate(std::size_t size) {
    return {allocate_bytes(size * sizeof(T)), size};
  }
  template <class T>
  void upload(std::span<const T> from, View<T> to) {
    check_equal("upload", from.size(), to.size());
    do_upload(from.data(), to.address(), from.size_bytes());
  }
  /// Waits for all earlier operations.
  template <class T>
  void download(View<const T> from, std::span<T> to) {
    check_equal("download", from.size(), to.size());
    do_download(from.address(), to.data(), to.size_bytes());
  }
  template <class T>
  std::vector<T> download(View<const T> from) {
    std::vector<T> to(from.size());
    download(from, std::span<T>(to));
    return to;
  }
  template <class T>
  void copy(View<const T> from, View<T> to) {
    check_equal("copy", from.size(), to.size());
    do_copy(from.address(), to.address(), from.size() * sizeof(T));
  }
  /// The elements themselves where they lie in the host's memory, after all earlier operations; else none.
  template <class T>
  std::span<T> in_host_memory(View<T> values) {
    if (!uses_host_memory()) return {};
    synchronise();
    return {values.address(), values.size()};
  }
  template <class T>
  void clear(View<T> values) {
    do_clear(values.address(), values.size() * sizeof(T));
  }
  virtual void synchronise() = 0;

  // Repetition.
  virtual std::unique_ptr<RepeatedWork> make_repeated_work() { return std::make_unique<RepeatedWork>(); }
  /// Calls `work`, or queues what it queued before: with the same `repeated` it must queue the same operations
  /// with the same arguments each time, and have no other effect. The back end must outlive `repeated`.
  void repeat(RepeatedWork& repeated, const std::function<void()>& work);

  // Operations.
  RandomNumbers& random_numbers() { return *random_numbers_; }
  DenseProducts& dense() { return *dense_; }
  Elementwise& elementwise() { return *elementwise_; }
  Encoding& encoding() { return *encoding_; }
  SpikeDelivery& delivery() { return *delivery_; }
  Maps& maps() { return *maps_; }
  NeuronSteps& neurons() { return *neurons_; }
  NormalisationSteps& normalisation() { return *normalisation_; }
  Traces& traces() { return *traces_; }
  Loss& loss() { return *loss_; }
  SubspaceSteps& subspaces() { return *subspaces_; }
  LateralCircuits& lateral() { return *lateral_; }
  OptimiserSteps& optimisers() { return *optimisers_; }
  SynapseSteps& synapses() { return *synapses_; }

  /// Keeps nothing where products do not gain from it.
  virtual SpikeIndex make_spike_index() { return {}; }

  /// Multiply-adds of all dense operations so far (counted from shapes; event-driven delivery is not in it).
  double multiply_adds() const { return multiply_adds_; }

 protected:
  /// Each back end's constructor calls it; `device` is what its functions for operations get.
  template <class Device>
  void make_families(Device& device) {
    random_numbers_ = make_family<RandomNumbers>(device, multiply_adds_);
    dense_ = make_family<DenseProducts>(device, multiply_adds_);
    elementwise_ = make_family<Elementwise>(device, multiply_adds_);
    encoding_ = make_family<Encoding>(device, multiply_adds_);
    delivery_ = make_family<SpikeDelivery>(device, multiply_adds_);
    maps_ = make_family<Maps>(device, multiply_adds_);
    neurons_ = make_family<NeuronSteps>(device, multiply_adds_);
    normalisation_ = make_family<NormalisationSteps>(device, multiply_adds_);
    traces_ = make_family<Traces>(device, multiply_adds_);
    loss_ = make_family<Loss>(device, multiply_adds_);
    subspaces_ = make_family<SubspaceSteps>(device, multiply_adds_);
    lateral_ = make_family<LateralCircuits>(device, multiply_adds_);
    optimisers_ = make_family<OptimiserSteps>(device, multiply_adds_);
    synapses_ = make_family<SynapseSteps>(device, multiply_adds_);
  }

  virtual bool uses_host_memory() const { return false; }
  virtual Memory allocate_bytes(std::size_t bytes) = 0;
  virtual void do_upload(const void* from, void* to, std::size_t bytes) = 0;
  virtual void do_download(const void* from, void* to, std::size_t bytes) = 0;
  virtual void do_copy(const void* from, void* to, std::size_t bytes) = 0;
  virtual void do_clear(void* to, std::size_t bytes) = 0;

  /// Whether `work` was called, instead of being repeated from a record.
  virtual bool do_repeat(RepeatedWork& repeated, const std::function<void()>& work);

 private:
  static void check_equal(const char* operation, std::size_t left, std::size_t right);

  double multiply_adds_ = 0;
  // Shared pointers, because they can delete what is only declared here; nobody shares them.
  std::shared_ptr<RandomNumbers> random_numbers_;
  std::shared_ptr<DenseProducts> dense_;
  std::shared_ptr<Elementwise> elementwise_;
  std::shared_ptr<Encoding> encoding_;
  std::shared_ptr<SpikeDelivery> delivery_;
  std::shared_ptr<Maps> maps_;
  std::shared_ptr<NeuronSteps> neurons_;
  std::shared_ptr<NormalisationSteps> normalisation_;
  std::shared_ptr<Traces> traces_;
  std::shared_ptr<Loss> loss_;
  std::shared_ptr<SubspaceSteps> subspaces_;
  std::shared_ptr<LateralCircuits> lateral_;
  std::shared_ptr<OptimiserSteps> optimisers_;
  std::shared_ptr<SynapseSteps> synapses_;
};

/// [rows × cols] in an array, which becomes a larger one, without its values, where it is too small.
inline Matrix grown(Backend& backend, Array<float>& array, std::size_t rows, std::size_t cols) {
  if (array.size() < rows * cols) array = backend.allocate<float>(rows * cols);
  return array.matrix(rows, cols);
}

/// Names of the back ends compiled in, in the order `auto` tries them.
std::vector<std::string> backend_names();

/// Told once, in one sentence, of something the user should know.
using Warning = std::function<void(const std::string&)>;

/// The back end of that name: reference, cpu, cuda (the first device) or cuda:N, or auto: the fastest that
/// works, with a warning when there is a GPU that does not. threads: the most that may compute, of the processors
/// that the process may use; 0 for all of these. Throws
/// ConfigError for an unknown name, EnvironmentError when the device is not there or not compiled in.
std::unique_ptr<Backend> make_backend(const std::string& name, int threads, const Warning& warn = {});

}  // namespace orthospike
