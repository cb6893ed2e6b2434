#pragma once

#include <filesystem>
#include <memory>

#include "learning/tester.hpp"

namespace orthospike {

/// Writes what a network answered, sample by sample: task (counted from 1), number of the sample in its data set, label
/// and prediction (both as logits, counted from 0) and the score of each logit. The file has its name once it is whole.
/// Throws EnvironmentError where it cannot be written.
class PredictionsFile {
 public:
  virtual ~PredictionsFile() = default;
  virtual void add(std::size_t task, const TestedTask& tested) = 0;
  virtual void finish() = 0;
};

/// By the ending of its name: .csv, text with a heading; .h5, data sets /task, /sample, /label, /prediction (u32 [samples])
/// and /scores (f32 [samples × logits]). Throws ConfigError for another one.
std::unique_ptr<PredictionsFile> make_predictions_file(const std::filesystem::path& path, std::size_t logits);

}  // namespace orthospike
