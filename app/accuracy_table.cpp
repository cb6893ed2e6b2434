#include "app/accuracy_table.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace orthospike {

std::string number(double value, fmt::format_string<double&> format) {
  return std::isnan(value) ? "-" : fmt::format(format, value);
}

std::string percent(double share) {
  return number(100.0 * share, "{:.2f}");
}

std::string told_or_not(bool told) {
  return told ? "told at test time which task a sample is of, the network seeks the answer among its classes "
                "alone"
              : "the network is not told which task a sample is of";
}

std::string accuracy_table(const AccuracyMatrix& accuracy, const std::vector<TaskDescription>& tasks,
                           std::size_t last) {
  std::string text = fmt::format("{:<10}", "accuracy %");
  for (std::size_t task = 1; task <= accuracy.tasks(); ++task)
    text += fmt::format("{:>8}", fmt::format("task {}", task));
  for (std::size_t after = 0; after <= last; ++after) {
    const auto row = std::span(accuracy.values()).subspan(after * accuracy.tasks(), accuracy.tasks());
    if (std::ranges::all_of(row, [](double share) { return std::isnan(share); })) continue;
    text += fmt::format("\n{:<10}", after == 0 ? "untrained" : fmt::format("after {}", after));
    for (std::size_t task = 1; task <= accuracy.tasks(); ++task) {
      text += fmt::format("{:>8}", percent(accuracy.at(after, task)));
    }
  }
  if (std::ranges::any_of(tasks, &TaskDescription::told)) {
    text += "\n" + told_or_not(true);
  } else if (!tasks.empty()) {
    text += "\n" + told_or_not(false);
  }
  if (last > 0) {
    text += "\n";
    const char* between = "";
    for (const MatrixMeasure& measure : matrix_measures())
      text += fmt::format("{}{} {} %", std::exchange(between, ", "), measure.label,
                          percent((accuracy.*measure.value)(last)));
    text += "\n";
  } else {
    text += "\n";
  }
  return text;
}

}  // namespace orthospike
