#include "learning/monitor.hpp"

#include <cmath>
#include <limits>
#include <numeric>

#include "learning/subspaces/quality.hpp"

namespace orthospike {

namespace {

double norm(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

}  // namespace

Monitor::Monitor(Trainer& trainer, std::size_t samples, std::size_t tasks)
    : trainer_(trainer), backend_(trainer.network().backend()), samples_(samples) {
  for (const Projection& projection : trainer.network().projections()) {
    watched_.push_back(
        {.activity = backend_.allocate<float>(tasks * samples * projection.fan_in),
         .weights_before = backend_.allocate<float>(samples == 0 ? 0 : projection.weights.size())});
  }
  std::vector<std::uint32_t> numbers(samples);
  std::iota(numbers.begin(), numbers.end(), 0U);
  numbers_ = backend_.allocate<std::uint32_t>(samples);
  backend_.upload(std::span<const std::uint32_t>(numbers), numbers_.view());
}

void Monitor::begin_task() {
  if (samples_ == 0) return;
  for (std::size_t p = 0; p < watched_.size(); ++p) {
    const Projection& projection = std::as_const(trainer_.network()).projections()[p];
    backend_.copy(projection.weights.view(), watched_[p].weights_before.view());
  }
}

double Monitor::leak(std::size_t p) {
  const Projection& projection = std::as_const(trainer_.network()).projections()[p];
  Watched& watched = watched_[p];
  const View<float> change = watched.weights_before.view();
  backend_.add(1.0F, projection.weights.view(), -1.0F, change);
  Array<float> currents = backend_.allocate<float>(kept_ * projection.fan_out);
  const ConstMatrix old = watched.activity.matrix(kept_, projection.fan_in);
  backend_.multiply(1.0F, old, Transpose::no, {change, projection.fan_in, projection.fan_out}, Transpose::no,
                    0.0F, currents.matrix(kept_, projection.fan_out));
  return norm(backend_.download(View<const float>(currents.view()))) /
         (norm(backend_.download(View<const float>(change))) * norm(backend_.download(old.values)));
}

void Monitor::keep_activity(const StoredImages& images, View<const std::uint32_t> pixel_order) {
  const std::size_t wanted = std::min(samples_, images.count);
  const std::size_t most = trainer_.batch_size();
  for (std::size_t first = 0; first < wanted; first += most) {
    const std::size_t batch = std::min(most, wanted - first);
    trainer_.run_batch(images, numbers_.view().subview(first, batch), pixel_order);
    for (std::size_t p = 0; p < watched_.size(); ++p) {
      const Projection& projection = trainer_.network().projections()[p];
      const ConstMatrix output = trainer_.engine().activity(projection.source).average_output;
      backend_.copy(output.values, watched_[p].activity.view().subview((kept_ + first) * projection.fan_in,
                                                                       output.values.size()));
    }
  }
  kept_ += wanted;
}

double Monitor::energy_taken(std::size_t p) {
  PresynapticOperator* const protect = trainer_.protection().presynaptic_operator(p);
  if (protect == nullptr) return std::numeric_limits<double>::quiet_NaN();
  const ConstMatrix x = watched_[p].activity.matrix(kept_, trainer_.network().projections()[p].fan_in);
  Array<float> energies = backend_.allocate<float>(2);  // x·x and x·P(x)
  const auto add_product = [&](ConstMatrix a, ConstMatrix b, std::size_t sum) {
    backend_.multiply(1.0F, {a.values, 1, a.values.size()}, Transpose::no, {b.values, 1, b.values.size()},
                      Transpose::yes, 1.0F, {energies.view().subview(sum, 1), 1, 1});
  };
  for (std::size_t first = 0; first < kept_; first += trainer_.batch_size()) {
    const ConstMatrix batch = x.row_range(first, std::min(trainer_.batch_size(), kept_ - first));
    add_product(batch, batch, 0);
    add_product(batch, protect->apply_to_traces(batch), 1);
  }
  const std::vector<float> sums = backend_.download(View<const float>(energies.view()));
  return 1 - static_cast<double>(sums[1]) / sums[0];
}

std::vector<ProjectionReport> Monitor::end_task(const StoredImages& images,
                                                View<const std::uint32_t> pixel_order) {
  const PhaseTimer timer(trainer_.seconds(), Phase::measure);
  const double undefined = std::numeric_limits<double>::quiet_NaN();
  std::vector<ProjectionReport> reports(watched_.size());
  for (std::size_t p = 0; p < reports.size(); ++p) {
    const bool has_old = kept_ > 0;
    reports[p].leak = has_old ? leak(p) : undefined;
    reports[p].effective_rank = trainer_.protection().effective_rank(p);
    reports[p].memory = static_cast<double>(trainer_.protection().memory(p));
  }
  if (samples_ > 0) keep_activity(images, pixel_order);

  for (std::size_t p = 0; p < reports.size(); ++p) {
    const Subspace* subspace = trainer_.protection().subspace(p);
    ProjectionReport& report = reports[p];
    report.orthonormality_error = report.largest_eigenvalue = report.explained_energy = report.mean_angle =
        report.largest_angle = undefined;
    if (subspace != nullptr) report.rank = subspace->rank();
    if (samples_ == 0) continue;
    if (subspace == nullptr) {
      report.explained_energy = energy_taken(p);
      continue;
    }

    const std::size_t n = subspace->presynaptic_size();
    const ConstMatrix x = watched_[p].activity.matrix(kept_, n);
    Array<float> second_moment = backend_.allocate<float>(n * n);
    backend_.multiply(1.0F, x, Transpose::yes, x, Transpose::no, 0.0F, second_moment.matrix(n, n));
    const SubspaceQuality quality =
        measure_subspace(backend_.download(subspace->rows().values), report.rank,
                         backend_.download(View<const float>(second_moment.view())), n);
    report.orthonormality_error = quality.orthonormality_error;
    report.largest_eigenvalue = quality.largest_eigenvalue;
    report.explained_energy = quality.explained_energy;
    report.mean_angle = quality.mean_angle;
    report.largest_angle = quality.largest_angle;
  }
  return reports;
}

}  // namespace orthospike
