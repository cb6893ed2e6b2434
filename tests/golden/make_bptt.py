#!/usr/bin/env python3
"""Writes bptt.txt: logits, losses and gradients of small networks by torch's autograd, in double precision.

Needs torch (Debian's python3-torch). Run again after changing a constant below:

    python3 tests/golden/make_bptt.py > tests/golden/bptt.txt

Before anything is written, the backward code is checked against central differences: with each spike replaced by
the surrogate's own integral, the surrogate's derivative is exact. What a detached reset leaves out is then held
at its value before the disturbance.

The format is that of make_dsr.py. Arrays of case k begin with "k."; "k.settings" are kind (0 lif, 1 if, 2 alif),
hard reset, detached reset, surrogate (0 sigmoid, 1 arctan, 2 fast_sigmoid, 3 triangle), slope, synapse_tau,
the leak of the read-out and whether spiking populations are recurrent. Gradients are numbered as projections are:
feed-forward ones, each before the recurrent one of its target.
"""

import dataclasses
import math

import numpy as np
import torch

SIZES = [6, 8, 7, 4]
STEPS = 5
BATCH = 3
SEED = 2022
# Time constants whose decays a float holds exactly.
DT, TAU, ADAPTATION_TAU = 0.25, 1.0, 2.0
THRESHOLD = 0.75
ADAPTATION = 0.25
# Spikes must come out the same in single precision.
MARGIN = 1e-5
LIF, IF, ALIF = range(3)
SIGMOID, ARCTAN, FAST_SIGMOID, TRIANGLE = range(4)


@dataclasses.dataclass
class Case:
    kind: int
    hard: bool
    detached: bool
    surrogate: int
    slope: float
    synapse_tau: float = 0.0
    leak: float = 0.0
    recurrent: bool = False


CASES = [
    Case(LIF, False, True, SIGMOID, 4.0),
    Case(LIF, False, False, ARCTAN, 2.0),
    Case(LIF, True, True, TRIANGLE, 1.0),
    Case(LIF, True, False, FAST_SIGMOID, 3.0),
    Case(IF, False, False, FAST_SIGMOID, 1.0),
    Case(ALIF, False, True, SIGMOID, 2.0),
    Case(ALIF, False, False, TRIANGLE, 0.5, synapse_tau=0.5),
    Case(LIF, False, True, ARCTAN, 1.0, synapse_tau=1.0, leak=0.5),
    Case(LIF, False, True, SIGMOID, 4.0, recurrent=True),
    Case(LIF, True, False, ARCTAN, 2.0, recurrent=True),
    Case(ALIF, False, False, FAST_SIGMOID, 1.0, synapse_tau=0.5, leak=0.5, recurrent=True),
]


class Spike(torch.autograd.Function):
    """A step of the margin, or its smooth stand-in; either way with the surrogate's derivative."""

    @staticmethod
    def forward(context, margin, case, smooth):
        context.save_for_backward(margin)
        context.case = case
        if not smooth:
            return (margin >= 0).to(margin.dtype)
        a, m = case.slope, margin
        if case.surrogate == SIGMOID:
            return torch.sigmoid(a * m)
        if case.surrogate == ARCTAN:
            return torch.atan(math.pi / 2 * a * m) / math.pi + 0.5
        if case.surrogate == FAST_SIGMOID:
            return m / (1 + a * m.abs()) + 0.5
        inside = m.clamp(-1 / a, 1 / a)
        return a * inside - a * a * inside * inside.abs() / 2 + 0.5

    @staticmethod
    def backward(context, error):
        (m,) = context.saved_tensors
        a, surrogate = context.case.slope, context.case.surrogate
        if surrogate == SIGMOID:
            derivative = a * torch.sigmoid(a * m) * torch.sigmoid(-a * m)
        elif surrogate == ARCTAN:
            derivative = a / 2 / (1 + (math.pi / 2 * a * m) ** 2)
        elif surrogate == FAST_SIGMOID:
            derivative = (1 + a * m.abs()) ** -2
        else:
            derivative = a * (1 - a * m.abs()).clamp(min=0)
        return derivative * error, None, None


