import dataclasses
import os
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import synthetic_run as written

from orthospike import open_run, open_runs


def test_matrices_count_tasks_from_1_and_have_a_row_before_any_training(run):
    assert run.accuracy.loc[0, 1] == 0.10
    assert run.accuracy.loc[1, 2] == 0.16
    assert run.loss.loc[3, 1] == pytest.approx(0.15)
    for matrix in (run.accuracy, run.loss):
        assert list(matrix.index) == [0, 1, 2, 3]
        assert list(matrix.columns) == [1, 2, 3]
    assert (run.accuracy.index.name, run.accuracy.columns.name) == ("after task", "task")
    assert np.array_equal(run.accuracy, written.ACCURACY)


@pytest.mark.parametrize(
    "name", ["average_accuracy", "backward_transfer", "forward_transfer", "learning_accuracy", "forgetting", "logit_change"]
)
def test_measures_are_those_of_the_file_by_task(run, name):
    measure = getattr(run, name)
    assert list(measure.index) == [1, 2, 3]
    assert np.array_equal(measure, getattr(written, name.upper()), equal_nan=True)


def test_tasks_have_names_and_are_told_at_test_time_or_not(run):
    assert run.task_names == written.TASK_NAMES
    assert run.task_told == [True, True, False]


def test_summary_is_that_of_the_last_task(run):
    assert run.summary().to_dict() == pytest.approx(
        {"ACC": 2.5 / 3, "BWT": -0.075, "FWT": 0.05, "forgetting": 0.085, "learning accuracy": 2.65 / 3}
    )


def test_intransigence_is_what_joint_training_learns_better(run, joint_run):
    intransigence = run.intransigence(joint_run)
    assert intransigence.to_dict() == pytest.approx({1: 0.96 - 0.90, 2: 0.94 - 0.80, 3: 0.97 - 0.95})
    assert intransigence.mean() == pytest.approx(0.22 / 3)
    summary = joint_run.summary()
    assert list(summary.index[summary.isna()]) == ["BWT", "FWT", "forgetting", "learning accuracy"]
    assert joint_run.finished


def test_intransigence_of_a_run_that_has_not_learned_all_tasks_is_so_far_unknown(killed_file, joint_run):
    assert list(open_run(killed_file).intransigence(joint_run).isna()) == [False, False, True]


def test_intransigence_needs_joint_training_of_as_many_tasks(run, joint_run):
    with pytest.raises(ValueError, match="run.h5: not a run of joint training$"):
        joint_run.intransigence(run)
    other = dataclasses.replace(run, tasks=2)
    with pytest.raises(ValueError, match="joint.h5: a run of 3 tasks, not of 2$"):
        other.intransigence(joint_run)


def test_subspace_has_a_row_for_each_task_and_projection(run):
    assert list(run.subspace.columns) == [
        "task",
        "projection",
        "rank",
        "orthonormality_error",
        "explained_energy",
        "mean_angle",
        "largest_angle",
        "leak",
        "largest_eigenvalue",
        "effective_rank",
        "memory",
    ]
    assert len(run.subspace) == 6
    row = run.subspace.set_index(["task", "projection"]).loc[(2, "hidden1_to_readout")]
    assert row.to_dict() == {
        "rank": 50,
        "orthonormality_error": 0.5,
        "explained_energy": 0.5,
        "mean_angle": 25,
        "largest_angle": 25,
        "leak": 0.01,
        "largest_eigenvalue": 0.5,
        "effective_rank": 12.5,
        "memory": 400,
    }


def test_costs_are_by_task_and_seconds_by_phase(run):
    assert run.costs.loc[2].to_dict() == {
        "training_batches": 2,
        "training_samples": 8,
        "multiply_adds": 200,
        "spikes": 200,
        "synaptic_operations": 200,
        "peak_memory": 2e6,
    }
    assert run.seconds.loc[2, "forward"] == 9
    assert list(run.seconds.columns) == written.PHASES


def test_curves_have_a_row_for_each_update(finished_file):
    curves = open_run(finished_file).curves
    assert curves.iloc[3].to_dict() == {"task": 2, "epoch": 1, "batch": 2, "loss": 1.1, "accuracy": 0.75}
    assert len(curves) == 6


