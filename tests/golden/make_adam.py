#!/usr/bin/env python3
"""Writes adam.txt: what adam and adamw do to a few weights in some updates, in double precision.

Written down from the published algorithms, with the bias corrections as they stand there. Run again after
changing a constant below:

    python3 tests/golden/make_adam.py > tests/golden/adam.txt

The format is one array a block: its name, rows and columns on a line, then one row of numbers a line. Weights
have one row before the first update and one after each.
"""

import math
import random

WEIGHTS = 7
UPDATES = 6
RATE = 0.0625
BETA1 = 0.875
BETA2 = 0.96875
EPSILON = 2.0**-10
DECAY = 0.25
SEED = 2015


def follow(weights, gradients, decay, decoupled):
    """Rows of weights: Algorithm 1 of Kingma & Ba, and Algorithm 2 of Loshchilov & Hutter where decoupled."""
    theta = list(weights)
    m = [0.0] * WEIGHTS
    v = [0.0] * WEIGHTS
    rows = [list(theta)]
    for t, gradient in enumerate(gradients, start=1):
        for i in range(WEIGHTS):
            g = gradient[i]
            if not decoupled:
                g += decay * theta[i]
            m[i] = BETA1 * m[i] + (1 - BETA1) * g
            v[i] = BETA2 * v[i] + (1 - BETA2) * g**2
            m_hat = m[i] / (1 - BETA1**t)
            v_hat = v[i] / (1 - BETA2**t)
            step = RATE * m_hat / (math.sqrt(v_hat) + EPSILON)
            if decoupled:
                step += RATE * decay * theta[i]
            theta[i] -= step
        rows.append(list(theta))
    return rows


def show(name, rows):
    print(name, len(rows), len(rows[0]))
    for row in rows:
        print(" ".join(f"{value:.10g}" for value in row))


def main():
    generator = random.Random(SEED)

    def single():
        """What a float can hold, so that the library starts from the same numbers."""
        return generator.randrange(-(2**16), 2**16) / 2**16

    weights = [single() for _ in range(WEIGHTS)]
    # Of very different sizes, and one that is zero at first.
    gradients = [[single() * 4.0 ** (2 - i) for i in range(WEIGHTS)] for _ in range(UPDATES)]
    gradients[0][3] = gradients[1][3] = 0.0

    show("constants", [[RATE, BETA1, BETA2, EPSILON, DECAY]])
    show("gradients", gradients)
    show("adam", follow(weights, gradients, 0.0, False))
    show("adam_decay", follow(weights, gradients, DECAY, False))
    show("adamw_decay", follow(weights, gradients, DECAY, True))


if __name__ == "__main__":
    main()
