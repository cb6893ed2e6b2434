"""How accurate a network is on each task, and what it forgets."""

import textwrap

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orthospike.plots.style import COLOURS, Runs, by_label, fill, look, new_axes, shown, task_ticks, tidy
from orthospike.run_file import Run

#: Points below which numbers in cells or at bars cannot be read and are left out.
SMALLEST_FONT = 4.5


def accuracy_heatmap(run: Run, ax: Axes | None = None) -> Axes:
    """The accuracy matrix, in percent. The line parts the tasks learned so far from those still to come."""
    ax = ax or new_axes(*_heatmap_size(run))
    accuracy = run.accuracy.to_numpy()
    colours = mpl.colormaps["YlGnBu"].with_extremes(bad="0.93")
    ax.imshow(accuracy, cmap=colours, vmin=0, vmax=1, aspect="auto")

    points_per_cell = 72 * ax.get_window_extent().width / ax.figure.dpi / run.tasks
    font = min(9, points_per_cell / 3.2)
    for (row, column), value in np.ndenumerate(accuracy):
        if np.isfinite(value) and font >= SMALLEST_FONT:
            ax.text(
                column,
                row,
                f"{100 * value:.1f}",
                ha="center",
                va="center",
                color="white" if value > 0.55 else "black",
                fontsize=font,
            )
    steps = np.arange(run.tasks + 1)
    ax.plot(steps - 0.5, np.minimum(steps + 0.5, run.tasks - 0.5), drawstyle="steps-post", color="black", linewidth=1.2)

    every = -(-run.tasks // 25)
    ax.set_xticks(range(0, run.tasks, every), run.accuracy.columns[::every])
    ax.set_yticks([0, *range(1, run.tasks + 1, every)], ["before", *run.accuracy.index[1::every]])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="accuracy on task, %", ylabel="after task", title=shown(run.name))
    return ax


def accuracy_heatmaps(runs: Runs) -> Figure:
    """The accuracy matrices side by side, two a row."""
    labelled = by_label(runs)
    columns = min(2, len(labelled))
    rows = -(-len(labelled) // columns)
    width, height = np.max([_heatmap_size(run) for run in labelled.values()], axis=0)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * width, rows * height), squeeze=False, layout="constrained"
    )
    for ax, (label, run) in zip(axes.flat, labelled.items(), strict=False):
        accuracy_heatmap(run, ax).set_title(textwrap.fill(shown(label), int(11 * width)), fontsize=10)
    for ax in axes.flat[len(labelled) :]:
        ax.set_axis_off()
    return figure


def _heatmap_size(run: Run) -> tuple[float, float]:
    """In inches."""
    return min(12.0, max(3.0, 1.8 + 0.62 * run.tasks)), min(12.0, 1.6 + 0.5 * run.tasks)


def forgetting_comparison(runs: Runs, ax: Axes | None = None) -> Axes:
    """How much of each task every run has forgotten after its last task done, in percentage points."""
    ax = ax or new_axes(8, 4)
    labelled = by_label(runs)
    width = 0.8 / len(labelled)
    most = max(run.tasks_done for run in labelled.values())
    points_per_bar = 72 * ax.get_window_extent().width / ax.figure.dpi * width / max(1, most - 1)
    font = min(8, points_per_bar / 2.2)
    for i, (label, run) in enumerate(labelled.items()):
        tasks = np.arange(1, run.tasks_done)
        forgotten = [100 * run.forgetting.at[run.tasks_done, task] for task in tasks]
        bars = ax.bar(
            tasks + (i - (len(labelled) - 1) / 2) * width,
            forgotten,
            width,
            label=shown(label),
            linewidth=0,
            **fill(i),
        )
        if font >= SMALLEST_FONT:
            ax.bar_label(bars, fmt="%.1f", padding=2, fontsize=font)
    task_ticks(ax, most - 1)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.margins(y=0.1)
    ax.set(xlabel="task", ylabel="forgotten at the end, percentage points")
    return tidy(ax, len(labelled))


def average_accuracy_curves(runs: Runs, ax: Axes | None = None) -> Axes:
    """Mean accuracy over the tasks learned so far, after each task, in percent."""
    ax = ax or new_axes(6, 4)
    labelled = by_label(runs)
    for i, (label, run) in enumerate(labelled.items()):
        ax.plot(run.average_accuracy.index, 100 * run.average_accuracy, label=shown(label), **look(i))
    task_ticks(ax, max(run.tasks for run in labelled.values()))
    ax.set_ylim(0, 100)
    ax.set(xlabel="after task", ylabel="mean accuracy on the tasks so far, %")
    return tidy(ax, len(labelled))


def learning_curves(runs: Runs, ax: Axes | None = None, points: int = 200) -> Axes:
    """Training accuracy over the updates of all tasks, in percent, each of about `points` points the mean of as many
    updates. Dotted lines: where the first run's tasks begin. It grows while a run goes on."""
    ax = ax or new_axes(8, 3.5)
    labelled = by_label(runs)
    for i, (label, run) in enumerate(labelled.items()):
        accuracy = 100 * run.curves["accuracy"].to_numpy(float)
        size = max(1, len(accuracy) // points)
        means = [accuracy[start : start + size].mean() for start in range(0, len(accuracy), size)]
        middles = [min(start + size / 2, len(accuracy)) for start in range(0, len(accuracy), size)]
        ax.plot(middles, means, label=shown(label), color=COLOURS[i % len(COLOURS)], linewidth=1.2)
    task = next(iter(labelled.values())).curves["task"].to_numpy()
    for begin in np.flatnonzero(np.diff(task)) + 1:
        ax.axvline(float(begin), color="0.6", linewidth=0.8, linestyle=":")
    ax.set_ylim(0, 100)
    ax.set(xlabel="update", ylabel="training accuracy, %")
    return tidy(ax, len(labelled))
