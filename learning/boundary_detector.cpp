#include "learning/boundary_detector.hpp"

#include <cmath>

#include "kernels/dense.hpp"
#include "kernels/random_numbers.hpp"
#include "learning/protections/symmetric.hpp"

namespace orthospike {

void BoundarySettings::describe(SettingsVisitor& visit) {
  visit("boundaries.neurons", neurons, {.lowest = 1, .highest = 4096}, "neurons",
        "Random directions of the input through which hidden boundaries are detected.");
  visit(
      "boundaries.lambda", lambda, positive, "-",
      "Energy of a direction in the task so far at which half of what a batch has along it is residual; the mean "
      "direction has energy 1.");
  visit("boundaries.smoothing", smoothing, {.lowest = 1, .highest = 100000}, "updates",
        "Time constant of the fast average of the residual: the longer, the slower changes it finds.");
  visit("boundaries.threshold", threshold, positive, "-",
        "Standard deviations of that average by which it must exceed what the task had so far.");
  visit("boundaries.distance", distance, at_least(4), "updates",
        "Fewest updates between two detected boundaries.");
}

BoundaryDetector::BoundaryDetector(Backend& backend, std::size_t inputs, std::size_t max_rows,
                                   std::uint64_t seed, const BoundarySettings& settings, Communicator& ranks)
    : backend_(backend),
      settings_(settings),
      ranks_(ranks),
      directions_(backend.allocate<float>(inputs * settings.neurons)),
      responses_(backend.allocate<float>(max_rows * settings.neurons)),
      moment_(backend.allocate<float>(settings.neurons * settings.neurons)) {
  backend_.random_numbers().run(
      FillNormal{.values = directions_.view(), .key = {seed, RandomPurpose::boundary_detector, 0}});
  start_afresh();
}

void BoundaryDetector::start_afresh() {
  used_.assign(settings_.neurons * settings_.neurons, 0.0);
  mean_ = squares_ = fast_ = 0;
  batches_ = residuals_ = 0;
}

void BoundaryDetector::state(Archive& archive) {
  archive("used", used_);
  archive("mean", mean_);
  archive("squares", squares_);
  archive("fast", fast_);
  archive("batches", batches_);
  archive("residuals", residuals_);
}

std::vector<double> BoundaryDetector::moment_of(ConstMatrix activity) {
  const std::size_t k = settings_.neurons;
  const Matrix y = responses_.matrix(activity.rows, k);
  backend_.dense().run(
      Multiply{.a = activity, .b = std::as_const(directions_).matrix(activity.cols, k), .c = y});
  backend_.dense().run(Multiply{.a = y, .transpose_a = true, .b = y, .c = moment_.matrix(k, k)});
  ranks_.sum(backend_, moment_.view());
  const std::vector<float> sum = backend_.download(View<const float>(moment_.view()));
  std::vector<double> moment(sum.begin(), sum.end());
  const double energy = trace(moment, k);
  if (energy == 0) return {};
  for (double& value : moment) value *= static_cast<double>(k) / energy;
  return moment;
}

bool BoundaryDetector::begins_with(const Presynaptic& activity) {
  const std::vector<double> moment = moment_of(activity);
  if (moment.empty()) return false;
  bool begins = false;
  if (batches_ > 0) {
    const std::vector<double> left =
        damped_inverse("the boundary detector", used_, settings_.lambda, settings_.neurons);
    double residual = 0;
    for (std::size_t i = 0; i < left.size(); ++i) residual += left[i] * moment[i];
    residual /= static_cast<double>(settings_.neurons);
    const auto rows = static_cast<double>(activity.all_rows());
    if (batches_ >= settings_.distance && squares_ > 0) {
      const double deviation = std::sqrt(squares_ / static_cast<double>(residuals_));
      const auto smoothing = static_cast<double>(settings_.smoothing);
      fast_ += (std::sqrt(rows) * (residual - mean_) / deviation - fast_) / smoothing;
      begins = fast_ * std::sqrt(2 * smoothing - 1) > settings_.threshold;
    }
    if (begins) {
      start_afresh();
    } else if (2 * batches_ >= settings_.distance) {
      const double difference = residual - mean_;
      mean_ += difference / static_cast<double>(++residuals_);
      squares_ += rows * difference * (residual - mean_);
    }
  }
  ++batches_;
  for (std::size_t i = 0; i < moment.size(); ++i)
    used_[i] += (moment[i] - used_[i]) / static_cast<double>(batches_);
  return begins;
}

}  // namespace orthospike
