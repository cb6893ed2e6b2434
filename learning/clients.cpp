#include "learning/clients.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "datasets/sample_order.hpp"
#include "kernels/error.hpp"

namespace orthospike {

void FederatedSettings::describe(SettingsVisitor& visit) {
  visit(
      "federated.clients", clients, {.lowest = 0, .highest = 1'000'000}, "clients",
      "Clients that each hold a part of every task's training samples and train apart, while a server averages their "
      "changes under the protection; 0: all samples are in one place.");
  visit.only(is_on(), "federated.clients above 0", [&] {
    visit(
        "federated.local_epochs", local_epochs, {.lowest = 1, .highest = 1'000'000}, "epochs",
        "Times that a client shows itself its samples from one average to the next. A task takes tasks.epochs in all; "
        "its last round may have fewer.");
    visit("federated.protected", is_protected,
          {{"averages", Protected::averages, "of the clients' changes, by the server at the end of a round"},
           {"steps", Protected::steps, "of each client, whom the server gives its operators"}},
          "What comes under the protection's operators");
    visit("federated.split", split,
          {{"random", Split::random, ""}, {"class", Split::by_class, "each holds pieces of few classes"}},
          "Which samples clients hold");
    visit.only(split == Split::by_class, "federated.split class", [&] {
      visit("federated.shards", shards, {.lowest = 1, .highest = 1'000'000}, "pieces",
            "Pieces of the samples sorted by class that each client holds.");
    });
  });
}

std::vector<std::uint32_t> split_among_clients(std::span<const std::uint8_t> labels,
                                               const FederatedSettings& settings, const RandomKey& key) {
  const bool by_class = settings.split == FederatedSettings::Split::by_class;
  const std::size_t pieces = settings.clients * (by_class ? settings.shards : 1);
  if (pieces > labels.size()) {
    throw ConfigError(
        fmt::format("federated.clients: {} training samples of a task cannot be cut into {} pieces",
                    labels.size(), pieces));
  }
  std::vector<std::uint32_t> order = shuffled_order(labels.size(), key);
  std::vector<std::uint32_t> dealt(pieces);
  for (std::size_t piece = 0; piece < pieces; ++piece) dealt[piece] = static_cast<std::uint32_t>(piece);
  if (by_class) {
    std::ranges::stable_sort(order, {}, [&](std::uint32_t sample) { return labels[sample]; });
    dealt = shuffled_order(pieces, {key.seed, RandomPurpose::shards, key.stream});
  }
  std::vector<std::uint32_t> clients(labels.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    clients[order[i]] = static_cast<std::uint32_t>(dealt[i * pieces / order.size()] % settings.clients);
  return clients;
}

}  // namespace orthospike
