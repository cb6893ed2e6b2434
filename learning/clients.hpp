#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/random_key.hpp"
#include "sim/settings.hpp"

namespace orthospike {

/// Of federated training (federated.md).
struct FederatedSettings {
  enum class Split { random, by_class };
  enum class Protected { averages, steps };

  std::size_t clients = 0;
  std::size_t local_epochs = 1;
  Split split = Split::random;
  std::size_t shards = 2;
  Protected is_protected = Protected::averages;

  bool is_on() const { return clients > 0; }
  void describe(SettingsVisitor& visit);
};

/// Which client, counted from 0, holds each of a task's training samples, of which labels are the classes. They are cut
/// into pieces, equal to one sample: at random one for each client; by class, of the samples sorted by class, `shards`
/// for each, which are dealt out at random (McMahan et al., 2017). Throws ConfigError where there are fewer samples than pieces.
std::vector<std::uint32_t> split_among_clients(std::span<const std::uint8_t> labels,
                                               const FederatedSettings& settings, const RandomKey& key);

}  // namespace orthospike
