#include "datasets/heads.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "kernels/error.hpp"

namespace orthospike {

const std::vector<Word<HeadKind>>& head_words() {
  static const std::vector<Word<HeadKind>> words = {
      {"task", HeadKind::task, "one for each task, which is told at test time"},
      {"all", HeadKind::all, "one for all classes, the task is not told"},
      {"shared", HeadKind::shared, "one of the widest task's width that all use, the task is not told"}};
  return words;
}

Heads::Heads(const std::string& key, HeadKind kind, std::vector<std::size_t> widths)
    : kind_(kind), widths_(std::move(widths)) {
  std::size_t first = 0;
  for (const std::size_t width : widths_) {
    firsts_.push_back(kind == HeadKind::shared ? 0 : first);
    first += width;
    logits_ = std::max(logits_, firsts_.back() + width);
  }
  constexpr std::size_t most = std::numeric_limits<std::uint8_t>::max() + 1;
  if (logits_ > most)
    throw ConfigError(fmt::format("{}: the tasks have {} classes, expected at most {} in one read-out", key,
                                  logits_, most));
}

void Heads::assign(std::size_t k, Task& task) const {
  task.told = kind_ == HeadKind::task;
  task.head = task.told ? Head{firsts_[k], widths_[k]} : Head{0, logits_};
}

std::uint8_t Heads::logit(std::size_t k, std::size_t i) const {
  return static_cast<std::uint8_t>(firsts_[k] + i);
}

}  // namespace orthospike
