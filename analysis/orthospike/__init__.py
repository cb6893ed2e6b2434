"""Runs orthospike, reads and plots its run files, reads trained weights, and writes data sets for it."""

from orthospike.comparison import compare
from orthospike.dataset import write_dataset
from orthospike.plots import accuracy_heatmap, average_accuracy_curves, forgetting_comparison
from orthospike.program import run
from orthospike.recording import Recording, open_recording
from orthospike.run_file import Run, open_run
from orthospike.weights import load_weights

__all__ = [
    "Recording",
    "Run",
    "accuracy_heatmap",
    "average_accuracy_curves",
    "compare",
    "forgetting_comparison",
    "load_weights",
    "open_recording",
    "open_run",
    "run",
    "write_dataset",
]
