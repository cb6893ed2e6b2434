#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "datasets/task.hpp"
#include "sim/settings.hpp"

namespace orthospike {

/// Which logits answer tasks with classes of their own.
enum class HeadKind {
  task,  ///< logits of its own for each task, which is told at test time: "task-incremental"
  all,   ///< the same logits, but an answer may be any of them: "class-incremental"
  shared  ///< as many logits as the widest task has classes, and each task uses them anew: "domain-incremental"
};

const std::vector<Word<HeadKind>>& head_words();

/// The heads of tasks that have so many classes each.
class Heads {
 public:
  /// Throws ConfigError, about `key`, where there are more logits than labels can name, 256.
  Heads(const std::string& key, HeadKind kind, std::vector<std::size_t> widths);

  /// Gives task k its head and whether it is told.
  void assign(std::size_t k, Task& task) const;
  /// Of class i of task k.
  std::uint8_t logit(std::size_t k, std::size_t i) const;
  std::size_t logits() const { return logits_; }

 private:
  HeadKind kind_;
  std::vector<std::size_t> widths_, firsts_;
  std::size_t logits_ = 0;
};

}  // namespace orthospike
