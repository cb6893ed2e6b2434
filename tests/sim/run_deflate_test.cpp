#include "sim/run_deflate.hpp"

#include <zlib.h>

#include "kernels/random.hpp"
#include "tests/catch.hpp"

namespace orthospike::testing {
namespace {

std::vector<std::uint8_t> inflated(const std::vector<std::uint8_t>& stream, std::size_t size) {
  std::vector<std::uint8_t> bytes(size + 1);
  uLongf length = bytes.size();
  REQUIRE(uncompress(bytes.data(), &length, stream.data(), stream.size()) == Z_OK);
  bytes.resize(length);
  return bytes;
}

}  // namespace

TEST_CASE("zlib reads runs of every length back", "[run_deflate]") {
  RunDeflate deflate;
  std::vector<std::uint8_t> expected;
  for (std::size_t length = 1; length < 800; ++length) {
    const auto byte = static_cast<std::uint8_t>(37 * length);
    deflate.run(byte, length);
    expected.insert(expected.end(), length, byte);
  }
  deflate.run(7, 3'000'000);
  expected.insert(expected.end(), 3'000'000, 7);
  const std::vector<std::uint8_t> stream = deflate.finish();
  CHECK(inflated(stream, expected.size()) == expected);
  CHECK(stream.size() < 3'000'000 * 13 / 8 / 258 + 799 * 10);
}

TEST_CASE("zlib reads literals and bytes with runs back", "[run_deflate]") {
  std::vector<std::uint8_t> mixed;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    const RandomBlock block = random_block({.seed = 3}, i);
    mixed.insert(mixed.end(), 1 + block.v[0] % (block.v[1] % 3 == 0 ? 700 : 2),
                 static_cast<std::uint8_t>(block.v[2]));
  }
  RunDeflate deflate;
  deflate.literals(mixed);
  deflate.bytes(mixed);
  deflate.bytes(std::span(mixed).first(5));
  std::vector<std::uint8_t> expected = mixed;
  expected.insert(expected.end(), mixed.begin(), mixed.end());
  expected.insert(expected.end(), mixed.begin(), mixed.begin() + 5);
  CHECK(inflated(deflate.finish(), expected.size()) == expected);

  CHECK(inflated(RunDeflate().finish(), 0).empty());
}

}  // namespace orthospike::testing
