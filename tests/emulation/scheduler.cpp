#include "tests/emulation/scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/emulation/device.hpp"
#include "tests/emulation/memory.hpp"
#include "tests/emulation/sanitizer.hpp"
#include "tests/emulation/symbols.hpp"

uint3 threadIdx{};
uint3 blockIdx{};
dim3 blockDim;
dim3 gridDim;

namespace orthospike::emulation {

namespace {

/// SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = (state_ ^ state_ >> 30) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebU;
    return mixed ^ mixed >> 31;
  }
  std::size_t below(std::size_t bound) { return ((bits() >> 32) * bound) >> 32; }

  void shuffle(std::vector<unsigned>& values) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  std::uint64_t state_;
};

/// A stack and where on it to go on: the host's, or a fiber for device threads.
class Context {
 public:
  /// The stack that runs already.
  Context() = default;

  /// A new stack. `work` is called on it again and again; it must leave by `go_to` each time.
  Context(std::size_t number, std::function<void()> work) {
    boost::context::protected_fixedsize_stack allocator(stack_bytes);
    const boost::context::stack_context whole = allocator.allocate();
    // Stacks that begin on lines of different number do not compete for the same places in the cache.
    const std::size_t unused = number % lines_per_page * line_bytes;
    bytes_ = whole.size - unused;
    void* const top = static_cast<char*>(whole.sp) - unused;
    bottom_ = static_cast<char*>(top) - bytes_;
    goes_on_ = boost::context::fiber(
        std::allocator_arg, boost::context::preallocated(top, bytes_, whole), allocator,
        [this, work = std::move(work)](boost::context::fiber&& previous) -> boost::context::fiber {
          arrived(std::move(previous));
          for (;;) work();
        });
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Leaves this context, in which the program is, until one goes to it.
  void go_to(Context& other) {
    left = this;
#ifdef ORTHOSPIKE_ADDRESS_SANITIZER
    __sanitizer_start_switch_fiber(&fake_stack_, other.bottom_, other.bytes_);
#endif
    arrived(std::move(other.goes_on_).resume());
  }

 private:
  /// The sanitizer makes frames several times as large. An odd number of pages, again for the cache.
  static constexpr std::size_t stack_bytes = (has_address_sanitizer ? 65 : 17) * std::size_t{4096};
  static constexpr std::size_t line_bytes = 64;
  static constexpr std::size_t lines_per_page = 64;

  void arrived(boost::context::fiber previous) {
#ifdef ORTHOSPIKE_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(fake_stack_, &left->bottom_, &left->bytes_);
#endif
    left->goes_on_ = std::move(previous);
  }

  static inline Context* left = nullptr;  ///< the one that the program was in before the current one

  boost::context::fiber goes_on_;
  [[maybe_unused]] const void* bottom_ = nullptr;
  [[maybe_unused]] std::size_t bytes_ = 0;
  [[maybe_unused]] void* fake_stack_ = nullptr;
};

std::string described(const Meeting& meeting) {
  std::string_view file = meeting.where.file_name();
  file.remove_prefix(file.rfind('/') + 1);  // npos + 1 is 0
  return fmt::format("{} ({}:{})", meeting.operation, file, meeting.where.line());
}

std::string described(const uint3& index) {
  return fmt::format("({}, {}, {})", index.x, index.y, index.z);
}

bool same(const Meeting& a, const Meeting& b) {
  static_assert(std::is_trivially_copyable_v<Meeting>);
  if (std::memcmp(&a, &b, sizeof a) == 0) return true;  // nearly always
  return a.where.line() == b.where.line() && a.where.column() == b.where.column() &&
         std::strcmp(a.operation, b.operation) == 0 &&
         std::strcmp(a.where.file_name(), b.where.file_name()) == 0;
}

/// Position number `i` in a box, x running fastest.
uint3 position(std::size_t i, const dim3& box) {
  return {static_cast<unsigned>(i % box.x), static_cast<unsigned>(i / box.x % box.y),
          static_cast<unsigned>(i / box.x / box.y)};
}

enum class State { ready, at_barrier, in_exchange, finished };

struct Thread {
  uint3 index{};
  State state = State::ready;
  Context* context = nullptr;  ///< while it is neither new nor finished
  Meeting meeting;             ///< where it waits
};

struct Barrier {
  Meeting meeting;
  std::size_t arrived = 0;
  unsigned sum = 0;
  unsigned result = 0;  ///< the sum when all had arrived
};

/// A warp's exchange for which lanes are missing.
struct Exchange {
  Meeting meeting;
  unsigned mask = 0;
  unsigned arrived = 0;
  unsigned votes = 0;
  bool is_vote = false;
  std::array<std::uint64_t, lanes_per_warp> values;  // of this and the next only what lanes have set is read
  std::array<unsigned, lanes_per_warp> sources;      ///< the lane whose value each lane gets
};

struct Warp {
  unsigned lanes = 0;  ///< that exist: the block's last warp may be smaller
  std::vector<Exchange> exchanges;
  std::size_t open = 0;  ///< how many of the exchanges are going on; the others are kept for later
  std::array<std::uint64_t, lanes_per_warp> results{};  ///< of each lane's last exchange
};

/// Runs one launch at a time.
class Scheduler {
 public:
  void run(const Launch& launch, const Chance& chance) {
    launch_ = &launch;
    blockDim = launch.block;
    gridDim = launch.grid;
    garbage_ = chance.garbage;
    random_ = Random(chance.shuffle);
    std::vector<unsigned> blocks(std::size_t{launch.grid.x} * launch.grid.y * launch.grid.z);
    std::iota(blocks.begin(), blocks.end(), 0U);
    random_.shuffle(blocks);
    for (const unsigned block : blocks) run_block(position(block, launch.grid));
    heap().check_guards();
    launch_ = nullptr;
  }

