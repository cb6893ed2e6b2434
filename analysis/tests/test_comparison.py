import dataclasses

import numpy as np
import pytest

from orthospike import compare
from orthospike.__main__ import main
from orthospike.comparison import to_markdown


@pytest.fixture
def runs(run):
    """Two seeds with protection, one of them a little better, and one run without."""

    def variant(seed, protection, better):
        settings = {**run.settings, "experiment.seed": seed, "protection.name": protection}
        return dataclasses.replace(run, settings=settings, average_accuracy=run.average_accuracy + better)

    return [variant("1", "hlop", 0.0), variant("1", "none", -0.2), variant("2", "hlop", 0.02)]


def test_runs_that_differ_only_in_seed_are_one_row(runs):
    table = compare(runs)
    assert table.index.names == ["protection.name"]
    assert list(table.index) == ["hlop", "none"]
    assert list(table["runs"]) == [2, 1]
    assert table.loc["hlop", ("ACC", "mean")] == pytest.approx(2.5 / 3 + 0.01)
    assert table.loc["hlop", ("ACC", "std")] == pytest.approx(np.sqrt(2) * 0.01)
    assert np.isnan(table.loc["none", ("ACC", "std")])


def test_rows_are_told_apart_by_every_key_in_which_configs_differ(runs):
    other = dataclasses.replace(runs[0], settings={**runs[0].settings, "rule.name": "bptt"})
    assert list(compare([*runs, other]).index) == [("hlop", ""), ("none", ""), ("hlop", "bptt")]


def test_keys_can_be_chosen(runs, finished_file, capsys):
    table = compare(runs, ["rule.name", "experiment.name"])
    assert list(table.index) == [("", "50 % of it")]
    assert list(table["runs"]) == [3]
    assert main([str(finished_file), "--keys", "data.path,hlop.ranks"]) == 0
    assert "|  | 24,40; 10 | 1 | 83.33 |" in capsys.readouterr().out


def test_markdown_has_percent_with_deviations_where_there_are_some(runs):
    lines = to_markdown(compare(runs)).splitlines()
    assert lines[0] == "| protection.name | runs | ACC | BWT | FWT | forgetting | learning accuracy |"
    assert lines[2].startswith("| hlop | 2 | 84.33 ± 1.41 | -7.50 ± 0.00 |")
    assert lines[3].startswith("| none | 1 | 63.33 | -7.50 |")


def test_a_file_that_is_no_run_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "nothing")]) == 1
    assert capsys.readouterr().err.endswith("there is no such file or folder\n")
    with pytest.raises(SystemExit, match="2"):
        main([])


def test_joint_training_has_no_backward_transfer(joint_run):
    row = to_markdown(compare([joint_run])).splitlines()[2]
    assert row == "| joint | 1 | 83.33 |  |  |  |  |"
