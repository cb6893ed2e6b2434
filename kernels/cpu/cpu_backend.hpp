#pragma once

#include <memory>
#include <unordered_map>

#include "kernels/cpu/spike_index.hpp"
#include "kernels/cpu/thread_pool.hpp"
#include "kernels/host_backend.hpp"

namespace orthospike {

/// The fast host back end: a pool of threads, Highway for SIMD chosen at run time, CBLAS for dense products.
///
/// Work is cut into pieces by shape, never by the number of threads, and no sum crosses pieces in an order
/// that depends on it: results are the same bits with any number of threads. BLAS itself runs serially inside
/// each piece.
class CpuBackend final : public HostBackend {
 public:
  /// threads: at least 1.
  explicit CpuBackend(int threads);
  std::string name() const override { return "cpu"; }
  std::string device() const override;
  int threads() const override { return pool_.most(); }
  SpikeIndex make_spike_index() override;

  // For its operations.
  ThreadPool& pool() { return pool_; }
  /// Memory for intermediate results of one operation, kept from call to call.
  Matrix scratch(std::size_t rows, std::size_t cols);
  /// The index kept of the spikes, or one that lasts until the next call; up to date. Throws std::invalid_argument for
  /// an index of another back end.
  CpuSpikeIndex& index_of(const ConstSpikes& spikes);

 private:
  ThreadPool pool_;
  Array<float> scratch_;
  std::unordered_map<const void*, std::unique_ptr<CpuSpikeIndex>> indices_;  ///< that are kept, by address
  CpuSpikeIndex passing_index_;  ///< of spikes of which none is kept
};

// What operations of other families use.
struct ExpandSpikes;
struct Multiply;
void execute(CpuBackend& cpu, const ExpandSpikes& op);
void execute(CpuBackend& cpu, const Multiply& op);

}  // namespace orthospike
