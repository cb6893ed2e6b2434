#!/usr/bin/env python3
"""Times batches of the convolutional network of configs/split-cifar100.ini in PyTorch, to compare with batch_benchmark.

The same layers, time steps and batch, as the published implementation has them (Xiao et al., ICLR 2024, without the lateral
circuits): time is stacked in the batch of convolutions and normalisations, neurons are a loop over steps with a backward pass of
their own. Needs torch (Debian's python3-torch):

    python3 tests/benchmarks/torch_convolutions.py [--threads N] [--batches N]

Prints the median time of a training batch (forward, backward, step) of the first task, in which normalisations learn, and of a
later one, in which they are fixed, and of a test batch.
"""

import argparse
import math
import statistics
import time

import torch
from torch import nn

STEPS, BATCH, CLASSES = 20, 64, 10
DT, TAU, FIRING_FRACTION, THRESHOLD = 0.05, 1.0, 0.3, 0.3
DECAY = math.exp(-DT / TAU)
WEIGHTS = DECAY ** torch.arange(STEPS - 1, -1, -1, dtype=torch.float32)
WEIGHTS /= WEIGHTS.sum()


def average(values):
    return torch.tensordot(WEIGHTS, values, dims=1)


class Neurons(torch.autograd.Function):
    @staticmethod
    def forward(context, currents, threshold):
        context.save_for_backward(currents, threshold)
        potential = torch.zeros_like(currents[0])
        outputs = torch.empty_like(currents)
        for t in range(STEPS):
            potential = DECAY * potential + (1 - DECAY) * currents[t]
            fired = (potential >= FIRING_FRACTION * threshold).to(currents.dtype)
            outputs[t] = fired * (threshold / DT)
            potential = potential - fired * threshold
        return outputs

    @staticmethod
    def backward(context, error):
        currents, threshold = context.saved_tensors
        g = STEPS * average(error)
        received, saturation = average(currents), threshold * TAU / DT
        by_current = g / (TAU * STEPS) * ((received > 0) & (received < saturation))
        by_threshold = DT * (g * (received > saturation)).sum()
        return by_current.expand_as(currents), by_threshold


class Lif(nn.Module):
    def __init__(self):
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(THRESHOLD))

    def forward(self, stacked):
        currents = stacked.unflatten(0, (STEPS, stacked.shape[0] // STEPS))
        return Neurons.apply(currents, self.threshold).flatten(0, 1)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        layers, before = [], 3
        for channels in (64, 128, 256):
            convolution = nn.Conv2d(before, channels, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            layers += [convolution, nn.BatchNorm2d(channels), Lif(), nn.AvgPool2d(2)]
            before = channels
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(256 * 4 * 4, CLASSES)

    def forward(self, images):
        stacked = images.repeat(STEPS, 1, 1, 1)
        currents = self.head(self.layers(stacked).flatten(1))
        return average(currents.unflatten(0, (STEPS, images.shape[0])))


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
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(2022)
    network = Network()
    images, labels = torch.randn(BATCH, 3, 32, 32), torch.randint(0, CLASSES, (BATCH,))

    def train(optimiser):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()

    def test():
        with torch.no_grad():
            network(images)

    print(f"torch {torch.__version__}, {arguments.threads} threads, batches of {BATCH}")
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
