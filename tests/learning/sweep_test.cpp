#include "learning/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

Sweep parse(const std::string& text) {
  std::istringstream stream("[sweep]\nconfig = base.ini\n" + text);
  return parse_sweep(stream, "a/s.ini");
}

/// The sentence with which a sweep file is refused; empty when it is taken.
std::string refusal(const std::string& text) {
  try {
    parse(text);
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Values of key k over all points.
std::vector<std::string> column(const Sweep& sweep, std::size_t k) {
  std::vector<std::string> values;
  for (const SweepPoint& point : sweep.points) values.push_back(point.values.at(k));
  return values;
}

std::vector<double> numbers(const Sweep& sweep, std::size_t k) {
  std::vector<double> all;
  for (const std::string& text : column(sweep, k)) all.push_back(std::stod(text));
  return all;
}

std::vector<std::string> names(const Sweep& sweep) {
  std::vector<std::string> all;
  for (const SweepPoint& point : sweep.points) all.push_back(point.name);
  return all;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a grid has all combinations, seeds fastest", "[sweep]") {
  const Sweep sweep = parse(
      "seeds = 7, 1-2\n[set]\nprotection.name = leaky\n[vary]\nleaky.lambda = 0.1 | 1\n"
      "hlop.ranks = 1,2; 3 | 4\n");
  CHECK(sweep.config == "a/base.ini");
  CHECK(sweep.out == "runs/s");
  CHECK(sweep.keys == Texts{"leaky.lambda", "hlop.ranks", "experiment.seed"});
  CHECK(sweep.places == Texts{"a/s.ini:7", "a/s.ini:8", "a/s.ini:3"});
  CHECK(column(sweep, 0) == Texts{"0.1", "0.1", "0.1", "0.1", "0.1", "0.1", "1", "1", "1", "1", "1", "1"});
  CHECK(column(sweep, 1) ==
        Texts{"1,2; 3", "1,2; 3", "1,2; 3", "4", "4", "4", "1,2; 3", "1,2; 3", "1,2; 3", "4", "4", "4"});
  CHECK(column(sweep, 2) == Texts{"7", "1", "2", "7", "1", "2", "7", "1", "2", "7", "1", "2"});
  CHECK(sweep.points_per_setting() == 3);
  CHECK(sweep.setting_keys() == 2);
  CHECK(options_of(sweep, sweep.points[1]) ==
        Texts{"--protection.name=leaky", "--leaky.lambda=0.1", "--hlop.ranks=1,2; 3", "--experiment.seed=1"});
}

TEST_CASE("ranges are even on their scale, and integers where the key takes integers", "[sweep]") {
  CHECK(column(parse("[vary]\nleaky.lambda = range(0.1, 0.4, 4)\n"), 0) == Texts{"0.1", "0.2", "0.3", "0.4"});
  CHECK(column(parse("[vary]\nleaky.lambda = log( 0.01 ,1, 5)\n"), 0) ==
        Texts{"0.01", "0.0316228", "0.1", "0.316228", "1"});
  CHECK(column(parse("[vary]\nleaky.lambda = range(1, -1, 3) | 7 | log(8, 2, 3)\n"), 0) ==
        Texts{"1", "0", "-1", "7", "8", "4", "2"});
  CHECK(column(parse("[vary]\ntraining.batch_size = log(10, 1000, 4)\n"), 0) ==
        Texts{"10", "46", "215", "1000"});
  CHECK(column(parse("[vary]\nnetwork.hidden = range(100, 200, 3)\n"), 0) == Texts{"100", "150", "200"});
}

TEST_CASE("zipped keys vary together, each section for itself", "[sweep]") {
  const Sweep sweep = parse(
      "[zip]\nleaky.lambda = 1 | 2\nkfac.lambda = 3 | 4\n[zip.B]\nrule.name = dsr | bptt\nneuron.steps = 20 | 6\n");
  CHECK(sweep.keys == Texts{"leaky.lambda", "kfac.lambda", "rule.name", "neuron.steps"});
  CHECK(column(sweep, 0) == Texts{"1", "1", "2", "2"});
  CHECK(column(sweep, 1) == Texts{"3", "3", "4", "4"});
  CHECK(column(sweep, 2) == Texts{"dsr", "bptt", "dsr", "bptt"});
  CHECK(column(sweep, 3) == Texts{"20", "6", "20", "6"});
}

TEST_CASE("names of points are readable, safe, and the same when others are added", "[sweep]") {
  const std::string few = "seeds = 1\n[vary]\nleaky.lambda = 1 | 2\noptimiser.learning_rate = 0.1\n";
  const std::string more =
      "seeds = 1-2\n[vary]\nleaky.lambda = 0.5 | 1 | 2\noptimiser.learning_rate = 0.1 | 0.2\n";
  CHECK(names(parse(few)) == Texts{"lambda=1,learning_rate=0.1,seed=1", "lambda=2,learning_rate=0.1,seed=1"});
  const Texts all = names(parse(more));
  for (const std::string& name : names(parse(few))) CHECK(std::ranges::count(all, name) == 1);

  // Two keys that are called the same, in full.
  CHECK(names(parse("[vary]\nleaky.lambda = 1\nkfac.lambda = 2\n")) == Texts{"leaky.lambda=1,kfac.lambda=2"});

  const Sweep odd = parse("[vary]\nexperiment.name = ../a b | ../a;b | " + std::string(300, 'x') + " | " +
                          std::string(301, 'x') + "\n");
  std::set<std::string> different;
  for (const std::string& name : names(odd)) {
    CHECK(name.find_first_of("/ ;") == std::string::npos);
    CHECK(name.size() < 200);
    different.insert(name);
  }
  CHECK(different.size() == 4);
  CHECK(odd.points[0].name == "name=.._a_b~6fb8a0a8");
}

TEST_CASE("draws lie in their ranges, are the same again, and more of them begin with the same", "[sweep]") {
  for (const std::string sampling : {"random", "sobol"}) {
    INFO(sampling);
    const auto text = [&](int points, int seed) {
      return fmt::format(
          "sampling = {}\npoints = {}\nseed = {}\n[vary]\nleaky.lambda = log(0.01, 100)\n"
          "tasks.mixing = range(0.5, 1)\nnetwork.hidden = range(3, 5)\nrule.name = dsr | bptt | ottt\n"
          "[zip]\nkfac.lambda = 1 | 2\nkfac.power = 1 | 2\n",
          sampling, points, seed);
    };
    const Sweep sweep = parse(text(256, 1));
    REQUIRE(sweep.points.size() == 256);
    std::size_t below_one = 0;
    for (const double lambda : numbers(sweep, 0)) {
      CHECK((lambda >= 0.01 && lambda <= 100));
      below_one += lambda < 1 ? 1 : 0;
    }
    CHECK(std::abs(static_cast<double>(below_one) - 128) < 32);
    for (const double mixing : numbers(sweep, 1)) CHECK((mixing >= 0.5 && mixing <= 1));
    for (const auto& [k, values] : {std::pair{2, Texts{"3", "4", "5"}}, {3, Texts{"dsr", "bptt", "ottt"}}}) {
      for (const std::string& value : values)
        CHECK(std::abs(static_cast<double>(std::ranges::count(column(sweep, k), value)) - 256 / 3.0) < 30);
    }
    CHECK(column(sweep, 4) == column(sweep, 5));
    CHECK(names(parse(text(256, 1))) == names(sweep));
    const Texts first = names(parse(text(10, 1))), others = names(parse(text(10, 2)));
    CHECK(std::equal(first.begin(), first.end(), names(sweep).begin()));
    CHECK(first != others);
  }
}

TEST_CASE("a Sobol sequence leaves no stretch of a range out", "[sweep]") {
  const Sweep sweep = parse(
      "sampling = sobol\npoints = 64\n[vary]\nleaky.lambda = range(0, 64)\nkfac.lambda = range(0, 8)\n");
  std::set<int> stretches;
  for (const double value : numbers(sweep, 0)) stretches.insert(static_cast<int>(value / 2));
  CHECK(stretches.size() == 32);
  std::set<std::pair<int, int>> squares;
  for (std::size_t i = 0; i < 64; ++i)
    squares.emplace(static_cast<int>(numbers(sweep, 0)[i] / 16), static_cast<int>(numbers(sweep, 1)[i] / 2));
  CHECK(squares.size() == 16);
}

TEST_CASE("what is drawn is drawn with every seed", "[sweep]") {
  const Sweep sweep =
      parse("sampling = random\npoints = 3\nseeds = 1-2\n[vary]\nleaky.lambda = range(0, 1)\n");
  CHECK(sweep.points.size() == 6);
  CHECK(column(sweep, 0)[0] == column(sweep, 0)[1]);
  CHECK(column(sweep, 0)[1] != column(sweep, 0)[2]);
}

TEST_CASE("sweep files that cannot be are refused with a sentence and a place", "[sweep]") {
  const std::vector<std::pair<std::string, std::string>> refused = {
      {"[vary]\nleaky.lamda = 1\n",
       "a/s.ini:4: unknown key 'leaky.lamda'; the nearest known one is 'leaky.lambda'"},
      {"sedes = 1\n", "a/s.ini:3: unknown key 'sweep.sedes'; the nearest known one is 'sweep.seeds'"},
      {"sampling = gird\n", "a/s.ini:3: sweep.sampling: 'gird' is not one of grid, random, sobol"},
      {"points = 3\n[vary]\nleaky.lambda = 1\n",
       "a/s.ini:3: sweep.points: it is read only with sweep.sampling random, sobol"},
      {"choose_by = acc\n[vary]\nleaky.lambda = 1\n", "a/s.ini:3: sweep.choose_by: 'acc' is not one of"},
      {"[varied]\nleaky.lambda = 1\n", "a/s.ini:4: 'varied.leaky.lambda' is in none of the sections"},
      {"[vary]\nleaky.lambda =\n", "a/s.ini:4: leaky.lambda: a value is missing"},
      {"[vary]\nleaky.lambda = 1 | | 2\n", "a value is missing"},
      {"[vary]\nleaky.lambda = lgo(1, 2, 3)\n", "a/s.ini:4: leaky.lambda: unknown word 'lgo'"},
      {"[vary]\nleaky.lambda = log(0, 1, 3)\n", "needs numbers > 0"},
      {"[vary]\nleaky.lambda = log(1, -1, 3)\n", "needs numbers > 0"},
      {"[vary]\nleaky.lambda = range(1, 1, 3)\n", "begins where it ends"},
      {"[vary]\nleaky.lambda = range(1, inf, 3)\n", "'inf' is not a number"},
      {"[vary]\nleaky.lambda = range(1, 2, 1)\n", "the count is not an integer from 2"},
      {"[vary]\nleaky.lambda = range(1, 2, 2.5)\n", "the count is not an integer from 2"},
      {"[vary]\nleaky.lambda = range(1, 2, 1e9)\n", "the count is not an integer from 2"},
      {"[vary]\nleaky.lambda = range(1, 2)\n", "is not range(first, last, count)"},
      {"[vary]\nleaky.lambda = range(1)\n", "is not range(first, last, count)"},
      {"sampling = random\n[vary]\nleaky.lambda = range(1, 2) | 3\n", "is not range(first, last, count)"},
      {"sampling = random\n[zip]\nleaky.lambda = range(1, 2)\n", "is not range(first, last, count)"},
      {"[vary]\nexperiment.seed = 1 | 2\n", "a/s.ini:4: experiment.seed: seeds are given as sweep.seeds"},
      {"seeds = 1\n[set]\nexperiment.seed = 2\n", "key 'experiment.seed' is given twice, first in a/s.ini:5"},
      {"[vary]\nleaky.lambda = 1\nleaky.lambda = 2\n",
       "key 'leaky.lambda' is given twice, first in a/s.ini:4"},
      {"[vary]\nleaky.lambda = 1\n[zip]\nleaky.lambda = 2\n", "a/s.ini:6: key 'leaky.lambda' is given twice"},
      {"[set]\nleaky.lambda = 1\n[zip.B]\nleaky.lambda = 2\n",
       "a/s.ini:6: key 'leaky.lambda' is given twice"},
      {"[zip]\nleaky.lambda = 1 | 2\nkfac.lambda = 1 | 2 | 3\n",
       "a/s.ini:5: kfac.lambda: section zip gives it 3 values and leaky.lambda 2"},
      {"[vary]\nleaky.lambda = 1 | 2 | 1\n", "points 1 and 3 are the same: leaky.lambda = 1"},
      {"[vary]\nnetwork.hidden = range(1, 3, 5)\n", "are the same: network.hidden = 2"},
      {"seeds = 1, 1\n", "points 1 and 2 are the same"},
      {"seeds = 1, x\n", "a/s.ini:3: sweep.seeds: '1, x' is not seeds"},
      {"seeds = 3-1\n", "a/s.ini:3: sweep.seeds: '3-1' is not from 1 to 100000 seeds"},
      {"seeds = 1-99999999999\n", "is not from 1 to 100000 seeds"},
      {"seeds = 1-60000, 70000-130000\n", "is not from 1 to 100000 seeds"},
      {"seeds = -1\n", "is not seeds"},
      {"", "nothing is varied"},
      {"[set]\nleaky.lambda = 1\n", "nothing is varied"},
      {"[vary]\nleaky.lambda = range(1, 2, 1000)\nkfac.lambda = range(1, 2, 1000)\n",
       "more than 100000 points"},
      {"seeds = 1-1000\n[vary]\nleaky.lambda = range(1, 2, 101)\n", "more than 100000 points"},
      {"sampling = random\npoints = 4\n[vary]\nleaky.lambda = 1 | 2 | 3\n",
       "there are only 3 different points"},
      {"sampling = sobol\npoints = 0\n", "a/s.ini:4: sweep.points: '0' is not an integer from 1 to 100000"}};
  for (const auto& [text, sentence] : refused) {
    INFO(text);
    const std::string found = refusal(text);
    INFO(found);
    CHECK(contains(found, sentence));
    CHECK(found.find('\n') == std::string::npos);
  }
  std::istringstream without_config("[vary]\nleaky.lambda = 1\n");
  CHECK_THROWS_WITH(parse_sweep(without_config, "s.ini"),
                    Catch::Contains("sweep.config, the base config, is missing"));
}

TEST_CASE("points have the base config with what is set and varied, and are refused where the sweep gives it",
          "[sweep]") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "base.ini") << "[tasks]\ncount = 3\n[protection]\nname = leaky\n";
  const std::filesystem::path file = folder.path() / "s.ini";
  const auto sweep_with = [&](const std::string& text) {
    std::ofstream(file) << "[sweep]\nconfig = base.ini\nseeds = 5\n" << text;
    return read_sweep(file);
  };
  const Sweep sweep = sweep_with("[set]\ntasks.epochs = 4\n[vary]\nleaky.lambda = 0.5\n");
  const Config config = config_of(sweep, sweep.points[0]);
  CHECK(config.experiment.seed == 5);
  CHECK(config.tasks.epochs == std::vector<std::size_t>{4});
  CHECK(contains(config_text(config), "\ncount = 3\n"));
  CHECK(contains(config_text(config), "\nlambda = 0.5\n"));

  const auto refusal_of_last = [](const Sweep& bad) -> std::string {
    try {
      config_of(bad, bad.points.back());
      return "";
    } catch (const ConfigError& error) {
      return error.what();
    }
  };
  CHECK(refusal_of_last(sweep_with("[vary]\nleaky.lambda = 1 | -1\n"))
            .starts_with(fmt::format("{}:5: leaky.lambda: '-1' is not a number", file.string())));
  CHECK(contains(refusal_of_last(sweep_with("[vary]\nleaky.lambda = 0.1, 0.3\n")),
                 "it takes one value: to try several, use sweep, where '|' separates them"));
  CHECK(contains(refusal_of_last(sweep_with("[vary]\nprotection.name = leaky | none\nleaky.lambda = 1\n")),
                 "s.ini:6: leaky.lambda: it is read only with"));
  CHECK(contains(refusal_of_last(sweep_with("[vary]\nleaky.lambda = -1\n")),
                 "(with leaky.lambda = -1, experiment.seed = 5)"));

  std::ofstream(file) << "[sweep]\nconfig = none.ini\nseeds = 5\n";
  CHECK_THROWS_WITH(read_sweep(file),
                    Catch::Contains("sweep.config: there is no file") && Catch::Contains("none.ini"));
  CHECK_THROWS_AS(read_sweep(folder.path() / "none"), ConfigError);
  CHECK_THROWS_AS(read_sweep(folder.path()), ConfigError);
}

}  // namespace orthospike::testing
