#include <vector>

#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

TEST_CASE("new memory is zero", "[conformance][memory]") {
  on_each_backend([](Backend& backend) {
    CHECK(downloaded(backend, backend.allocate<float>(131)) == std::vector<float>(131, 0.0F));
    CHECK(downloaded(backend, backend.allocate<std::uint64_t>(3)) == std::vector<std::uint64_t>(3, 0));
  });
}

TEST_CASE("what was uploaded is downloaded", "[conformance][memory]") {
  on_each_backend([](Backend& backend) {
    const std::vector<float> values = random_values(131, 1);
    const std::vector<std::uint8_t> bytes = {0, 1, 127, 128, 255};
    const std::vector<std::uint64_t> numbers = {0, ~std::uint64_t{0}, 1};
    CHECK(downloaded(backend, uploaded(backend, values)) == values);
    CHECK(downloaded(backend, uploaded(backend, bytes)) == bytes);
    CHECK(downloaded(backend, uploaded(backend, numbers)) == numbers);
  });
}

TEST_CASE("copy and clear change the part they are given", "[conformance][memory]") {
  on_each_backend([](Backend& backend) {
    const auto source = uploaded(backend, std::vector<float>{1, 2, 3, 4, 5});
    auto target = uploaded(backend, std::vector<float>(6, 7.0F));
    backend.copy(source.view().subview(2, 3), target.view().subview(1, 3));
    CHECK(downloaded(backend, target) == std::vector<float>{7, 3, 4, 5, 7, 7});
    backend.clear(target.view().subview(3, 2));
    CHECK(downloaded(backend, target) == std::vector<float>{7, 3, 4, 0, 0, 7});
  });
}

TEST_CASE("memory of no elements can be used", "[conformance][memory]") {
  on_each_backend([](Backend& backend) {
    auto nothing = uploaded(backend, std::vector<float>());
    const auto empty = uploaded(backend, std::vector<float>());
    backend.copy(empty.view(), nothing.view());
    backend.clear(nothing.view());
    CHECK(downloaded(backend, nothing).empty());
  });
}

}  // namespace orthospike::testing
