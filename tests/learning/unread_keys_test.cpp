#include "kernels/error.hpp"
#include "learning/rules/stdp.hpp"
#include "learning/trainer.hpp"
#include "tests/catch.hpp"

namespace orthospike::testing {
namespace {

/// The key that is refused when a trainer is made with these settings; empty when none is.
std::string refused(std::vector<std::string> settings) {
  settings.push_back("--network.hidden=8");
  try {
    const auto backend = make_backend("cpu", 1);
    Trainer(*backend, read_config({}, settings), {.height = 8, .width = 8}, 10);
  } catch (const ConfigError& error) {
    const std::string sentence = error.what();
    INFO(sentence);
    const std::string place = "command line: ";
    CHECK(sentence.starts_with(place));
    CHECK(sentence.find("it is read only with ") != std::string::npos);
    return sentence.substr(place.size(), sentence.find(':', place.size()) - place.size());
  }
  return "";
}

std::string protected_by(const std::string& name) {
  return "--protection.name=" + name;
}

/// A rule from outside the library that reads neither surrogate nor error feedback.
class Outside final : public Stdp {
 public:
  struct Settings {
    float strength = 1.0F;

    void describe(SettingsVisitor& visit) {
      visit("rule.outside_strength", strength, positive, "-", "What only this rule reads.");
    }
    Traits traits() const { return {.reads_feedback = false}; }
  };

  Outside(const Network& network, ErrorFeedback&, const RuleContext& context, const Settings&)
      : Stdp(network, context, {}) {}
};

void add_outside_rule() {
  const std::vector<std::string> known = rules().names();
  if (std::ranges::find(known, "outside") == known.end()) rules().add<Outside>("outside", "of a test");
}

}  // namespace

TEST_CASE("keys of gpm and owm are refused under another protection", "[unread_keys]") {
  for (const std::string name : {"none", "hlop", "leaky", "leaky_lowrank", "gpm", "owm", "replay",
                                 "gpm+replay", "owm+replay", "joint"}) {
    INFO(name);
    const std::vector<std::string> ranks = {protected_by(name), "--hlop.ranks=2"};
    const auto with = [&](const std::string& setting) {
      return refused(name == "hlop" ? std::vector{ranks[0], ranks[1], setting}
                                    : std::vector{ranks[0], setting});
    };
    CHECK(with("--gpm.threshold=0.5") == (name.starts_with("gpm") ? "" : "gpm.threshold"));
    CHECK(with("--owm.alpha=2") == (name.starts_with("owm") ? "" : "owm.alpha"));
  }
}

TEST_CASE("keys of replay are refused without it", "[unread_keys]") {
  for (const std::string setting :
       {"samples_per_class=7", "selection=first", "epochs=2", "batch_size=7", "learning_rate=0.5"}) {
    const std::string key = "replay." + setting.substr(0, setting.find('='));
    for (const char* name : {"none", "leaky", "joint"}) {
      INFO(name);
      CHECK(refused({protected_by(name), "--replay." + setting}) == key);
    }
    for (const char* name : {"replay", "gpm+replay"}) {
      INFO(name);
      CHECK(refused({protected_by(name), "--replay." + setting}) == "");
    }
  }
}

TEST_CASE("the crossover of automatic delivery is refused without it", "[unread_keys]") {
  const std::string none = protected_by("none"), crossover = "--network.dense_crossover=0.5";
  CHECK(refused({none, crossover}) == "");
  for (const char* delivery : {"--network.delivery=events", "--network.delivery=dense"})
    CHECK(refused({none, crossover, delivery}) == "network.dense_crossover");
}

TEST_CASE("keys of hebbian are refused where no lateral neurons learn", "[unread_keys]") {
  for (const std::string setting : {"learning_rate=0.5", "iterations=2", "momentum=0.5", "clamp=1"}) {
    const std::string key = "hebbian." + setting.substr(0, setting.find('='));
    for (const char* name : {"none", "leaky", "gpm", "owm", "replay", "joint"}) {
      INFO(name);
      CHECK(refused({protected_by(name), "--hebbian." + setting}) == key);
    }
    CHECK(refused({protected_by("leaky_lowrank"), "--hebbian." + setting}) == "");
    CHECK(refused({protected_by("hlop"), "--hlop.ranks=2", "--hebbian." + setting}) == "");
  }
}

TEST_CASE("keys of rules are refused by a rule from outside that does not declare them", "[unread_keys]") {
  add_outside_rule();
  const std::string none = protected_by("none"), rule = "--rule.name=outside", neuron = "--neuron.model=lif";
  CHECK(refused({none, rule, neuron}) == "");
  CHECK(refused({none, rule, neuron, "--rule.outside_strength=2"}) == "");
  CHECK(refused({none, "--rule.outside_strength=2"}) == "rule.outside_strength");
  CHECK(refused({none, rule, neuron, "--rule.slope=2"}) == "rule.slope");
  CHECK(refused({none, rule, neuron, "--rule.surrogate=arctan"}) == "rule.surrogate");
  CHECK(refused({none, rule, neuron, "--rule.detached_reset=false"}) == "rule.detached_reset");
}

TEST_CASE("feedback.name is refused by a rule from outside that does not declare it", "[unread_keys]") {
  add_outside_rule();
  CHECK(refused({protected_by("none"), "--rule.name=outside", "--neuron.model=lif",
                 "--feedback.name=feedback_alignment"}) == "feedback.name");
}

}  // namespace orthospike::testing
