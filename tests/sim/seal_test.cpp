#include "sim/seal.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/error.hpp"
#include "sim/hdf5_file.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

std::vector<std::uint8_t> content(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

TEST_CASE("a sealed file is refused when any byte of it changes or lacks", "[seal]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.write("file", std::vector<std::uint8_t>(100));
  CHECK_THROWS_AS(require_seal(path), EnvironmentError);
  seal(path);
  require_seal(path);
  const std::vector<std::uint8_t> whole = content(path);
  CHECK(whole.size() > 100);
  for (std::size_t place = 0; place < whole.size(); ++place) {
    INFO(place);
    std::vector<std::uint8_t> damaged = whole;
    damaged[place] ^= 0xff;
    folder.write("file", damaged);
    CHECK_THROWS_WITH(require_seal(path),
                      path.string() + ": damaged, its bytes are not those that were written");
    folder.write("file", std::span(whole).first(place));
    CHECK_THROWS_AS(require_seal(path), EnvironmentError);
  }
  CHECK_THROWS_WITH(require_seal(folder.path() / "none"),
                    Catch::Contains("none: cannot be read: No such file"));
}

TEST_CASE("HDF5 reads a sealed file", "[seal]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "file.h5";
  const std::vector<double> values = {1, 2, 3};
  {
    Hdf5File file = Hdf5File::create(path);
    file.add_checked<double>("/values", values);
    file.close();
  }
  seal(path);
  require_seal(path);
  CHECK(Hdf5File::open(path).read<double>("/values") == values);
}

TEST_CASE("a list under a checksum is refused where its bytes are others", "[seal]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "file.h5";
  {
    Hdf5File file = Hdf5File::create(path);
    file.add_checked<std::uint8_t>("/zeros", std::vector<std::uint8_t>(2));
    file.add_checked<std::uint8_t>("/none", {});
    CHECK(file.read<std::uint8_t>("/none").empty());
    CHECK(file.read<std::uint8_t>("/zeros") == std::vector<std::uint8_t>(2));
    file.write_rows<std::uint8_t>("/zeros", 0, std::vector<std::uint8_t>{0xff, 0xff});
    file.close();
  }
  CHECK_THROWS_WITH(Hdf5File::open(path).read_values("/zeros"),
                    path.string() + ": the bytes of /zeros are not those that were written");
}

}  // namespace orthospike::testing
