#include "learning/sweep_work.hpp"

#include "kernels/backend.hpp"

namespace orthospike {

namespace {

/// Keys that are read, with their values, without those that say nothing about how much there is to do.
class Text final : public SettingsVisitor {
 public:
  std::string text;

 private:
  void visit(const Key& key) override {
    if (key.read && !key.name.starts_with("experiment.") && !key.name.starts_with("run."))
      text += key.name + "=" + key.get() + "\n";
  }
};

}  // namespace

double WorkCounter::operator()(const Config& config) {
  Config its = config;
  Text of_data, of_all;
  its.data.describe(of_data);
  its.describe_tasks(of_all);
  its.network.describe(of_all, its.rule.traits().readout_may_leak);
  its.neuron.describe(of_all);
  its.clock.describe(of_all);
  const auto known = work_.find(of_all.text);
  if (known != work_.end()) return known->second;

  const auto data = data_.find(of_data.text) != data_.end()
                        ? data_.find(of_data.text)
                        : data_.emplace(of_data.text, read_data_sets(config.data)).first;
  const auto sequence = config.make_tasks(data->second);
  double samples = 0, synapses = 0;
  for (std::size_t k = 0; k < sequence->count(); ++k)
    samples += static_cast<double>(sequence->task(k).train.size() * of_task(config.tasks.epochs, k));
  const auto backend = make_backend("cpu", 1);
  Network network(*backend);
  config.network.build(network, sequence->shape(), sequence->logits(), config.neuron, config.clock, 0);
  for (const auto& [name, source, target, connection, weights] : network.projections())
    synapses += static_cast<double>(connection->sources()) * connection->fan_out();
  return work_[of_all.text] = samples * synapses * static_cast<double>(config.clock.steps);
}

}  // namespace orthospike
