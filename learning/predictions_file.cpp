#include "learning/predictions_file.hpp"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "kernels/error.hpp"
#include "sim/final_name.hpp"

namespace orthospike {

namespace {

std::filesystem::path partial(std::filesystem::path path) {
  return path.replace_extension(".partial" + path.extension().string());
}

class TextPredictions final : public PredictionsFile {
 public:
  TextPredictions(std::filesystem::path path, std::size_t logits)
      : path_(std::move(path)), stream_(partial(path_)), logits_(logits) {
    stream_ << "task,sample,label,prediction";
    for (std::size_t i = 0; i < logits; ++i) stream_ << ",score_" << i;
    stream_ << "\n";
    check(stream_.good());
  }

  void add(std::size_t task, const TestedTask& tested) override {
    fmt::memory_buffer text;
    for (std::size_t i = 0; i < tested.samples.size(); ++i) {
      fmt::format_to(std::back_inserter(text), "{},{},{},{}", task, tested.samples[i], tested.labels[i],
                     tested.answers[i]);
      for (std::size_t j = 0; j < logits_; ++j)
        fmt::format_to(std::back_inserter(text), ",{}", tested.scores[i * logits_ + j]);
      text.push_back('\n');
    }
    stream_.write(text.data(), static_cast<std::streamsize>(text.size()));
    check(stream_.good());
  }

  void finish() override {
    stream_.close();
    check(stream_.good() && reaches_disk(partial(path_)));
    give_final_name(partial(path_), path_);
  }

 private:
  void check(bool written) const {
    if (!written) throw EnvironmentError(fmt::format("{}: cannot be written", partial(path_).string()));
  }

  std::filesystem::path path_;
  std::ofstream stream_;
  std::size_t logits_;
};

class Hdf5Predictions final : public PredictionsFile {
 public:
  Hdf5Predictions(std::filesystem::path path, std::size_t logits)
      : path_(std::move(path)), file_(Hdf5File::create(partial(path_))) {
    const auto column = [&](const char* name, const char* definition) {
      file_.add<std::uint32_t>(name, {0}, 0);
      file_.add_attribute(name, "definition", std::string(definition));
    };
    column("/task", "of each sample, counted from 1");
    column("/sample", "its number in the data set");
    column("/label", "the logit of its class, counted from 0");
    column("/prediction", "the largest logit among those that answer the task");
    file_.add<float>("/scores", {0, logits}, 0);
    file_.add_attribute("/scores", "definition", std::string("all logits of the sample"));
  }

  void add(std::size_t task, const TestedTask& tested) override {
    using Column = std::vector<std::uint32_t>;
    file_.append<std::uint32_t>("/task", Column(tested.samples.size(), static_cast<std::uint32_t>(task)));
    file_.append<std::uint32_t>("/sample", tested.samples);
    file_.append<std::uint32_t>("/label", Column(tested.labels.begin(), tested.labels.end()));
    file_.append<std::uint32_t>("/prediction", Column(tested.answers.begin(), tested.answers.end()));
    file_.append<float>("/scores", tested.scores);
  }

  void finish() override { file_.close_as(path_); }

 private:
  std::filesystem::path path_;
  Hdf5File file_;
};

}  // namespace

std::unique_ptr<PredictionsFile> make_predictions_file(const std::filesystem::path& path,
                                                       std::size_t logits) {
  if (path.extension() == ".csv") return std::make_unique<TextPredictions>(path, logits);
  if (path.extension() == ".h5") return std::make_unique<Hdf5Predictions>(path, logits);
  throw ConfigError(fmt::format("--predictions: '{}' ends neither in .csv nor in .h5", path.string()));
}

}  // namespace orthospike
