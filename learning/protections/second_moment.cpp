#include "learning/protections/second_moment.hpp"

#include <utility>

#include "kernels/dense.hpp"
#include "learning/protections/symmetric.hpp"

namespace orthospike {

SecondMoment::SecondMoment(Backend& backend, std::string projection, std::size_t n, Communicator& ranks)
    : backend_(backend),
      projection_(std::move(projection)),
      n_(n),
      ranks_(ranks),
      of_task_(backend.allocate<float>(n * n)),
      sum_(n * n) {}

void SecondMoment::add(const Presynaptic& rows) {
  const Matrix sum = of_task_.matrix(n_, n_);
  if (rows.has_events() && rows.rows > 0) {
    add_outer_products(backend_, 1.0F, rows, rows, 1.0F, sum);
  } else {
    backend_.dense().run(AddMoment{.x = rows, .beta = 1.0F, .sum = sum});
  }
}

void SecondMoment::state(Archive& archive) {
  archive.summed("of_task", of_task_);
  archive("sum", sum_);
  archive("tasks", tasks_);
}

void SecondMoment::end_task() {
  std::vector<float> values = backend_.download(View<const float>(of_task_.view()));
  ranks_.sum(std::span(values));
  backend_.clear(of_task_.view());
  const std::vector<double> latest(values.begin(), values.end());
  const double energy = trace(latest, n_);
  require_finite({energy}, projection_);
  if (energy == 0) return;
  ++tasks_;
  for (std::size_t i = 0; i < latest.size(); ++i) sum_[i] += latest[i] * static_cast<double>(n_) / energy;
}

}  // namespace orthospike
