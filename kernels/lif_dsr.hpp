#pragma once

#include <cmath>

#include "kernels/family.hpp"

namespace orthospike {

/// LIF neuron in the form of DSR (method: Meng et al., CVPR 2022):
/// u ← decay·u + (1 - decay)·I[t]; a spike of height threshold / dt when u ≥ firing_fraction·threshold, and
/// then u ← u - threshold. The state u is 0 before the first step.
struct LifDsr {
  float decay = 0;            ///< exp(-dt/tau), dimensionless
  float dt = 0;               ///< step, in the unit of tau
  float tau = 0;              ///< membrane time constant
  float firing_fraction = 0;  ///< part of the threshold at which the neuron fires (alpha)

  /// Membrane potential after one step; every back end computes exactly this, so that spikes agree.
  float step(float u, float current) const { return std::fma(decay, u, (1.0F - decay) * current); }
};

/// What a population did in T steps, per sample; each [batch × neurons].
/// Weighted averages have weights exp(-(T-i)·dt/tau), i = 1…T, normalised to sum 1.
struct LifDsrOutputs {
  Spikes spikes;           ///< rows ordered step · batch + sample
  Matrix average_current;  ///< weighted average of the input current
  Matrix average_output;   ///< weighted average of the output (spike height included)
  Matrix mean_output;      ///< plain mean of the output
  Matrix membrane;         ///< potential after the last step
};

/// Runs `steps` steps of a population from rest.
struct RunLifDsr {
  LifDsr neuron;
  View<const float> threshold;  ///< [1] height of the spikes · dt
  std::size_t steps;
  ConstMatrix
      currents;  ///< [steps·batch × neurons], or [batch × neurons] when they are the same in every step
  LifDsrOutputs outputs;

  std::size_t batch() const { return outputs.membrane.rows; }
  std::size_t neurons() const { return outputs.membrane.cols; }
  /// Elements from one step's currents to the next.
  std::size_t step_stride() const { return currents.rows == batch() ? 0 : batch() * neurons(); }
  /// Σ of the averaging weights before they are normalised.
  double weight_sum() const {
    double sum = 0;
    for (std::size_t t = 0; t < steps; ++t) sum = static_cast<double>(neuron.decay) * sum + 1.0;
    return sum;
  }
  void check() const {
    const Matrix& shape = outputs.membrane;
    require(same_shape(shape, outputs.average_current) && same_shape(shape, outputs.average_output) &&
                same_shape(shape, outputs.mean_output),
            "lif_dsr", "outputs differ in shape");
    require(steps > 0 && (currents.rows == shape.rows || currents.rows == steps * shape.rows) &&
                currents.cols == shape.cols,
            "lif_dsr", "currents are neither [batch × neurons] nor [steps·batch × neurons]");
    require(outputs.spikes.rows == steps * shape.rows && outputs.spikes.neurons == shape.cols, "lif_dsr",
            "spikes do not have one row for each step and sample");
    require(threshold.size() == 1, "lif_dsr", "threshold is not one number");
  }
};

/// DSR's derivative of spikes by currents: with g = scale · gradient,
/// gradient ← g / tau where 0 < average_current < threshold·tau/dt, else 0   (in place);
/// threshold_gradient[0] ← dt · Σ g over average_current > threshold·tau/dt.
struct LifDsrBackward {
  LifDsr neuron;
  View<const float> threshold;  ///< [1]
  float scale = 1;
  ConstMatrix average_current;     ///< [batch × neurons]
  Matrix gradient;                 ///< [batch × neurons]
  View<float> threshold_gradient;  ///< [1]

  void check() const {
    require(same_shape(average_current, gradient), "lif_dsr_backward",
            "gradient and currents differ in shape");
    require(threshold.size() == 1 && threshold_gradient.size() == 1, "lif_dsr_backward",
            "threshold and its gradient are not one number each");
  }
};

struct LifDsrNeurons : Family<RunLifDsr, LifDsrBackward> {
  using Family::Family;
};

}  // namespace orthospike