  unsigned meet_block(const Meeting& meeting, unsigned value) {
    require_thread(meeting);
    if (barrier_.arrived == 0) {
      barrier_.meeting = meeting;
    } else if (!same(barrier_.meeting, meeting)) {
      fail(fmt::format("threads of one block are at different barriers: {} at {}, others at {}",
                       described(threads_[running_].index), described(meeting), described(barrier_.meeting)));
    }
    barrier_.sum += value;
    ++barrier_.arrived;
    wait(State::at_barrier, meeting, [&] {
      if (barrier_.arrived < threads_.size()) return;
      barrier_.result = std::exchange(barrier_.sum, 0U);
      barrier_.arrived = 0;
      for (unsigned number = 0; number < threads_.size(); ++number) release(number);
    });
    return barrier_.result;
  }

  unsigned vote(const Meeting& meeting, unsigned mask, bool predicate) {
    Exchange& exchange = enter(meeting, mask);
    exchange.is_vote = true;
    if (predicate) exchange.votes |= 1U << lane();
    return static_cast<unsigned>(finish(exchange));
  }

  std::uint64_t shuffle(const Meeting& meeting, unsigned mask, std::uint64_t value, unsigned source) {
    Exchange& exchange = enter(meeting, mask);
    if ((exchange.mask >> source & 1U) == 0) {
      fail(fmt::format("lane {} asks for the value of lane {}, which takes no part in {} with mask {:#010x}",
                       lane(), source, described(meeting), exchange.mask));
    }
    exchange.values[lane()] = value;
    exchange.sources[lane()] = source;
    return finish(exchange);
  }

  unsigned lane() const { return running_ % lanes_per_warp; }
  void* shared_memory() { return shared_.get(); }

  [[noreturn]] void fail(const std::string& sentence) const {
    std::string context;
    if (launch_ != nullptr) {
      context = fmt::format("kernel {} (launch {}, block {}): ", function_name(launch_->kernel),
                            launch_->number, described(blockIdx));
    }
    std::fflush(stdout);
    fmt::print(stderr, "emulated CUDA device: {}{}\n", context, sentence);
    std::abort();
  }

 private:
  void run_block(uint3 index) {
    blockIdx = index;
    fill_shared_memory();
    const std::size_t count = std::size_t{blockDim.x} * blockDim.y * blockDim.z;
    threads_.assign(count, Thread{});
    for (std::size_t i = 0; i < count; ++i) threads_[i].index = position(i, blockDim);
    warps_.resize((count + lanes_per_warp - 1) / lanes_per_warp);
    for (Warp& warp : warps_) warp.lanes = 0;
    for (std::size_t i = 0; i < count; ++i) warps_[i / lanes_per_warp].lanes |= 1U << (i % lanes_per_warp);
    barrier_ = {};
    ready_.resize(count);
    std::iota(ready_.begin(), ready_.end(), 0U);
    random_.shuffle(ready_);
    newest_first_ = random_.below(2) == 0;
    finished_ = 0;

    go_on(host_);
    if (finished_ < count) fail(why_stuck());
    shared_.reset();
  }

