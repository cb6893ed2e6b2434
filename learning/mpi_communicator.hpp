#pragma once

#include "learning/communicator.hpp"

namespace orthospike {

/// Of the so many ranks that MPI was asked to start. Throws EnvironmentError where it has not, or is not compiled in.
/// While an exception unwinds, its destructor does not wait for the others: MPI ends them when this program ends. The
/// first rank goes ahead, so that of an error that all have it alone says what it is.
std::unique_ptr<Communicator> make_mpi_communicator(std::size_t ranks);

}  // namespace orthospike
