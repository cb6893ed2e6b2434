"""What the plots share."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from orthospike.run_file import Run

#: Okabe and Ito's colours, which people with any colour vision tell apart, those that show best on white first.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C"]
MARKERS = "osD^vPX*"
LONGEST_LABEL = 40

Runs = Run | Mapping[str, Run]


def by_label(runs: Runs) -> Mapping[str, Run]:
    """A run alone has its name as label."""
    labelled = {runs.name: runs} if isinstance(runs, Run) else runs
    if not labelled:
        raise ValueError("there is no run to plot")
    return labelled


def shown(label: str) -> str:
    """The label as a figure shows it: not as formulas, not hidden, as matplotlib has it, and not without end."""
    text = " ".join(label.split())
    text = text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


def look(i: int) -> dict[str, Any]:
    """Colour, marker and, where colours repeat, dashes of the line of run i, for `plot`."""
    dashes = ("-", "--", ":")[i // len(COLOURS) % 3]
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)], "linestyle": dashes}


def fill(i: int) -> dict[str, Any]:
    """The same of a bar, for `bar` and `barh`."""
    return {"color": COLOURS[i % len(COLOURS)], "hatch": (None, "///", "...")[i // len(COLOURS) % 3], "edgecolor": "white"}


def new_axes(width: float, height: float) -> Axes:
    """In inches."""
    ax: Axes = plt.subplots(figsize=(width, height), layout="constrained")[1]
    return ax


def tidy(ax: Axes, labels: int) -> Axes:
    """With a legend where there is something to tell apart, beside the lines where it would hide them."""
    ax.spines[["top", "right"]].set_visible(False)
    if labels > 4:
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    elif labels > 1:
        ax.legend(frameon=False)
    return ax


def task_ticks(ax: Axes, tasks: int) -> None:
    """Tasks 1 … `tasks`, at most about ten of them named."""
    step = max(1, -(-tasks // 10))
    ax.set_xticks(range(1, tasks + 1, step))
