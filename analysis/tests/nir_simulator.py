"""Runs a NIR graph in snnTorch: `python nir_simulator.py GRAPH.nir IMAGES.npy RESULT.npz`.

Needs torch, snntorch and nir, which need another numpy than the package: test_nir.py starts it in an interpreter that has
them. IMAGES are pixels from 0 to 1 [samples × values]; RESULT has the spikes of each sample by population, and `logits`.
What an interpreter of NIR must know beside the graph (step, reset, input, read-out) it takes from the graph's metadata.
"""

import sys

import nir
import numpy as np
import snntorch
import torch


class Population:
    """Neurons with a step of forward Euler, v + dt/tau ((v_leak - v) + r I). The state is snnTorch's own."""

    def __init__(self, node, dt, soft):
        def numbers(name):
            return torch.tensor(np.asarray(getattr(node, name)), dtype=torch.float32)

        cuba, leaky = isinstance(node, nir.CubaLIF), not isinstance(node, nir.IF)
        share = dt / numbers("tau_mem" if cuba else "tau") if leaky else torch.tensor(dt)
        beta = 1 - share if leaky else torch.tensor(1.0)
        self.gain = share * numbers("r")
        self.threshold = numbers("v_threshold")
        self.taken = self.threshold - numbers("v_reset")
        # Of snnTorch's resets, one to zero at once is ours; taking off something else than the threshold it does not have.
        self.resets_itself = not soft and not cuba and not numbers("v_reset").any()
        mechanism = {"threshold": self.threshold, "reset_mechanism": "zero" if self.resets_itself else "none"}
        self.soft = soft
        self.shape = self.threshold.shape
        if cuba:
            share_of_synapse = dt / numbers("tau_syn")
            self.gain = self.gain * share_of_synapse * numbers("w_in")
            self.neuron = snntorch.Synaptic(1 - share_of_synapse, beta, **mechanism)
            self.state = self.neuron.init_synaptic()
        else:
            self.neuron = snntorch.Leaky(beta, reset_delay=not self.resets_itself, **mechanism)
            self.state = (self.neuron.init_leaky(),)

    def __call__(self, current):
        spikes, *state = self.neuron(self.gain * current, *self.state)
        if not self.resets_itself:
            state[-1] = state[-1] - spikes * (self.taken if self.soft else state[-1])
        self.state = state
        self.spikes = spikes
        return spikes


def run(graph, images):
    metadata = graph.metadata
    dt, steps, soft = float(metadata["dt"]), int(metadata["steps"]), metadata["reset"] == "soft"
    assert metadata["time_unit"] == "s"
    nodes = {name: node for name, node in graph.nodes.items() if not isinstance(node, (nir.Input, nir.Output))}
    weights = {name: torch.tensor(node.weight) for name, node in nodes.items() if isinstance(node, (nir.Linear, nir.Affine))}
    biases = {name: torch.tensor(getattr(nodes[name], "bias", [0.0])) for name in weights}
    populations = {name: Population(node, dt, soft) for name, node in nodes.items() if hasattr(node, "v_threshold")}
    sources = {name: [source for source, target in graph.edges if target == name] for name in graph.nodes}
    images = (torch.tensor(images) - float(metadata["mean"])) / float(metadata["deviation"])
    counts = {name: 0 for name in populations}
    before = {name: torch.zeros(len(images), *population.shape) for name, population in populations.items()}
    images = images.reshape(len(images), *graph.input_type["input"])
    readout, total, weight, decay = 0, 0, 0, float(metadata["readout_decay"])
    for _ in range(steps):
        now = {}

        def output(name):
            """Of this step; a population that leads back to itself gives its spikes of the step before on that way."""
            if isinstance(graph.nodes[name], nir.Input):
                return images
            node = graph.nodes[name]
            if isinstance(node, nir.Conv2d):
                (source,) = sources[name]
                stride, padding = (tuple(map(int, sizes)) for sizes in (node.stride, node.padding))
                convolved = {"weight": torch.tensor(node.weight), "bias": torch.tensor(node.bias)}
                return torch.nn.functional.conv2d(output(source), **convolved, stride=stride, padding=padding)
            if isinstance(node, nir.AvgPool2d):
                return torch.nn.functional.avg_pool2d(output(sources[name][0]), tuple(map(int, node.kernel_size)))
            if isinstance(node, nir.Flatten):
                return output(sources[name][0]).flatten(1)
            if name in weights:
                (source,) = sources[name]
                arriving = before[source] if source in now and now[source] is None else output(source)
                return arriving @ weights[name].T + biases[name]
            if name not in now:
                now[name] = None
                now[name] = populations[name](sum(output(source) for source in sources[name]))
            return now[name]

        (end,) = [name for name, node in graph.nodes.items() if isinstance(node, nir.Output)]
        (last,) = sources[end]
        if isinstance(graph.nodes[last], nir.LI):
            node = graph.nodes[last]
            share = torch.tensor(dt / node.tau, dtype=torch.float32)
            readout = (1 - share) * readout + share * torch.tensor(node.r) * output(sources[last][0])
        else:
            readout = output(last)
        total, weight = decay * total + readout, decay * weight + 1
        before = now
        counts = {name: counts[name] + now[name] for name in populations}
    return {name: count.numpy() for name, count in counts.items()} | {"logits": (total / weight).numpy()}


if __name__ == "__main__":
    with torch.no_grad():
        np.savez(sys.argv[3], **run(nir.read(sys.argv[1]), np.load(sys.argv[2])))
