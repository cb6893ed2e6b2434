#include "sim/write_behind.hpp"

#include <csignal>
#include <utility>

namespace orthospike {

WriteBehind::WriteBehind(std::size_t most_bytes) : most_bytes_(most_bytes) {
  // Signals are the main thread's, so that they interrupt what it waits for.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { work(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

WriteBehind::~WriteBehind() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  pushed_.notify_one();
  thread_.join();
}

void WriteBehind::push(std::size_t bytes, std::function<void()> write) {
  {
    std::unique_lock lock(mutex_);
    // One alone may be larger than all may be together.
    written_.wait(lock, [&] { return error_ != nullptr || jobs_.empty() || bytes_ + bytes <= most_bytes_; });
    if (error_ != nullptr) std::rethrow_exception(error_);
    jobs_.push_back({bytes, std::move(write)});
    bytes_ += bytes;
  }
  pushed_.notify_one();
}

void WriteBehind::wait() {
  std::unique_lock lock(mutex_);
  written_.wait(lock, [&] { return error_ != nullptr || jobs_.empty(); });
  if (error_ != nullptr) std::rethrow_exception(error_);
}

void WriteBehind::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    pushed_.wait(lock, [&] { return ends_ || !jobs_.empty(); });
    if (ends_) return;
    Job& job = jobs_.front();  // pushing leaves it where it is
    lock.unlock();
    std::exception_ptr error;
    try {
      job.write();
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    bytes_ -= job.bytes;
    jobs_.pop_front();
    if (error != nullptr) {
      error_ = error;
      jobs_.clear();
      written_.notify_all();
      return;
    }
    written_.notify_all();
  }
}

}  // namespace orthospike
