#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "kernels/error.hpp"
#include "learning/mpi_communicator.hpp"

namespace orthospike {

std::unique_ptr<Communicator> make_mpi_communicator(std::size_t ranks) {
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMI_RANK"}) {
    const char* const rank = std::getenv(variable);
    // The first one alone says what is wrong: when it ends, mpirun ends the others.
    if (rank != nullptr && *rank != '0') std::this_thread::sleep_for(std::chrono::seconds(5));
  }
  throw EnvironmentError(fmt::format(
      "{} ranks were started, but this program was built without MPI, which trains with one; install libopenmpi-dev "
      "and build it again, or start it without mpirun",
      ranks));
}

}  // namespace orthospike
