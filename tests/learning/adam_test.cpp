#include "learning/optimisers/adam.hpp"

#include <string>
#include <vector>

#include "kernels/elementwise.hpp"
#include "learning/optimisers/sgd.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/golden/golden.hpp"

namespace orthospike::testing {
namespace {

using Golden = std::map<std::string, GoldenArray>;

/// Of the optimiser `name` with the golden constants.
Choice<Optimisers> with_settings(const std::string& name, const Golden& golden, bool decays) {
  const std::vector<float> constants = golden.at("constants").floats();
  Choice<Optimisers> choice(optimisers());
  choice.choose(name);
  const float decay = decays ? constants[4] : 0.0F;
  if (name == "sgd") {
    choice.settings<Sgd::Settings>().weight_decay = decay;
    return choice;
  }
  auto& settings = choice.settings<Adam::Settings>();
  settings.beta1 = constants[1];
  settings.beta2 = constants[2];
  settings.epsilon = constants[3];
  settings.weight_decay = decay;
  return choice;
}

/// The weights of a golden block before the first update and after each, from the golden gradients.
std::vector<double> trajectory(Backend& backend, const Golden& golden, const std::string& block,
                               Optimiser& optimiser, std::size_t parameter) {
  const GoldenArray& gradients = golden.at("gradients");
  const std::size_t size = gradients.cols;
  const std::vector<float> expected = golden.at(block).floats(), given = gradients.floats();
  auto weights = uploaded(backend, std::vector<float>(expected.begin(), expected.begin() + size));
  auto gradient = backend.allocate<float>(size);
  std::vector<double> rows;
  for (std::size_t update = 0; update <= gradients.rows; ++update) {
    const std::vector<float> now = downloaded(backend, weights);
    rows.insert(rows.end(), now.begin(), now.end());
    if (update == gradients.rows) break;
    backend.upload(std::span(given).subspan(update * size, size), gradient.view());
    optimiser.find_direction(parameter, weights.view(), gradient.view());
    backend.elementwise().run(
        Add{.alpha = -golden.at("constants").floats()[0], .x = gradient.view(), .y = weights.view()});
  }
  return rows;
}

}  // namespace

TEST_CASE("adam and adamw follow the published algorithms", "[adam]") {
  const Golden golden = read_golden("adam.txt");
  REQUIRE(golden.size() == 5);
  struct Case {
    std::string name, block;
    bool decays;
  };
  on_each_backend([&](Backend& backend) {
    for (const Case& c : {Case{"adam", "adam", false},
                          {"adamw", "adam", false},
                          {"adam", "adam_decay", true},
                          {"adamw", "adamw_decay", true}}) {
      INFO(c.name << " against " << c.block);
      const auto optimiser = with_settings(c.name, golden, c.decays).make(backend, std::size_t{2});
      CHECK(optimiser->linear_steps() == nullptr);
      const std::vector<double>& expected = golden.at(c.block).values;
      CHECK(difference(expected, trajectory(backend, golden, c.block, *optimiser, 0)) < 1e-6);
      // Another parameter has moments and a number of updates of its own, and a new task new ones.
      CHECK(difference(expected, trajectory(backend, golden, c.block, *optimiser, 1)) < 1e-6);
      CHECK(difference(expected, trajectory(backend, golden, c.block, *optimiser, 0)) > 1e-3);
      optimiser->begin_task();
      CHECK(difference(expected, trajectory(backend, golden, c.block, *optimiser, 0)) < 1e-6);
    }
  });
}

TEST_CASE("what has no weights to decay follows its gradient alone", "[adam][sgd]") {
  const Golden golden = read_golden("adam.txt");
  on_each_backend([&](Backend& backend) {
    for (const std::string name : {"sgd", "adam", "adamw"}) {
      INFO(name);
      const auto direction = [&](bool decays) {
        const auto optimiser = with_settings(name, golden, decays).make(backend, std::size_t{1});
        auto gradient = uploaded(backend, std::vector<float>{0.5F, -3});
        optimiser->find_direction(0, {}, gradient.view());
        return downloaded(backend, gradient);
      };
      CHECK(direction(true) == direction(false));
    }
  });
}

}  // namespace orthospike::testing
