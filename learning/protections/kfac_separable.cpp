#include "learning/protections/kfac_separable.hpp"

#include <algorithm>

namespace orthospike {

class KfacSeparable::ExactSide final : public Side {
 public:
  ExactSide(Backend& backend, const std::string& projection, std::size_t size, double lambda,
            Communicator& ranks, InhibitoryCircuit::Rows rows)
      : lambda_(lambda),
        rows_(rows),
        moment_(backend, projection, size, ranks),
        damp_(backend, projection, size) {}

  void begin_task() override {}
  void observe(const Presynaptic& rows) override { moment_.add(rows); }
  void end_task() override {
    moment_.end_task();
    if (moment_.tasks() == 0) return;
    const bool mean = rows_ == InhibitoryCircuit::Rows::errors;
    damp_.set(moment_.sum(), mean ? lambda_ * static_cast<double>(moment_.tasks()) : lambda_);
  }
  void state(Archive& archive) override {
    archive("moment", moment_);
    archive("damp", damp_);
  }
  PresynapticOperator& on_rows() override { return damp_; }
  double effective_rank() const override { return damp_.effective_rank(); }
  std::size_t memory() const override { return moment_.memory(); }

 private:
  double lambda_;
  InhibitoryCircuit::Rows rows_;
  SecondMoment moment_;
  DampingOperator damp_;
};

class KfacSeparable::CircuitSide final : public Side {
 public:
  CircuitSide(Backend& backend, const CircuitSettings& settings, const std::string& projection,
              std::size_t size, double lambda, Communicator& ranks, InhibitoryCircuit::Rows rows)
      : circuit_(backend, settings, lambda, projection, size, ranks, rows) {}

  void begin_task() override { circuit_.begin_task(); }
  void observe(const Presynaptic& rows) override { circuit_.learn(rows); }
  void end_task() override { circuit_.end_task(); }
  void state(Archive& archive) override { circuit_.state(archive); }
  PresynapticOperator& on_rows() override { return circuit_; }
  double effective_rank() const override { return circuit_.effective_rank(); }
  std::size_t memory() const override { return circuit_.memory(); }

 private:
  InhibitoryCircuit circuit_;
};

Pairs KfacSeparable::Part::apply_to_pairs(const Pairs& pairs) {
  return {pre->on_rows().apply_to_traces(pairs.trace), post->on_rows().apply_to_traces(pairs.post)};
}

void KfacSeparable::Part::apply_to_gradient(Matrix gradient) {
  pre->on_rows().linear()->apply_to_gradient(gradient);
  backend->copy(post->on_rows().apply_to_traces(gradient).values, gradient.values);
}

KfacSeparable::KfacSeparable(const ProtectionContext& context, const KfacSettings& settings)
    : settings_(settings), ranks_(context.ranks) {
  for (const Projection& projection : context.projections) {
    using Rows = InhibitoryCircuit::Rows;
    Backend& backend = context.backend;
    auto part = std::make_unique<Part>();
    part->backend = &backend;
    part->n = projection.presynaptic();
    part->m = projection.outputs();
    part->pre = make_side(backend, projection, part->n, settings_.lambda_of(parts_.size()), Rows::activity);
    part->post = make_side(backend, projection, part->m, settings_.mu, Rows::errors);
    parts_.push_back(std::move(part));
  }
}

std::unique_ptr<KfacSeparable::Side> KfacSeparable::make_side(Backend& backend, const Projection& projection,
                                                              std::size_t size, double lambda,
                                                              InhibitoryCircuit::Rows rows) const {
  if (settings_.form == KfacSettings::Form::circuit)
    return std::make_unique<CircuitSide>(backend, settings_.circuit, projection.name, size, lambda, ranks_,
                                         rows);
  return std::make_unique<ExactSide>(backend, projection.name, size, lambda, ranks_, rows);
}

void KfacSeparable::begin_task(std::size_t /*task*/) {
  for (const auto& part : parts_) {
    part->pre->begin_task();
    part->post->begin_task();
  }
}

ChangeOperator* KfacSeparable::change_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : parts_[projection].get();
}

PresynapticOperator* KfacSeparable::presynaptic_operator(std::size_t projection) {
  return effective_rank(projection) == 0 ? nullptr : &parts_[projection]->pre->on_rows();
}

void KfacSeparable::observe(std::size_t projection, const Presynaptic& activity, ConstMatrix post) {
  parts_[projection]->pre->observe(activity);
  Presynaptic errors(post);
  errors.rows_of_ranks = post.rows * activity.all_rows() / std::max<std::size_t>(1, activity.rows);
  parts_[projection]->post->observe(errors);
}

void KfacSeparable::end_task() {
  for (const auto& part : parts_) {
    part->pre->end_task();
    part->post->end_task();
  }
}

double KfacSeparable::effective_rank(std::size_t projection) const {
  const Part& part = *parts_[projection];
  const auto n = static_cast<double>(part.n), m = static_cast<double>(part.m);
  const double pre = part.pre->effective_rank(), post = part.post->effective_rank();
  return pre == 0 || post == 0 ? 0 : n - (n - pre) * (m - post) / m;
}

std::size_t KfacSeparable::memory(std::size_t projection) const {
  return parts_[projection]->pre->memory() + parts_[projection]->post->memory();
}

}  // namespace orthospike
