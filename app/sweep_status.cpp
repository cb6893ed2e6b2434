#include <fmt/format.h>

#include <map>

#include "app/accuracy_table.hpp"
#include "app/json.hpp"
#include "app/sweep.hpp"

namespace orthospike {

int sweep_status(const Sweep& sweep) {
  std::map<RunState, std::size_t> counts;
  std::vector<std::vector<std::string>> rows = {{"point", "state", "run", ""}};
  for (std::size_t i = 0; i < sweep.points.size(); ++i) {
    const RunStatus status = status_of(sweep, sweep.points[i]);
    ++counts[status.state];
    const std::string note =
        status.state == RunState::done
            ? fmt::format("ACC {} %",
                          percent(status.record->accuracy.average_accuracy(status.record->tasks_done)))
            : status.note;
    rows.push_back({fmt::format("{}", i + 1), words(status.state), sweep.points[i].name, note});
  }
  std::string sentence, json;
  for (const RunState state :
       {RunState::done, RunState::running, RunState::interrupted, RunState::failed, RunState::missing}) {
    if (counts[state] > 0) sentence += fmt::format(", {} {}", counts[state], words(state));
    json += fmt::format(R"(, "{}": {})", words(state), counts[state]);
  }
  fmt::print("{}\n{} points in {}: {}\n", aligned(rows), sweep.points.size(), sweep.out.string(),
             sentence.substr(2));
  fmt::print(R"({{"points": {}{}, "folder": {}}})"
             "\n",
             sweep.points.size(), json, json_text(sweep.out.string()));
  return 0;
}

}  // namespace orthospike
