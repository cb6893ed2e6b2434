#include "learning/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "learning/trainer.hpp"
#include "tests/conformance/backends.hpp"
#include "tests/learning/shown_set.hpp"

namespace orthospike::testing {
namespace {

constexpr RandomKey key{.seed = 7, .purpose = RandomPurpose::replay_memory, .stream = 0};

std::vector<std::uint32_t> first_numbers(std::size_t count) {
  std::vector<std::uint32_t> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<std::uint32_t>(i);
  return numbers;
}

/// A small network that learns 12 images of 16 pixels, which it may see in two orders.
struct Learner {
  static constexpr std::size_t images = 12, pixels = 16, classes = 3;

  Learner(Backend& back_end, const std::string& protection, float momentum = 0)
      : backend(back_end),
        stored(backend, data(), images),
        forward(uploaded(backend, first_numbers(pixels))),
        backward(uploaded(backend, reversed(first_numbers(pixels)))),
        trainer(backend, config(protection, momentum), {.height = 4, .width = 4}, classes) {}

  static std::vector<std::uint32_t> reversed(std::vector<std::uint32_t> numbers) {
    std::ranges::reverse(numbers);
    return numbers;
  }
  static ImageSet data() {
    ImageSet set{.count = images, .height = 4, .width = 4, .pixels = {}, .labels = {}, .classes = classes};
    for (const float value : random_values(images * pixels, 5, 0.0F, 255.0F))
      set.pixels.push_back(static_cast<std::uint8_t>(value));
    for (std::size_t i = 0; i < images; ++i) set.labels.push_back(static_cast<std::uint8_t>(i % classes));
    return set;
  }
  static Config config(const std::string& protection, float momentum) {
    Config config;
    config.set("optimiser.momentum", fmt::format("{}", momentum));
    config.network.hidden = {24, 20};
    config.set("neuron.threshold",
               "0.02");  // low enough for neurons to saturate: only those change their threshold
    config.training.batch_size = 4;
    config.set("tasks.count", "3");
    config.set("hlop.ranks", "4,4,4");
    config.set("hebbian.learning_rate", "0.01");
    config.set("protection.name", protection);
    if (config.protection.has_replay()) {
      config.set("replay.batch_size", "6");
      config.set("replay.learning_rate", "0.5");
    }
    return config;
  }

  std::vector<float> weights(std::size_t projection) {
    return downloaded(backend, trainer.network().projections()[projection].weights);
  }
  void train(const std::vector<std::uint32_t>& samples, const std::vector<Share>& shares) {
    const auto numbers = uploaded(backend, samples);
    stored.train(trainer, numbers.view(), shares, loss.view(), correct.view());
  }
  void replay(const std::vector<std::uint32_t>& samples, const std::vector<Share>& shares) {
    const auto numbers = uploaded(backend, samples);
    const Array<Target> targets = stored.targets(numbers.view());
    trainer.replay_batch(
        {.samples = numbers.view(), .targets = std::as_const(targets).view(), .shares = shares}, loss.view(),
        correct.view());
  }
  Share shown_forward(std::size_t samples) { return {samples, stored.in(forward.view())}; }
  Share shown_backward(std::size_t samples) { return {samples, stored.in(backward.view())}; }

