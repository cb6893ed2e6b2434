#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fstream>

#include "app/commands.hpp"
#include "app/json.hpp"
#include "kernels/error.hpp"
#include "learning/nir/nir.hpp"
#include "learning/run_lock.hpp"
#include "sim/final_name.hpp"

namespace orthospike {

namespace {

constexpr const char* config_name = "config.ini";

struct Arguments {
  std::filesystem::path file;
  std::filesystem::path out;
  std::vector<std::string> settings;  ///< --section.key=value
};

Arguments parse(const std::vector<std::string>& words) {
  Arguments arguments;
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--out" || word.starts_with("--out=")) {
      if (!out.empty()) throw ConfigError("import: option --out is given twice");
      if (word == "--out" && i + 1 < words.size()) {
        out = words[++i];
      } else if (word != "--out") {
        out = word.substr(word.find('=') + 1);
      }
      if (out.empty()) throw ConfigError("import: option --out needs a folder");
    } else if (word.starts_with("-") || !arguments.file.empty()) {
      arguments.settings.push_back(word);
    } else {
      arguments.file = word;
    }
  }
  if (arguments.file.empty())
    throw ConfigError("import: a NIR file is missing; usage: orthospike import FILE [--out DIR]");
  arguments.out =
      out.empty() ? std::filesystem::path("runs") / arguments.file.stem() : std::filesystem::path(out);
  return arguments;
}

void write_config(const std::string& text, const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / config_name, partial = folder / "config.partial.ini";
  std::ofstream stream(partial);
  stream << text;
  stream.close();
  if (!stream || !reaches_disk(partial))
    throw EnvironmentError(fmt::format("{}: cannot write the config", partial.string()));
  give_final_name(partial, path);
}

}  // namespace

int import_command(const std::vector<std::string>& words) {
  const auto [file, out, settings] = parse(words);
  const auto [network, assumptions] = from_nir(read_nir(file), settings);
  std::error_code error;
  std::filesystem::create_directories(out, error);
  if (error)
    throw EnvironmentError(fmt::format("{}: cannot make the folder: {}", out.string(), error.message()));
  {
    const RunLock lock(out);
    for (const char* name : {config_name, weights_name, RunFile::name, RunFile::partial_name}) {
      if (std::filesystem::exists(out / name))
        throw EnvironmentError(fmt::format("{} is there already, and stays; give another folder with --out",
                                           (out / name).string()));
    }
    write_config(network.config, out);
    write_weights(network, out, weights_name);
  }
  std::vector<std::string> populations;
  for (const TrainedNetwork::Neurons& population : network.populations)
    populations.push_back(fmt::format("{} ({} {})", population.name, population.size, population.model));
  fmt::print("{}: {}\n", (out / weights_name).string(), fmt::join(populations, ", "));
  if (!assumptions.empty())
    fmt::print("the file does not say, so these are assumed: {}; keys can be given as --section.key=value\n",
               fmt::join(assumptions, ", "));
  fmt::print(R"({{"config_file": {}, "weights_file": {}}})"
             "\n",
             json_text((out / config_name).string()), json_text((out / weights_name).string()));
  return 0;
}

}  // namespace orthospike