def test_texts_and_numbers_are_pythons_own(run):
    assert run.attributes == {
        "format": "orthospike run",
        "format_version": 1,
        "version": "0.1.0",
        "git_revision": "872583a",
        "started": "2026-01-02T03:04:05Z",
        "device": "cpu",
        "seed": 2022,
        "threads": 2,
    }
    assert all(type(value) in (str, int) for value in run.attributes.values())
    assert run.config == written.CONFIG
    assert run.settings == {
        "experiment.name": "50 % of it",
        "experiment.seed": "2022",
        "data.path": "",
        "hlop.ranks": "24,40; 10",
    }
    assert run.definitions["/metrics/forgetting"] == "definition of forgetting"
    assert run.units == {
        "/metrics/loss": "nat",
        "/subspace/mean_angle": "degree",
        "/subspace/largest_angle": "degree",
        "/subspace/memory": "byte",
        "/costs/seconds": "s",
        "/costs/peak_memory": "byte",
    }


def test_the_file_is_closed_after_reading(run, finished_file):
    finished_file.unlink()
    h5py.File(finished_file, "w").close()
    assert run.accuracy.loc[3, 3] == 0.95


def test_a_folder_stands_for_its_run_file(finished_file):
    assert open_run(finished_file.parent).path == finished_file
    assert open_run(str(finished_file.parent)).finished


def test_runs_are_called_by_their_folders_or_their_own_names(tmp_path):
    for folder in ("same", "other/same"):
        (tmp_path / folder).mkdir(parents=True)
        written.write(tmp_path / folder / "run.h5")
    copy = written.write(tmp_path / "copy.h5")
    runs = open_runs(tmp_path / "same", tmp_path / "other/same/run.h5", copy)
    assert list(runs) == ["same", str(tmp_path / "other/same/run.h5"), "copy"]
    assert runs["copy"].path == copy


def test_the_run_of_a_killed_program_is_read_up_to_its_last_flush(killed_file):
    with pytest.raises(OSError):
        h5py.File(killed_file, "r")
    for path in (killed_file, killed_file.parent):
        run = open_run(path)
        assert not run.finished
        assert (run.tasks, run.tasks_done) == (3, 2)
    assert repr(run) == "<Run '50 % of it': 2 of 3 tasks, unfinished>"
    assert run.accuracy.loc[3].isna().all()
    assert list(run.subspace.task) == [1, 1, 2, 2]
    assert list(run.costs.index) == list(run.seconds.index) == [1, 2]
    assert run.summary()["ACC"] == 0.86
    assert len(run.curves) == 4


def test_the_finished_file_comes_before_a_partial_one(killed_file):
    written.write(killed_file.with_name("run.h5"))
    assert open_run(killed_file.parent).finished


@pytest.mark.parametrize(
    ("name", "tasks_done", "finished"),
    [("run.h5", 3, True), ("copy.h5", 3, True), ("copy.h5", 2, False), ("run.partial.h5", 3, False)],
)
def test_a_run_is_finished_with_all_tasks_done_and_its_final_name(tmp_path, name, tasks_done, finished):
    assert open_run(written.write(tmp_path / name, tasks_done=tasks_done)).finished == finished


def test_a_run_without_a_task_done_is_empty(tmp_path):
    run = open_run(written.write(tmp_path / "run.partial.h5", tasks_done=0))
    assert run.subspace.empty
    assert run.costs.empty
    assert run.summary().isna().all()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.h5: there is no such file or folder$"):
        open_run(tmp_path / "nowhere.h5")


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"^{tmp_path}: the folder holds neither run.h5 nor run.partial.h5$"):
        open_run(tmp_path)


@pytest.mark.parametrize("name", ["run.h5", "run.partial.h5"])
def test_a_file_that_is_not_hdf5_is_refused(tmp_path, name):
    (tmp_path / name).write_text("not HDF5")
    with pytest.raises(ValueError, match=f"{name}: not an HDF5 file, or a damaged one$"):
        open_run(tmp_path)


