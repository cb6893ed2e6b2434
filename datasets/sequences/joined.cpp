#include "datasets/sequences/joined.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.hpp"

namespace orthospike {
namespace {

std::vector<std::size_t> widths(const std::vector<ImageData>& data) {
  std::vector<std::size_t> widths;
  for (const ImageData& set : data) widths.push_back(set.train.classes);
  return widths;
}

}  // namespace

void Joined::Settings::describe(SettingsVisitor& visit) {
  visit("joined.fit", fit,
        {{"pad", Fit::pad, "centred on a black ground"}, {"scale", Fit::scale, "bilinear"}},
        "How images of several sizes come to the largest height and width");
  visit("joined.head", head, head_words(), "Which read-out answers a task");
}

Joined::Joined(const TaskContext& context, const Settings& settings)
    : TaskSequence(context), settings_(settings), heads_("data.name", settings.head, widths(context.data)) {
  for (const ImageData& set : data()) {
    const MapShape shape = set.train.shape();
    shape_ = {std::max(shape_.height, shape.height), std::max(shape_.width, shape.width),
              std::max(shape_.channels, shape.channels)};
  }
  for (std::size_t k = 0; k < count(); ++k) {
    const std::size_t channels = data()[k].train.channels;
    if (channels != 1 && channels != shape_.channels) {
      throw ConfigError(
          fmt::format("data.name: data set {} has {} channels and another has {}; only one channel can "
                      "be repeated",
                      k + 1, channels, shape_.channels));
    }
  }
}

Task Joined::plan(std::size_t k) const {
  Task task = plain_task(k);
  task.name = data()[k].name;
  task.rendering = {.shape = shape_, .fit = settings_.fit};
  for (std::size_t c = 0; c < task.logits.size(); ++c) task.logits[c] = heads_.logit(k, c);
  heads_.assign(k, task);
  return task;
}

}  // namespace orthospike
