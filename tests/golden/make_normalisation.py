#!/usr/bin/env python3
"""Writes normalisation.txt: what small convolutional networks with batch normalisation do and their gradients, by torch's
autograd, in double precision.

Needs torch (Debian's python3-torch). Run again after changing a constant below:

    python3 tests/golden/make_normalisation.py > tests/golden/normalisation.txt

Networks: image, convolution, batch normalisation, neurons, average pooling, convolution with a stride, batch normalisation,
neurons, dense read-out; and image, convolution and more of them with currents that are carried on past one, from where they are
normalised or not to where they are or not, and the spikes of one past another with a stride, dense read-out. The static image comes in every step. Neurons are lif with surrogate derivatives (rule bptt) or lif_dsr
with the backward pass of the published code (rule dsr: Meng et al., 2022; Xiao et al., 2024), written out here for each step.

The format is that of make_dsr.py. Arrays of case k begin with "k."; "k.settings" are the rule (0 bptt, 1 dsr), the
statistics (0 of the batch over all steps, 1 of the batch in each step, 2 given) and whether there are blocks. Maps are channel last, weights [kernel row ·
kernel column · channel × channels out], as the library has them. "k.errors" are the gradient by the logits.
"""

import dataclasses
import itertools
import math

import numpy as np
import torch
import torch.nn.functional as nnf

STEPS = 5
BATCH = 3
SEED = 2022
SIDE, INPUTS, CLASSES = 6, 2, 4
# Time constants whose decays a float holds exactly, or that are as in the library.
DT, TAU, THRESHOLD, FIRING_FRACTION, SLOPE = 0.25, 1.0, 0.5, 0.5, 2.0
EPSILON, MOMENTUM = 1e-3, 0.25
BPTT, DSR = range(2)
ALL_STEPS, EACH_STEP, GIVEN = range(3)
# Spikes and masks must come out the same in single precision.
MARGIN = 2e-5

DSR_DECAY = math.exp(-DT / TAU)
AVERAGING = DSR_DECAY ** torch.arange(STEPS - 1, -1, -1, dtype=torch.float64)
AVERAGING /= AVERAGING.sum()


def average(values):
    """Over the steps [T, …], weighted."""
    return torch.tensordot(AVERAGING, values, dims=1)


class Sigmoid(torch.autograd.Function):
    """A spike for a margin of at least 0, with a surrogate derivative."""

    @staticmethod
    def forward(context, margin):
        context.save_for_backward(margin)
        return (margin >= 0).to(margin.dtype)

    @staticmethod
    def backward(context, error):
        (margin,) = context.saved_tensors
        rate = torch.sigmoid(SLOPE * margin)
        return SLOPE * rate * (1 - rate) * error


def lif(currents):
    """Spikes for currents [T, …], with a soft reset without gradient, and the smallest margin."""
    potential, spikes, smallest = torch.zeros_like(currents[0]), [], math.inf
    for current in currents:
        potential = (1 - DT / TAU) * potential + current
        margin = potential - THRESHOLD
        smallest = min(smallest, margin.detach().abs().min().item())
        spikes.append(Sigmoid.apply(margin))
        potential = potential - THRESHOLD * spikes[-1].detach()
    return torch.stack(spikes), smallest


class Dsr(torch.autograd.Function):
    """Output for currents [T, …]; its gradient is the published one."""

    @staticmethod
    def forward(context, currents, threshold):
        context.save_for_backward(currents, threshold)
        potential, outputs = torch.zeros_like(currents[0]), []
        for current in currents:
            potential = DSR_DECAY * potential + (1 - DSR_DECAY) * current
            fired = (potential >= FIRING_FRACTION * threshold).to(currents.dtype)
            outputs.append(fired * threshold / DT)
            potential = potential - threshold * fired
        return torch.stack(outputs)

    @staticmethod
    def backward(context, error):
        currents, threshold = context.saved_tensors
        g = STEPS * average(error)
        received, saturation = average(currents), threshold * TAU / DT
        by_current = g / TAU / STEPS * ((received > 0) & (received < saturation))
        by_threshold = DT * (g * (received > saturation)).sum()
        return by_current.expand(STEPS, *by_current.shape), by_threshold