  Backend& backend;
  ShownSet stored;
  Array<std::uint32_t> forward, backward;
  Trainer trainer;
  Array<double> loss = backend.allocate<double>(1);
  Array<std::uint32_t> correct = backend.allocate<std::uint32_t>(1);
};

/// By how much `act` changes the weights of a projection of a new learner.
template <class Act>
std::vector<double> change(Backend& backend, std::size_t projection, const Act& act) {
  Learner learner(backend, "replay");
  const std::vector<float> before = learner.weights(projection);
  learner.trainer.begin_task(0, {.epochs = 1, .updates_per_epoch = 100});
  act(learner);
  const std::vector<float> after = learner.weights(projection);
  std::vector<double> result(before.size());
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = static_cast<double>(after[i]) - before[i];
  return result;
}

std::vector<double> sum(double alpha, const std::vector<double>& a, double beta,
                        const std::vector<double>& b) {
  std::vector<double> result(a.size());
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = alpha * a[i] + beta * b[i];
  return result;
}

}  // namespace

TEST_CASE("a reservoir keeps as many of each class, or all there are", "[replay]") {
  std::vector<std::uint8_t> labels(200, 1);
  for (std::size_t i = 0; i < 40; ++i) labels[5 * i] = 0;
  for (const std::size_t rare : {3, 77, 198}) labels[rare] = 4;
  for (const ReplaySelection selection : {ReplaySelection::reservoir, ReplaySelection::first}) {
    const auto chosen = choose_for_replay(labels, 7, selection, key);
    std::map<int, std::set<std::uint32_t>> of_class;
    for (const std::uint32_t sample : chosen) of_class[labels.at(sample)].insert(sample);
    REQUIRE(chosen.size() == 17);
    CHECK(of_class[0].size() == 7);
    CHECK(of_class[1].size() == 7);
    CHECK(of_class[4] == std::set<std::uint32_t>{3, 77, 198});
  }
  CHECK(choose_for_replay(labels, 2, ReplaySelection::first, key) ==
        std::vector<std::uint32_t>{0, 5, 1, 2, 3, 77});
}

TEST_CASE("a reservoir takes every sample of a class equally often", "[replay]") {
  // Two of five, in 4000 streams: 1600 ± 31 each.
  const std::vector<std::uint8_t> labels{0, 1, 1, 0, 1, 0, 0, 1, 1, 0};
  std::vector<int> taken(labels.size());
  for (std::uint32_t stream = 0; stream < 4000; ++stream) {
    const RandomKey other{.seed = key.seed, .purpose = key.purpose, .stream = stream};
    for (const std::uint32_t sample : choose_for_replay(labels, 2, ReplaySelection::reservoir, other))
      ++taken[sample];
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    INFO(i << " was taken " << taken[i] << " times");
    CHECK(std::abs(taken[i] - 1600) < 125);
  }
}

TEST_CASE("a reservoir depends on its key alone", "[replay]") {
  const std::vector<std::uint8_t> labels(500, 0);
  const auto chosen = choose_for_replay(labels, 20, ReplaySelection::reservoir, key);
  CHECK(choose_for_replay(labels, 20, ReplaySelection::reservoir, key) == chosen);
  RandomKey other = key;
  other.stream = 1;
  CHECK(choose_for_replay(labels, 20, ReplaySelection::reservoir, other) != chosen);
}

TEST_CASE("a replay steps along the sum of the gradients of its shares", "[replay]") {
  on_each_backend([](Backend& backend) {
    for (std::size_t p = 0; p < 3; ++p) {
      INFO("projection " << p);
      const auto one = change(backend, p, [](Learner& l) { l.replay({0, 1, 2}, {l.shown_forward(3)}); });
      const auto other = change(backend, p, [](Learner& l) {
        l.replay({3, 4, 5, 6, 7}, {l.shown_backward(5)});
      });
      const auto both = change(backend, p, [](Learner& l) {
        l.replay({0, 1, 2, 3, 4, 5, 6, 7}, {l.shown_forward(3), l.shown_backward(5)});
      });
      CHECK(difference(sum(1, one, 1, other), both) < 1e-5);
      CHECK(difference(one, both) > 0.1);
    }
  });
}

TEST_CASE("a batch that mixes orders of pixels has the mean of their gradients", "[replay]") {
  on_each_backend([](Backend& backend) {
    for (std::size_t p = 0; p < 3; ++p) {
      INFO("projection " << p);
      const auto one = change(backend, p, [](Learner& l) { l.train({0}, {l.shown_forward(1)}); });
      const auto other = change(backend, p, [](Learner& l) { l.train({1, 2, 3}, {l.shown_backward(3)}); });
      const auto both = change(backend, p, [](Learner& l) {
        l.train({0, 1, 2, 3}, {l.shown_forward(1), l.shown_backward(3)});
      });
      CHECK(difference(sum(0.25, one, 0.75, other), both) < 1e-5);
    }
  });
}

TEST_CASE("a replay is not projected and leaves subspaces and thresholds alone", "[replay]") {
  on_each_backend([](Backend& backend) {
    Learner protecting(backend, "hlop+replay"), bare(backend, "replay");
    for (Learner* learner : {&protecting, &bare}) {
      learner->trainer.begin_task(
          0, {.epochs = 1, .updates_per_epoch = 100});  // without projection yet: both learn the same
      learner->train({0, 1, 2, 3}, {learner->shown_forward(4)});
      learner->trainer.end_task();
      learner->trainer.begin_task(1, {.epochs = 1, .updates_per_epoch = 100});
    }
    const auto rows = [&] {
      return backend.download(protecting.trainer.protection().subspace(1)->rows().values);
    };
    const auto threshold = [&] {
      return backend.download(
          View<const float>(protecting.trainer.network().populations()[1].neuron->threshold()));
    };
    const auto rows_before = rows();
    const auto threshold_before = threshold();
    const auto weights_before = bare.weights(1);
    for (Learner* learner : {&protecting, &bare}) {
      learner->trainer.begin_replay();
      learner->replay({4, 5, 6, 7}, {learner->shown_forward(2), learner->shown_backward(2)});
    }
    for (std::size_t p = 0; p < 3; ++p) CHECK(protecting.weights(p) == bare.weights(p));
    CHECK(bare.weights(1) != weights_before);
    CHECK(rows() == rows_before);
    CHECK(threshold() == threshold_before);
  });
}

TEST_CASE("each replay starts with a fresh optimiser", "[replay]") {
  const auto backend = make_backend("reference", 1);
  Learner learner(*backend, "replay", 0.9F);
  std::vector<std::vector<float>> initial;
  for (std::size_t p = 0; p < 3; ++p) initial.push_back(learner.weights(p));
  const auto replayed = [&] {
    for (std::size_t p = 0; p < 3; ++p) {
      backend->upload(std::span<const float>(initial[p]),
                      learner.trainer.network().projections()[p].weights.view());
    }
    learner.replay({0, 1}, {learner.shown_forward(2)});
    return learner.weights(2);
  };
  learner.trainer.begin_task(0, {.epochs = 1, .updates_per_epoch = 100});
  learner.trainer.begin_replay();
  const auto first = replayed();
  CHECK(replayed() != first);  // the momentum of the step before
  learner.trainer.begin_replay();
  CHECK(replayed() == first);
}

TEST_CASE("protection.name: a protection, with replay or without, or joint", "[replay]") {
  for (const auto& [name, protection, replay, joint] : {std::tuple("none", "none", false, false),
                                                        {"hlop", "hlop", false, false},
                                                        {"replay", "none", true, false},
                                                        {"hlop+replay", "hlop", true, false},
                                                        {"joint", "none", false, true}}) {
    INFO(name);
    Config config;
    config.set("protection.name", name);
    CHECK(config.protection.protection().name() == protection);
    CHECK(config.protection.has_replay() == replay);
    CHECK(config.protection.is_joint() == joint);
    CHECK(config_text(config).find("\nname = " + std::string(name) + "\n") != std::string::npos);
  }
  for (const char* name :
       {"", "none+replay", "hlop+joint", "replay+hlop", "+replay", "hlop+", "hlop+replay+replay"}) {
    INFO(name);
    CHECK_THROWS_AS(Config().set("protection.name", name), ConfigError);
  }
}

}  // namespace orthospike::testing
