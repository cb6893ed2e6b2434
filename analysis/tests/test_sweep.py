"""Sweeps' tables, their plots and how they are told in a report."""

import h5py
import numpy as np
import pytest
import synthetic_run
import synthetic_sweep

from orthospike import open_sweep, parallel_coordinates, sweep_table


@pytest.fixture
def folder(tmp_path):
    return synthetic_sweep.write(tmp_path / "tuned")


def test_points_and_settings_are_those_of_the_table(folder):
    sweep = open_sweep(folder)
    assert (sweep.name, sweep.choose_by, sweep.best, sweep.why_none) == ("tuned", "average_accuracy", 2, "")
    assert sweep.keys == ["leaky.lambda", "rule.name"]
    assert list(sweep.points.columns[:5]) == ["folder", "state", "experiment.seed", "leaky.lambda", "rule.name"]
    assert sweep.points.loc[4].to_dict() == pytest.approx(
        {"folder": "lambda=1,rule=bptt,seed=2", "state": "done", "experiment.seed": 2, "leaky.lambda": 1,
         "rule.name": "bptt", "average_accuracy": 0.92, "mean_forgetting": 0.04, "seconds": 4})
    assert sweep.settings.loc[3].to_dict() == {"leaky.lambda": 100, "rule.name": "dsr"}
    assert sweep.means.loc[2, ("average_accuracy", "mean")] == pytest.approx(0.91)
    assert sweep.means.loc[2, ("average_accuracy", "std")] == pytest.approx(np.sqrt(2) / 100)
    assert list(sweep.runs) == [2, 2, 1]
    assert sweep.definitions["seconds"] == "definition of seconds"
    assert sweep.units == {"seconds": "s"}
    assert repr(sweep) == "<Sweep 'tuned': 5 of 6 points done>"


def test_the_best_runs_are_those_of_its_points(folder):
    runs = open_sweep(folder / "sweep.h5").best_runs()
    assert list(runs) == ["seed 1", "seed 2"]
    assert [run.path.parent.name for run in runs.values()] == ["lambda=1,rule=bptt,seed=1", "lambda=1,rule=bptt,seed=2"]


def test_without_a_best_one_there_is_a_reason(folder):
    with h5py.File(folder / "sweep.h5", "r+") as file:
        file.attrs["best"] = np.uint64(0)
        file.attrs["why_none"] = "because"
    sweep = open_sweep(folder)
    assert (sweep.best, sweep.why_none, sweep.best_runs()) == (None, "because", {})
    with h5py.File(folder / "sweep.h5", "r+") as file:  # as an earlier version wrote it
        for name in ("best", "why_none", "choose_by"):
            del file.attrs[name]
    assert open_sweep(folder).why_none.endswith("collect the sweep again")


def test_the_table_in_percent_has_the_best_on_top(folder):
    table = sweep_table(open_sweep(folder))
    assert list(table.index) == [2, 1, 3]
    assert table.loc[2].to_dict() == {
        "leaky.lambda": "1", "rule.name": "bptt", "runs": 2, "ACC, %": "91.00 ± 1.41", "forgetting, %": "4.50 ± 0.71"}
    assert table.loc[3, "ACC, %"] == "50.00"


def test_less_forgetting_is_better(folder):
    with h5py.File(folder / "sweep.h5", "r+") as file:
        synthetic_run._text_attribute(file, "choose_by", "mean_forgetting")
    table = sweep_table(open_sweep(folder))
    assert list(table.index) == [2, 1, 3]


def test_parallel_coordinates_have_an_axis_a_key_and_the_measure(folder):
    ax = parallel_coordinates(open_sweep(folder))
    texts = [label.get_text() for label in ax.get_xticklabels()]
    assert texts == ["leaky.\nlambda", "rule.\nname", "average accuracy, %"]
    lines = [line for line in ax.lines if len(line.get_xdata()) == 3]
    heights = sorted(tuple(np.round(line.get_ydata(), 3)) for line in lines)
    # 0.01, 1 and 100 are evenly spaced on a logarithmic axis; 85, 91 and 50 % on a linear one.
    assert heights == sorted([(0.0, 0.0, round(35 / 41, 3)), (0.5, 1.0, 1.0), (1.0, 0.0, 0.0)])
    best = next(line for line in lines if line.get_label() == "best setting")
    assert list(best.get_ydata()) == [0.5, 1, 1]
    names = {text.get_text(): text.xy for text in ax.texts}
    assert names["0.01"] == (0, 0)
    assert names["bptt"] == (1, 1)
    assert names["91.0"] == (2, 1)
    ax.figure.draw_without_rendering()


def test_settings_that_do_not_vary_and_runs_that_are_not_done_can_be_plotted(folder):
    with h5py.File(folder / "sweep.h5", "r+") as file:
        file["means/settings/leaky.lambda"][...] = 5.0
        file["means/average_accuracy/mean"][...] = [0.5, 0.5, np.nan]
    ax = parallel_coordinates(open_sweep(folder))
    assert sum(len(line.get_xdata()) == 3 for line in ax.lines) == 2
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize("damage", ["folders", "points/state", "means/runs", "points/settings", "means/average_accuracy/mean"])
def test_a_damaged_table_is_refused(folder, damage):
    with h5py.File(folder / "sweep.h5", "r+") as file:
        del file[damage if damage != "folders" else "points/folders"]
        if damage == "folders":
            text = "../../elsewhere\n" * 6
            file.create_dataset("points/folders", data=text.encode(), dtype=synthetic_run._text_type(text))
    with pytest.raises(ValueError, match="sweep.h5: a damaged or incomplete orthospike sweep$"):
        open_sweep(folder)


def test_what_is_no_table_is_named(folder, tmp_path, finished_file):
    with pytest.raises(FileNotFoundError, match=f"^{tmp_path}: the folder holds no sweep.h5, which 'orthospike sweep coll"):
        open_sweep(tmp_path)
    with pytest.raises(FileNotFoundError, match="none.h5: there is no such file or folder$"):
        open_sweep(tmp_path / "none.h5")
    with pytest.raises(ValueError, match="run.h5: an HDF5 file, but not an orthospike sweep$"):
        open_sweep(finished_file)
