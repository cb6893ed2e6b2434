"""What the program writes, read while it writes and after it failed. ORTHOSPIKE_PROGRAM names it."""

import os
import re
import resource
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from orthospike import load_lateral_weights, load_weights, open_run

SOURCE = Path(__file__).parents[2]
CONFIG = "tests/data/digits.ini"
QUICK = ["--tasks.train_samples=640", "--tasks.test_samples=300", "--run.threads=1"]

pytestmark = pytest.mark.skipif("ORTHOSPIKE_PROGRAM" not in os.environ, reason="ORTHOSPIKE_PROGRAM does not name the program")


def orthospike(*arguments, start=subprocess.run, **options):
    return start([SOURCE / os.environ["ORTHOSPIKE_PROGRAM"], *map(str, arguments)], cwd=SOURCE, **options)


def inspect(path):
    return orthospike("inspect", path, capture_output=True, text=True)


def assert_read_alike(path):
    """The package and the program: the same tasks done, and the same numbers, or the same refusal."""
    inspected = inspect(path)
    try:
        run = open_run(path)
    except ValueError as error:
        assert (inspected.returncode, inspected.stderr) == (1, f"orthospike: {error}\n")
        return None
    assert f"\n{run.tasks_done} of {run.tasks} tasks{'' if run.finished else ', unfinished'}\n" in inspected.stdout
    for after in range(1, run.tasks_done + 1):
        percent = re.search(rf"^after {after} +(.*)$", inspected.stdout, re.MULTILINE)[1].split()
        assert percent == [f"{100 * share:.2f}" for share in run.accuracy.loc[after]]
    return run


def test_a_run_is_read_while_it_goes_on(tmp_path):
    arguments = ["run", CONFIG, "--out", tmp_path, "--tasks.count=25", "--tasks.epochs=1", *QUICK]
    process = orthospike(*arguments, start=subprocess.Popen, stdout=subprocess.DEVNULL)
    seen = []
    while process.poll() is None:
        if any(tmp_path.glob("run*.h5")):  # the lock comes first
            seen.append(open_run(tmp_path))
    assert process.returncode == 0
    done = [run.tasks_done for run in seen]
    assert done == sorted(done)
    assert len(set(done)) > 2
    finished = open_run(tmp_path)
    assert finished.finished
    for run in seen:
        assert run.accuracy.loc[1 : run.tasks_done].equals(finished.accuracy.loc[1 : run.tasks_done])
        assert run.costs.equals(finished.costs.loc[: run.tasks_done])


def test_curves_grow_within_a_task(tmp_path):
    arguments = ["run", CONFIG, "--out", tmp_path, "--tasks.count=1", "--tasks.epochs=500", *QUICK]
    process = orthospike(*arguments, start=subprocess.Popen, stdout=subprocess.DEVNULL)
    within, lengths = 0, []
    while process.poll() is None:
        if any(tmp_path.glob("run*.h5")):
            run = open_run(tmp_path)
            within += (run.curves["task"] > run.tasks_done).any()
            lengths.append(len(run.curves))
    assert process.returncode == 0
    assert lengths == sorted(lengths)
    assert within > 2
    assert len(set(lengths)) > 3
    finished = open_run(tmp_path)
    assert list(finished.curves.groupby("task").size()) == [5000]


def test_trained_weights_are_those_of_the_network(tmp_path):
    options = ["--out", tmp_path, "--tasks.count=1", "--network.hidden=20,12", "--hlop.ranks=4", *QUICK]
    assert orthospike("run", CONFIG, *options, capture_output=True).returncode == 0
    weights = load_weights(tmp_path)
    assert {name: array.shape for name, array in weights.items()} == {
        "input_to_hidden1": (64, 20),
        "hidden1_to_hidden2": (20, 12),
        "hidden2_to_readout": (12, 10),
    }
    assert all(array.dtype == np.float32 and array.std() > 0.01 for array in weights.values())
    assert load_weights(open_run(tmp_path)).keys() == weights.keys()


def test_lateral_weights_are_those_of_each_task_s_end(tmp_path):
    options = ["--tasks.count=2", "--network.hidden=20", "--hlop.ranks=4,2; 3,1", *QUICK]
    options += ["--experiment.save_weights=each", "--out", tmp_path]
    assert orthospike("run", CONFIG, *options, capture_output=True).returncode == 0
    first, last = (load_lateral_weights(tmp_path / f"weights-task-{task}.h5") for task in (1, 2))
    assert {name: rows.shape for name, rows in first.items()} == {
        "input_to_hidden1": (4, 64),
        "hidden1_to_readout": (2, 20),
    }
    for name, rows in load_lateral_weights(tmp_path).items():
        assert np.array_equal(rows, last[name])
        # Rows of finished tasks never change; the new ones learned to be about orthonormal to them.
        old = len(first[name])
        assert len(rows) > old and np.array_equal(rows[:old], first[name])
        assert np.allclose(rows @ rows.T, np.eye(len(rows)), atol=0.3)


def test_after_a_full_disk_both_read_what_was_written_safely(tmp_path):
    def limit_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = []
    for limit in (12000, 40000, 60000):
        out = tmp_path / str(limit)
        # The curves of two tasks are longer than a chunk of 1024 updates, so that in task 2 the file grows.
        options = [*QUICK, "--tasks.count=2", "--tasks.epochs=60", "--protection.name=none", "--network.hidden=32,32"]
        result = orthospike("run", CONFIG, "--out", out, *options, capture_output=True, preexec_fn=limit_files)
        assert result.returncode == 1
        run = assert_read_alike(out)
        done.append(run and (run.tasks_done, run.finished))
    assert done == [None, (0, False), (1, False)]


def test_damaged_unfinished_files_are_refused_by_both(tmp_path, killed_file):
    whole = killed_file.read_bytes()
    for length in range(0, len(whole), len(whole) // 7):
        killed_file.write_bytes(whole[:length])
        assert assert_read_alike(killed_file) is None