def dsr(currents, threshold):
    """Output, and how near potentials came to the firing level or averages to an edge of the mask."""
    potential, smallest = torch.zeros_like(currents[0]), math.inf
    for current in currents.detach():
        potential = DSR_DECAY * potential + (1 - DSR_DECAY) * current
        smallest = min(smallest, (potential - FIRING_FRACTION * threshold).abs().min().item())
        potential = potential - threshold.detach() * (potential >= FIRING_FRACTION * threshold)
    received = average(currents.detach())
    for edge in (0, threshold.item() * TAU / DT):
        smallest = min(smallest, (received - edge).abs().min().item())
    return Dsr.apply(currents, threshold), smallest


@dataclasses.dataclass
class Way:
    """A convolution from a population, or the image (-1), after average pooling; padding is half of the kernel."""

    source: int
    kernel: int = 3
    stride: int = 1
    pooling: int = 1


@dataclasses.dataclass
class Population:
    channels: int
    ways: list
    carried: int = None  # population whose currents, before they are normalised, are added
    normalised: bool = True


PLAIN = [Population(3, [Way(-1)]), Population(4, [Way(0, stride=2, pooling=2)])]
RESIDUAL = [
    Population(2, [Way(-1)]),
    Population(2, [Way(0)]),
    Population(2, [Way(1)], carried=0),
    Population(2, [Way(2)], carried=2),
    Population(2, [Way(3)], carried=3, normalised=False),
    Population(2, [Way(4)], carried=4),
    Population(3, [Way(5, stride=2)]),
    Population(3, [Way(6), Way(5, kernel=1, stride=2)]),
    Population(3, [Way(7)], carried=7, normalised=False),
]
CASES = [
    *((PLAIN, rule, statistics) for rule in (BPTT, DSR) for statistics in (ALL_STEPS, EACH_STEP, GIVEN)),
    *((RESIDUAL, rule, statistics) for rule in (BPTT, DSR) for statistics in (ALL_STEPS, GIVEN)),
]


