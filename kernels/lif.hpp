#pragma once

#include <cmath>

#include "kernels/family.hpp"
#include "kernels/surrogate.hpp"

namespace orthospike {

/// Leaky integrate-and-fire neuron with a current-based synapse and an adaptive threshold. In each step
///   c ← synapse_decay · c + I[t];   v ← decay · v + c;   margin = v - threshold - adaptation · a;
/// it spikes (height 1) where margin ≥ 0, and then v ← v - threshold, or v ← 0 with a hard reset; after that
///   a ← adaptation_decay · a + spike.
/// decay 1 is the integrate-and-fire neuron; synapse_decay 0 puts currents on the membrane at once.
struct Lif {
  float decay = 0;
  float threshold = 0;
  float synapse_decay = 0;
  float adaptation = 0;  ///< beta of adaptive LIF neurons (Bellec et al., 2020)
  float adaptation_decay = 0;
  bool hard_reset = false;

  struct State {
    float synapse = 0, potential = 0, adaptation = 0;
  };
  /// The margin of one step; every back end computes exactly this, so that spikes agree.
  float step(State& state, float current) const {
    state.synapse = std::fma(synapse_decay, state.synapse, current);
    state.potential = std::fma(decay, state.potential, state.synapse);
    const float margin = std::fma(-adaptation, state.adaptation, state.potential - threshold);
    const bool fires = margin >= 0.0F;
    if (fires) state.potential = hard_reset ? 0.0F : state.potential - threshold;
    state.adaptation = std::fma(adaptation_decay, state.adaptation, fires ? 1.0F : 0.0F);
    return margin;
  }
};

/// What lif neurons carry from step to step, each [batch × neurons].
struct LifState {
  Matrix synapse, potential, adaptation;
};

/// What a population did in some steps.
struct LifOutputs {
  Spikes spikes;       ///< rows ordered step · batch + sample
  Matrix mean_output;  ///< [batch × neurons] spikes per step
  Matrix margin;       ///< [steps·batch × neurons], or empty where nobody needs it
};

/// How errors travel back through lif neurons.
struct LifDerivative {
  Surrogate surrogate = Surrogate::sigmoid;
  float slope = 0;
  /// Back through potentials and synapses in time too. Without it only within each step, and through
  /// adaptation: what is left for presynaptic traces to carry forward in time.
  bool through_time = true;
  bool detached_reset = true;  ///< no error through the spike that resets
};

/// Runs steps of lif neurons, from `state`, or from rest, and leaves their state after the last step there.
struct RunLif {
  Lif neuron;
  std::size_t steps;
  bool from_rest = true;
  ConstMatrix
      currents;  ///< [steps·batch × neurons], or [batch × neurons] when they are the same in every step
  LifState state;
  LifOutputs outputs;

  std::size_t batch() const { return state.potential.rows; }
  std::size_t neurons() const { return state.potential.cols; }
  /// Elements from one step's currents to the next.
  std::size_t step_stride() const { return currents.rows == batch() ? 0 : batch() * neurons(); }
  void check() const {
    const Matrix& shape = state.potential;
    require(same_shape(shape, state.synapse) && same_shape(shape, state.adaptation) &&
                same_shape(shape, outputs.mean_output),
            "lif", "states and outputs differ in shape");
    require(steps > 0 && (currents.rows == shape.rows || currents.rows == steps * shape.rows) &&
                currents.cols == shape.cols,
            "lif", "currents are neither [batch × neurons] nor [steps·batch × neurons]");
    require(outputs.spikes.rows == steps * shape.rows && outputs.spikes.neurons == shape.cols &&
                (outputs.margin.empty() ||
                 (outputs.margin.rows == steps * shape.rows && outputs.margin.cols == shape.cols)),
            "lif", "spikes or margins do not have one row for each step and sample");
  }
  bool empty() const { return state.potential.empty(); }
};

/// Errors by the currents from those by the spikes, last step first, for e = output_error[t]:
///   g_s = e + g_a' - detached? 0 : (hard? v : threshold) · decay g_v';   g_m = ψ(margin) g_s
///   g_v = g_m + decay g_v' (hard reset: only where there was no spike);  g_a = adaptation_decay g_a' -
///   adaptation g_m;  g_c = g_v + synapse_decay g_c';  current_error[t] = g_c
/// where ' is one step later; terms of g_v' and g_c' only through_time. A hard reset that is not detached needs
/// adaptation 0.
struct LifBackward {
  Lif neuron;
  LifDerivative derivative;
  std::size_t steps;
  ConstMatrix margin;  ///< [steps·batch × neurons]
  /// [steps·batch × neurons], or [batch × neurons] when it is the same in every step; may be current_error itself.
  ConstMatrix output_error;
  /// g_c', g_v' and g_a' after the last step as synapse, potential and adaptation, where those of the first step are
  /// left; when empty, 0.
  LifState later = {};
  Matrix current_error;  ///< [steps·batch × neurons]

  std::size_t step_size() const { return margin.values.size() / steps; }
  /// Elements from one step's errors to the next.
  std::size_t step_stride() const { return output_error.rows < margin.rows ? 0 : step_size(); }
  void check() const {
    require(same_shape(margin, current_error) && steps > 0 && margin.rows % steps == 0, "lif_backward",
            "margins and errors are not [steps·batch × neurons]");
    require((output_error.rows == margin.rows || output_error.rows * steps == margin.rows) &&
                output_error.cols == margin.cols,
            "lif_backward", "errors are neither [batch × neurons] nor [steps·batch × neurons]");
    require(same_shape(later.potential, later.synapse) && same_shape(later.potential, later.adaptation) &&
                (later.potential.empty() ||
                 (later.potential.rows * steps == margin.rows && later.potential.cols == margin.cols)),
            "lif_backward", "errors of the step after are not [batch × neurons]");
    require(derivative.detached_reset || !neuron.hard_reset || neuron.adaptation == 0.0F, "lif_backward",
            "errors through a hard reset of adaptive neurons are not defined by their margins");
  }
  bool empty() const { return margin.empty(); }
};

struct LifNeurons : Family<RunLif, LifBackward> {
  using Family::Family;
};

}  // namespace orthospike
