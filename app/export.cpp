#include <fmt/format.h>

#include "app/commands.hpp"
#include "app/json.hpp"
#include "kernels/error.hpp"
#include "learning/nir/nir.hpp"

namespace orthospike {

int export_command(const std::vector<std::string>& words) {
  std::string run, nir;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--nir" || word.starts_with("--nir=")) {
      if (!nir.empty()) throw ConfigError("export: option --nir is given twice");
      if (word == "--nir" && i + 1 < words.size()) {
        nir = words[++i];
      } else if (word != "--nir") {
        nir = word.substr(word.find('=') + 1);
      }
      if (nir.empty()) throw ConfigError("export: option --nir needs a file");
    } else if (word.starts_with("-") || !run.empty()) {
      throw ConfigError(
          fmt::format("export: unexpected word '{}'; usage: orthospike export RUN --nir FILE", word));
    } else {
      run = word;
    }
  }
  if (run.empty() || nir.empty())
    throw ConfigError(
        "export: a run and a file to write are needed; usage: orthospike export RUN --nir FILE");
  const TrainedNetwork network = read_weights(weights_file_at(run));
  const NirGraph graph = to_nir(network);
  write_nir(graph, nir);
  fmt::print("{}: after {} of {} tasks, {} nodes\n", nir, network.tasks_trained, network.tasks.size(),
             graph.nodes.size());
  fmt::print(R"({{"nir_file": {}}})"
             "\n",
             json_text(nir));
  return 0;
}

}  // namespace orthospike
