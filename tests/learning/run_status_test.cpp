#include "learning/run_status.hpp"

#include <fstream>

#include "kernels/error.hpp"
#include "learning/run_lock.hpp"
#include "tests/catch.hpp"
#include "tests/learning/written_run.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {

TEST_CASE("a run's folder tells its state", "[run_status]") {
  const TemporaryFolder parent;
  const std::filesystem::path folder = parent.path() / "run";
  CHECK(run_status(folder).state == RunState::missing);
  std::filesystem::create_directory(folder);
  std::ofstream(folder / "log.txt") << "started\n";
  CHECK(run_status(folder).state == RunState::missing);

  write_run(folder, "[tasks]\n", {}, 1, 1);
  CHECK(run_status(folder).state == RunState::interrupted);
  CHECK(run_status(folder).note == "1 of 2 tasks");
  CHECK(run_status(folder).record->config == "[tasks]\n");
  {
    const RunLock lock(folder);
    CHECK(run_status(folder).state == RunState::running);
    CHECK(run_status(folder).note == RunLock::holder(folder));
    note_failure(folder, "it broke");
    CHECK(run_status(folder).state == RunState::running);
  }
  CHECK(run_status(folder).state == RunState::failed);
  CHECK(run_status(folder).note == "it broke");
  CHECK(time_of_failure(folder));
  forget_failure(folder);
  CHECK_FALSE(time_of_failure(folder));
  CHECK(run_status(folder).state == RunState::interrupted);

  std::filesystem::resize_file(folder / RunFile::partial_name, 100);
  CHECK(run_status(folder).state == RunState::interrupted);
  CHECK_FALSE(run_status(folder).record);
  std::filesystem::rename(folder / RunFile::partial_name, folder / "checkpoint.h5");
  CHECK(run_status(folder).state == RunState::interrupted);

  note_failure(folder, "it broke");
  write_run(folder, "[tasks]\n", {0.75, 0.5}, 1);
  CHECK(run_status(folder).state == RunState::done);
  CHECK(run_status(folder).record->finished);
  std::filesystem::resize_file(folder / RunFile::name, 100);
  CHECK(run_status(folder).state == RunState::failed);
  CHECK(run_status(folder).note.find(RunFile::name) != std::string::npos);
}

TEST_CASE("what a run took is that of its tasks", "[run_status]") {
  const TemporaryFolder folder;
  write_run(folder.path(), "", {0.75, 0.5}, 4);
  const RunRecord record = read_run_file(folder.path() / RunFile::name);
  CHECK(record.seconds() == Approx(8));
  CHECK(record.training_samples_per_second() == Approx(200 / 6.0));
}

}  // namespace orthospike::testing
