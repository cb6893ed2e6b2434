"""What the points of a sweep gave."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from orthospike.plots.style import new_axes, shown
from orthospike.sweep import Sweep

#: An axis is logarithmic where its largest number is so many times the smallest.
LOGARITHMIC_FROM = 20
MOST_TICKS = 12


def parallel_coordinates(sweep: Sweep, ax: Axes | None = None) -> Axes:
    """An axis for each key that varies and, last, one for the measure by which the sweep chooses, its mean over the seeds
    in percent. A line for each setting, coloured by that mean, bright is high; the best one is drawn thick and dashed."""
    ax = ax or new_axes(max(6, 2.2 * (len(sweep.keys) + 1)), 4.2)
    scores = 100 * sweep.means[sweep.choose_by, "mean"]
    columns = [_scaled(sweep.settings[key]) for key in sweep.keys]
    low, high = scores.min(), scores.max()
    span = high - low if high > low else 1.0
    columns.append(((scores - low) / span, [(t, f"{low + t * span:.1f}") for t in (0, 0.25, 0.5, 0.75, 1)]))
    lines = np.column_stack([values for values, _ in columns])
    colours = mpl.colormaps["viridis"]
    best = None if sweep.best is None else sweep.settings.index.get_loc(sweep.best)
    for i in np.argsort(lines[:, -1]):
        if i != best and np.isfinite(scores.iloc[i]):
            ax.plot(lines[i], color=colours(lines[i, -1]), linewidth=1.4, alpha=0.85)
    if best is not None:
        ax.plot(lines[best], color="#D55E00", linewidth=3, linestyle="--", label="best setting", zorder=3)
        ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.02))
    for x, (_, ticks) in enumerate(columns):
        last = x == len(columns) - 1
        ax.axvline(x, color="black", linewidth=0.9, zorder=0)
        for y, text in ticks[:: -(-len(ticks) // MOST_TICKS)]:
            ax.annotate(
                shown(text),
                (x, y),
                (5 if last else -5, 0),
                textcoords="offset points",
                ha="left" if last else "right",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
                zorder=4,
            )
    names = [*sweep.keys, f"{sweep.choose_by.replace('_', ' ')}, %"]
    ax.set_xticks(range(len(columns)), [shown(name).replace(".", ".\n", 1) for name in names])
    ax.tick_params(axis="x", length=0)
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.set_xlim(-0.35, len(columns) - 0.65)
    return ax


def _scaled(values: "pd.Series[Any]") -> tuple[Any, list[tuple[float, str]]]:
    """Places from 0 to 1, and which of them to name how."""
    if not pd.api.types.is_numeric_dtype(values):
        texts = list(dict.fromkeys(values))
        place = {text: i / max(1, len(texts) - 1) for i, text in enumerate(texts)}
        return values.map(place), [(place[text], str(text)) for text in texts]
    low, high = values.min(), values.max()
    if low > 0 and high > LOGARITHMIC_FROM * low:
        places = np.log(values / low) / np.log(high / low)
    else:
        places = (values - low) / (high - low if high > low else 1)
    named = pd.Series(values.to_numpy(), index=places.to_numpy()).sort_index().drop_duplicates()
    return places, [(float(place), f"{value:.4g}") for place, value in named.items()]
