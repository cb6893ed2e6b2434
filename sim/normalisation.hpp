#pragma once

#include "kernels/backend.hpp"
#include "sim/archive.hpp"
#include "sim/settings.hpp"

namespace orthospike {

struct NormalisationSettings {
  enum class Statistics { first_task, each_step, frozen };

  Statistics statistics = Statistics::first_task;
  float momentum = 0.1F;
  float epsilon = 1e-5F;

  void describe(SettingsVisitor& visit);
};

/// Batch normalisation of the currents of a population (Ioffe & Szegedy, 2015):
///   gain · (current - mean) / √(variance + epsilon) + offset,
/// all of them one a channel: the neurons of a channel, the pixels of its map, share them. Training goes by the mean and
/// variance of what is run, over its samples and pixels, and over its steps or in each step, and averages them; all else
/// goes by these averages. All matrices have a row for each step and sample; currents that are the same in all steps have
/// one a sample.
class Normalisation {
 public:
  /// Gains are 1, offsets and means 0, variances 1.
  Normalisation(Backend& backend, std::size_t channels, const NormalisationSettings& settings);

  std::size_t channels() const { return gain_.size(); }
  /// Whether a batch's own statistics are taken in training.
  bool takes_batches() const { return settings_.statistics != NormalisationSettings::Statistics::frozen; }

  /// currents [N × neurons] ← normalised by the averages.
  void run(Matrix currents) const;
  /// The same as weights [presynaptic × channels] whose currents it would normalise: folded [presynaptic × channels] ←
  /// those that bring normalised ones with an offset [channels] added.
  void fold(ConstMatrix weights, Matrix folded, View<float> offset) const;
  /// As `run` in training, of a batch of so many samples in so many steps; `normalised` [N × neurons] gets what they are
  /// before gain and offset, which `backward` needs.
  void train(Matrix currents, std::size_t batch, std::size_t steps, Matrix normalised);

  /// Where the loss has errors by what `run` made: errors [N × neurons] ← those by the currents.
  void backward(Matrix errors) const;
  struct Training {
    float scale = 1;         ///< errors are multiplied by it
    std::size_t batch;       ///< samples
    ConstMatrix errors;      ///< by what `train` made of the currents, [N or batch × neurons]
    ConstMatrix normalised;  ///< [N or batch × neurons]
    View<float> by_gain;     ///< [channels]
    View<float> by_offset;   ///< [channels]
    Matrix by_currents;      ///< [N × neurons], may be errors; [batch × neurons] where both are
  };
  /// The same of what `train` made last, with the gradients by gain and offset.
  void backward(const Training& training);

  View<float> gain() { return gain_.view(); }
  View<float> offset() { return offset_.view(); }
  View<float> mean() { return mean_.view(); }
  View<float> variance() { return variance_.view(); }

  void state(Archive& archive);

 private:
  /// A row for each channel of a neuron's pixel.
  template <class M>
  M by_channel(M matrix) const {
    return {matrix.values, matrix.values.size() / channels(), channels()};
  }
  /// Groups of steps with statistics of their own, of so many.
  std::size_t groups(std::size_t steps) const {
    return settings_.statistics == NormalisationSettings::Statistics::each_step ? steps : 1;
  }
  void make_room(Array<float>& array, std::size_t groups);
  /// averages ← momentum of what is new and the rest of what was.
  void average(View<const float> measured, float scale, View<float> averages);

  Backend& backend_;
  NormalisationSettings settings_;
  Array<float> gain_, offset_, mean_, variance_;
  Array<float> batch_means_, batch_variances_;  ///< [groups × channels] of the last training
  Array<float> sums_, products_;                ///< [groups × channels]
};

}  // namespace orthospike
