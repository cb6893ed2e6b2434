"""Configs side by side."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from orthospike.plots.style import COLOURS, new_axes, shown, tidy


def comparison_bars(table: pd.DataFrame, measure: str = "ACC", ax: Axes | None = None) -> Axes:
    """A bar for each row of the table that `compare` makes: the mean of a measure in percent, with a line of one sample
    deviation to both sides where there are several runs. Rows of one value of the first key have one colour."""
    ax = ax or new_axes(8, 1 + 0.35 * len(table))
    labels = [", ".join(map(str, index)) if isinstance(index, tuple) else str(index) for index in table.index]
    first = [label.split(", ")[0] for label in labels]
    colour = {value: COLOURS[i % len(COLOURS)] for i, value in enumerate(dict.fromkeys(first))}
    means = 100 * table[measure, "mean"].to_numpy(float)
    deviations = 100 * table[measure, "std"].to_numpy(float)
    places = np.arange(len(table))
    ax.barh(
        places,
        means,
        0.7,
        xerr=np.nan_to_num(deviations) if np.isfinite(deviations).any() else None,
        color=[colour[value] for value in first],
        error_kw={"capsize": 3, "linewidth": 1},
    )
    for place, mean, deviation in zip(places, means, np.nan_to_num(deviations), strict=True):
        if np.isfinite(mean):
            end = mean + deviation if mean >= 0 else mean - deviation
            ax.annotate(
                f"{mean:.1f}",
                (end, place),
                xytext=(4 if mean >= 0 else -4, 0),
                textcoords="offset points",
                ha="left" if mean >= 0 else "right",
                va="center",
                fontsize=8,
            )
    ax.set_yticks(places, [shown(label) for label in labels])
    ax.set_ylim(len(table) - 0.5, -0.5)  # the first on top, also where another plot shares the axis
    ax.margins(x=0.1)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set(xlabel=f"{measure}, %", ylabel="")
    return tidy(ax, labels=0)
