// What only the CUDA back end has. Needs a device, real or emulated; tests/conformance checks its operations.

#include <algorithm>
#include <functional>
#include <string>

#include "kernels/delivery.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/neurons.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

namespace {

/// Null, with a warning, where there is no device or no CUDA in this build.
std::unique_ptr<Backend> cuda() {
  return backend_if_present("cuda", 1);
}

/// The sentence of the EnvironmentError that the call throws; empty when it throws none.
std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const EnvironmentError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("the CUDA back end names its device", "[cuda]") {
  const auto backend = cuda();
  if (backend == nullptr) return;
  CHECK(backend->name() == "cuda");
  CHECK(backend->device().starts_with("cuda:0 ("));
  CHECK(make_backend("auto", 1)->name() == "cuda");
}

TEST_CASE("a device number that does not exist is refused", "[cuda]") {
  if (cuda() == nullptr) return;
  CHECK(refusal([] { make_backend("cuda:1000", 1); }).find("there is no cuda:1000") != std::string::npos);
}

TEST_CASE("too little device memory is one sentence that says what to do", "[cuda]") {
  const auto backend = cuda();
  if (backend == nullptr) return;
  auto kept = uploaded(*backend, random_values(1000, 1));
  backend->allocate<float>(500000);  // stays in the cache, which is emptied before the error
  const std::size_t too_many = std::size_t{1} << 50;
  for (int attempt = 0; attempt < 2; ++attempt) {
    const std::string sentence = refusal([&] { backend->allocate<std::uint8_t>(too_many); });
    CHECK(sentence.starts_with("not enough device memory: at least 11258999"));
    CHECK(sentence.find("1125899906.8 more") != std::string::npos);
    CHECK(sentence.ends_with("; lower training.batch_size or network.hidden"));
  }
  // Goes on as if nothing had happened.
  CHECK(downloaded(*backend, kept) == random_values(1000, 1));
  backend->elementwise().run(RaiseTo{.bound = 2.0F, .values = kept.view()});
  CHECK(downloaded(*backend, kept) == std::vector<float>(1000, 2.0F));
}

TEST_CASE("memory given back is handed out again, cleared", "[cuda]") {
  const auto backend = cuda();
  if (backend == nullptr) return;
  const float* address = nullptr;
  {
    Array<float> first = uploaded(*backend, std::vector<float>(5000, 3.0F));
    address = first.view().address();
  }
  const Array<float> same = backend->allocate<float>(5000);
  CHECK(same.view().address() == address);
  CHECK(downloaded(*backend, same) == std::vector<float>(5000, 0.0F));
  // What is in use is not handed out.
  CHECK(backend->allocate<float>(5000).view().address() != address);
  // Nor is a block that is far too large.
  { const Array<float> large = backend->allocate<float>(1 << 20); }
  const Array<float> small = backend->allocate<float>(100);
  const Array<float> large = backend->allocate<float>(1 << 20);
  CHECK(small.view().address() != large.view().address());
}

TEST_CASE("what is uploaded may change right after", "[cuda]") {
  const auto backend = cuda();
  if (backend == nullptr) return;
  std::vector<float> values = random_values(300000, 1);
  const std::vector<float> before = values;
  const Array<float> array = uploaded(*backend, values);
  std::ranges::fill(values, not_a_number);
  CHECK(downloaded(*backend, array) == before);
}

TEST_CASE("operations of two CUDA back ends do not mix", "[cuda]") {
  const auto one = cuda();
  const auto other = cuda();
  if (one == nullptr) return;
  auto ones = one->allocate<float>(1000);
  auto twos = other->allocate<float>(1000);
  one->elementwise().run(RaiseTo{.bound = 1.0F, .values = ones.view()});
  other->elementwise().run(RaiseTo{.bound = 2.0F, .values = twos.view()});
  CHECK(downloaded(*one, ones) == std::vector<float>(1000, 1.0F));
  CHECK(downloaded(*other, twos) == std::vector<float>(1000, 2.0F));
}

TEST_CASE("a sum over the whole grid can follow another", "[cuda]") {
  const LifDsr neuron{.decay = 0.9F, .dt = 0.125F, .tau = 2.0F, .firing_fraction = 0.3F};
  check_conformance([&](Backend& backend) {
    Outcome outcome;
    const auto threshold = uploaded(backend, std::vector<float>{0.25F});
    for (const std::size_t size : {5000U, 300U, 7000U}) {
      const auto currents = uploaded(backend, random_values(size, 1, -2.0F, 6.0F));
      auto gradient = uploaded(backend, random_values(size, 2, -0.5F, 1.0F));
      auto sum = uploaded(backend, std::vector<float>{not_a_number});
      backend.neurons().run(AveragesBackward<LifDsr>{.neuron = neuron,
                                                     .trained = threshold.view(),
                                                     .average_current = currents.matrix(1, size),
                                                     .gradient = gradient.matrix(1, size),
                                                     .trained_gradient = sum.view()});
      outcome["sum over " + std::to_string(size)] = about(downloaded(backend, sum), 1e-5);
    }
    return outcome;
  });
}

TEST_CASE("populations larger than a block agree with the reference", "[cuda]") {
  // Two and three turns of a block of 1,024 threads; steps that fill no group of eight.
  const LifDsr neuron{.decay = std::exp(-0.05F), .dt = 0.05F, .tau = 1.0F, .firing_fraction = 0.3F};
  constexpr std::size_t batch = 2, steps = 11;
  for (const std::size_t neurons : {1025U, 2100U}) {
    INFO(neurons << " neurons");
    check_conformance([&](Backend& backend) {
      const auto currents = uploaded(backend, random_values(steps * batch * neurons, 1, -4.0F, 8.0F));
      const auto threshold = uploaded(backend, std::vector<float>{0.3F});
      SpikeArrays spikes{backend.allocate<std::uint32_t>(steps * batch),
                         backend.allocate<std::uint32_t>(steps * batch * neurons), steps * batch, neurons};
      Array<float> outputs[4];
      for (auto& output : outputs) output = backend.allocate<float>(batch * neurons);
      backend.neurons().run(
          RunNeurons<LifDsr>{.neuron = neuron,
                             .trained = threshold.view(),
                             .steps = steps,
                             .currents = currents.matrix(steps * batch, neurons),
                             .state = {outputs[3].matrix(batch, neurons)},
                             .outputs = {.spikes = spikes.view(),
                                         .mean_output = outputs[2].matrix(batch, neurons),
                                         .margin = {},
                                         .average_current = outputs[0].matrix(batch, neurons),
                                         .average_output = outputs[1].matrix(batch, neurons)}});
      return Outcome{{"spikes", exactly(flattened(downloaded_spikes(backend, spikes.view())))},
                     {"average output", about(downloaded(backend, outputs[1]), 2e-6)}};
    });
  }
}

TEST_CASE("weights that end with their memory are not read beyond", "[cuda]") {
  // 128 weights fill a block of device memory; the last neuron spikes, and its only target leaves lanes idle.
  check_conformance([&](Backend& backend) {
    SpikeArrays spikes = uploaded_spikes(backend, {{127}}, 128);
    const auto outgoing = uploaded(backend, random_values(128, 1));
    const auto height = uploaded(backend, std::vector<float>{0.3F});
    auto currents = uploaded(backend, std::vector<float>{not_a_number});
    backend.delivery().run(Deliver{.spikes = spikes.view(),
                                   .weights = outgoing.matrix(128, 1),
                                   .height = height.view(),
                                   .dt = 0.05F,
                                   .form = DeliveryForm::events,
                                   .crossover = 0.5F,
                                   .currents = currents.matrix(1, 1)});
    return Outcome{{"currents", about(downloaded(backend, currents), 1e-6)}};
  });
}

TEST_CASE("tiles of weights beyond the first-level cache agree with the reference", "[cuda]") {
  constexpr std::size_t rows = 40, neurons = 1000, targets = 70;
  const EventLists events = random_events(rows, neurons, 0.1, 1);
  const std::vector<float> weights = random_values(neurons * targets, 2, -0.5F, 1.0F);
  check_conformance([&](Backend& backend) {
    SpikeArrays spikes = uploaded_spikes(backend, events, neurons);
    const auto outgoing = uploaded(backend, weights);
    const auto height = uploaded(backend, std::vector<float>{0.3F});
    auto currents = uploaded(backend, std::vector<float>(rows * targets, not_a_number));
    backend.delivery().run(Deliver{.spikes = spikes.view(),
                                   .weights = outgoing.matrix(neurons, targets),
                                   .height = height.view(),
                                   .dt = 0.05F,
                                   .form = DeliveryForm::events,
                                   .crossover = 0.5F,
                                   .currents = currents.matrix(rows, targets)});
    return Outcome{{"currents", about(downloaded(backend, currents), 2e-6)}};
  });
}

}  // namespace orthospike::testing
