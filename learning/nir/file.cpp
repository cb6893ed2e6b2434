#include "learning/nir/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <functional>

#include "kernels/error.hpp"
#include "learning/ini.hpp"
#include "sim/hdf5_file.hpp"

namespace orthospike {

namespace {

/// Of the Python package whose layout this is.
constexpr const char* nir_version = "1.0.8";

constexpr const char* nodes_group = "/node/nodes";
constexpr const char* edges_object = "/node/edges";
constexpr const char* metadata_group = "/node/metadata";

/// More is damage, or nothing that a network here could be.
constexpr std::size_t most_nodes = 4096;
constexpr std::size_t most_edges = 4 * most_nodes;
constexpr std::size_t most_fields = 64;
constexpr std::size_t longest_name = 256;
constexpr std::size_t most_numbers = std::size_t{1} << 28;  ///< of all nodes together
constexpr std::size_t most_metadata = 65536;                ///< of one entry

/// For the copy of the process that reads first. Files take far less, unless they lead in circles.
rlim_t most_seconds(const std::filesystem::path& path) {
  std::error_code none;
  const std::uintmax_t size = std::filesystem::file_size(path, none);
  return 2 + (none ? 0 : size / 5'000'000);
}

/// Does work in a copy of this process, where its errors are not heard. Throws where the copy crashes.
void try_in_a_copy(const std::filesystem::path& path, const std::function<void()>& work) {
  const rlim_t seconds = most_seconds(path);
  const pid_t copy = fork();
  if (copy < 0)
    throw EnvironmentError(fmt::format("{}: cannot be read: there is no process for it", path.string()));
  if (copy == 0) {
    for (const int signal : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP}) std::signal(signal, SIG_DFL);
    const rlimit no_core{0, 0}, time{seconds, seconds + 1};
    setrlimit(RLIMIT_CORE, &no_core);
    setrlimit(RLIMIT_CPU, &time);
    // Where the C library and sanitizers say how it crashed.
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
    try {
      work();
    } catch (const std::exception&) {
      // The original will have it, too.
    }
    _exit(0);
  }
  int status = -1;
  while (waitpid(copy, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0)
    throw EnvironmentError(fmt::format("{}: damaged, such that the HDF5 library {}", path.string(),
                                       WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU
                                           ? fmt::format("reads it for more than {} s", seconds)
                                           : "crashes on it"));
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : file_(Hdf5File::open(path)) {}

  NirGraph read() {
    for (const char* object : {"/node", "/node/type", nodes_group, edges_object}) {
      if (!file_.exists(object))
        throw EnvironmentError(
            fmt::format("{}: an HDF5 file, but no NIR graph: there is no {}", file_.path().string(), object));
    }
    if (const std::string type = text("/node/type"); type != "NIRGraph")
      refuse("/node/type", fmt::format("'{}'", type), "'NIRGraph'");
    NirGraph graph;
    graph.path = file_.path();
    for (const std::string& name : names(nodes_group, most_nodes)) {
      const std::string group = fmt::format("{}/{}", nodes_group, name);
      if (!file_.is_group(group)) refuse(group, "no group", "a node");
      NirNode node{.type = text(group + "/type"), .fields = {}};
      for (const std::string& field : names(group, most_fields)) {
        const std::string object = group + "/" + field;
        if (!file_.is_group(object) && !file_.is_text(object)) node.fields[field] = numbers(object);
      }
      graph.nodes[name] = std::move(node);
    }
    graph.edges = edges();
    if (file_.exists(metadata_group)) graph.metadata = metadata();
    return graph;
  }

 private:
  [[noreturn]] void refuse(const std::string& object, const std::string& found,
                           const std::string& expected) const {
    throw EnvironmentError(
        fmt::format("{}: {} is {}, expected {}", file_.path().string(), object, found, expected));
  }

  std::size_t count(const std::string& object) const {
    file_.check_stored(object);
    std::size_t product = 1;  // of checked sizes, so that it fits
    for (const std::size_t length : file_.shape(object)) product *= length;
    return product;
  }

  /// Short ones of printable characters, which messages may hold.
  std::string checked_name(const std::string& name, const std::string& object) const {
    if (name.size() > longest_name || !is_line_of_text(name))
      refuse(object, "a name that is too long or not of printable characters",
             fmt::format("at most {} bytes of UTF-8", longest_name));
    return name;
  }

  std::vector<std::string> names(const std::string& group, std::size_t most) const {
    const std::vector<std::string> found = file_.members(group, most);
    for (const std::string& name : found) checked_name(name, "an object in " + group);
    return found;
  }

  std::string text(const std::string& object) const {
    if (!file_.exists(object))
      throw EnvironmentError(fmt::format("{}: there is no {}", file_.path().string(), object));
    if (file_.is_group(object) || !file_.is_text(object) || count(object) != 1)
      refuse(object, "no text", "one");
    return checked_name(file_.read_texts(object).front(), object);
  }

  NirArray numbers(const std::string& object) {
    const std::size_t size = count(object);
    numbers_ += size;
    if (size > most_numbers || numbers_ > most_numbers)
      refuse(object, fmt::format("of {} values", size), fmt::format("at most {} in all nodes", most_numbers));
    NirArray array{.shape = file_.shape(object), .values = file_.read<float>(object)};
    const auto wrong =
        std::ranges::find_if_not(array.values, [](float value) { return std::isfinite(value); });
    if (wrong != array.values.end())
      refuse(fmt::format("{}, element {}", object, wrong - array.values.begin()), fmt::format("{}", *wrong),
             "a finite number");
    return array;
  }

  std::vector<std::pair<std::string, std::string>> edges() const {
    const std::size_t size = count(edges_object);
    if (size == 0) return {};  // of the package's empty list, no texts
    const std::vector<std::size_t> shape = file_.shape(edges_object);
    if (shape.size() != 2 || shape[1] != 2 || size / 2 > most_edges || !file_.is_text(edges_object))
      refuse(edges_object, fmt::format("[{}]", fmt::join(shape, " × ")),
             fmt::format("names of sources and targets, [edges × 2], at most {}", most_edges));
    const std::vector<std::string> ends = file_.read_texts(edges_object);
    std::vector<std::pair<std::string, std::string>> edges;
    for (std::size_t i = 0; i < ends.size(); i += 2)
      edges.emplace_back(checked_name(ends[i], edges_object), checked_name(ends[i + 1], edges_object));
    return edges;
  }

  /// Anything may be there; what is not like ours is left out.
  std::map<std::string, NirMetadata> metadata() const {
    std::map<std::string, NirMetadata> all;
    if (!file_.is_group(metadata_group)) return all;
    for (const std::string& name : names(metadata_group, most_fields)) {
      const std::string object = fmt::format("{}/{}", metadata_group, name);
      if (file_.is_group(object) || count(object) > most_metadata) continue;
      if (file_.is_text(object)) {
        all[name] = file_.read_texts(object);
      } else {
        all[name] = file_.read<double>(object);
      }
    }
    return all;
  }

  Hdf5File file_;
  std::size_t numbers_ = 0;
};

template <class T>
void add_numbers(Hdf5File& file, const std::string& object, const std::vector<std::size_t>& shape,
                 const std::vector<T>& values) {
  file.add<T>(object, shape, T{});
  file.write_rows<T>(object, 0, values);
}

}  // namespace

void write_nir(const NirGraph& graph, const std::filesystem::path& path) {
  std::filesystem::path partial = path;
  Hdf5File file = Hdf5File::create(partial += ".partial");
  file.add_text("/version", nir_version);
  file.add_text("/node/type", "NIRGraph");
  for (const auto& [name, node] : graph.nodes) {
    const std::string group = fmt::format("{}/{}", nodes_group, name);
    file.add_text(group + "/type", node.type);
    for (const auto& [field, array] : node.fields) {
      const std::string object = group + "/" + field;
      if (array.whole) {
        add_numbers(file, object, array.shape,
                    std::vector<std::int64_t>(array.values.begin(), array.values.end()));
      } else {
        add_numbers(file, object, array.shape, array.values);
      }
    }
  }
  std::vector<std::string> ends;
  for (const auto& [source, target] : graph.edges) ends.insert(ends.end(), {source, target});
  file.add_texts(edges_object, {graph.edges.size(), 2}, ends);
  for (const auto& [name, entry] : graph.metadata) {
    const std::string object = fmt::format("{}/{}", metadata_group, name);
    std::visit(
        [&]<class T>(const std::vector<T>& values) {
          const std::vector<std::size_t> shape(values.size() == 1 ? 0 : 1, values.size());
          if constexpr (std::is_same_v<T, double>) {
            add_numbers(file, object, shape, values);
          } else {
            file.add_texts(object, shape, values);
          }
        },
        entry);
  }
  file.close_as(path);
}

NirGraph read_nir(const std::filesystem::path& path) {
  const auto read = [&] { return Reader(path).read(); };
  try_in_a_copy(path, read);
  return read();
}

}  // namespace orthospike
