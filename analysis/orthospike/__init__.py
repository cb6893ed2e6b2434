"""Runs orthospike, reads and plots its run files and recordings, reads trained weights, and writes data sets for it."""

from orthospike.comparison import compare
from orthospike.dataset import write_dataset
from orthospike.plots import accuracy_heatmap, average_accuracy_curves, forgetting_comparison
from orthospike.program import run
from orthospike.recording import Recording, open_recording
from orthospike.run_file import Run, open_run
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
from orthospike.weights import load_weights

__all__ = [
    "Recording",
    "Run",
    "accuracy_heatmap",
    "activity_drift",
    "average_accuracy_curves",
    "compare",
    "correlation_histogram",
    "correlations",
    "drift_curves",
    "forgetting_comparison",
    "interspike_intervals",
    "interval_histogram",
    "load_weights",
    "open_recording",
    "open_run",
    "principal_angles",
    "raster",
    "rate_histogram",
    "run",
    "shared_subspaces",
    "silent_neurons",
    "silent_share",
    "write_dataset",
]
