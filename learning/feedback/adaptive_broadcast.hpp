#pragma once

#include "learning/feedback/direct_feedback_alignment.hpp"

namespace orthospike {

/// Direct feedback whose weights B learn (adaptive e-prop: Bellec et al., 2020), from random ones on: those of the
/// population before the read-out change as the read-out's W do, by the same gradient, optimiser and
/// protection, so that with weight decay λ, W - B shrinks by rate · λ in each update (Kolen & Pollack, 1994;
/// Akrout et al., 2019). Deeper populations have no W to follow: theirs move against z̄ᵀ Σ_t e[t], with z̄ the mean
/// output and e the error by the logits, as a read-out of their own would learn by the delta rule.
///
/// A protection projects these changes as those of the projection from the same population. No current depends
/// on B; but what is kept of W in the subspaces of earlier tasks must be kept of B for B to follow.
class AdaptiveBroadcast final : public DirectFeedbackAlignment {
 public:
  /// Throws ConfigError for a network with convolutions: what their protections act on are patches, and not the whole
  /// population that these weights come from.
  AdaptiveBroadcast(const Network& network, std::uint64_t seed);

  Matrix learned_weights(std::size_t projection) override;
  void state(Archive& archive) override;
};

}  // namespace orthospike
