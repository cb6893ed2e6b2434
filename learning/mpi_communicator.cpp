#include "learning/mpi_communicator.hpp"

#include <fmt/format.h>
#include <mpi.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <thread>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

/// MPI from here to the end of the program, in one thread. Errors end all ranks, as MPI has it by default.
class MpiCommunicator final : public Communicator {
 public:
  static int initialised_size() {
    int level = 0, size = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    return size;
  }

  explicit MpiCommunicator(std::size_t size) : Communicator(own_rank(), size), counts_(size), places_(size) {}
  ~MpiCommunicator() override {
    if (std::uncaught_exceptions() > 0) {
      if (is_first()) return;
      std::signal(SIGTERM, SIG_DFL);  // with which mpirun ends the others
      std::this_thread::sleep_for(std::chrono::seconds(5));
      return;
    }
    MPI_Barrier(MPI_COMM_WORLD);  // a rank that ends with another code than 0 ends those that still write
    MPI_Finalize();
  }

 private:
  static std::size_t own_rank() {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return static_cast<std::size_t>(rank);
  }

  void sum_over_ranks(std::span<float> values) override { sum_as(MPI_FLOAT, values, float_room_); }
  void sum_over_ranks(std::span<double> values) override { sum_as(MPI_DOUBLE, values, double_room_); }

  /// Each value is added up by one rank, which sends it to all: MPI_Allreduce need not give all the same bits.
  template <class T>
  void sum_as(MPI_Datatype type, std::span<T> values, std::vector<T>& room) {
    const std::size_t ranks = size();
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const std::size_t first = values.size() * rank / ranks;
      places_[rank] = static_cast<int>(first);
      counts_[rank] = static_cast<int>(values.size() * (rank + 1) / ranks - first);
    }
    const int own = counts_[rank()];
    room.resize(largest_slice(values.size()));
    MPI_Reduce_scatter(values.data(), room.data(), counts_.data(), type, MPI_SUM, MPI_COMM_WORLD);
    MPI_Allgatherv(room.data(), own, type, values.data(), counts_.data(), places_.data(), type,
                   MPI_COMM_WORLD);
  }

  std::vector<int> counts_, places_;
  std::vector<float> float_room_;
  std::vector<double> double_room_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(std::size_t ranks) {
  const auto found = static_cast<std::size_t>(MpiCommunicator::initialised_size());
  if (found != ranks) {
    throw EnvironmentError(fmt::format(
        "{} ranks were started, but MPI knows of {}: mpirun is of another MPI than that which this "
        "program was built with; start it with the mpirun of that one",
        ranks, found));
  }
  return std::make_unique<MpiCommunicator>(ranks);
}

}  // namespace orthospike
