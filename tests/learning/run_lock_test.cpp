#include "learning/run_lock.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>
#include <string>

#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

std::filesystem::path lock_of(const TemporaryFolder& folder) {
  return folder.path() / RunLock::name;
}

/// Host, boot, process, start.
std::array<std::string, 4> own_lines() {
  const TemporaryFolder folder;
  const RunLock lock(folder.path());
  std::array<std::string, 4> lines;
  std::ifstream file(lock_of(folder));
  for (std::string& line : lines) REQUIRE(std::getline(file, line));
  return lines;
}

void write_lock(const TemporaryFolder& folder, const std::array<std::string, 4>& lines) {
  std::ofstream file(lock_of(folder));
  for (const std::string& line : lines) file << line << '\n';
}

/// What a program that locks the folder is told; empty where it may write.
std::string refusal(const TemporaryFolder& folder) {
  try {
    const RunLock lock(folder.path());
    return "";
  } catch (const EnvironmentError& error) {
    return error.what();
  }
}

std::string process_that_ended() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return fmt::format("{}", child);
}

/// That has ended, and that its parent has not waited for.
pid_t zombie() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  siginfo_t end;
  waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOWAIT);
  return child;
}

/// Field 22 of /proc/PID/stat of a process whose name has no blanks.
std::string start_of(pid_t process) {
  std::ifstream stat(fmt::format("/proc/{}/stat", process));
  std::string field;
  for (int number = 1; number <= 22; ++number) stat >> field;
  return field;
}

}  // namespace

TEST_CASE("a run folder is one program's until it lets go", "[run_lock]") {
  const TemporaryFolder folder;
  {
    const RunLock lock(folder.path());
    CHECK(refusal(folder).find(fmt::format("process {} on ", getpid())) != std::string::npos);
    CHECK(RunLock::holder(folder.path()).starts_with(fmt::format("process {} on ", getpid())));
    CHECK(std::filesystem::exists(lock_of(folder)));
  }
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK(RunLock::holder(folder.path()).empty());
  CHECK(refusal(folder).empty());
}

TEST_CASE("the lock of a program that is gone is taken over", "[run_lock]") {
  const auto [host, boot, process, start] = own_lines();
  const pid_t ended = zombie();
  for (const std::array<std::string, 4>& gone : {std::array{host, boot, process_that_ended(), start},
                                                 {host, boot, fmt::format("{}", ended), start_of(ended)},
                                                 {host, "another-boot", process, start},
                                                 {host, boot, process, "1"}}) {
    const TemporaryFolder folder;
    write_lock(folder, gone);
    CHECK(RunLock::holder(folder.path()).empty());
    CHECK(std::filesystem::exists(lock_of(folder)));
    CHECK(refusal(folder).empty());
    CHECK(std::filesystem::is_empty(folder.path()));
  }
  waitpid(ended, nullptr, 0);
}

TEST_CASE("a lock whose owner may live is respected", "[run_lock]") {
  const auto [host, boot, process, start] = own_lines();
  const TemporaryFolder elsewhere, unknown;
  write_lock(elsewhere, {"another-host", boot, process, start});
  CHECK(RunLock::holder(elsewhere.path()) == fmt::format("process {} on another-host", process));
  CHECK(refusal(elsewhere).find("process " + process + " on another-host") != std::string::npos);
  std::ofstream(lock_of(unknown)) << "?";
  CHECK(RunLock::holder(unknown.path()) == "another program");
  CHECK(refusal(unknown).find("another program writes this run") != std::string::npos);
  CHECK(std::filesystem::exists(lock_of(unknown)));
}

TEST_CASE("programs that were killed while they took a run stand in nobody's way", "[run_lock]") {
  const auto [host, boot, process, start] = own_lines();
  const TemporaryFolder folder;
  write_lock(folder, {host, boot, process_that_ended(), start});
  std::ofstream(lock_of(folder).string() + ".some-host.1") << "?";
  CHECK(refusal(folder).empty());
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("a process that has ended is gone before its parent asks how", "[run_lock]") {
  const TemporaryFolder folder;
  std::array<int, 2> locked{};
  REQUIRE(pipe(locked.data()) == 0);
  const pid_t child = fork();
  if (child == 0) {
    new RunLock(folder.path());
    [[maybe_unused]] const auto written = write(locked[1], "!", 1);
    _exit(0);
  }
  char sign = 0;
  REQUIRE(read(locked[0], &sign, 1) == 1);
  siginfo_t ended{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) == 0);
  CHECK(refusal(folder).empty());
  wait(nullptr);
  for (const int end : locked) close(end);
}

TEST_CASE("of many programs that see an owner gone one takes over", "[run_lock]") {
  const auto [host, boot, process, start] = own_lines();
  const TemporaryFolder folder;
  write_lock(folder, {host, boot, process_that_ended(), start});
  std::array<int, 2> won{}, done{};
  REQUIRE(pipe(won.data()) == 0);
  REQUIRE(pipe(done.data()) == 0);
  constexpr int programs = 8;
  for (int i = 0; i < programs; ++i) {
    if (fork() != 0) continue;
    close(done[1]);
    char result = '0';
    try {
      const RunLock lock(folder.path());
      result = '1';
      [[maybe_unused]] auto written = write(won[1], &result, 1);
      written = read(done[0], &result, 1);  // holds it until all have tried
    } catch (const EnvironmentError&) {
      [[maybe_unused]] const auto written = write(won[1], &result, 1);
    }
    _exit(0);
  }
  int winners = 0;
  for (int i = 0; i < programs; ++i) {
    char result = '?';
    REQUIRE(read(won[0], &result, 1) == 1);
    winners += result == '1' ? 1 : 0;
  }
  CHECK(winners == 1);
  close(done[1]);
  for (int i = 0; i < programs; ++i) wait(nullptr);
  for (const int end : {won[0], won[1], done[0]}) close(end);
}

TEST_CASE("a folder that cannot be written is named", "[run_lock]") {
  CHECK_THROWS_WITH(RunLock("/proc/self"), Catch::Contains("/proc/self/lock."));
  CHECK_THROWS_AS(RunLock("no/such/folder"), EnvironmentError);
}

}  // namespace orthospike::testing
