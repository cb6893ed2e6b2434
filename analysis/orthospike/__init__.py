"""Runs orthospike, reads, plots and reports its runs and sweeps, reads trained weights, and writes data sets for it."""

from orthospike.comparison import compare
from orthospike.dataset import write_dataset
from orthospike.plots import (
    accuracy_heatmap,
    accuracy_heatmaps,
    average_accuracy_curves,
    comparison_bars,
    cost_comparison,
    forgetting_comparison,
    learning_curves,
    parallel_coordinates,
    subspace_curves,
)
from orthospike.program import run
from orthospike.report import sweep_table, write_report
from orthospike.run_file import Run, open_run, open_runs
from orthospike.sweep import Sweep, open_sweep
from orthospike.weights import load_weights

__all__ = [
    "Run",
    "Sweep",
    "accuracy_heatmap",
    "accuracy_heatmaps",
    "average_accuracy_curves",
    "compare",
    "comparison_bars",
    "cost_comparison",
    "forgetting_comparison",
    "learning_curves",
    "load_weights",
    "open_run",
    "open_runs",
    "open_sweep",
    "parallel_coordinates",
    "run",
    "subspace_curves",
    "sweep_table",
    "write_dataset",
    "write_report",
]
