#include "learning/communicator.hpp"

#include <chrono>
#include <cstdlib>
#include <string>

#include "learning/mpi_communicator.hpp"

namespace orthospike {

namespace {

class Alone final : public Communicator {
 public:
  Alone() : Communicator(0, 1) {}

 private:
  void sum_over_ranks(std::span<float> /*values*/) override {}
  void sum_over_ranks(std::span<double> /*values*/) override {}
};

/// That the environment says were started together: 1 where it says nothing.
std::size_t started_ranks() {
  const auto number = [](const char* variable) -> std::size_t {
    const char* const text = std::getenv(variable);
    return text == nullptr ? 0 : std::strtoul(text, nullptr, 10);
  };
  std::size_t ranks = number("OMPI_COMM_WORLD_SIZE");
  if (ranks == 0) ranks = number("PMI_SIZE");
  // PMIx says which rank this is and not of how many.
  if (ranks == 0 && std::getenv("PMIX_RANK") != nullptr) ranks = number("SLURM_STEP_NUM_TASKS");
  return ranks == 0 ? 1 : ranks;
}

}  // namespace

template <class T>
void Communicator::sum_values(std::span<T> values) {
  if (is_alone() || values.empty()) return;
  const auto start = std::chrono::steady_clock::now();
  sum_over_ranks(values);
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  bytes_ += 2.0 * static_cast<double>(size_ - 1) / static_cast<double>(size_) *
            static_cast<double>(values.size_bytes());
}

void Communicator::sum(std::span<float> values) {
  sum_values(values);
}

void Communicator::sum(std::span<double> values) {
  sum_values(values);
}

void Communicator::sum(Backend& backend, View<float> values) {
  if (is_alone() || values.empty()) return;
  if (const std::span<float> here = backend.in_host_memory(values); !here.empty()) {
    sum_values(here);
    return;
  }
  room_.resize(values.size());
  backend.download(View<const float>(values), std::span(room_));
  sum_values(std::span(room_));
  backend.upload(std::span<const float>(room_), values);
}

bool Communicator::any(bool holds) {
  double count = holds ? 1 : 0;
  sum(std::span(&count, 1));
  return count > 0;
}

Communicator& alone() {
  static Alone only;
  return only;
}

std::unique_ptr<Communicator> make_communicator() {
  const std::size_t ranks = started_ranks();
  if (ranks == 1) return std::make_unique<Alone>();
  return make_mpi_communicator(ranks);
}

}  // namespace orthospike
