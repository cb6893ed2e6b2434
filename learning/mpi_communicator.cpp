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

  explicit MpiCommunicator(std::size_t size) : Communicator(own_rank(), size) {}
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

  // Which the standard requires to give all ranks identical results.
  void sum_over_ranks(std::span<float> values) override { sum_as(MPI_FLOAT, values.data(), values.size()); }
  void sum_over_ranks(std::span<double> values) override { sum_as(MPI_DOUBLE, values.data(), values.size()); }

  void sum_as(MPI_Datatype type, void* values, std::size_t count) {
    MPI_Allreduce(MPI_IN_PLACE, values, static_cast<int>(count), type, MPI_SUM, MPI_COMM_WORLD);
  }
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
