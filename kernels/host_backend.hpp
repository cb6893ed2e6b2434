#pragma once

#include "kernels/backend.hpp"

namespace orthospike {

/// What back ends on the host share: memory is the process's own, work is done when a call returns.
class HostBackend : public Backend {
 public:
  void synchronise() final {}

 protected:
  bool uses_host_memory() const final { return true; }
  Memory allocate_bytes(std::size_t bytes) final;
  void do_upload(const void* from, void* to, std::size_t bytes) final;
  void do_download(const void* from, void* to, std::size_t bytes) final;
  void do_copy(const void* from, void* to, std::size_t bytes) final;
  void do_clear(void* to, std::size_t bytes) final;
};

}  // namespace orthospike