  /// Another block must not be able to use what this one leaves.
  void fill_shared_memory() {
    const auto fill = [this](std::byte* begin, std::size_t bytes) {
      for (std::size_t at = 0; at < bytes; at += sizeof garbage_)
        std::memcpy(begin + at, &garbage_, std::min(sizeof garbage_, bytes - at));
    };
    for (const auto& variable : shared_variables()) fill(variable.data(), variable.size());
    shared_ = std::make_unique_for_overwrite<std::byte[]>(launch_->shared_bytes);
    fill(shared_.get(), launch_->shared_bytes);
  }

  /// Decides which thread goes on; there must be one that can. In one half of the blocks those that were
  /// released last run ahead, which brings warps as far apart as they can get; in the other half any thread
  /// may cut in.
  void choose() {
    constexpr std::size_t cutting_in = 8;  // one choice of so many
    if (!newest_first_ && random_.below(cutting_in) == 0)
      std::swap(ready_.back(), ready_[random_.below(ready_.size())]);
    running_ = ready_.back();
    ready_.pop_back();
    threadIdx = threads_[running_].index;
  }

  /// Leaves the context `from` for the next thread's, or the host's when no thread can go on.
  void go_on(Context& from) {
    Context* next = &host_;
    if (!ready_.empty()) {
      choose();
      next = threads_[running_].context;
      if (next == nullptr) next = &idle_context();
    }
    if (next != &from) from.go_to(*next);
  }

  Context& idle_context() {
    if (idle_.empty()) {
      contexts_.push_back(std::make_unique<Context>(
          contexts_.size(), [this, number = contexts_.size()] { run_thread(*contexts_[number]); }));
      return *contexts_.back();
    }
    Context& context = *idle_.back();
    idle_.pop_back();
    return context;
  }

  /// What contexts do: run the chosen thread to its end. If a new one is chosen then, it runs in the same
  /// context: threads that never wait need no switch.
  void run_thread(Context& context) {
    threads_[running_].context = &context;
    launch_->thread();
    threads_[running_].context = nullptr;
    threads_[running_].state = State::finished;
    ++finished_;
    idle_.push_back(&context);  // so that a new thread goes on here
    go_on(context);
  }

  void require_thread(const Meeting& meeting) const {
    if (launch_ == nullptr) fail(fmt::format("{} outside a kernel", described(meeting)));
  }

  template <class Then>
  void wait(State state, const Meeting& meeting, const Then& then) {
    Thread& thread = threads_[running_];
    thread.state = state;
    thread.meeting = meeting;
    released_ = 0;
    then();
    go_on(*thread.context);
  }

  void release(unsigned number) {
    threads_[number].state = State::ready;
    ready_.push_back(number);
    // In a random order among those released together, for when the newest go first.
    std::swap(ready_.back(), ready_[ready_.size() - 1 - random_.below(++released_)]);
  }

  Warp& warp() { return warps_[running_ / lanes_per_warp]; }

  /// The exchange that the running lane is part of, opened if it is the first.
  Exchange& enter(const Meeting& meeting, unsigned mask) {
    require_thread(meeting);
    if ((mask >> lane() & 1U) == 0)
      fail(fmt::format("lane {} is not in the mask {:#010x} of its {}", lane(), mask, described(meeting)));
    Warp& own = warp();
    mask &= own.lanes;
    std::size_t i = 0;
    while (i < own.open && own.exchanges[i].mask != mask) ++i;
    if (i == own.open) {
      if (own.open++ == own.exchanges.size()) own.exchanges.emplace_back();
      Exchange& opened = own.exchanges[i];
      opened.meeting = meeting;
      opened.mask = mask;
      opened.arrived = 0;
      opened.votes = 0;
      opened.is_vote = false;
    } else if (!same(own.exchanges[i].meeting, meeting)) {
      fail(fmt::format("lanes of one warp are at different exchanges: {} at {}, others at {}", lane(),
                       described(meeting), described(own.exchanges[i].meeting)));
    }
    own.exchanges[i].arrived |= 1U << lane();
    return own.exchanges[i];
  }

