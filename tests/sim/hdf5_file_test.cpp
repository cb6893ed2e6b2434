#include "sim/hdf5_file.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {

TEST_CASE("who reads a file is in nobody's way who replaces it", "[hdf5_file]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "file.h5";
  Hdf5File::create(path).close();
  std::array<int, 2> opened{};
  REQUIRE(pipe(opened.data()) == 0);
  // Another process, begun before the file is open: the library refuses what it has open itself.
  const pid_t writer = fork();
  if (writer == 0) {
    char byte = 0;
    int code = ::read(opened[0], &byte, 1) == 1 ? 0 : 2;
    try {
      Hdf5File::create(path).close();
    } catch (const EnvironmentError&) {
      code = 1;
    }
    _exit(code);
  }
  const Hdf5File reader = Hdf5File::open(path);
  REQUIRE(::write(opened[1], "", 1) == 1);
  int status = 0;
  REQUIRE(waitpid(writer, &status, 0) == writer);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  for (const int end : opened) ::close(end);
}

}  // namespace orthospike::testing
