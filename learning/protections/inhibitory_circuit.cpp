#include "learning/protections/inhibitory_circuit.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/dense.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/lateral.hpp"
#include "learning/protections/symmetric.hpp"

namespace orthospike {

void CircuitSettings::describe(SettingsVisitor& visit, const std::string& section) {
  visit(
      section + ".learning_rate", learning_rate, fraction, "1/batch",
      "Rate of the circuit's lateral weights once a task has had more than 1/rate batches; before, and with 0 "
      "always, they are the mean over the batches.");
  visit(section + ".lateral_neurons", neurons,
        {{"linear", Neurons::linear, ""}, {"spiking", Neurons::spiking, ""}},
        "How neurons of the circuit inhibit each other");
  visit.only(!is_spiking(), section + ".lateral_neurons linear", [&] {
    visit(section + ".tolerance", tolerance, positive_fraction, "-",
          "Largest relative error that settling leaves along each eigenvector.");
  });
  visit.only(is_spiking(), section + ".lateral_neurons spiking", [&] {
    visit(section + ".spike_height", spike_height, positive, "-", "Activity that one spike stands for.");
    visit(
        section + ".sweeps", sweeps, {.lowest = 1, .highest = 100000}, "-",
        "How often each neuron may fire a burst while a trace settles; it ends earlier when all are silent.");
  });
}

InhibitoryCircuit::InhibitoryCircuit(Backend& backend, const CircuitSettings& settings, double lambda,
                                     std::string projection, std::size_t neurons, Communicator& ranks,
                                     Rows rows)
    : backend_(backend),
      settings_(settings),
      lambda_(lambda),
      projection_(std::move(projection)),
      n_(neurons),
      ranks_(ranks),
      rows_(rows),
      old_weights_(backend.allocate<float>(n_ * n_)),
      new_weights_(backend.allocate<float>(n_ * n_)),
      height_(settings.spike_height) {}

void InhibitoryCircuit::learn(const Presynaptic& rows) {
  const float rate = std::max(settings_.learning_rate, 1.0F / static_cast<float>(++batches_));
  const auto count = static_cast<float>(std::max<std::size_t>(1, rows.all_rows()));
  add_outer_products(backend_, rate / (static_cast<float>(lambda_) * count), rows, rows, 1.0F - rate,
                     new_weights_.matrix(n_, n_));
}

void InhibitoryCircuit::end_task() {
  if (batches_ == 0) return;
  ranks_.sum(backend_, new_weights_.view());
  const auto host = [&](const Array<float>& weights) {
    const std::vector<float> values = backend_.download(weights.view());
    return std::vector<double>(values.begin(), values.end());
  };
  const double sum = trace(host(new_weights_), n_);
  if (sum != 0) {  // else the source is silent
    ++tasks_;
    const double share = rows_ == Rows::errors ? 1.0 / static_cast<double>(tasks_) : 1.0;
    const double scale = share * static_cast<double>(n_) / lambda_ / sum;
    backend_.elementwise().run(Add{.alpha = static_cast<float>(scale),
                                   .x = std::as_const(new_weights_).view(),
                                   .beta = rows_ == Rows::errors ? static_cast<float>(1 - share) : 1.0F,
                                   .y = old_weights_.view()});
    if (rows_ == Rows::errors) {
      height_ =
          settings_.spike_height * static_cast<float>(std::sqrt(sum * lambda_ / static_cast<double>(n_)));
    }
  }
  backend_.clear(new_weights_.view());
  const std::vector<double> spectrum = eigenvalues(projection_, host(old_weights_), n_);
  effective_rank_ = 0;
  for (const double value : spectrum) effective_rank_ += value / (1 + value);
  bound_ = 1 + 1.001 * spectrum.front();  // a margin for rounding
  const double root = std::sqrt(bound_);
  const double wanted = std::log(2 / settings_.tolerance) / std::log((root + 1) / (root - 1));
  steps_ = std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(wanted)));
}

void InhibitoryCircuit::state(Archive& archive) {
  archive("old_weights", old_weights_);
  archive.summed("new_weights", new_weights_);
  archive("batches", batches_);
  archive("tasks", tasks_);
  archive("bound", bound_);
  archive("height", height_);
  archive("steps", steps_);
  archive("effective_rank", effective_rank_);
}

Matrix InhibitoryCircuit::settle(ConstMatrix x, bool neurons_are_rows) {
  const std::size_t size = x.values.size();
  if (activity_.size() < size) {
    for (Array<float>* array : {&activity_, &drive_, &change_}) *array = backend_.allocate<float>(size);
  }
  const ConstMatrix inhibition = std::as_const(old_weights_).matrix(n_, n_);
  const Matrix z = activity_.matrix(x.rows, x.cols);
  const Matrix r = drive_.matrix(x.rows, x.cols);
  const Matrix d = change_.matrix(x.rows, x.cols);
  backend_.clear(z.values);
  backend_.clear(d.values);
  const double centre = (bound_ + 1) / 2, radius = (bound_ - 1) / 2;
  double previous = 0;
  for (std::size_t k = 0; k < steps_; ++k) {
    if (neurons_are_rows) {
      backend_.dense().run(
          Multiply{.alpha = -1.0F, .a = inhibition, .b = z, .beta = 1.0F, .addend = x, .c = r});
    } else {
      backend_.dense().run(
          Multiply{.alpha = -1.0F, .a = z, .b = inhibition, .beta = 1.0F, .addend = x, .c = r});
    }
    backend_.elementwise().run(Add{.alpha = -1.0F, .x = z.values, .y = r.values});
    // a_0 = 1 / centre; then with ρ_k = 1 / (2 centre / radius - ρ_{k-1}), ρ_0 = radius / centre:
    // b_k = ρ_k ρ_{k-1}, a_k = 2 ρ_k / radius.
    const double rho = k == 0 ? radius / centre : radius / (2 * centre - radius * previous);
    const double gain = k == 0 ? 1 / centre : 2 / (2 * centre - radius * previous);
    backend_.elementwise().run(Add{.alpha = static_cast<float>(gain),
                                   .x = r.values,
                                   .beta = static_cast<float>(rho * previous),
                                   .y = d.values});
    backend_.elementwise().run(Add{.x = d.values, .y = z.values});
    previous = rho;
  }
  return z;
}

Matrix InhibitoryCircuit::settle_by_spikes(ConstMatrix x) {
  const std::size_t size = x.values.size();
  if (activity_.size() < size) {
    for (Array<float>* array : {&activity_, &drive_}) *array = backend_.allocate<float>(size);
  }
  const Matrix z = activity_.matrix(x.rows, x.cols);
  const Matrix potential = drive_.matrix(x.rows, x.cols);
  backend_.copy(x.values, potential.values);
  backend_.lateral().run(SettleBySpikes{.height = height_,
                                        .sweeps = settings_.sweeps,
                                        .inhibition = std::as_const(old_weights_).matrix(n_, n_),
                                        .potential = potential,
                                        .activity = z});
  return z;
}

ConstMatrix InhibitoryCircuit::apply_to_traces(const Presynaptic& traces) {
  return settings_.is_spiking() ? settle_by_spikes(traces) : settle(traces, false);
}

void InhibitoryCircuit::apply_to_gradient(Matrix gradient) {
  backend_.copy(View<const float>(settle(gradient, true).values), gradient.values);
}

}  // namespace orthospike
