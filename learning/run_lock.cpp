#include "learning/run_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

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

/// Field 22 of /proc/PID/stat; the second one, the name in brackets, may hold blanks. Empty where there is no such
/// process or it has ended and its parent has not asked how.
std::string start_of(long process) {
  const std::string stat = text_of(fmt::format("/proc/{}/stat", process));
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  fields >> field;
  if (field == "Z") return "";
  for (int number = 4; number <= 22; ++number) fields >> field;
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

/// False where the text is none of an owner.
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

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& action) {
  throw EnvironmentError(
      fmt::format("{}: {}: {}", path.string(), action, std::generic_category().message(errno)));
}

/// A file of this process alone, whole and on the disk.
class OwnFile {
 public:
  OwnFile(std::filesystem::path path, const std::string& text) : path_(std::move(path)) {
    const int descriptor = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor < 0) fail(path_, "cannot be made");
    const bool written = ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                         ::fsync(descriptor) == 0;
    const int error = errno;
    ::close(descriptor);
    if (written) return;
    ::unlink(path_.c_str());
    errno = error;
    fail(path_, "cannot be written");
  }
  OwnFile(const OwnFile&) = delete;
  OwnFile& operator=(const OwnFile&) = delete;
  ~OwnFile() { ::unlink(path_.c_str()); }

  /// Whether it got this name; not where there is a file of it. Not all file systems know both ways (NFS, FAT).
  bool take_name(const std::filesystem::path& name) const {
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, name.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno == EINVAL && ::link(path_.c_str(), name.c_str()) == 0) return true;
    // ENOENT: who has the lock has removed it as one that was left behind.
    if (errno != EEXIST && errno != ENOENT) fail(name, "cannot be made");
    return false;
  }

 private:
  std::filesystem::path path_;
};

/// Removes the lock of an owner that is gone. Of several programs that do so at once only one looks at it at a time,
/// and only at what is the lock then; a kill lets the next one go on.
void remove_lock_of(const Owner& gone, const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0 && errno == ENOENT) return;
  if (descriptor < 0 || ::flock(descriptor, LOCK_EX) != 0) {
    const int error = errno;
    if (descriptor >= 0) ::close(descriptor);
    errno = error;
    fail(path, "left by a program that is gone, cannot be taken over; delete it");
  }
  struct stat locked {
  }, now{};
  if (::fstat(descriptor, &locked) == 0 && ::stat(path.c_str(), &now) == 0 && locked.st_ino == now.st_ino &&
      text_of(path) == gone.text()) {
    ::unlink(path.c_str());
  }
  ::close(descriptor);
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& folder) : path_(folder / name) {
  const Owner own = self();
  for (;;) {
    const OwnFile file(fmt::format("{}.{}.{}", path_.string(), own.host, own.process), own.text());
    if (file.take_name(path_)) break;
    Owner owner;
    const std::string text = text_of(path_);
    if (text.empty() && !std::filesystem::exists(path_)) continue;  // given back meanwhile
    if (!read_owner(text, owner) || !is_gone(owner)) {
      throw EnvironmentError(
          fmt::format("{}: {} writes this run; give another folder, or delete {} if that program is gone",
                      folder.string(), words(owner), path_.string()));
    }
    remove_lock_of(owner, path_);
  }
  // Of programs that were killed before they had it.
  std::vector<std::filesystem::path> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with(std::string(name) + ".")) left.push_back(entry.path());
  }
  for (const std::filesystem::path& path : left) ::unlink(path.c_str());
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
