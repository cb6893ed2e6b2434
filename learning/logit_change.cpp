#include "learning/logit_change.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace orthospike {

void LogitChange::begin_task(const std::vector<StoredTasks::TestSamples>& earlier) {
  const PhaseTimer timer(trainer_.seconds(), Phase::measure);
  before_ = logits(earlier);
}

double LogitChange::end_task(const std::vector<StoredTasks::TestSamples>& earlier) {
  const PhaseTimer timer(trainer_.seconds(), Phase::measure);
  if (before_.empty()) return std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> after = logits(earlier);
  double change = 0, size = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    change += (after[i] - before_[i]) * (after[i] - before_[i]);
    size += before_[i] * before_[i];
  }
  return std::sqrt(change / size);
}

std::vector<double> LogitChange::logits(const std::vector<StoredTasks::TestSamples>& earlier) {
  Backend& backend = trainer_.network().backend();
  std::vector<double> all;
  for (const auto& [images, samples, targets] : earlier) {
    if (samples_ == 0) continue;
    const std::size_t count = std::min(std::max<std::size_t>(1, samples_ / earlier.size()), samples.size());
    for (std::size_t first = 0; first < count; first += trainer_.run_size()) {
      const std::size_t batch = std::min(trainer_.run_size(), count - first);
      trainer_.run_batch(images, samples.subview(first, batch));
      const ConstMatrix z = trainer_.engine().logits();
      const std::vector<float> values = backend.download(z.values);
      const std::vector<Target> sought = backend.download(targets.subview(first, batch));
      for (std::size_t row = 0; row < batch; ++row) {
        const std::size_t width = sought[row].last - sought[row].first + std::size_t{1};
        const float* head = values.data() + row * z.cols + sought[row].first;
        const double mean = std::accumulate(head, head + width, 0.0) / static_cast<double>(width);
        std::transform(head, head + width, std::back_inserter(all),
                       [&](float logit) { return logit - mean; });
      }
    }
  }
  return all;
}

}  // namespace orthospike
