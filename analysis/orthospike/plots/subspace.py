"""What protections keep of earlier tasks, and how well it holds."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from orthospike.plots.style import Runs, by_label, look, shown, task_ticks

#: Of Run.subspace: the name of a measure, its axis, the factor to the axis' unit, the axis' end.
MEASURES = {
    "explained_energy": ("explained energy, %", 100, 105),
    "mean_angle": ("principal angle, degrees", 1, 94),
    "effective_rank": ("effective rank", 1, None),
    "leak": ("leak, %", 100, None),
}
#: Wider networks show their first projections.
MOST_PROJECTIONS = 6


def _measured(subspace: pd.DataFrame) -> pd.Series:
    """Projections with a measure that is neither missing nor 0: not those that no two tasks share."""
    return subspace["projection"][subspace[list(MEASURES)].fillna(0).any(axis=1)]


def subspace_curves(runs: Runs) -> Figure:
    """Over the tasks, a row a measure, a column a projection, a line a run: explained energy; the mean of the principal
    angles, shaded up to the largest; effective rank; leak. What no run has measured is left out."""
    labelled = by_label(runs)
    measures = [name for name in MEASURES if any(run.subspace[name].notna().any() for run in labelled.values())]
    projections = list(dict.fromkeys(p for run in labelled.values() for p in _measured(run.subspace)))
    projections = projections[:MOST_PROJECTIONS]
    if not measures or not projections:
        figure = plt.figure(figsize=(6, 1))
        figure.text(0.5, 0.5, "No subspace has been measured (yet).", ha="center", va="center")
        return figure
    figure, axes = plt.subplots(
        len(measures),
        len(projections),
        figsize=(1 + 2.7 * len(projections), 0.8 + 2.0 * len(measures)),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for ax_row, measure in zip(axes, measures, strict=True):
        name, factor, top = MEASURES[measure]
        for ax, projection in zip(ax_row, projections, strict=True):
            for i, (label, run) in enumerate(labelled.items()):
                own = run.subspace[run.subspace["projection"] == projection]
                values = factor * own[measure].to_numpy(float)
                # A protection without subspaces has rank 0 and no angles: no line where there is nothing.
                ax.plot(own["task"], values, label=shown(label), markersize=4, **look(i))
                if measure == "mean_angle":
                    ax.fill_between(own["task"], values, own["largest_angle"], color=look(i)["color"], alpha=0.15)
            ax.margins(x=0.08)
            ax.spines[["top", "right"]].set_visible(False)
        ax_row[0].set_ylabel(name)
        ax_row[0].set_ylim(0, top)  # the others share it, and what they show is in it by now
    for ax, projection in zip(axes[0], projections, strict=True):
        ax.set_title(shown(projection.replace("_to_", " → ")), fontsize=10)
    for ax in axes[-1]:
        task_ticks(ax, max(run.tasks for run in labelled.values()))
        ax.set_xlabel("after task")
    figure.align_ylabels(axes[:, 0])
    if len(labelled) > 1:
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure
