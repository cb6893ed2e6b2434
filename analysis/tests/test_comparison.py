import dataclasses

import numpy as np
import pytest

from orthospike import compare, open_run
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
    assert main(["compare", str(finished_file), "--keys", "data.path,hlop.ranks"]) == 0
    assert "|  | 24,40; 10 | 1 | 83.33 |" in capsys.readouterr().out


def test_markdown_has_percent_with_deviations_where_there_are_some(runs):
    lines = to_markdown(compare(runs)).splitlines()
    assert lines[0] == "| protection.name | runs | ACC | BWT | FWT | forgetting | learning accuracy |"
    assert lines[2].startswith("| hlop | 2 | 84.33 ± 1.41 | -7.50 ± 0.00 |")
    assert lines[3].startswith("| none | 1 | 63.33 | -7.50 |")


def test_unfinished_runs_are_left_out_and_named(runs, killed_file):
    unfinished = dataclasses.replace(open_run(killed_file), settings=runs[0].settings)
    with pytest.warns(UserWarning) as left_out:
        table = compare([runs[0], unfinished, *runs[1:]])
    assert [str(warning.message) for warning in left_out] == [f"{killed_file}: left out, 2 of 3 tasks, unfinished"]
    assert left_out[0].filename == __file__
    assert table.equals(compare(runs))
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="^there is no finished run to compare$"):
        compare([unfinished])


def test_runs_by_label_are_refused(run):
    with pytest.raises(TypeError, match=r"^compare: expected runs, as in \[run, …\], not 'hlop'; of {label: run}, give"):
        compare({"hlop": run})


def test_the_table_is_that_of_the_finished_runs_whatever_lies_beside_them(finished_file, killed_file, capsys):
    empty, damaged = finished_file.with_name("empty"), finished_file.with_name("damaged.h5")
    empty.mkdir()
    damaged.write_bytes(finished_file.read_bytes()[:5000])
    assert main(["compare", str(finished_file)]) == 0
    table = capsys.readouterr().out
    assert main(["compare", *map(str, (empty, killed_file, finished_file, damaged))]) == 0
    printed = capsys.readouterr()
    assert printed.out == table
    assert printed.err.splitlines() == [
        f"orthospike: {empty}: the folder holds neither run.h5 nor run.partial.h5; left out",
        f"orthospike: {damaged}: not an HDF5 file, or a damaged one; left out",
        f"orthospike: {killed_file}: left out, 2 of 3 tasks, unfinished",
    ]


def test_without_a_finished_run_there_is_no_table(tmp_path, killed_file, capsys):
    assert main(["compare", str(tmp_path / "nothing"), str(killed_file)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    sentences = printed.err.splitlines()
    assert sentences[0].endswith("nothing: there is no such file or folder; left out")
    assert sentences[2] == "orthospike: there is no finished run to compare"
    with pytest.raises(SystemExit, match="2"):
        main(["compare"])


def test_joint_training_has_no_backward_transfer(joint_run):
    row = to_markdown(compare([joint_run])).splitlines()[2]
    assert row == "| joint | 1 | 83.33 | - | - | - | - |"
