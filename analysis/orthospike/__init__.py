"""Runs orthospike, reads, plots and reports its runs, sweeps and recordings, reads trained weights, and writes data sets
for it."""

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
from orthospike.recording import Recording, open_recording
from orthospike.report import sweep_table, write_report
from orthospike.run_file import Run, open_run, open_runs
from orthospike.spike_plots import (
    activity_drift,
    correlation_histogram,
    correlations,
    drift_curves,
    interspike_intervals,
    interval_histogram,
    principal_angles,
    raster,
    rate_histogram,
    shared_subspaces,
    silent_neurons,
    silent_share,
)
from orthospike.sweep import Sweep, open_sweep
from orthospike.weights import load_lateral_weights, load_normalisation, load_weights

__all__ = [
    "Recording",
    "Run",
    "Sweep",
    "accuracy_heatmap",
    "accuracy_heatmaps",
    "activity_drift",
    "average_accuracy_curves",
    "compare",
    "comparison_bars",
    "correlation_histogram",
    "correlations",
    "cost_comparison",
    "drift_curves",
    "forgetting_comparison",
    "interspike_intervals",
    "interval_histogram",
    "learning_curves",
    "load_lateral_weights",
    "load_normalisation",
    "load_weights",
    "open_recording",
    "open_run",
    "open_runs",
    "open_sweep",
    "parallel_coordinates",
    "principal_angles",
    "raster",
    "rate_histogram",
    "run",
    "shared_subspaces",
    "silent_neurons",
    "silent_share",
    "subspace_curves",
    "sweep_table",
    "write_dataset",
    "write_report",
]
