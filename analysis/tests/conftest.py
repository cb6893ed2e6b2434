import subprocess
import sys

import h5py
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import synthetic_run

from orthospike import open_run


@pytest.fixture
def finished_file(tmp_path):
    return synthetic_run.write(tmp_path / "run.h5")


@pytest.fixture
def run(finished_file):
    return open_run(finished_file)


@pytest.fixture
def joint_run(tmp_path):
    """Joint training of the same three tasks: of the measures after a task, only those after the last."""
    path = synthetic_run.write(tmp_path / "joint.h5")
    with h5py.File(path, "r+") as file:
        del file["config"]
        file["config"] = synthetic_run.CONFIG + "[protection]\nname = joint\n"
        file["metrics/accuracy"][1:3] = np.nan
        file["metrics/accuracy"][3] = [0.96, 0.94, 0.97]
        file["metrics/average_accuracy"][:2] = np.nan
        for name in ("backward_transfer", "forward_transfer", "learning_accuracy", "forgetting"):
            file[f"metrics/{name}"][...] = np.nan
        for name in ("multiply_adds", "spikes", "synaptic_operations", "peak_memory", "seconds"):
            file[f"costs/{name}"][:2] = np.nan
    return open_run(path)


@pytest.fixture
def killed_file(tmp_path):
    """A run whose program was killed in task 3: its file was never closed."""
    path = tmp_path / "run.partial.h5"
    subprocess.run([sys.executable, synthetic_run.__file__, str(path)], check=False)
    return path


@pytest.fixture(autouse=True)
def figures():
    mpl.use("Agg")
    yield
    plt.close("all")