@pytest.mark.parametrize("name", ["run.partial.h5", "copy.h5"])
def test_a_cut_file_that_was_never_closed_is_refused_in_time(killed_file, name):
    """Behind its end HDF5 would read zeros, or read again and again until a checksum is right."""
    whole = killed_file.read_bytes()
    file = killed_file.with_name(name)
    for length in range(0, len(whole), len(whole) // 5):
        file.write_bytes(whole[:length])
        start = time.monotonic()
        with pytest.raises(ValueError, match=f"{name}: not an HDF5 file, or a damaged one$"):
            open_run(file)
        assert time.monotonic() - start < 2


def test_wrong_metadata_in_a_file_that_was_never_closed_is_refused_in_time(killed_file):
    whole = killed_file.read_bytes()
    first = whole.index(b"OHDR", whole.index(b"OHDR") + 1)
    for place in (whole.index(b"OHDR") + 20, first + 20, whole.rindex(b"OHDR") + 20):
        killed_file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        start = time.monotonic()
        with pytest.raises(ValueError, match="run.partial.h5: (a damaged or incomplete|not an HDF5 file, or a damaged)"):
            open_run(killed_file)
        assert time.monotonic() - start < 2


def test_what_looks_damaged_may_be_whole_a_moment_later(killed_file):
    whole = killed_file.read_bytes()
    killed_file.write_bytes(whole[:-100])
    writer = threading.Timer(0.1, killed_file.write_bytes, [whole])
    writer.start()
    assert open_run(killed_file).tasks_done == 2
    writer.join()


def test_more_tasks_done_than_there_are_is_damage(finished_file):
    with h5py.File(finished_file, "r+") as file:
        file["progress/tasks_done"][0] = 4
    with pytest.raises(ValueError, match="run.h5: a damaged or incomplete orthospike run$"):
        open_run(finished_file)


def test_a_truncated_file_is_refused(finished_file):
    with finished_file.open("r+b") as file:
        file.truncate(finished_file.stat().st_size // 2)
    with pytest.raises(ValueError, match="run.h5: not an HDF5 file, or a damaged one$"):
        open_run(finished_file)


def test_a_file_with_a_damaged_root_is_refused(finished_file):
    content = bytearray(finished_file.read_bytes())
    content[content.index(b"OHDR") + 5] ^= 0xFF
    finished_file.write_bytes(content)
    with pytest.raises(ValueError, match="run.h5: a damaged or incomplete orthospike run$"):
        open_run(finished_file)


def test_another_hdf5_file_is_refused(tmp_path):
    h5py.File(tmp_path / "other.h5", "w").close()
    with pytest.raises(ValueError, match="other.h5: an HDF5 file, but not an orthospike run$"):
        open_run(tmp_path / "other.h5")


def test_an_unknown_format_version_is_refused(finished_file):
    with h5py.File(finished_file, "r+") as file:
        file.attrs["format_version"] = np.uint64(2)
    with pytest.raises(ValueError, match="run.h5: format version 2 of orthospike runs is not known here$"):
        open_run(finished_file)


@pytest.mark.parametrize("missing", ["config", "metrics/loss", "curves", "subspace/leak", "costs/spikes", "progress"])
def test_a_run_that_lacks_something_is_refused(finished_file, missing):
    with h5py.File(finished_file, "r+") as file:
        del file[missing]
    with pytest.raises(ValueError, match="run.h5: a damaged or incomplete orthospike run$"):
        open_run(finished_file)


def test_a_run_of_an_earlier_version_lacks_measures_added_since(finished_file):
    with h5py.File(finished_file, "r+") as file:
        del file["subspace/effective_rank"], file["metrics/logit_change"]
    run = open_run(finished_file)
    assert run.logit_change.isna().all()
    assert run.subspace.effective_rank.isna().all()
    assert run.subspace.memory.notna().all()


def test_detected_boundaries_are_updates_of_the_whole_run(finished_file):
    assert open_run(finished_file).detected_boundaries == written.DETECTED_BOUNDARIES
    with h5py.File(finished_file, "r+") as file:  # as an earlier version wrote it
        del file["boundaries"]
    assert open_run(finished_file).detected_boundaries == []


def test_a_run_of_another_shape_is_refused(finished_file):
    with h5py.File(finished_file, "r+") as file:
        del file["metrics/forgetting"]
        file["metrics/forgetting"] = np.zeros((2, 3))
    with pytest.raises(ValueError, match="run.h5: a damaged or incomplete orthospike run$"):
        open_run(finished_file)


def test_the_measures_of_a_real_run_follow_from_its_matrix():
    folder = os.environ.get("ORTHOSPIKE_RUN_HLOP")
    if not folder:
        pytest.skip("ORTHOSPIKE_RUN_HLOP does not name a run")
    run = open_run(Path(__file__).parents[2] / folder)
    assert run.finished
    matrix = run.accuracy.to_numpy()
    learned = np.diagonal(matrix[1:])
    assert run.average_accuracy[run.tasks] == pytest.approx(matrix[-1].mean())
    assert run.backward_transfer[run.tasks] == pytest.approx((matrix[-1] - learned)[:-1].mean())
    assert run.learning_accuracy[run.tasks] == pytest.approx(learned.mean())
    best = np.array([matrix[j + 1 : -1, j].max() for j in range(run.tasks - 1)])
    assert run.forgetting.loc[run.tasks].to_numpy()[:-1] == pytest.approx(best - matrix[-1, :-1])
    assert int(run.settings["tasks.count"]) == run.tasks
    assert run.costs.training_batches.sum() == len(run.curves)
    assert set(run.definitions) >= {"/metrics/accuracy", "/subspace/rank", "/curves/task", "/costs/seconds"}
