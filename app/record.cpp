#include <fmt/format.h>

#include <algorithm>

#include "app/accuracy_table.hpp"
#include "app/commands.hpp"
#include "app/json.hpp"
#include "app/print_error.hpp"
#include "app/recordings_table.hpp"
#include "app/words.hpp"
#include "kernels/error.hpp"
#include "learning/checkpoint.hpp"
#include "learning/run_lock.hpp"
#include "learning/tester.hpp"

namespace orthospike {

namespace {

/// Throws where files would be replaced that somebody may need. Leftovers of a recording that was killed are no such.
void make_way(const std::filesystem::path& folder) {
  for (const std::filesystem::path& path : recordings_in(folder)) {
    if (path.filename().string().find(".partial.") == std::string::npos || has_checkpoint(folder)) {
      throw EnvironmentError(fmt::format(
          "{}: there is a recording already; give another folder with --out, or remove it", path.string()));
    }
  }
  remove_recordings(folder);
}

}  // namespace

int record_command(const std::vector<std::string>& words) {
  Words arguments = split_words("record", words, {"--out"});
  const std::filesystem::path path = weights_file_at(arguments.place);
  const TrainedNetwork trained = read_weights(path);
  const std::string name = path.string() + "/config";
  const auto names_variables = [](const std::string& word) { return word.starts_with("--record.variables"); };
  if (std::ranges::none_of(arguments.settings, names_variables) &&
      !read_config_of_run(trained.config, name, {}).record.is_on())
    arguments.settings.emplace(arguments.settings.begin(), "--record.variables=spikes");
  const Config config = read_config_of_run(trained.config, name, arguments.settings, true);
  const std::vector<ImageData> data = read_data_sets(config.data);
  try {
    Tester tester(trained, config, data, print_warning);
    std::filesystem::path folder = arguments.options["--out"];
    if (folder.empty()) folder = path.has_parent_path() ? path.parent_path() : ".";
    std::filesystem::create_directories(folder);
    const RunLock lock(folder);
    make_way(folder);
    tester.record(folder);
    for (std::size_t k = 0; k < tester.tasks(); ++k) {
      if (tester.recorded(k) == 0) continue;
      const TestedTask tested = tester.test(k);
      fmt::print("task {}: accuracy {} %, {} of {} samples recorded\n", k + 1,
                 percent(tested.result.accuracy), tester.recorded(k), tested.samples.size());
    }
    tester.finish_recording();
    fmt::print("\n{}", recordings_table(folder));
    fmt::print(R"({{"folder": {}}})"
               "\n",
               json_text(folder.string()));
  } catch (const ConfigError& error) {
    throw ConfigError(with_place(config, error.what()));
  }
  return 0;
}

}  // namespace orthospike
