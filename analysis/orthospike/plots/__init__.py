"""Plots of runs and sweeps. Those that return an Axes draw into `ax`, or into a new figure; those of several parts return
a new Figure. `runs` is one run or {label: run}."""

from orthospike.plots.accuracy import (
    accuracy_heatmap,
    accuracy_heatmaps,
    average_accuracy_curves,
    forgetting_comparison,
    learning_curves,
)
from orthospike.plots.comparison import comparison_bars
from orthospike.plots.cost import cost_comparison
from orthospike.plots.subspace import subspace_curves
from orthospike.plots.sweep import parallel_coordinates

__all__ = [
    "accuracy_heatmap",
    "accuracy_heatmaps",
    "average_accuracy_curves",
    "comparison_bars",
    "cost_comparison",
    "forgetting_comparison",
    "learning_curves",
    "parallel_coordinates",
    "subspace_curves",
]
