#!/usr/bin/env python3
"""Times batches of the convolutional network of configs/split-cifar100.ini in PyTorch, to compare with batch_benchmark.

The same layers, time steps and batch, without the lateral circuits. With the rules dsr (as published: Xiao et al., ICLR 2024) and
bptt time is stacked in the batch of convolutions and normalisations, neurons are a loop over steps, in dsr with a backward pass of
their own; with ottt (Xiao et al., NeurIPS 2022) each step is forward and backward, and normalised, by itself, and weights meet
presynaptic traces. Needs torch (Debian's python3-torch):

    python3 tests/benchmarks/torch_convolutions.py [--rule dsr|bptt|ottt] [--threads N] [--batches N]

Prints the median time of a training batch (forward, backward, step) of the first task, in which normalisations learn, and of a
later one, in which they are fixed, and of a test batch.
"""

import argparse
import math
import statistics
import time

import torch
from torch import nn

STEPS, BATCH, CLASSES = {"dsr": 20, "bptt": 6, "ottt": 6}, 64, 10
DT, TAU, FIRING_FRACTION, THRESHOLD = 0.05, 1.0, 0.3, 0.3
DECAY = math.exp(-DT / TAU)
WEIGHTS = DECAY ** torch.arange(STEPS["dsr"] - 1, -1, -1, dtype=torch.float32)
WEIGHTS /= WEIGHTS.sum()
# Of surrogate gradients: what is left of a potential after a step, the firing threshold, the sigmoid's slope.
LEFT, FIRES_AT, SLOPE = 0.5, 1.0, 4.0


def average(values):
    return torch.tensordot(WEIGHTS, values, dims=1)


class Neurons(torch.autograd.Function):
    @staticmethod
    def forward(context, currents, threshold):
        context.save_for_backward(currents, threshold)
        potential = torch.zeros_like(currents[0])
        outputs = torch.empty_like(currents)
        for t in range(len(currents)):
            potential = DECAY * potential + (1 - DECAY) * currents[t]
            fired = (potential >= FIRING_FRACTION * threshold).to(currents.dtype)
            outputs[t] = fired * (threshold / DT)
            potential = potential - fired * threshold
        return outputs

    @staticmethod
    def backward(context, error):
        currents, threshold = context.saved_tensors
        g = len(currents) * average(error)
        received, saturation = average(currents), threshold * TAU / DT
        by_current = g / (TAU * len(currents)) * ((received > 0) & (received < saturation))
        by_threshold = DT * (g * (received > saturation)).sum()
        return by_current.expand_as(currents), by_threshold


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(context, potential):
        context.save_for_backward(potential)
        return (potential >= FIRES_AT).to(potential.dtype)

    @staticmethod
    def backward(context, error):
        (potential,) = context.saved_tensors
        at = torch.sigmoid(SLOPE * (potential - FIRES_AT))
        return error * SLOPE * at * (1 - at)


class DsrLif(nn.Module):
    def __init__(self):
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(THRESHOLD))

    def forward(self, stacked):
        currents = stacked.unflatten(0, (STEPS["dsr"], BATCH))
        return Neurons.apply(currents, self.threshold).flatten(0, 1)


class BpttLif(nn.Module):
    def forward(self, stacked):
        potential, spikes = 0, []
        for current in stacked.unflatten(0, (STEPS["bptt"], BATCH)):
            potential = LEFT * potential + current
            spikes.append(Spike.apply(potential))
            potential = potential - FIRES_AT * spikes[-1].detach()
        return torch.cat(spikes)


class OtttLif(nn.Module):
    """One step; the trace of the spikes so far goes beside them."""

    def forward(self, current):
        self.potential = LEFT * self.potential + current
        spikes = Spike.apply(self.potential)
        self.potential = (self.potential - FIRES_AT * spikes).detach()
        self.trace = LEFT * self.trace + spikes.detach()
        return spikes, self.trace


class TracedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(context, spikes, trace, weight):
        context.save_for_backward(trace, weight)
        return nn.functional.conv2d(spikes, weight, padding=1)

    @staticmethod
    def backward(context, error):
        trace, weight = context.saved_tensors
        to_spikes = torch.nn.grad.conv2d_input(trace.shape, weight, error, padding=1)
        return to_spikes, None, torch.nn.grad.conv2d_weight(trace, weight.shape, error, padding=1)


class TracedProduct(torch.autograd.Function):
    @staticmethod
    def forward(context, spikes, trace, weight):
        context.save_for_backward(trace, weight)
        return spikes @ weight.t()

    @staticmethod
    def backward(context, error):
        trace, weight = context.saved_tensors
        return error @ weight, None, error.t() @ trace


class Network(nn.Module):
    def __init__(self, rule):
        super().__init__()
        self.rule = rule
        self.convolutions, self.normalisations, self.neurons = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before = 3
        for channels in (64, 128, 256):
            convolution = nn.Conv2d(before, channels, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            self.convolutions.append(convolution)
            self.normalisations.append(nn.BatchNorm2d(channels))
            self.neurons.append({"dsr": DsrLif, "bptt": BpttLif, "ottt": OtttLif}[rule]())
            before = channels
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(256 * 4 * 4, CLASSES)

    def forward(self, images):
        stacked = images.repeat(STEPS[self.rule], 1, 1, 1)
        for convolution, normalisation, neurons in zip(self.convolutions, self.normalisations, self.neurons):
            stacked = self.pool(neurons(normalisation(convolution(stacked))))
        currents = self.head(stacked.flatten(1)).unflatten(0, (STEPS[self.rule], BATCH))
        return average(currents) if self.rule == "dsr" else currents.mean(0)

    def begin(self):
        for neurons in self.neurons:
            neurons.potential = neurons.trace = 0

    def step(self, images):
        values, trace = images, images
        for convolution, normalisation, neurons in zip(self.convolutions, self.normalisations, self.neurons):
            spikes, trace = neurons(normalisation(TracedConvolution.apply(values, trace, convolution.weight)))
            values, trace = self.pool(spikes), self.pool(trace)
        return TracedProduct.apply(values.flatten(1), trace.flatten(1), self.head.weight) + self.head.bias


def milliseconds(batches, work):
    work()
    times = []
    for _ in range(batches):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description="Times a convolutional spiking network in PyTorch.")
    parser.add_argument("--rule", choices=STEPS, default="dsr")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(2022)
    network = Network(arguments.rule)
    images, labels = torch.randn(BATCH, 3, 32, 32), torch.randint(0, CLASSES, (BATCH,))

    def train(optimiser):
        optimiser.zero_grad()
        if arguments.rule == "ottt":
            network.begin()
            for _ in range(STEPS["ottt"]):
                loss = nn.functional.cross_entropy(network.step(images), labels) / STEPS["ottt"]
                loss.backward()
        else:
            nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()

    def test():
        with torch.no_grad():
            if arguments.rule == "ottt":
                network.begin()
                sum(network.step(images) for _ in range(STEPS["ottt"]))
            else:
                network(images)

    print(f"torch {torch.__version__}, {arguments.rule}, {arguments.threads} threads, batches of {BATCH}")
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    print(f"training batch of task 1: {milliseconds(arguments.batches, lambda: train(optimiser)):.0f} ms")
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.dim() > 1)
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(weights, lr=0.01, momentum=0.9)
    print(f"training batch of task 2: {milliseconds(arguments.batches, lambda: train(optimiser)):.0f} ms")
    print(f"test batch: {milliseconds(arguments.batches, test):.0f} ms")


if __name__ == "__main__":
    main()
