#include "learning/config.hpp"

#include <fstream>
#include <set>

#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike {
namespace {

std::filesystem::path write_text(const TemporaryFolder& folder, const std::string& text) {
  return folder.write("test.ini", {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

/// The sentence with which a config is refused; empty when it is taken.
std::string refusal(const std::string& text, const std::vector<std::string>& arguments = {}) {
  const TemporaryFolder folder;
  try {
    read_config(write_text(folder, text), arguments);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The line of a config's text that gives a key of section.
std::string line_of(const Config& config, const std::string& key) {
  const std::string text = config_text(config), start = "\n" + key + " = ";
  const std::size_t at = text.find(start);
  return at == std::string::npos
             ? ""
             : text.substr(at + start.size(), text.find('\n', at + 1) - at - start.size());
}

TEST_CASE("a config file sets values, the command line wins, the rest are defaults") {
  const TemporaryFolder folder;
  const auto path =
      write_text(folder,
                 "# comment\n[tasks]\ncount = 3\nepochs = 2\n[network]\nhidden = 5, 7\n"
                 "[hlop]\northonormalise = true\n[data]\nmean = -0.5\npath = a folder/with spaces\n");
  const Config config = read_config(path, {"--tasks.epochs=4", "--experiment.seed", "18446744073709551615"});
  CHECK(contains(config_text(config), "\ncount = 3\n"));
  CHECK(config.tasks.epochs == std::vector<std::size_t>{4});
  CHECK(config.network.hidden == std::vector<std::size_t>{5, 7});
  CHECK(line_of(config, "orthonormalise") == "true");
  CHECK(config.data.mean == -0.5F);
  CHECK(config.data.path == "a folder/with spaces");
  CHECK(config.experiment.seed == 18446744073709551615U);
  CHECK(config.training.batch_size == Config{}.training.batch_size);
  CHECK(read_config(path, {"--data.path="}).data.path.empty());
  CHECK(read_config(path, {"--data.path", ""}).data.path.empty());
  CHECK(read_config(path, {"--data.mean", "-0.25"}).data.mean == -0.25F);
  CHECK(read_config(path, {"--experiment.name=a=b="}).experiment.name == "a=b=");
}

TEST_CASE("the text of a config reads back to the same config") {
  const TemporaryFolder folder;
  Config config;
  config.experiment.seed = 7;
  config.data.mean = 0.1F;  // not a short binary fraction
  config.network.hidden = {3, 1, 2};
  config.set("hebbian.learning_rate", "1e-07,0.25");
  config.set("hlop.ranks", "1,2,3;3");
  const std::string text = config_text(config);
  CHECK(config_text(read_config(write_text(folder, text), {})) == text);
}

TEST_CASE("texts that INI would cut or trim read back as they were") {
  const TemporaryFolder folder;
  for (const std::string name : {"run #3", "#", " a", "a ", "\ta", "", "x [run]", "[run]", "; 3", "a = b",
                                 "\"", "say \"a\" # b", "a\\", "\\\" #", "caf\u00E9\u00A0", "50 % of it"}) {
    INFO(name);
    Config config;
    config.experiment.name = name;
    config.data.path = name;
    const Config again = read_config(write_text(folder, config_text(config)), {});
    CHECK(again.experiment.name == name);
    CHECK(again.data.path == name);
    CHECK(config_text(again) == config_text(config));
    CHECK(read_config({}, {"--experiment.name=" + name}).experiment.name == name);
  }
  Config config;
  config.experiment.name = R"(a \ "b" #3)";
  // The Python package has the same line in its tests.
  CHECK(contains(config_text(config), "\nname = \"a \\\\ \\\"b\\\" #3\"\n"));
}

TEST_CASE("a list for a key that takes one value is answered with sweep") {
  const std::string hint = "; it takes one value: to try several, use sweep, where '|' separates them";
  for (const char* argument :
       {"--tasks.count=2,3", "--leaky.lambda=0.1,0.3", "--leaky.lambda=0.1|0.3", "--rule.name=dsr,bptt",
        "--protection.name=leaky, none", "--data.mean=auto,0", "--network.recurrent=true,false"}) {
    INFO(argument);
    CHECK(refusal("[protection]\nname = leaky\n", {argument}).ends_with(hint));
  }
  CHECK_FALSE(contains(refusal("", {"--tasks.count=two"}), "sweep"));
  CHECK_FALSE(contains(refusal("", {"--network.hidden=2,x"}), "sweep"));
}

TEST_CASE("lists of numbers read back, also such that look like decimal commas") {
  const TemporaryFolder folder;
  Config config;
  config.set("hebbian.learning_rate", "1, 2, 3");
  config.network.hidden = {5, 7};
  const Config again = read_config(write_text(folder, config_text(config)), {});
  CHECK(line_of(again, "learning_rate") == "1, 2, 3");
  CHECK(again.network.hidden == config.network.hidden);
  CHECK(line_of(Config(), "learning_rate") == "0.001,0.01,0.01");
  for (const char* value : {"0,001", "0,5", "0,001,0,01"}) {
    INFO(value);
    CHECK(contains(refusal("", {"--hebbian.learning_rate=" + std::string(value)}), "decimal comma"));
  }
}

TEST_CASE("what is no line of text is no value") {
  for (const std::string name : {"a\nb", "a\r", "a\x1B[1m", "\xFF", "\xC3"}) {
    CHECK(refusal("", {"--experiment.name=" + name}) ==
          "command line: experiment.name: the value is not one line of UTF-8 text");
  }
}

TEST_CASE("a byte-order mark, comments, line ends of Windows and quotes in a config file") {
  const TemporaryFolder folder;
  const Config config = read_config(
      write_text(
          folder,
          "\xEF\xBB\xBF[data]\r\n; path = a\r\n  # path = b\r\n path = \"c #\" # comment\r\n\r\n"
          "[hlop] # ranks\r\nranks = 80;70#comment\r\n[experiment]\nname =  a \"b\" # \"c\n[tasks]\ncount=3"),
      {});
  CHECK(config.data.path == "c #");
  CHECK(line_of(config, "ranks") == "80; 70");
  CHECK(config.experiment.name == "a \"b\"");
  CHECK(contains(config_text(config), "\ncount = 3\n"));
}

TEST_CASE("errors of a config file give the line") {
  const auto place = [](const std::string& text) {
    const std::string sentence = refusal(text);
    const std::size_t line = sentence.find("test.ini:");
    return line == std::string::npos ? sentence : sentence.substr(line + 9);
  };
  CHECK(place("\n[tasks]\ncuont = 3\n") ==
        "3: unknown key 'tasks.cuont'; the nearest known one is 'tasks.count'");
  CHECK(place("; x\n[tasks]\ncount = 0\n") == "3: tasks.count: '0' is not an integer from 1 to 10000");
  CHECK(place("\xEF\xBB\xBF[tasks\n") == "1: '[tasks' is neither [section] nor key = value");
  CHECK(place("[tasks]\ncount 3\n") == "2: 'count 3' is neither [section] nor key = value");
  CHECK(
      contains(place("[tasks]\ncount = 1\n\ncount = 2\n"), "4: key 'tasks.count' is given twice, first in "));
  CHECK(contains(place("[tasks]\ncount = 1\n\ncount = 2\n"), "test.ini:2"));
  CHECK(place("[data]\npath = \"a\n") == "2: the closing quote is missing");
  CHECK(place("[data]\npath = \"a\" b\n") == "2: 'b' follows the closing quote");
  CHECK(place("[data]\npath = a\x01\n") == "2: not a line of UTF-8 text");
}

TEST_CASE("sentences about a key that was given say where") {
  const TemporaryFolder folder;
  const auto path = write_text(folder, "[tasks]\nsequence = permuted\n");
  const Config config = read_config(path, {"--rule.name=dsr"});
  CHECK(with_place(config, "tasks.sequence: z") == path.string() + ":2: tasks.sequence: z");
  CHECK(with_place(config, "rule.name: z") == "command line: rule.name: z");
  CHECK(with_place(config, "rule.slope: z") == "rule.slope: z");
  CHECK(with_place(config, "z") == "z");
}

TEST_CASE("configs are compared key by key, without the section of the run") {
  Config config;
  config.experiment.name = "x [run] #";
  const auto difference = [](const Config& a, const Config& b) {
    return differences(values_by_key(config_text(b), "stored"), a);
  };
  Config other = config;
  CHECK(difference(config, other).empty());
  other.run.threads = 7;
  CHECK(difference(config, other).empty());
  other.experiment.seed = 3;
  CHECK(difference(config, other) == "experiment.seed 3 → 2022");
  other.set("tasks.count", "7");
  CHECK(difference(config, other) == "experiment.seed 3 → 2022, tasks.count 7 → 10");
  other = config;
  other.set("metrics.tested_tasks", "current");
  CHECK(difference(config, other) == "metrics.tested_tasks current → all");

  auto values = values_by_key(config_text(config), "stored");
  values["tasks.colour"] = "red";
  CHECK(differences(values, config) == "tasks.colour red → (not read)");
  values.erase("tasks.count");
  CHECK(differences(values, config) == "tasks.count (not read) → 10, tasks.colour red → (not read)");
  CHECK_THROWS_WITH(values_by_key("[a]\nb\n", "stored"),
                    "stored:2: 'b' is neither [section] nor key = value");
}

TEST_CASE("every key has a type, a unit and a meaning, and help names the parts that read it") {
  std::set<std::string> names, sections;
  std::string section;
  for (const DeclaredKey& key : declared_keys()) {
    INFO(key.name);
    CHECK(names.insert(key.name).second);
    CHECK_FALSE(key.type.empty());
    CHECK_FALSE(key.unit.empty());
    CHECK(key.meaning.size() > 10);
    CHECK(key.meaning.back() == '.');
    const std::string own = key.name.substr(0, key.name.find('.'));
    if (own != section) CHECK(sections.insert(section = own).second);  // sections are together
  }
  for (const char* name :
       {"rule.slope", "leaky.sweeps", "gpm.threshold", "boundaries.lambda", "replay.epochs"})
    CHECK(names.contains(name));
  const auto readers = [](const std::string& name) {
    const std::vector<DeclaredKey> keys = declared_keys();
    return std::ranges::find(keys, name, &DeclaredKey::name)->readers;
  };
  using Words = std::vector<std::string>;
  CHECK(readers("tasks.count") == std::vector<std::string>{"tasks.sequence permuted, split"});
  CHECK(readers("rule.slope") == Words{"rule.name bptt, ottt, eprop, decolle"});
  CHECK(readers("hebbian.clamp") ==
        Words{"protection.name hlop and hlop.extractor lateral_hebbian", "protection.name leaky_lowrank"});
}

TEST_CASE("unknown keys are refused with the nearest known one") {
  CHECK(contains(refusal("[tasks]\ncuont = 3\n"), "unknown key 'tasks.cuont'"));
  CHECK(contains(refusal("[tasks]\ncuont = 3\n"), "'tasks.count'"));
  CHECK(contains(refusal("", {"--optimizer.learning_rate=1"}), "'optimiser.learning_rate'"));
  CHECK(contains(refusal("", {"--tasks.cou=1"}), "unknown key 'tasks.cou'"));
  CHECK(refusal("", {"--record=1"}) ==
        "command line: unknown key 'record'; 'orthospike help config' lists the known ones");
}

TEST_CASE("values out of range are refused with key, value and what is expected") {
  const std::string sentence = refusal("[tasks]\ncount = zero\n");
  CHECK(contains(sentence, "tasks.count"));
  CHECK(contains(sentence, "'zero'"));
  CHECK(contains(sentence, "an integer from 1 to 10000"));
  for (const char* argument : {"--tasks.count=0",
                               "--tasks.count=-1",
                               "--tasks.count=1.5",
                               "--tasks.count=1e3",
                               "--tasks.count=",
                               "--tasks.count=99999999999999999999999",
                               "--neuron.tau=0",
                               "--neuron.tau=nan",
                               "--neuron.tau=inf",
                               "--neuron.dt=-1",
                               "--optimiser.momentum=1",
                               "--network.hidden=",
                               "--network.hidden=5,,6",
                               "--network.hidden=0",
                               "--hebbian.learning_rate=0.1;0.2",
                               "--hlop.orthonormalise=yes",
                               "--neuron.firing_fraction=1.5",
                               "--replay.batch_size=0",
                               "--replay.learning_rate=-1",
                               "--leaky.lambda=0",
                               "--leaky.tolerance=0",
                               "--leaky.unexplained=1.1",
                               "--leaky.neurons=0",
                               "--gpm.threshold=1.1",
                               "--gpm.threshold=",
                               "--owm.alpha=0",
                               "--hlop.lateral_scale=0",
                               "--hlop.lateral_steps=0"}) {
    INFO(argument);
    CHECK_FALSE(refusal("", {argument}).empty());
  }
}

TEST_CASE("what is not a setting is refused") {
  CHECK(contains(refusal("", {"stray"}), "'stray'"));
  CHECK(contains(refusal("[tasks]\ncount = 1\ncount = 2\n"), "tasks.count"));
  CHECK(contains(refusal("", {"--tasks.count=1", "--tasks.count=2"}), "twice"));
  CHECK_FALSE(refusal("no equals sign\n").empty());
  CHECK(refusal("", {"--tasks.count"}) == "command line: key 'tasks.count' has no value");
  CHECK(refusal("", {"--tasks.count", "--tasks.epochs=1"}) == "command line: key 'tasks.count' has no value");
  CHECK(contains(refusal("", {"--quiet"}), "unknown key 'quiet'"));
  CHECK(contains(refusal("", {"-q"}), "'-q'"));
  CHECK_THROWS_AS(read_config("/nonexistent/config.ini", {}), ConfigError);
  CHECK_THROWS_AS(read_config("/", {}), ConfigError);
}

TEST_CASE("a key that nothing reads is refused unless it is left at its default") {
  CHECK(refusal("[optimiser]\nepsilon = 1e-8\n").empty());
  CHECK(contains(
      refusal("[optimiser]\nepsilon = 1e-6\n"),
      "test.ini:2: optimiser.epsilon: it is read only with optimiser.name adam, adamw; leave it at 1e-08"));
  CHECK(refusal("[optimiser]\nname = adam\nepsilon = 1e-6\n").empty());
  CHECK(contains(refusal("[optimiser]\nepsilon = 0\n"), "optimiser.epsilon: '0' is not a number > 0"));
}

TEST_CASE("a command line may choose parts that do not read what a file gives, but not give more of it") {
  const std::string file = "[hlop]\nranks = 3\n[neuron]\ntau = 2\n";
  CHECK(refusal(file, {"--protection.name=none"}).empty());
  CHECK(contains(refusal(file, {"--protection.name=none", "--hlop.ranks=4"}), "command line: hlop.ranks: "));
  const TemporaryFolder folder;
  const Config config = read_config(write_text(folder, file), {"--neuron.model=lif"});
  CHECK(line_of(config, "tau") == "2");  // other parts read the file, too
}

TEST_CASE("a text of all keys as they were written before reads back") {
  Config adam;
  adam.set("optimiser.name", "adam");
  const std::string text = config_text(adam);
  CHECK(contains(text, "\nbeta1 = "));
  CHECK_FALSE(contains(text, "momentum = 0\n"));
}

TEST_CASE("the nearest name is the one with the fewest edits, if it is near") {
  CHECK(nearest_name("hlpo", {"none", "hlop", "replay"}) == "hlop");
  CHECK(nearest_name("rnu", {"help", "run"}) == "run");
  CHECK(nearest_name("hlop", {"none", "hlop"}) == "hlop");
  CHECK(nearest_name("x", {}).empty());
  CHECK(nearest_name("sweep", {"help", "run", "inspect"}).empty());
  CHECK(nearest_name("", {"a", "abc"}) == "a");
  CHECK(nearest_name(std::string(10'000'000, 'x'), {"a", "abc"}).empty());
}

}  // namespace
}  // namespace orthospike