def population(currents, recurrent, case, smooth, resets):
    """Spikes for the currents of each step, and the smallest margin. `recurrent` are the weights of spikes to the
    next step, or None. `resets` are the spikes that reset where the reset is detached; they are appended where
    there are too few."""
    decay = 1 - DT / TAU if case.kind != IF else 1.0
    synapse_decay = 1 - DT / case.synapse_tau if case.synapse_tau > 0 else 0.0
    beta = ADAPTATION if case.kind == ALIF else 0.0
    synapse = potential = adaptation = torch.zeros_like(currents[0])
    spikes, smallest = [], math.inf
    for t, current in enumerate(currents):
        if recurrent is not None and t > 0:
            current = current + spikes[-1] @ recurrent
        synapse = synapse_decay * synapse + current
        potential = decay * potential + synapse
        margin = potential - THRESHOLD - beta * adaptation
        smallest = min(smallest, margin.detach().abs().min().item())
        spike = Spike.apply(margin, case, smooth)
        if len(resets) == t:
            resets.append(spike.detach())
        reset = resets[t] if case.detached else spike
        potential = potential * (1 - reset) if case.hard else potential - THRESHOLD * reset
        adaptation = (1 - DT / ADAPTATION_TAU) * adaptation + spike
        spikes.append(spike)
    return spikes, smallest


def run(case, inputs, labels, weights, smooth, resets):
    """Logits, loss and spikes of each spiking population."""
    outputs, populations = [inputs] * STEPS, []
    weights = iter(weights)
    for k in range(2):
        forward = next(weights)
        recurrent = next(weights) if case.recurrent else None
        outputs, smallest = population([x @ forward for x in outputs], recurrent, case, smooth, resets[k])
        assert smooth or smallest > MARGIN, f"a potential is within {smallest} of the threshold"
        populations.append(torch.stack(outputs).detach())
    readout, total = 0, 0
    forward = next(weights)
    for x in outputs:
        readout = case.leak * readout + x @ forward
        total = total + readout
    logits = total / STEPS
    return logits, torch.nn.functional.cross_entropy(logits, labels), populations


def check_smooth(case, inputs, labels, weights):
    """Central differences of the smooth network, one weight at a time."""
    resets = ([], [])
    _, loss, _ = run(case, inputs, labels, weights, True, resets)
    gradients = torch.autograd.grad(loss, weights)
    step = 1e-5
    with torch.no_grad():
        for w, gradient in zip(weights, gradients):
            for place in np.ndindex(*w.shape):
                sides = []
                for sign in (1, -1):
                    w[place] += sign * step
                    # A copy: a reset that is not detached must not be held.
                    sides.append(run(case, inputs, labels, weights, True, [list(r) for r in resets])[1].item())
                    w[place] -= sign * step
                measured = (sides[0] - sides[1]) / (2 * step)
                assert abs(measured - gradient[place]) < 1e-7 * gradient.abs().max() + 1e-10, (case, place)


def single(values):
    """What a float can hold, so that the library starts from the same numbers."""
    return torch.tensor(values.astype(np.float32).astype(np.float64))


def show(name, values):
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    print(name, *values.shape)
    for row in values:
        print(" ".join(f"{value:.10g}" for value in row))


def main():
    random = np.random.default_rng(SEED)
    inputs = single(random.uniform(-1.0, 2.0, (BATCH, SIZES[0])))
    weights = [
        single(random.uniform(-1.0, 1.3, (SIZES[k], SIZES[k + 1])) * (1.5 / np.sqrt(SIZES[k]))) for k in range(3)
    ]
    labels = torch.tensor(random.integers(0, SIZES[3], BATCH))
    recurrent = [single(random.uniform(-0.5, 0.5, (size, size))) for size in SIZES[1:3]]
    for w in weights + recurrent:
        w.requires_grad_(True)

    show("constants", [STEPS, DT, TAU, THRESHOLD, ADAPTATION, ADAPTATION_TAU])
    show("inputs", inputs)
    show("labels", labels)
    for k in range(3):
        show(f"weights{k}", weights[k].detach())
    for k in range(2):
        show(f"recurrent{k}", recurrent[k].detach())
    for k, case in enumerate(CASES):
        used = weights
        if case.recurrent:
            used = [weights[0], recurrent[0], weights[1], recurrent[1], weights[2]]
        check_smooth(case, inputs, labels, used)
        logits, loss, populations = run(case, inputs, labels, used, False, ([], []))
        for spikes in populations:
            assert 0.1 < spikes.mean() < 0.9, "too few or too many spikes"
        show(f"{k}.settings", dataclasses.astuple(case))
        show(f"{k}.logits", logits.detach())
        show(f"{k}.loss", [loss.item()])
        for p, gradient in enumerate(torch.autograd.grad(loss, used)):
            show(f"{k}.weight_gradient{p}", gradient)


if __name__ == "__main__":
    main()
