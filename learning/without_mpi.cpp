#include <fmt/format.h>

#include "kernels/error.hpp"
#include "learning/mpi_communicator.hpp"

namespace orthospike {

std::unique_ptr<Communicator> make_mpi_communicator(std::size_t ranks) {
  throw EnvironmentError(fmt::format(
      "{} ranks were started, but this program was built without MPI, which trains with one; install libopenmpi-dev "
      "and build it again, or start it without mpirun",
      ranks));
}

}  // namespace orthospike
