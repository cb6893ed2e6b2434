"""Plots of runs. Each draws into `ax`, or into a new figure, and returns the Axes."""

from collections.abc import Mapping

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from orthospike.run_file import Run


def accuracy_heatmap(run: Run, ax: Axes | None = None) -> Axes:
    """The accuracy matrix, in percent. The line parts the tasks learned so far from those still to come."""
    ax = ax or _new_axes(1.8 + 0.62 * run.tasks, 1.6 + 0.5 * run.tasks)
    accuracy = run.accuracy.to_numpy()
    colours = mpl.colormaps["YlGnBu"].with_extremes(bad="0.93")
    ax.imshow(accuracy, cmap=colours, vmin=0, vmax=1, aspect="auto")

    points_per_cell = 72 * ax.get_window_extent().width / ax.figure.dpi / run.tasks
    for (row, column), value in np.ndenumerate(accuracy):
        if np.isfinite(value):
            ax.text(
                column,
                row,
                f"{100 * value:.1f}",
                ha="center",
                va="center",
                color="white" if value > 0.55 else "black",
                fontsize=min(9, points_per_cell / 3.2),
            )
    steps = np.arange(run.tasks + 1)
    ax.plot(steps - 0.5, np.minimum(steps + 0.5, run.tasks - 0.5), drawstyle="steps-post", color="black", linewidth=1.2)

    ax.set_xticks(range(run.tasks), run.accuracy.columns)
    ax.set_yticks(range(run.tasks + 1), ["before", *run.accuracy.index[1:]])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="accuracy on task, %", ylabel="after task", title=run.name)
    return ax


def forgetting_comparison(runs: Mapping[str, Run], ax: Axes | None = None) -> Axes:
    """How much of each task every run has forgotten after its last task done, in percentage points."""
    ax = ax or _new_axes(8, 4)
    width = 0.8 / len(runs)
    for i, (label, run) in enumerate(runs.items()):
        tasks = np.arange(1, run.tasks_done)
        forgotten = [100 * run.forgetting.at[run.tasks_done, task] for task in tasks]
        bars = ax.bar(tasks + (i - (len(runs) - 1) / 2) * width, forgotten, width, label=label)
        ax.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
    ax.set_xticks(range(1, max(run.tasks_done for run in runs.values())))
    ax.axhline(0, color="black", linewidth=0.8)
    ax.margins(y=0.1)
    ax.set(xlabel="task", ylabel="forgotten at the end, percentage points")
    return _tidy(ax)


def average_accuracy_curves(runs: Mapping[str, Run], ax: Axes | None = None) -> Axes:
    """Mean accuracy over the tasks learned so far, after each task, in percent."""
    ax = ax or _new_axes(6, 4)
    for label, run in runs.items():
        ax.plot(run.average_accuracy.index, 100 * run.average_accuracy, marker="o", label=label)
    ax.set_xticks(range(1, max(run.tasks for run in runs.values()) + 1))
    ax.set_ylim(0, 100)
    ax.set(xlabel="after task", ylabel="mean accuracy on the tasks so far, %")
    return _tidy(ax)


def _new_axes(width: float, height: float) -> Axes:
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _tidy(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax
