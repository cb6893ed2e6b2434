#pragma once

#include <functional>
#include <vector>

#include "learning/communicator.hpp"
#include "sim/archive.hpp"

namespace orthospike {

/// The average of what clients, who all start from the same values, make of them (federated.md). Between their turns the
/// values are those that all start from.
class FederatedAverage {
 public:
  FederatedAverage(Backend& backend, std::vector<View<float>> values);

  void begin_client();
  /// What the client changed becomes part of the average, share of it, and its values are forgotten.
  void end_client(float share);
  /// Nothing is left of what the client did.
  void leave_client();
  /// values ← values + protect(average of the changes), by all ranks together; protect(i, change) acts in place on that
  /// of values i.
  void end_round(Communicator& ranks, const std::function<void(std::size_t, View<float>)>& protect);
  /// Between turns.
  void state(Archive& archive);

 private:
  Backend& backend_;
  std::vector<View<float>> values_;
  std::vector<Array<float>> start_;    ///< that the client's turn began with
  std::vector<Array<float>> changes_;  ///< of the round so far, of this rank
};

}  // namespace orthospike
