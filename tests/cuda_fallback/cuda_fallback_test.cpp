// Takes the place of the CUDA back end: one that is compiled in on a machine whose device cannot be used, or that has none.

#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/error.hpp"
#include "tests/catch.hpp"

namespace orthospike {

bool has_cuda_backend() {
  return true;
}

namespace testing {

bool has_device = true;

}  // namespace testing

std::unique_ptr<Backend> make_cuda_backend(int device_number) {
  const std::string sentence = "there is no cuda:" + std::to_string(device_number);
  if (testing::has_device) throw EnvironmentError(sentence);
  throw NoCudaDevice(sentence);
}

namespace testing {

TEST_CASE("auto takes the cpu where there is no device and says nothing", "[backend]") {
  has_device = false;
  bool warned = false;
  CHECK(make_backend("auto", 1, [&](const std::string&) { warned = true; })->name() == "cpu");
  CHECK_FALSE(warned);
  CHECK_THROWS_WITH(make_backend("cuda", 1), "there is no cuda:0");
  has_device = true;
}

TEST_CASE("auto falls back to the cpu and says once why a device cannot be used", "[backend]") {
  std::vector<std::string> warnings;
  const auto backend =
      make_backend("auto", 1, [&](const std::string& sentence) { warnings.push_back(sentence); });
  CHECK(backend->name() == "cpu");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].starts_with("there is no cuda:0; "));
  CHECK(warnings[0].find("--run.device=cpu") != std::string::npos);
  CHECK(make_backend("auto", 1)->name() == "cpu");
}

TEST_CASE("a device that was asked for and is not there is an error", "[backend]") {
  CHECK_THROWS_WITH(make_backend("cuda", 1), "there is no cuda:0");
  CHECK_THROWS_WITH(make_backend("cuda:7", 1), "there is no cuda:7");
  CHECK_THROWS_AS(make_backend("cuda:7", 1), EnvironmentError);
}

TEST_CASE("auto tries the back ends in the order of their names", "[backend]") {
  CHECK(backend_names() == std::vector<std::string>{"cuda", "cpu", "reference"});
}

}  // namespace testing
}  // namespace orthospike
