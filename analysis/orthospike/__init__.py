"""Reads and plots the run files of orthospike."""

from orthospike.comparison import compare
from orthospike.plots import accuracy_heatmap, average_accuracy_curves, forgetting_comparison
from orthospike.run import Run, open_run

__all__ = ["Run", "accuracy_heatmap", "average_accuracy_curves", "compare", "forgetting_comparison", "open_run"]
