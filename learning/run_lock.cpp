#include "learning/run_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A program, told apart from all that had its number before.
struct Owner {
  std::string host, boot;
  long process = 0;
  std::string start;  ///< in ticks since the boot

  std::string text() const { return fmt::format("{}\n{}\n{}\n{}\n", host, boot, process, start); }
};

/// Field 22 of /proc/PID/stat; the second one, the name in brackets, may hold blanks. Empty where there is no such process.
std::string start_of(long process) {
  const std::string stat = text_of(fmt::format("/proc/{}/stat", process));
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number) fields >> field;
  return field;
}

Owner self() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  const long process = getpid();
  return {.host = host.data(),
          .boot = text_of("/proc/sys/kernel/random/boot_id").substr(0, 36),
          .process = process,
          .start = start_of(process)};
}

/// False where the text is none of an owner, as of one that is being written.
bool read_owner(const std::string& text, Owner& owner) {
  std::istringstream lines(text);
  return static_cast<bool>(lines >> owner.host >> owner.boot >> owner.process >> owner.start);
}

bool is_gone(const Owner& owner) {
  const Owner here = self();
  return owner.host == here.host && (owner.boot != here.boot || start_of(owner.process) != owner.start);
}

std::string words(const Owner& owner) {
  return owner.start.empty() ? "another program" : fmt::format("process {} on {}", owner.process, owner.host);
}

/// Whether the file was made, with the text in it; not where there is one.
bool create(const std::filesystem::path& path, const std::string& text) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    if (errno == EEXIST) return false;
    throw EnvironmentError(fmt::format("{}: {}", path.string(), std::generic_category().message(errno)));
  }
  const bool written = ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  if (::close(descriptor) != 0 || !written) {
    ::unlink(path.c_str());
    throw EnvironmentError(
        fmt::format("{}: cannot be written: {}", path.string(), std::generic_category().message(error)));
  }
  return true;
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& folder) : path_(folder / name) {
  const std::string own = self().text();
  while (!create(path_, own)) {
    Owner owner;
    const std::string text = text_of(path_);
    if (text.empty() && !std::filesystem::exists(path_)) continue;  // given back meanwhile
    if (!read_owner(text, owner) || !is_gone(owner)) {
      throw EnvironmentError(
          fmt::format("{}: {} writes this run; give another folder, or delete {} if that program is gone",
                      folder.string(), words(owner), path_.string()));
    }
    // Two programs may see that it is gone: the one that makes this file removes the lock, if it is still the same.
    const std::filesystem::path turn = path_.string() + ".turn";
    if (!create(turn, own)) {
      throw EnvironmentError(fmt::format("{}: another program takes this run over; delete {} if none does",
                                         folder.string(), turn.string()));
    }
    if (text_of(path_) == text) ::unlink(path_.c_str());
    ::unlink(turn.c_str());
  }
}

RunLock::~RunLock() {
  ::unlink(path_.c_str());
}

std::string RunLock::holder(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / name;
  Owner owner;
  const bool known = read_owner(text_of(path), owner);
  if (!std::filesystem::exists(path) || (known && is_gone(owner))) return "";
  return words(owner);
}

}  // namespace orthospike
