#include "learning/federated_average.hpp"

#include <fmt/format.h>

#include <utility>

#include "kernels/elementwise.hpp"

namespace orthospike {

FederatedAverage::FederatedAverage(Backend& backend, std::vector<View<float>> values)
    : backend_(backend), values_(std::move(values)) {
  for (const View<float>& value : values_) {
    start_.push_back(backend.allocate<float>(value.size()));
    changes_.push_back(backend.allocate<float>(value.size()));
  }
}

void FederatedAverage::begin_client() {
  for (std::size_t i = 0; i < values_.size(); ++i)
    backend_.copy(View<const float>(values_[i]), start_[i].view());
}

void FederatedAverage::end_client(float share) {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const View<const float> start = std::as_const(start_[i]).view();
    backend_.elementwise().run(Add{.alpha = -1.0F, .x = start, .y = values_[i]});
    backend_.elementwise().run(Add{.alpha = share, .x = values_[i], .y = changes_[i].view()});
  }
  leave_client();
}

void FederatedAverage::leave_client() {
  for (std::size_t i = 0; i < values_.size(); ++i) backend_.copy(std::as_const(start_[i]).view(), values_[i]);
}

void FederatedAverage::end_round(Communicator& ranks,
                                 const std::function<void(std::size_t, View<float>)>& protect) {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const View<float> change = changes_[i].view();
    ranks.sum(backend_, change);
    protect(i, change);
    backend_.elementwise().run(Add{.x = change, .y = values_[i]});
    backend_.clear(change);
  }
}

void FederatedAverage::state(Archive& archive) {
  for (std::size_t i = 0; i < changes_.size(); ++i) archive.summed(fmt::format("change{}", i), changes_[i]);
}

}  // namespace orthospike
