#include "sim/write_behind.hpp"

#include <atomic>
#include <stdexcept>
#include <vector>

#include "tests/catch.hpp"

namespace orthospike::testing {

TEST_CASE("what is written behind is written in its order, and waited for", "[write_behind][threads]") {
  std::vector<int> written;
  WriteBehind writer(100);
  for (int i = 0; i < 1000; ++i) writer.push(7, [&written, i] { written.push_back(i); });
  writer.wait();
  REQUIRE(written.size() == 1000);
  for (int i = 0; i < 1000; ++i) CHECK(written[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("no more bytes wait to be written than may", "[write_behind][threads]") {
  std::atomic<int> waiting = 0, most = 0;
  std::atomic<bool> open = false;
  WriteBehind writer(100);
  std::thread pusher([&] {
    for (int i = 0; i < 50; ++i) {
      writer.push(30, [&] {
        while (!open) std::this_thread::yield();
        --waiting;
      });
      most = std::max<int>(most, ++waiting);
    }
    writer.push(1000, [] {});  // alone
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(waiting <= 3);
  open = true;
  pusher.join();
  writer.wait();
  CHECK(waiting == 0);
  CHECK(most <= 4);
}

TEST_CASE("an error of what is written behind comes to who goes on", "[write_behind][threads]") {
  bool written = false;
  {
    WriteBehind writer(100);
    writer.push(1, [] { throw std::runtime_error("full"); });
    CHECK_THROWS_WITH(writer.wait(), "full");
    CHECK_THROWS_WITH(writer.push(1, [&] { written = true; }), "full");
  }
  CHECK_FALSE(written);
}

}  // namespace orthospike::testing