class Network:
    """Parameters of one case, drawn again for another attempt."""

    def __init__(self, populations, rule, statistics, seed):
        self.populations, self.rule, self.statistics = populations, rule, statistics
        random = np.random.default_rng(seed)

        def draw(shape, low, high):
            values = random.uniform(low, high, shape).astype(np.float32).astype(np.float64)
            return torch.tensor(values)

        self.image = draw((BATCH, INPUTS, SIDE, SIDE), -1, 2)
        self.errors = draw((BATCH, CLASSES), -1, 1)
        self.kernels = []
        for its in populations:
            for way in its.ways:
                before = INPUTS if way.source < 0 else populations[way.source].channels
                self.kernels.append(draw((its.channels, before, way.kernel, way.kernel), -0.6, 0.7))
        channels = [its.channels for its in populations]
        self.gains = [draw(c, 0.5, 1.5) for c in channels]
        self.offsets = [draw(c, 0.2, 0.8) for c in channels]
        self.means = [draw(c, -0.5, 0.5) for c in channels]
        self.variances = [draw(c, 0.5, 2.0) for c in channels]
        self.thresholds = [torch.tensor(0.5 - 0.03125 * k, dtype=torch.float64) for k in range(len(channels))]
        last = SIDE // 3 if populations is PLAIN else SIDE // 2  # pixels on a side
        self.head = draw((CLASSES, channels[-1] * last * last), -1, 1)
        self.trained = [*self.kernels, self.head, *self.gains, *self.offsets, *self.thresholds]
        for parameter in self.trained:
            parameter.requires_grad_()

    def normalise(self, k, currents):
        """[T, B, C, y, x], with the averages of statistics afterwards."""
        mean, variance = self.means[k].clone(), self.variances[k].clone()
        normalised = []
        for group in currents.split(1 if self.statistics == EACH_STEP else STEPS):
            normalised.append(
                nnf.batch_norm(
                    group.flatten(0, 1),
                    mean,
                    variance,
                    self.gains[k],
                    self.offsets[k],
                    training=self.statistics != GIVEN,
                    momentum=MOMENTUM,
                    eps=EPSILON,
                ).view_as(group)
            )
        return torch.cat(normalised), mean, variance

    def run(self):
        image = self.image.expand(STEPS, *self.image.shape)
        self.counts, self.averages, smallest = [], [], math.inf
        outputs, raw, kernels = [], [], iter(self.kernels)
        for k, its in enumerate(self.populations):
            currents = 0 if its.carried is None else raw[its.carried]
            for way in its.ways:
                maps = image if way.source < 0 else outputs[way.source]
                maps = nnf.avg_pool2d(maps.flatten(0, 1), way.pooling)
                maps = nnf.conv2d(maps, next(kernels), padding=way.kernel // 2, stride=way.stride)
                currents = currents + maps.unflatten(0, (STEPS, BATCH))
            raw.append(currents)
            mean, variance = self.means[k], self.variances[k]
            if its.normalised:
                currents, mean, variance = self.normalise(k, currents)
            self.averages += [mean, variance]
            if self.rule == DSR:
                spikes, margin = dsr(currents, self.thresholds[k])
            else:
                spikes, margin = lif(currents)
            outputs.append(spikes)
            smallest = min(smallest, margin)
            self.counts.append((spikes.detach() > 0).sum().item())
        flat = outputs[-1].permute(0, 1, 3, 4, 2).flatten(2)
        currents = flat @ self.head.T
        self.logits = average(currents) if self.rule == DSR else currents.mean(0)
        (self.logits * self.errors).sum().backward()
        return smallest

    def shows_all(self):
        """Whether populations spike, and all cases of the mask occur."""
        return min(self.counts) > 20 and (
            self.rule == BPTT or sum(threshold.grad.abs() > 0 for threshold in self.thresholds) > 1
        )


def show(name, values):
    values = np.atleast_2d(values.detach().numpy() if torch.is_tensor(values) else values)
    print(name, *values.shape)
    for row in values:
        print(" ".join(f"{value:.10g}" for value in row))


def as_rows(kernel):
    """[out, in, y, x] as [y · x · in × out]"""
    return kernel.permute(2, 3, 1, 0).reshape(-1, kernel.shape[0])


def main():
    show(
        "constants",
        [STEPS, DT, TAU, THRESHOLD, FIRING_FRACTION, SLOPE, EPSILON, MOMENTUM],
    )
    for number, (populations, rule, statistics) in enumerate(CASES):
        for seed in itertools.count(SEED + 100 * number):
            network = Network(populations, rule, statistics, seed)
            if network.run() > MARGIN and network.shows_all():
                break

        def put(name, values):
            show(f"{number}.{name}", values)

        put("settings", [rule, statistics, populations is RESIDUAL])
        put("image", network.image.permute(0, 2, 3, 1).flatten(1))
        put("errors", network.errors)
        put("logits", network.logits)
        for p, kernel in enumerate(network.kernels):
            put(f"weights{p}", as_rows(kernel))
            put(f"gradient{p}", as_rows(kernel.grad))
        put(f"weights{len(network.kernels)}", network.head.T)
        put(f"gradient{len(network.kernels)}", network.head.grad.T)
        for k, its in enumerate(populations):
            put(f"threshold{k}", [network.thresholds[k].item()])
            if rule == DSR:
                put(f"by_threshold{k}", [network.thresholds[k].grad.item()])
            if not its.normalised:
                continue
            put(
                f"normalisation{k}",
                torch.stack([network.gains[k], network.offsets[k], network.means[k], network.variances[k]]),
            )
            put(f"averages{k}", torch.stack(network.averages[2 * k : 2 * k + 2]))
            put(f"by_gain{k}", network.gains[k].grad)
            put(f"by_offset{k}", network.offsets[k].grad)


if __name__ == "__main__":
    main()
