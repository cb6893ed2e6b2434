#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <tuple>

#include "kernels/neurons/iaf_psc_delta.hpp"
#include "kernels/neurons/lif.hpp"
#include "kernels/neurons/lif_dsr.hpp"

namespace orthospike {

/// All neuron models; each back end has their operations (kernels/neurons.hpp).
///
/// A model is a struct of its constants, with
///   state     names of what a neuron keeps from step to step, 0 at rest
///   step      (ops, current, margin, state…) → whether it spikes; leaves the state after the step, and in `margin` how
///             far it was above what makes a spike (0: just enough)
///   height    what a spike carries to its targets
/// all in the words of `ops` (ops.hpp), so that the same lines compute one neuron or a vector of them on every back end.
/// What it may have besides decides over what can be done with it:
///   load      (trained) takes those of its constants that training changes from where the back end keeps them
///   backward  (ops, derivative, margin, error, later…) → error by the current of a step, from that by the spikes; takes
///             errors by the state after the step and leaves those by the state before; with surrogate_traits
///   averaging_decay, by_average_current, by_trained, trained_scale  weighted averages over time of currents and
///             outputs, and derivatives of the one by the other
using NeuronKernels = std::tuple<Lif, LifDsr, IafPscDelta>;

/// Numbers that a neuron of the model keeps.
template <class Model>
inline constexpr std::size_t state_size = std::size(Model::state);

template <class Model>
concept HasTrainedConstants = requires(Model model, const float* trained) {
  model.load(trained);
};

template <class Model>
concept HasAverages = requires(const Model& model) {
  { model.averaging_decay() } -> std::convertible_to<float>;
};

template <class Model>
concept HasSurrogateDerivative = requires(const Model& model) {
  { model.surrogate_traits() } -> std::convertible_to<SurrogateTraits>;
};

/// With the constants that training changes.
template <class Model>
ORTHOSPIKE_STEP Model loaded(Model model, const float* trained) {
  if constexpr (HasTrainedConstants<Model>) model.load(trained);
  return model;
}

}  // namespace orthospike
