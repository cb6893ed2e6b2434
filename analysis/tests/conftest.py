import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
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
