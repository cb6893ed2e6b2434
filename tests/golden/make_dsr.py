#!/usr/bin/env python3
"""Writes dsr.txt: what the DSR rule does in one batch of a small network, in double precision.

An implementation of its own, in the published form: the backward pass goes through every time step of every
layer, T·B rows of it, where the library folds time away first. Run again after changing a constant below:

    python3 tests/golden/make_dsr.py > tests/golden/dsr.txt

The format is one array a block: its name, rows and columns on a line, then one row of numbers a line.
"""

import numpy as np

SIZES = [13, 17, 11, 5]
STEPS = 7
BATCH = 6
DT = 0.25
TAU = 1.5
FIRING_FRACTION = 0.4
THRESHOLDS = [0.3, 0.22]  # of the two spiking populations
SEED = 2022
# Spikes and masks must come out the same in single precision.
MARGIN = 1e-5

DECAY = float(np.exp(-DT / TAU))
# Weights of the average over time, oldest first.
AVERAGING = DECAY ** np.arange(STEPS - 1, -1, -1, dtype=np.float64)
AVERAGING /= AVERAGING.sum()


def average(values):
    """[T, B, n] -> [B, n]"""
    return np.einsum("t,tbn->bn", AVERAGING, values)


def spike(currents, threshold):
    """Output of a population for currents [T, B, n], and how near a potential came to the firing level."""
    potential = np.zeros(currents.shape[1:])
    output = np.zeros_like(currents)
    margin = np.inf
    for t in range(STEPS):
        potential = DECAY * potential + (1 - DECAY) * currents[t]
        margin = min(margin, np.abs(potential - FIRING_FRACTION * threshold).min())
        fired = potential >= FIRING_FRACTION * threshold
        output[t][fired] = threshold / DT
        potential = potential - threshold * fired
    return output, margin


def single(values):
    """What a float can hold, so that the library starts from the same numbers."""
    return values.astype(np.float32).astype(np.float64)


def show(name, values):
    values = np.atleast_2d(values)
    print(name, *values.shape)
    for row in values:
        print(" ".join(f"{value:.10g}" for value in row))


def main():
    random = np.random.default_rng(SEED)
    inputs = single(random.uniform(-1.0, 2.0, (BATCH, SIZES[0])))
    weights = [
        single(random.uniform(-1.0, 1.0, (SIZES[k], SIZES[k + 1])) * (3.0 / np.sqrt(SIZES[k])))
        for k in range(3)
    ]
    labels = random.integers(0, SIZES[3], BATCH)
    thresholds = [float(np.float32(threshold)) for threshold in THRESHOLDS]

    # Forward: outputs[k] is [T, B, n] of population k; currents[k] what population k + 1 receives.
    outputs = [np.repeat(inputs[None], STEPS, axis=0)]
    currents = []
    for k in range(2):
        currents.append(outputs[k] @ weights[k])
        output, margin = spike(currents[k], thresholds[k])
        assert margin > MARGIN, f"a potential of population {k + 1} is within {margin} of the firing level"
        outputs.append(output)
    currents.append(outputs[2] @ weights[2])
    logits = average(currents[2])

    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax = shifted / shifted.sum(axis=1, keepdims=True)
    loss = -np.log(softmax[np.arange(BATCH), labels]).mean()
    by_logits = (softmax - np.eye(SIZES[3])[labels]) / BATCH

    # Backward, one gradient a time step: by_current[t] is that of the loss by the current of step t.
    by_current = AVERAGING[:, None, None] * by_logits
    by_weights = [None] * 3
    by_threshold = [None] * 2
    for k in (2, 1, 0):
        by_weights[k] = sum(outputs[k][t].T @ by_current[t] for t in range(STEPS))
        if k == 0:
            break
        by_output = by_current @ weights[k].T
        g = STEPS * average(by_output)
        received = average(currents[k - 1])
        saturation = thresholds[k - 1] * TAU / DT
        edges = min(np.abs(received).min(), np.abs(received - saturation).min())
        assert edges > MARGIN, f"an average current of population {k} is within {edges} of a mask edge"
        passes = (received > 0) & (received < saturation)
        saturated = received > saturation
        assert passes.any() and saturated.any() and (received < 0).any(), "a case of the mask does not occur"
        by_threshold[k - 1] = DT * (g * saturated).sum()
        by_current = np.repeat((passes * g / TAU / STEPS)[None], STEPS, axis=0)

    show("constants", [STEPS, DT, TAU, FIRING_FRACTION])
    show("thresholds", thresholds)
    show("inputs", inputs)
    show("labels", labels)
    for k in range(3):
        show(f"weights{k}", weights[k])
    show("logits", logits)
    show("loss", [loss])
    for k in range(3):
        show(f"weight_gradient{k}", by_weights[k])
    show("threshold_gradients", by_threshold)


if __name__ == "__main__":
    main()
