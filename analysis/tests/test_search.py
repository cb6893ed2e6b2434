"""The example that searches settings, with two workers. ORTHOSPIKE_PROGRAM names the program."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2]
SEARCH = [sys.executable, "analysis/examples/search.py", "tests/data/digits.ini"]


def state_of(run):
    return "finished" if (run / "run.h5").exists() else "pruned" if (run / "checkpoint.h5").exists() else "other"


@pytest.mark.skipif("ORTHOSPIKE_PROGRAM" not in os.environ, reason="ORTHOSPIKE_PROGRAM does not name the program")
def test_workers_share_a_study_and_end_trials_early(tmp_path):
    pytest.importorskip("optuna")
    program = SOURCE / os.environ["ORTHOSPIKE_PROGRAM"]
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    workers = [subprocess.Popen([*SEARCH, tmp_path / "study", "12", "--run.threads=1"], cwd=SOURCE, env=environment,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
    results = [json.loads(worker.communicate(timeout=300)[0].splitlines()[-1]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    runs = sorted((tmp_path / "study.runs").iterdir(), key=lambda run: int(run.name))
    assert [run.name for run in runs] == [str(number) for number in range(24)]
    states = [state_of(run) for run in runs]
    assert set(states) == {"finished", "pruned"}, states
    best = max(results, key=lambda result: result["trials"])
    assert best["trials"] == 24
    # One of the finished runs had that result with those settings; chance alone reaches 10 %.
    again = subprocess.run([program, "run", "tests/data/digits.ini", "--out", tmp_path / "again", "--protection.name=leaky",
                            "--tasks.held_back_samples=300", "--run.threads=1",
                            *(f"--{key}={value}" for key, value in best["settings"].items())],
                           cwd=SOURCE, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout.splitlines()[-1])["acc"] == best["acc"] > 0.85
