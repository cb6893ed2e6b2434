#include <span>
#include <stdexcept>
#include <vector>

#include "kernels/delivery.hpp"
#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "tests/conformance/backends.hpp"

namespace orthospike::testing {

TEST_CASE("new memory is zero", "[conformance][memory]") {
  on_each_backend([](Backend& backend) {
    CHECK(downloaded(backend, backend.allocate<float>(131)) == std::vector<float>(131, 0.0F));
    CHECK(downloaded(backend, backend.allocate<std::uint64_t>(3)) == std::vector<std::uint64_t>(3, 0));
    constexpr std::size_t many = (1U << 20U) + 3;  // after others of the size, which were not zero
    for (int i = 0; i < 3; ++i) {
      Array<float> values = backend.allocate<float>(many);
      CHECK(downloaded(backend, values) == std::vector<float>(many, 0.0F));
      backend.upload(std::span<const float>(std::vector<float>(many, 1.0F)), values.view());
    }
  });
}

TEST_CASE("what was uploaded is downloaded", "[conformance][memory]") {
  on_each_backend([](Backend& backend) {
    const std::vector<float> values = random_values(131, 1);
    const std::vector<std::uint8_t> bytes = {0, 1, 127, 128, 255};
    const std::vector<std::uint64_t> numbers = {0, ~std::uint64_t{0}, 1};
    CHECK(downloaded(backend, uploaded(backend, values)) == values);
    CHECK(downloaded(backend, uploaded(backend, bytes)) == bytes);
    CHECK(downloaded(backend, uploaded(backend, numbers)) == numbers);
  });
}

TEST_CASE("copy and clear change the part they are given", "[conformance][memory]") {
  on_each_backend([](Backend& backend) {
    const auto source = uploaded(backend, std::vector<float>{1, 2, 3, 4, 5});
    auto target = uploaded(backend, std::vector<float>(6, 7.0F));
    backend.copy(source.view().subview(2, 3), target.view().subview(1, 3));
    CHECK(downloaded(backend, target) == std::vector<float>{7, 3, 4, 5, 7, 7});
    backend.clear(target.view().subview(3, 2));
    CHECK(downloaded(backend, target) == std::vector<float>{7, 3, 4, 0, 0, 7});
  });
}

TEST_CASE("memory of no elements can be used", "[conformance][memory]") {
  on_each_backend([](Backend& backend) {
    auto nothing = uploaded(backend, std::vector<float>());
    const auto empty = uploaded(backend, std::vector<float>());
    backend.copy(empty.view(), nothing.view());
    backend.clear(nothing.view());
    CHECK(downloaded(backend, nothing).empty());
  });
}

TEST_CASE("repeated work is done each time it is asked for", "[conformance][memory]") {
  on_each_backend([](Backend& backend) {
    auto spikes = uploaded_spikes(backend, {{0, 2}, {1}}, 3);
    const auto weights = uploaded(backend, std::vector<float>{1, 2, 3, 4, 5, 6});
    const auto one = uploaded(backend, std::vector<float>{1});
    Array<float> currents = backend.allocate<float>(4), sum = backend.allocate<float>(4);
    int calls = 0;
    const auto repeated = backend.make_repeated_work();
    const auto work = [&] {
      ++calls;
      backend.delivery().run(Deliver{.spikes = spikes.view(),
                                     .weights = weights.matrix(3, 2),
                                     .height = one.view(),
                                     .form = DeliveryForm::dense,
                                     .crossover = 0.5F,
                                     .currents = currents.matrix(2, 2)});
      backend.elementwise().run(Add{.x = currents.view(), .y = sum.view()});
      backend.dense().run(
          Multiply{.a = weights.matrix(2, 3), .b = weights.matrix(3, 2), .c = currents.matrix(2, 2)});
    };
    const double before = backend.multiply_adds();
    for (int i = 0; i < 5; ++i) backend.repeat(*repeated, work);
    CHECK(downloaded(backend, sum) == std::vector<float>{30, 40, 15, 20});
    CHECK(backend.multiply_adds() == before + 5 * 12);
    if (backend.name() == "cuda") CHECK(calls == 2);

    // Memory for intermediate results moves when more is needed than ever before.
    const auto large = uploaded(backend, random_values(200 * 300, 1));
    auto many = uploaded_spikes(backend, random_events(200, 300, 0.1, 1), 300);
    Array<float> more = backend.allocate<float>(200 * 200);
    backend.delivery().run(Deliver{.spikes = many.view(),
                                   .weights = large.matrix(300, 200),
                                   .height = one.view(),
                                   .form = DeliveryForm::dense,
                                   .crossover = 0.5F,
                                   .currents = more.matrix(200, 200)});
    for (int i = 0; i < 3; ++i) backend.repeat(*repeated, work);
    CHECK(downloaded(backend, sum) == std::vector<float>{48, 64, 24, 32});

    // What the work throws comes through, and the next time is as the first.
    const auto failing = backend.make_repeated_work();
    bool fails = false;
    const auto perhaps = [&] {
      backend.elementwise().run(Add{.x = currents.view(), .beta = 0.0F, .y = sum.view()});
      if (fails) throw std::runtime_error("no");
    };
    backend.repeat(*failing, perhaps);
    fails = true;
    CHECK_THROWS_WITH(backend.repeat(*failing, perhaps), "no");
    fails = false;
    backend.clear(sum.view());
    backend.repeat(*failing, perhaps);
    CHECK(downloaded(backend, sum) == downloaded(backend, currents));
  });
}

}  // namespace orthospike::testing
