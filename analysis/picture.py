#!/usr/bin/env python3
"""Draws the picture of the README: the accuracy matrices of two runs side by side, ACC and BWT below each.

    picture.py WITHOUT WITH PICTURE    two run folders or files, and the PNG to write
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from orthospike import accuracy_heatmap, open_run


def draw(runs):
    figure, axes = plt.subplots(1, len(runs), figsize=(9.6, 4.4), dpi=150, sharey=True, layout="constrained")
    for ax, run in zip(axes, runs):
        accuracy_heatmap(run, ax)
        summary = 100 * run.summary()
        ax.set_title(f"protection.name = {run.settings['protection.name']}")
        ax.set_xlabel(f"accuracy on task, %\n\nACC {summary['ACC']:.1f} %, BWT {summary['BWT']:.1f} %")
    for ax in axes[1:]:
        ax.set_ylabel("")
    return figure


def main(without, with_protection, picture):
    figure = draw([open_run(without), open_run(with_protection)])
    figure.canvas.draw()
    # 64 colours are enough for two heat maps, and make the file a third as large.
    pixels = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    pixels.quantize(64, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
