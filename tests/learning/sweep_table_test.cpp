#include "learning/sweep_table.hpp"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "kernels/error.hpp"
#include "sim/hdf5_file.hpp"
#include "tests/catch.hpp"
#include "tests/learning/written_run.hpp"
#include "tests/temporary_folder.hpp"

namespace orthospike::testing {
namespace {

/// A sweep of two settings with three seeds.
struct SomeSweep {
  explicit SomeSweep(const std::string& more = "", const std::string& held_back = "5, 6") {
    std::ofstream(folder.path() / "base.ini") << "[tasks]\ncount = 2\n[protection]\nname = leaky\n";
    std::ofstream(folder.path() / "s.ini")
        << "[sweep]\nconfig = base.ini\nseeds = 1-3\n"
        << more << "[set]\ntasks.held_back_samples = " << held_back
        << "\n[zip]\nleaky.lambda = 0.5 | 2\nexperiment.name = \"a \\\"b\\\", c | d\"\n";
    sweep = read_sweep(folder.path() / "s.ini");
    sweep.out = folder.path() / "runs";
  }

  void write(std::size_t point, const std::array<double, 2>& last_row, double seconds = 1) const {
    write_run(sweep.folder(sweep.points[point]), config_text(config_of(sweep, sweep.points[point])), last_row,
              seconds);
  }
  /// ACC 0.6, 0.7, 0.8 with lambda = 0.5 and 0.7, 0.7, 0.7 with 2, forgetting 0.1 more with 2.
  void write_all() const {
    for (const std::size_t i : {0, 1, 2})
      write(i, {0.5, 0.7 + 0.2 * static_cast<double>(i)}, 1.0 + static_cast<double>(i));
    for (const std::size_t i : {3, 4, 5}) write(i, {0.4, 1.0});
  }

  std::optional<std::size_t> best(std::string& why) const { return best_setting(sweep, collect(sweep), why); }

