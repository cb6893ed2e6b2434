"""A small run file as learning/run_file.cpp writes it: three tasks, two projections, numbers worked out by hand.

As a program it writes the file as far as the end of task 2 and is killed while it has it open.
"""

import os
import signal
import sys

import h5py
import numpy as np

NAN = float("nan")

CONFIG = """[experiment]
name = 50 % of it
seed = 2022

[data]
path =

[hlop]
ranks = 24,40; 10
"""
PROJECTIONS = ["input_to_hidden1", "hidden1_to_readout"]
PHASES = ["encode", "forward", "rule", "protect", "update", "extract", "evaluate", "measure"]

ACCURACY = [[0.10, 0.12, 0.08], [0.90, 0.16, 0.10], [0.92, 0.80, 0.14], [0.85, 0.70, 0.95]]
AVERAGE_ACCURACY = [0.90, 0.86, 2.5 / 3]
BACKWARD_TRANSFER = [NAN, 0.02, (-0.05 - 0.10) / 2]
LOGIT_CHANGE = [NAN, 0.25, 0.5]
FORWARD_TRANSFER = [NAN, 0.04, (0.04 + 0.06) / 2]
LEARNING_ACCURACY = [0.90, 0.85, 2.65 / 3]
FORGETTING = [[NAN, NAN, NAN], [-0.02, NAN, NAN], [0.07, 0.10, NAN]]
RANK = [[24, 40], [34, 50], [44, 60]]
DETECTED_BOUNDARIES = [3, 5]
TASK_NAMES = ["classes 0, 1", "classes 2, 3", "class 4"]
TASK_TOLD = [1, 1, 0]
LEAK = [[NAN, NAN], [0.03, 0.01], [0.04, 0.02]]


def write(path, *, tasks_done=3, killed=False):
    """Returns the path. `killed`: this process ends by SIGKILL with the file open."""
    file = h5py.File(path, "w", libver="latest")
    for name, text in {
        "format": "orthospike run",
        "version": "0.1.0",
        "git_revision": "872583a",
        "started": "2026-01-02T03:04:05Z",
        "device": "cpu",
    }.items():
        _text_attribute(file, name, text)
    for name, number in {"format_version": 1, "seed": 2022, "threads": 2}.items():
        file.attrs[name] = np.uint64(number)
    file.create_dataset("config", data=CONFIG.encode(), dtype=_text_type(CONFIG))
    told = file.create_dataset("tasks/told", data=np.array(TASK_TOLD, np.uint32), chunks=True)
    _described(told, "1 where told")
    told.attrs.create("names", [name.encode() for name in TASK_NAMES], dtype="S12")
    file.create_dataset("progress/tasks_done", data=np.array([tasks_done], np.uint32), chunks=True)

    _measure(file, "metrics/accuracy", ACCURACY, tasks_done + 1, "R[i][j]")
    _measure(file, "metrics/loss", 1 - np.array(ACCURACY), tasks_done + 1, "cross-entropy", "nat")
    for name, values in {
        "average_accuracy": AVERAGE_ACCURACY,
        "backward_transfer": BACKWARD_TRANSFER,
        "forward_transfer": FORWARD_TRANSFER,
        "learning_accuracy": LEARNING_ACCURACY,
        "forgetting": FORGETTING,
        "logit_change": LOGIT_CHANGE,
    }.items():
        _measure(file, f"metrics/{name}", values, tasks_done, f"definition of {name}")

    # Two updates a task; a file that is being written may have appended to some columns only.
    updates = 2 * tasks_done
    for name, values, unfinished in [
        ("task", [1, 1, 2, 2, 3, 3], 1),
        ("epoch", [1, 1, 1, 1, 1, 1], 1),
        ("batch", [1, 2, 1, 2, 1, 2], 0),
        ("loss", [2.0, 1.0, 2.1, 1.1, 2.2, 1.2], 0),
        ("accuracy", [0.25, 0.50, 0.25, 0.75, 0.25, 1.00], 0),
    ]:
        dtype = np.uint32 if isinstance(values[0], int) else np.float64
        data = np.array(values[: updates + unfinished], dtype)
        _described(file.create_dataset(f"curves/{name}", data=data, maxshape=(None,), chunks=(1024,)), name)

    boundaries = np.array(DETECTED_BOUNDARIES, np.uint32)
    boundaries = file.create_dataset("boundaries/detected", data=boundaries, maxshape=(None,), chunks=(1024,))
    _described(boundaries, "updates with which a task seemed to begin")

    _measure(file, "subspace/rank", RANK, tasks_done, "subspace neurons", dtype=np.uint32)
    for name in ("orthonormality_error", "largest_eigenvalue", "explained_energy"):
        _measure(file, f"subspace/{name}", np.array(RANK) / 100, tasks_done, name)
    for name in ("mean_angle", "largest_angle"):
        _measure(file, f"subspace/{name}", np.array(RANK) / 2, tasks_done, name, "degree")
    _measure(file, "subspace/leak", LEAK, tasks_done, "leak")
    _measure(file, "subspace/effective_rank", np.array(RANK) / 4, tasks_done, "effective rank")
    _measure(file, "subspace/memory", np.array(RANK) * 8, tasks_done, "memory", "byte")
    for data in file["subspace"].values():
        data.attrs.create("projections", PROJECTIONS, dtype=h5py.string_dtype(length=32))

    _measure(file, "costs/seconds", np.arange(24).reshape(3, 8), tasks_done, "seconds of each phase", "s")
    file["costs/seconds"].attrs.create("phases", PHASES, dtype=h5py.string_dtype(length=16))
    _measure(file, "costs/training_batches", [2, 2, 2], tasks_done, "updates", dtype=np.uint32)
    _measure(file, "costs/training_samples", [8, 8, 8], tasks_done, "samples", dtype=np.uint64)
    for name in ("multiply_adds", "spikes", "synaptic_operations"):
        _measure(file, f"costs/{name}", [300, 200, 100], tasks_done, name)
    _measure(file, "costs/peak_memory", [1e6, 2e6, 3e6], tasks_done, "peak", "byte")

    if killed:
        file.swmr_mode = True
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    file.close()
    return path


def _text_type(text):
    """Of a fixed size, as the writer's texts are."""
    return h5py.string_dtype("utf-8", max(len(text.encode()), 1))


def _text_attribute(item, name, text):
    item.attrs.create(name, text.encode(), dtype=_text_type(text))


def _described(data, definition, unit=None):
    _text_attribute(data, "definition", definition)
    if unit:
        _text_attribute(data, "unit", unit)


def _measure(file, name, values, rows, definition, unit=None, dtype=np.float64):
    """Rows that are not written yet hold NaN, or 0 in data sets of integers."""
    values = np.array(values, dtype)
    values[rows:] = np.nan if dtype == np.float64 else 0
    _described(file.create_dataset(name, data=values, chunks=values.shape), definition, unit)


if __name__ == "__main__":
    write(sys.argv[1], tasks_done=2, killed=True)
