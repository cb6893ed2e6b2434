#include "learning/monitor.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "learning/subspaces/quality.hpp"

namespace orthospike {

namespace {

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

double trace(const std::vector<float>& matrix, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += matrix[i * n + i];
  return sum;
}

}  // namespace

const std::vector<Measure<ProjectionReport>>& projection_measures() {
  using R = ProjectionReport;
  static const std::vector<Measure<R>> measures = {
      {"rank", &R::rank, "", "subspace neurons after each task", {"rank", 5, "{:.0f}"}},
      {"orthonormality_error",
       &R::orthonormality_error,
       "",
       "Frobenius norm of H Hᵀ - I",
       {"‖HHᵀ-I‖", 9, "{:.4f}"}},
      {"largest_eigenvalue",
       &R::largest_eigenvalue,
       "",
       "of H Hᵀ: 1 when the rows are orthonormal, above 2 X - X Hᵀ H amplifies",
       {},
       false},
      {"explained_energy",
       &R::explained_energy,
       "",
       "‖X Hᵀ H‖² / ‖X‖², X: kept samples of presynaptic activity of all tasks so far",
       {"explained %", 12, "{:.2f}", 100}},
      {"mean_angle",
       &R::mean_angle,
       "degree",
       "mean principal angle between the rows of H and as many leading eigenvectors of Xᵀ X",
       {"mean angle", 11, "{:.2f}"}},
      {"largest_angle",
       &R::largest_angle,
       "degree",
       "largest principal angle between the rows of H and as many leading eigenvectors of Xᵀ X",
       {"max angle", 11, "{:.2f}"}},
      {"leak",
       &R::leak,
       "",
       "‖ΔW x_old‖ / (‖ΔW‖ ‖x_old‖), ΔW: the task's whole change before replay, x_old: kept activity of earlier tasks",
       {"leak", 8, "{:.4f}"}},
      {"effective_rank",
       &R::effective_rank,
       "",
       "directions that the protection takes from later changes, each counted by the part that is taken",
       {"eff. rank", 10, "{:.1f}"},
       false},
      {"memory",
       &R::memory,
       "byte",
       "what the protection keeps of finished tasks, without buffers",
       {"MB", 9, "{:.3f}", 1e-6},
       false}};
  return measures;
}

Monitor::Monitor(Trainer& trainer, std::size_t samples, std::size_t tasks)
    : trainer_(trainer), backend_(trainer.network().backend()), samples_(samples), tasks_(tasks) {
  for (std::size_t p = 0; p < trainer.shared_projections().size(); ++p) {
    const Projection& projection = trainer.shared_projections()[p];
    const bool by_samples = !trainer.protects_linearly() && trainer.protection().subspace(p) == nullptr;
    const std::size_t n = projection.presynaptic(), rows = tasks * samples * projection.connection->places();
    watched_.push_back({.moment = backend_.allocate<float>(samples == 0 ? 0 : n * n),
                        .activity = backend_.allocate<float>(by_samples ? rows * n : 0),
                        .weights_before = backend_.allocate<float>(
                            samples == 0 || tasks == 1 ? 0 : projection.weights.size())});
  }
}

void Monitor::begin_task() {
  if (kept_ == 0) return;  // nothing that changes of weights could disturb
  for (std::size_t p = 0; p < watched_.size(); ++p) {
    const Projection& projection = std::as_const(trainer_.network()).projections()[p];
    backend_.copy(projection.weights.view(), watched_[p].weights_before.view());
  }
}

void Monitor::state(Archive& archive) {
  archive("ended", ended_);
  archive("kept", kept_);
  for (std::size_t p = 0; p < watched_.size(); ++p) {
    auto& [moment, activity, weights_before] = watched_[p];
    const std::string name = trainer_.network().projections()[p].name;
    archive(name + "_moment", moment);
    archive(name + "_weights_before", weights_before);
    if (activity.size() == 0) continue;
    const std::size_t size = kept_rows(p) * trainer_.network().projections()[p].presynaptic();
    archive.check(size <= activity.size(), "fewer samples were expected");
    archive(name + "_activity", activity.view().subview(0, size));
  }
}

std::size_t Monitor::kept_rows(std::size_t p) const {
  return kept_ * trainer_.network().projections()[p].connection->places();
}

ConstMatrix Monitor::moment(std::size_t p) const {
  const std::size_t n = trainer_.network().projections()[p].presynaptic();
  return watched_[p].moment.matrix(n, n);
}

double Monitor::energy(std::size_t p) {
  const ConstMatrix c = moment(p);
  return trace(backend_.download(c.values), c.rows);
}

double Monitor::leak(std::size_t p) {
  const Projection& projection = std::as_const(trainer_.network()).projections()[p];
  const Matrix change = watched_[p].weights_before.matrix(projection.presynaptic(), projection.outputs());
  backend_.elementwise().run(Add{.x = projection.weights.view(), .beta = -1.0F, .y = change.values});
  Array<float> product = backend_.allocate<float>(change.values.size());
  backend_.dense().run(Multiply{.a = moment(p), .b = change, .c = product.matrix(change.rows, change.cols)});
  const std::vector<float> changes = backend_.download(View<const float>(change.values));
  const double disturbed = dot(changes, backend_.download(View<const float>(product.view())));
  const double largest = dot(changes, changes) * energy(p);
  return largest == 0 ? undefined : std::sqrt(std::max(disturbed, 0.0) / largest);  // rounding
}

bool Monitor::samples_matter() {
  if (samples_ == 0) return false;
  if (ended_ < tasks_) return true;
  for (std::size_t p = 0; p < watched_.size(); ++p) {
    Protection& protection = trainer_.protection();
    if (protection.subspace(p) != nullptr || protection.presynaptic_operator(p) != nullptr) return true;
  }
  return false;
}

void Monitor::add_activity(const ShownImages& images, View<const std::uint32_t> samples) {
  const std::size_t wanted = std::min(samples_, samples.size());
  const std::size_t most = trainer_.run_size();
  for (std::size_t first = 0; first < wanted; first += most) {
    const std::size_t batch = std::min(most, wanted - first);
    trainer_.run_batch(images, samples.subview(first, batch));
    for (std::size_t p = 0; p < watched_.size(); ++p) {
      const Projection& projection = trainer_.network().projections()[p];
      const ConstMatrix x =
          projection.connection->rows(backend_, trainer_.engine().activity(projection.source).average_output);
      backend_.dense().run(Multiply{
          .a = x, .transpose_a = true, .b = x, .beta = 1.0F, .c = watched_[p].moment.matrix(x.cols, x.cols)});
      if (watched_[p].activity.size() == 0) continue;
      backend_.copy(x.values,
                    watched_[p].activity.view().subview(
                        (kept_ + first) * projection.connection->places() * x.cols, x.values.size()));
    }
  }
  kept_ += wanted;
}

double Monitor::energy_taken(std::size_t p) {
  PresynapticOperator* const protect = trainer_.protection().presynaptic_operator(p);
  if (protect == nullptr) return undefined;
  const ConstMatrix c = moment(p);
  double left = 0;
  if (LinearOperator* const linear = protect->linear(); linear != nullptr) {
    Array<float> weakened = backend_.allocate<float>(c.values.size());
    backend_.copy(c.values, weakened.view());
    linear->apply_to_gradient(weakened.matrix(c.rows, c.cols));
    left = trace(backend_.download(View<const float>(weakened.view())), c.rows);
  } else {
    left = energy_left(*protect, std::as_const(watched_[p].activity).matrix(kept_rows(p), c.rows));
  }
  return 1 - left / energy(p);
}

double Monitor::energy_left(PresynapticOperator& protect, ConstMatrix x) {
  Array<float> sum = backend_.allocate<float>(1);
  for (std::size_t first = 0; first < x.rows; first += trainer_.run_size()) {
    const ConstMatrix batch = x.row_range(first, std::min(trainer_.run_size(), x.rows - first));
    const ConstMatrix left = protect.apply_to_traces(batch);
    backend_.dense().run(Multiply{.a = {batch.values, 1, batch.values.size()},
                                  .b = {left.values, 1, left.values.size()},
                                  .transpose_b = true,
                                  .beta = 1.0F,
                                  .c = sum.matrix(1, 1)});
  }
  return backend_.download(View<const float>(sum.view()))[0];
}

std::vector<ProjectionReport> Monitor::end_task(const ShownImages& images,
                                                View<const std::uint32_t> samples) {
  const PhaseTimer timer(trainer_.seconds(), Phase::measure);
  ++ended_;
  constexpr ProjectionReport unmeasured{.orthonormality_error = undefined,
                                        .largest_eigenvalue = undefined,
                                        .explained_energy = undefined,
                                        .mean_angle = undefined,
                                        .largest_angle = undefined,
                                        .leak = undefined};
  std::vector<ProjectionReport> reports(trainer_.network().projections().size(), unmeasured);
  for (std::size_t p = 0; p < watched_.size(); ++p) {
    if (kept_ > 0) reports[p].leak = leak(p);
    reports[p].effective_rank = trainer_.protection().effective_rank(p);
    reports[p].memory = static_cast<double>(trainer_.protection().memory(p));
  }
  if (samples_matter()) add_activity(images, samples);

  for (std::size_t p = 0; p < watched_.size(); ++p) {
    const Subspace* subspace = trainer_.protection().subspace(p);
    ProjectionReport& report = reports[p];
    if (subspace != nullptr) report.rank = static_cast<std::uint32_t>(subspace->rank());
    if (samples_ == 0) continue;
    if (subspace == nullptr) {
      report.explained_energy = energy_taken(p);
      continue;
    }
    const ConstMatrix c = moment(p);
    const SubspaceQuality quality =
        measure_subspace(trainer_.network().projections()[p].name, backend_.download(subspace->rows().values),
                         report.rank, backend_.download(c.values), c.rows);
    report.orthonormality_error = quality.orthonormality_error;
    report.largest_eigenvalue = quality.largest_eigenvalue;
    report.explained_energy = quality.explained_energy;
    report.mean_angle = quality.mean_angle;
    report.largest_angle = quality.largest_angle;
  }
  return reports;
}

}  // namespace orthospike
