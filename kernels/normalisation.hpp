#pragma once

#include "kernels/family.hpp"

namespace orthospike {

// Batch normalisation (Ioffe & Szegedy, 2015) of matrices that have a row for each step, sample and pixel and a column for
// each channel. What is the same in all steps may lack the rows of the others: it is repeated.

/// mean ← that of each channel's R values, variance ← Σ (x - mean)² / R.
struct MeasureChannels {
  ConstMatrix x;         ///< [R × channels]
  View<float> mean;      ///< [channels]
  View<float> variance;  ///< [channels]

  void check() const {
    require(x.rows > 0 && mean.size() == x.cols && variance.size() == x.cols, "measure_channels",
            "means and variances are not one a channel");
  }
};

/// normalised ← (x - mean) / √(variance + epsilon);   y ← gain · normalised + offset
struct NormaliseChannels {
  ConstMatrix x;                     ///< [R × channels]
  View<const float> mean, variance;  ///< [channels]
  float epsilon = 0;
  View<const float> gain, offset;  ///< [channels]
  Matrix normalised = {};          ///< [R × channels], or empty where nobody needs it
  Matrix y;                        ///< [R × channels], may be x

  void check() const {
    require(same_shape(x, y) && (normalised.empty() || same_shape(x, normalised)), "normalise_channels",
            "matrices differ in shape");
    require(mean.size() == x.cols && variance.size() == x.cols && gain.size() == x.cols &&
                offset.size() == x.cols,
            "normalise_channels", "constants are not one a channel");
  }
  bool empty() const { return y.empty(); }
};

/// Of each channel error ← scale · Σ errors and product ← scale · Σ errors · normalised, over the rows of that which has
/// more: the gradients by offset and gain.
struct SumChannels {
  float scale = 1;
  ConstMatrix errors;      ///< [R × channels], or for each of some steps
  ConstMatrix normalised;  ///< [R' × channels]; R a multiple of R', or R' of R
  View<float> error;       ///< [channels]
  View<float> product;     ///< [channels]

  std::size_t rows() const { return errors.rows < normalised.rows ? normalised.rows : errors.rows; }
  void check() const {
    require(errors.rows > 0 && normalised.rows > 0 && rows() % errors.rows == 0 &&
                rows() % normalised.rows == 0 && errors.cols == normalised.cols,
            "sum_channels", "errors and normalised values do not belong to each other");
    require(error.size() == errors.cols && product.size() == errors.cols, "sum_channels",
            "sums are not one a channel");
  }
};

/// Errors by x of NormaliseChannels from those by y, where mean and variance are those of x, so that each x changes all y:
///   x_errors ← gain / √(variance + epsilon) · (scale · errors - error / R - normalised · product / R)
/// with the sums of SumChannels over R rows of the same scale. Where mean and variance are given, sums and normalised
/// are empty, and so are their terms.
struct NormalisationBackward {
  float scale = 1;
  ConstMatrix errors;           ///< as in SumChannels
  ConstMatrix normalised = {};  ///< as in SumChannels, or empty
  View<const float> variance;   ///< [channels]
  float epsilon = 0;
  View<const float> gain;          ///< [channels]
  View<const float> error = {};    ///< [channels], or empty
  View<const float> product = {};  ///< [channels], or empty
  Matrix x_errors;                 ///< [R × channels], may be errors

  bool takes_sums() const { return !error.empty(); }
  void check() const {
    const std::size_t rows = x_errors.rows, channels = x_errors.cols;
    require(errors.cols == channels && errors.rows > 0 && rows % errors.rows == 0, "normalisation_backward",
            "errors by what is normalised and by what it was made of do not belong to each other");
    require(variance.size() == channels && gain.size() == channels, "normalisation_backward",
            "constants are not one a channel");
    const std::size_t sums = takes_sums() ? channels : 0;
    require(error.size() == sums && product.size() == sums, "normalisation_backward",
            "sums are not one a channel");
    require(takes_sums() ? normalised.cols == channels && normalised.rows > 0 &&
                               rows % normalised.rows == 0 && (normalised.rows == rows || errors.rows == rows)
                         : normalised.empty(),
            "normalisation_backward", "normalised values are not those of the errors");
  }
  bool empty() const { return x_errors.empty(); }
};

struct NormalisationSteps : Family<MeasureChannels, NormaliseChannels, SumChannels, NormalisationBackward> {
  using Family::Family;
};

}  // namespace orthospike
