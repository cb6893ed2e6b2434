#pragma once

#include <memory>
#include <span>
#include <vector>

#include "learning/replay.hpp"
#include "learning/subspaces/extractor.hpp"
#include "sim/network.hpp"
#include "sim/registry.hpp"

namespace orthospike {

/// A symmetric linear operator on changes of a projection's weights.
class LinearOperator {
 public:
  virtual ~LinearOperator() = default;

  /// gradient [n × targets] under the operator, in place: what becomes of the sum of pairs.
  virtual void apply_to_gradient(Matrix gradient) = 0;
};

/// What stands between the pairs of a rule and the weights of a projection.
class ChangeOperator {
 public:
  virtual ~ChangeOperator() = default;

  /// Pairs, as many or not, whose sum is that of the given ones under the operator. They are valid until the next call
  /// for the same projection.
  virtual Pairs apply_to_pairs(const Pairs& pairs) = 0;
  /// The same operator where it is linear and so can act on sums of pairs; else null, and only pairs can be
  /// protected.
  virtual LinearOperator* linear() = 0;
};

/// An operator on the presynaptic side alone, the same for every postsynaptic factor.
class PresynapticOperator : public ChangeOperator {
 public:
  Pairs apply_to_pairs(const Pairs& pairs) final { return {apply_to_traces(pairs.trace), pairs.post}; }
  /// The operator on each row of traces [N × n]. The result is valid until the next call for the same
  /// projection.
  virtual ConstMatrix apply_to_traces(const Presynaptic& traces) = 0;
};

/// Keeps what earlier tasks learned. Within a task, for each batch and projection: the operator is asked for
/// and applied first, then the batch's activity is observed. On several ranks each observes its rows of the batch,
/// which may be none, and operators are the same on all.
class Protection {
 public:
  struct Traits {
    /// Whether its operators are linear, so that sums of gradients and steps can be projected as well as traces.
    bool is_linear = true;
    bool needs_boundaries = true;  ///< that somebody tells it where tasks end
    bool observes = true;          ///< whether it learns anything from activity
  };

  virtual ~Protection() = default;

  /// task counts from 0.
  virtual void begin_task(std::size_t task) = 0;
  /// On the weights of a projection; null where nothing is to be changed. Once a task has ended it is that of the next.
  virtual ChangeOperator* change_operator(std::size_t projection) { return presynaptic_operator(projection); }
  /// On other weights from the same source, which an error feedback may have: where the first one looks at both sides,
  /// its mean over the postsynaptic ones.
  virtual PresynapticOperator* presynaptic_operator(std::size_t projection) = 0;
  /// activity [N × n] and post [N' × targets]: see WeightGradient.
  virtual void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix post) = 0;
  virtual void end_task() = 0;
  virtual void state(Archive& archive) = 0;

  /// The subspace of a projection's presynaptic activity, for reports; null where there is none.
  virtual const Subspace* subspace(std::size_t /*projection*/) const { return nullptr; }
  /// Directions that the finished tasks take from changes of a projection, each counted by the part of it that
  /// is taken: the trace of I - P for operator P on the presynaptic space, the mean over its targets.
  virtual double effective_rank(std::size_t projection) const = 0;
  /// What a user should know before `tasks` tasks begin, sentences.
  virtual std::vector<std::string> warnings(std::size_t /*tasks*/) const { return {}; }
  /// Bytes that hold what finished tasks left of a projection, without buffers and copies made for speed.
  virtual std::size_t memory(std::size_t projection) const = 0;
};

/// What every protection is made for.
struct ProtectionContext {
  Backend& backend;
  /// Those that it keeps, by their numbers in the network. They outlive the protection.
  std::span<const Projection> projections;
  std::uint64_t seed = 0;
  std::size_t max_rows = 0;  ///< of a rule's traces and activity
  Communicator& ranks = alone();

  /// Of the projection's presynaptic rows.
  std::size_t max_rows_of(const Projection& projection) const {
    return max_rows * projection.connection->places();
  }
};

/// Protections by their name.
using Protections = Registry<Protection, const ProtectionContext&>;
Protections& protections();

/// The projections of a network that tasks share, its first ones: all, or all but those to the read-out where each task
/// has its own, whose weights no other task changes. Kept, these would only be harder to learn (Saha et al., 2021,
/// and Xiao et al., 2024, leave them out as well). Throws std::invalid_argument where others come after one of these.
std::span<const Projection> shared_projections(const Network& network, bool separate_readouts);

/// Keeps the first `kept` projections of a network by another protection, and nothing of the others.
class FirstProjections final : public Protection {
 public:
  FirstProjections(std::unique_ptr<Protection> protection, std::size_t kept)
      : protection_(std::move(protection)), kept_(kept) {}

  void begin_task(std::size_t task) override { protection_->begin_task(task); }
  ChangeOperator* change_operator(std::size_t projection) override {
    return projection < kept_ ? protection_->change_operator(projection) : nullptr;
  }
  PresynapticOperator* presynaptic_operator(std::size_t projection) override {
    return projection < kept_ ? protection_->presynaptic_operator(projection) : nullptr;
  }
  void observe(std::size_t projection, const Presynaptic& activity, ConstMatrix post) override {
    if (projection < kept_) protection_->observe(projection, activity, post);
  }
  void end_task() override { protection_->end_task(); }
  void state(Archive& archive) override { protection_->state(archive); }
  const Subspace* subspace(std::size_t projection) const override {
    return projection < kept_ ? protection_->subspace(projection) : nullptr;
  }
  double effective_rank(std::size_t projection) const override {
    return projection < kept_ ? protection_->effective_rank(projection) : 0;
  }
  std::vector<std::string> warnings(std::size_t tasks) const override { return protection_->warnings(tasks); }
  std::size_t memory(std::size_t projection) const override {
    return projection < kept_ ? protection_->memory(projection) : 0;
  }

 private:
  std::unique_ptr<Protection> protection_;
  std::size_t kept_;
};

/// How tasks are kept: what stands between gradients and weights, and how samples are shown.
class ProtectionPlan {
 public:
  ProtectionPlan();

  const Choice<Protections>& protection() const { return protection_; }
  Choice<Protections>& protection() { return protection_; }
  /// Whether stored samples of all tasks so far are shown again after each task.
  bool has_replay() const { return kind_ == Kind::replay; }
  /// Whether all tasks are learned at once.
  bool is_joint() const { return kind_ == Kind::joint; }

  const ReplaySettings& replay() const { return replay_; }
  /// Of the places of a convolution the protection observes every so manieth along each side of its map.
  std::size_t stride() const { return stride_; }

  /// protection.name is the name P of a protection, "P+replay" ("replay" where P is none) or "joint".
  void describe(SettingsVisitor& visit);

 private:
  enum class Kind { single, replay, joint };

  std::string name() const;

  Kind kind_ = Kind::single;
  Choice<Protections> protection_;
  std::size_t stride_ = 1;
  ReplaySettings replay_;
};

}  // namespace orthospike