  std::uint64_t finish(Exchange& exchange) {
    wait(State::in_exchange, exchange.meeting, [&] {
      if (exchange.arrived != exchange.mask) return;
      Warp& own = warp();
      const unsigned first = running_ / lanes_per_warp * lanes_per_warp;
      for (unsigned i = 0; i < lanes_per_warp; ++i) {
        if ((exchange.mask >> i & 1U) == 0) continue;
        own.results[i] = exchange.is_vote ? exchange.votes : exchange.values[exchange.sources[i]];
        release(first + i);
      }
      Exchange& last = own.exchanges[--own.open];
      if (&last != &exchange) std::swap(exchange, last);
    });
    return warp().results[lane()];
  }

  /// One sentence about threads that wait for what cannot come.
  std::string why_stuck() const {
    const auto other = [this](const auto& waits_too) {
      const auto found = std::find_if(threads_.begin(), threads_.end(),
                                      [&](const Thread& thread) { return !waits_too(thread); });
      return fmt::format(
          "thread {} {}", described(found->index),
          found->state == State::finished ? "has left the kernel" : "is at " + described(found->meeting));
    };
    if (barrier_.arrived > 0) {
      return fmt::format("{} of {} threads are at the barrier {} and the others never come: {}",
                         barrier_.arrived, threads_.size(), described(barrier_.meeting),
                         other([](const Thread& thread) { return thread.state == State::at_barrier; }));
    }
    for (std::size_t w = 0; w < warps_.size(); ++w) {
      if (warps_[w].open == 0) continue;
      const Exchange& exchange = warps_[w].exchanges.front();
      return fmt::format(
          "lanes {:#010x} of warp {} are at {} with mask {:#010x} and the others never come: {}",
          exchange.arrived, w, described(exchange.meeting), exchange.mask, other([&](const Thread& thread) {
            const auto number = static_cast<std::size_t>(&thread - threads_.data());
            const unsigned bit = 1U << (number % lanes_per_warp);
            return number / lanes_per_warp != w || (exchange.mask & bit) == 0 ||
                   (exchange.arrived & bit) != 0;
          }));
    }
    return "threads wait for nothing";  // not reached: each waits at a barrier or in an exchange
  }

  const Launch* launch_ = nullptr;
  std::uint32_t garbage_ = 0;
  Random random_{0};
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  Barrier barrier_;
  std::vector<unsigned> ready_;  ///< threads that can go on, the newest last
  std::size_t released_ = 0;     ///< of them, those released by the last to arrive
  bool newest_first_ = false;
  unsigned running_ = 0;  ///< the thread that goes on
  std::size_t finished_ = 0;
  std::unique_ptr<std::byte[]> shared_;
  Context host_;
  std::vector<std::unique_ptr<Context>> contexts_;
  std::vector<Context*> idle_;
};

/// Never destroyed, as fibers cannot be.
Scheduler& scheduler() {
  static Scheduler& the_scheduler = *new Scheduler;
  return the_scheduler;
}

}  // namespace

void run(const Launch& launch, const Chance& chance) {
  scheduler().run(launch, chance);
}

void fail(const std::string& sentence) {
  scheduler().fail(sentence);
}

unsigned meet_block(const Meeting& meeting, unsigned value) {
  return scheduler().meet_block(meeting, value);
}

unsigned vote(const Meeting& meeting, unsigned mask, bool predicate) {
  return scheduler().vote(meeting, mask, predicate);
}

std::uint64_t shuffle(const Meeting& meeting, unsigned mask, std::uint64_t value, Shuffle kind,
                      unsigned operand, int width) {
  if (width <= 0 || width > warpSize || (width & (width - 1)) != 0)
    fail(fmt::format("{} with width {}", described(meeting), width));
  const unsigned lane = scheduler().lane();
  const unsigned size = static_cast<unsigned>(width);  // a power of two
  const unsigned first = lane & ~(size - 1);
  const unsigned last = first + size - 1;
  unsigned source = lane;  // also where the rules lead outside the segment
  switch (kind) {
    case Shuffle::index:
      source = first + (operand & (size - 1));
      break;
    case Shuffle::up:
      if (operand <= lane - first) source = lane - operand;
      break;
    case Shuffle::down:
      if (operand <= last - lane) source = lane + operand;
      break;
    case Shuffle::exclusive_or:
      if ((lane ^ operand) <= last) source = lane ^ operand;
      break;
  }
  return scheduler().shuffle(meeting, mask, value, source);
}

void* shared_memory() {
  return scheduler().shared_memory();
}

}  // namespace orthospike::emulation
