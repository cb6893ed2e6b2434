#include "kernels/cpu/processors.hpp"

#include <cstdlib>
#include <fstream>
#include <limits>
#include <thread>

#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/instruction_set.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

void write(const std::filesystem::path& file, const std::string& content) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << content;
}

}  // namespace

TEST_CASE("the quota of control groups of version 2 is the least on the way to the top", "[processors]") {
  const TemporaryFolder folder;
  const auto quota = [&](const char* membership) { return processor_quota(membership, folder.path()); };
  CHECK(quota("0::/a/b\n") == unlimited);
  write(folder.path() / "a/cpu.max", "150000 100000\n");
  write(folder.path() / "a/b/cpu.max", "max 100000\n");
  CHECK(quota("0::/a/b\n") == 1.5);
  CHECK(quota("0::/a\n") == 1.5);
  CHECK(quota("0::/other\n") == unlimited);
  write(folder.path() / "a/b/cpu.max", "50000 100000\n");
  CHECK(quota("0::/a/b\n") == 0.5);
  // A container sees its own group at the top, and may be told the host's path.
  write(folder.path() / "cpu.max", "20000 10000\n");
  CHECK(quota("0::/docker/0123\n") == 2);
  CHECK(quota("") == unlimited);
  CHECK(quota("no line of the format") == unlimited);
  write(folder.path() / "cpu.max", "nonsense");
  CHECK(quota("0::/other\n") == unlimited);
}

TEST_CASE("the quota of control groups of version 1 is that of the cpu controller", "[processors]") {
  const TemporaryFolder folder;
  const auto quota = [&](const char* membership) { return processor_quota(membership, folder.path()); };
  write(folder.path() / "cpu,cpuacct/job/cpu.cfs_quota_us", "300000\n");
  write(folder.path() / "cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  CHECK(quota("12:pids:/job\n4:cpu,cpuacct:/job\n0::/job\n") == 3);
  write(folder.path() / "cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
  CHECK(quota("4:cpu,cpuacct:/job\n") == unlimited);
  write(folder.path() / "cpuset/job/cpu.cfs_quota_us", "1000\n");
  write(folder.path() / "cpuset/job/cpu.cfs_period_us", "100000\n");
  CHECK(quota("3:cpuset:/job\n") == unlimited);
}

TEST_CASE("at least one processor can be used, and no more than there are", "[processors]") {
  CHECK(usable_processors() >= 1);
  CHECK(usable_processors() <= static_cast<int>(std::thread::hardware_concurrency()));
}

TEST_CASE("libraries that compute with less than the processor offers are named", "[instruction_set]") {
  using enum InstructionSet;
  CHECK(slow_libraries(avx512, avx512, avx512).empty());
  CHECK(slow_libraries(baseline, baseline, baseline).empty());
  const auto products = slow_libraries(avx512, avx2, avx512);
  REQUIRE(products.size() == 1);
  CHECK(products[0] ==
        gemm_library() + " multiplies matrices with AVX2 code, though this processor has AVX-512");
  const auto factorisations = slow_libraries(avx2, avx2, baseline);
  REQUIRE(factorisations.size() == 1);
  CHECK(factorisations[0].ends_with(
      "though this processor has AVX2; OPENBLAS_CORETYPE=Haswell in the environment mends that"));
  CHECK(slow_libraries(avx512, baseline, avx2).size() == 2);
}

TEST_CASE("products use what the processor offers", "[instruction_set]") {
  if (std::getenv(gemm_variable()) != nullptr) return;
  if (gemm_library() == "OpenBLAS") return;  // which goes by a list of processors
  CHECK(gemm_instruction_set() == processor_instruction_set());
}

}  // namespace orthospike::testing
