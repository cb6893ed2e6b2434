#include "kernels/cpu/team_size.hpp"

#include <functional>
#include <map>
#include <random>

#include "tests/catch.hpp"

namespace orthospike::testing {
namespace {

/// Loops whose times follow a law instead of a clock. A turn is like a batch: loops of several kinds.
class Machine {
 public:
  /// Of that many threads, how much longer than alone they take with the work.
  using Law = std::function<double(int threads)>;

  explicit Machine(int most) : team_size_(most) {}

  TeamSize& team_size() { return team_size_; }
  /// Seconds of loops in about so many seconds.
  double run(double seconds, const Law& law) {
    double all = 0;
    while (all < seconds) all += turn(law);
    return all;
  }
  /// The share of loops that ran with each number of threads, and the mean of the law over the work.
  struct Share {
    std::map<int, double> of_threads;
    double mean_law = 0;
  };
  Share watch(double seconds, const Law& law) {
    Share share;
    double turns = 0, all = 0, work = 0;
    while (all < seconds) {
      share.of_threads[team_size_.now()] += 1;
      turns += 1;
      work += work_of_turn;
      all += turn(law);
    }
    for (auto& [threads, count] : share.of_threads) count /= turns;
    share.mean_law = all / work;
    return share;
  }

 private:
  static constexpr double work_of_turn = 10 * 1e-3 + 30 * 0.1e-3;

  double turn(const Law& law) {
    double seconds = 0;
    const auto loop = [&](std::uintptr_t code, std::size_t pieces, double work) {
      // Some are short and some long, and now and then something gets in the way.
      const double noise = 0.8 + 0.4 * static_cast<double>(random_()) / 0x1p32;
      const double took = work * law(team_size_.now()) * noise;
      seconds += took;
      team_size_.took({code, pieces}, took);
    };
    for (int i = 0; i < 10; ++i) loop(1, 8, 1e-3);
    for (int i = 0; i < 30; ++i) loop(2, 4, 0.1e-3);
    return seconds;
  }

  TeamSize team_size_;
  std::mt19937 random_{1};
};

double idle(int threads) {
  return 1.0 / threads;
}
double two_processors(int threads) {
  return threads == 1 ? 1 : 0.55 + 0.1 * (threads - 2);
}
double disturbed(int threads) {
  return threads == 1 ? 1.2 : 1.8;
}

}  // namespace

TEST_CASE("all threads are used while that pays", "[team_size]") {
  Machine machine(2);
  CHECK(machine.team_size().now() == 2);
  machine.run(2, two_processors);
  const auto share = machine.watch(20, two_processors);
  CHECK(share.of_threads.at(2) > 0.99);
  CHECK(share.mean_law < 0.56);
}

TEST_CASE("fewer threads are used beside other programs, and all again afterwards", "[team_size]") {
  Machine machine(2);
  machine.run(2, two_processors);
  // From the first second on.
  machine.run(1, disturbed);
  const auto beside = machine.watch(20, disturbed);
  CHECK(beside.of_threads.at(1) > 0.97);
  CHECK(beside.mean_law < 1.02 * disturbed(1));
  // Later: the longer nothing changed, the less often more are tried.
  machine.run(6, two_processors);
  CHECK(machine.watch(20, two_processors).of_threads.at(2) > 0.98);
}

TEST_CASE("a program that starts on a busy machine soon uses fewer threads", "[team_size]") {
  Machine machine(2);
  machine.run(0.5, disturbed);
  CHECK(machine.watch(5, disturbed).of_threads.at(1) > 0.95);
}

TEST_CASE("as many threads are used as pay", "[team_size]") {
  Machine machine(12);
  CHECK(machine.team_size().now() == 12);
  machine.run(5, [](int threads) { return threads <= 4 ? idle(threads) : 0.4; });
  CHECK(machine.team_size().now() == 4);
  machine.run(10, idle);
  CHECK(machine.team_size().now() == 12);
  CHECK(Machine(1).team_size().now() == 1);
}

TEST_CASE("another kind of work is not taken for a disturbance", "[team_size]") {
  TeamSize team_size(2);
  double seconds = 0, with_one = 0;
  // Training and testing in turn: loops that take long and loops that take short.
  for (std::size_t i = 0; seconds < 30; ++i) {
    const bool training = i / 500 % 2 == 0;
    const double took = (training ? 1e-3 : 0.1e-3) / team_size.now();
    team_size.took({training ? 1U : 2U, 8}, took);
    seconds += took;
    if (team_size.now() == 1) with_one += took;
  }
  CHECK(with_one < 0.03 * seconds);
}

}  // namespace orthospike::testing