  TemporaryFolder folder;
  Sweep sweep;
};

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("a table has what each run gave, means and sample deviations over seeds", "[sweep_table]") {
  const SomeSweep some;
  some.write_all();
  std::filesystem::remove_all(some.sweep.folder(some.sweep.points[4]));
  std::filesystem::remove_all(some.sweep.folder(some.sweep.points[5]));
  const SweepTable table = collect(some.sweep);
  REQUIRE(sweep_measures()[0].name == "average_accuracy");
  REQUIRE(sweep_measures()[5].name == "seconds");
  REQUIRE(table.rows.size() == 6);
  CHECK(table.rows[1].values[0] == Approx(0.7));
  CHECK(table.rows[1].values[1] == Approx(0).margin(1e-12));  // task 1 stays at 0.5
  CHECK(table.rows[1].values[5] == Approx(4));
  const auto value = [&](const std::string& name) {
    const auto found = std::ranges::find(sweep_measures(), name, &SweepMeasure::name);
    REQUIRE(found != sweep_measures().end());
    return table.rows[1].values[static_cast<std::size_t>(found - sweep_measures().begin())];
  };
  CHECK(value("logit_change") == 0.25);
  CHECK(value("rank") == 4);
  CHECK(value("leak") == 0.5);  // of the projection that has one
  CHECK(value("training_samples") == 100);
  CHECK(table.rows[4].state == RunState::missing);
  CHECK(std::isnan(table.rows[4].values[0]));
  REQUIRE(table.means.size() == 2);
  CHECK(table.means[0].runs == 3);
  CHECK(table.means[0].means[0] == Approx(0.7));
  CHECK(table.means[0].deviations[0] == Approx(0.1));
  CHECK(table.means[0].means[5] == Approx(4));
  CHECK(table.means[1].runs == 1);
  CHECK(table.means[1].means[1] == Approx(-0.1));
  CHECK(std::isnan(table.means[1].deviations[0]));

  write_table(some.sweep, table);
  const std::vector<std::string> points = lines_of(some.sweep.out / "sweep.csv");
  REQUIRE(points.size() == 7);
  CHECK(points[0].starts_with(
      "point,folder,leaky.lambda,experiment.name,experiment.seed,state,average_accuracy,"));
  CHECK(points[2].starts_with(
      fmt::format("2,\"{}\",0.5,\"a \"\"b\"\", c\",2,done,0.7,", some.sweep.points[1].name)));
  CHECK(points[6].ends_with(",2,d,3,missing" + std::string(sweep_measures().size(), ',')));
  const std::vector<std::string> means = lines_of(some.sweep.out / "sweep-means.csv");
  REQUIRE(means.size() == 3);
  CHECK(means[0].starts_with(
      "setting,leaky.lambda,experiment.name,runs,average_accuracy_mean,average_accuracy_deviation,"));
  CHECK(means[2].starts_with("2,2,d,1,0.7,,"));

  const Hdf5File file = Hdf5File::open(some.sweep.out / "sweep.h5");
  CHECK(file.text_attribute("/", "format") == "orthospike sweep");
  CHECK(file.text_attribute("/", "choose_by") == "average_accuracy");
  CHECK(file.integer_attribute("/", "best") == 1);  // of the other one a run is missing
  CHECK(file.read<double>("/points/settings/leaky.lambda") == std::vector<double>{0.5, 0.5, 0.5, 2, 2, 2});
  CHECK(file.read<double>("/points/settings/experiment.seed") == std::vector<double>{1, 2, 3, 1, 2, 3});
  CHECK(file.read<std::uint32_t>("/points/settings/experiment.name") ==
        std::vector<std::uint32_t>{0, 0, 0, 1, 1, 1});
  CHECK(file.texts_attribute("/points/settings/experiment.name", "values") ==
        std::vector<std::string>{"a \"b\", c", "d"});
  CHECK(file.read<double>("/points/average_accuracy")[2] == Approx(0.8));
  CHECK(file.read<std::uint32_t>("/points/state") == std::vector<std::uint32_t>{0, 0, 0, 0, 4, 4});
  CHECK(file.texts_attribute("/points/state", "values")[4] == "missing");
  CHECK(file.read_text("/points/folders")
            .starts_with(some.sweep.points[0].name + "\n" + some.sweep.points[1].name));
  CHECK(file.read<double>("/means/settings/leaky.lambda") == std::vector<double>{0.5, 2});
  CHECK(file.read<std::uint32_t>("/means/runs") == std::vector<std::uint32_t>{3, 1});
  CHECK(file.read<double>("/means/average_accuracy/deviation")[0] == Approx(0.1));
  CHECK(std::distance(std::filesystem::directory_iterator(some.sweep.out), {}) == 4 + 3);
}

TEST_CASE("the best setting is that of the best mean with all runs done", "[sweep_table]") {
  std::string why;
  for (const auto& [measure, best] : {std::pair{"learning_accuracy", 1}, {"mean_forgetting", 0}}) {
    const SomeSweep some(fmt::format("choose_by = {}\n", measure));
    for (const std::size_t i : {0, 1, 2}) some.write(i, {0.5, 0.6});
    for (const std::size_t i : {3, 4, 5}) some.write(i, {0.4, 1.0});
    CHECK(some.best(why) == static_cast<std::size_t>(best));
    std::filesystem::remove_all(some.sweep.folder(some.sweep.points[3 * static_cast<std::size_t>(best) + 1]));
    CHECK(some.best(why) == static_cast<std::size_t>(1 - best));
  }
  const SomeSweep none;
  none.write(0, {1, 1});
  CHECK_FALSE(none.best(why));
  CHECK(why.find("no setting has average_accuracy in all its runs") != std::string::npos);
}

TEST_CASE("nothing is chosen by test samples", "[sweep_table]") {
  for (const std::string held_back : {"0", "5, 0"}) {
    const SomeSweep some("", held_back);
    some.write_all();
    std::string why;
    CHECK_FALSE(some.best(why));
    CHECK(why.find("tasks.held_back_samples") != std::string::npos);
    write_table(some.sweep, collect(some.sweep));
    const Hdf5File file = Hdf5File::open(some.sweep.out / "sweep.h5");
    CHECK(file.integer_attribute("/", "best") == 0);
    CHECK(file.text_attribute("/", "why_none") == why);
  }
}

TEST_CASE("folders with runs of another config are refused", "[sweep_table]") {
  const SomeSweep some;
  some.write_all();
  for (const char* base : {"[tasks]\ncount = 3\n[protection]\nname = leaky\n",
                           "[tasks]\ncount = 2\nepochs = 3\n[protection]\nname = leaky\n"}) {
    std::ofstream(some.folder.path() / "base.ini") << base;
    CHECK_THROWS_AS(collect(some.sweep), ConfigError);
  }
  CHECK_THROWS_WITH(collect(some.sweep),
                    Catch::Contains("tasks.epochs 1 → 3") && Catch::Contains(some.sweep.points[0].name));
}

TEST_CASE("a table that cannot be written is named", "[sweep_table]") {
  const SomeSweep some;
  CHECK_THROWS_WITH(write_table(some.sweep, collect(some.sweep)), Catch::Contains("sweep.csv"));
}

}  // namespace orthospike::testing
