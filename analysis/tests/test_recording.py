import tracemalloc

import h5py
import numpy as np
import pandas as pd
import pytest
import synthetic_recording as written
from synthetic_recording import DT, FIRST_STEP, NEURONS, STEPS
from synthetic_run import write as write_run

from orthospike import open_recording, open_run

COUNT = len(written.TASK)


@pytest.fixture
def folder(tmp_path):
    return written.write(tmp_path)


@pytest.fixture
def recording(folder):
    return open_recording(folder)


def dense(recording, population, spikes):
    """[presentation × step × neuron]"""
    fired = np.zeros((COUNT, STEPS, len(NEURONS[population])), bool)
    columns = np.searchsorted(recording.neurons(population), spikes["neuron"])
    fired[spikes["presentation"], spikes["step"] - FIRST_STEP, columns] = True
    assert fired.sum() == len(spikes)
    return fired


def test_what_was_recorded_is_named(recording, folder):
    assert recording.variables == {"spikes": ["hidden1", "hidden2"], "potential": ["hidden1", "hidden2", "readout"]}
    assert recording.populations == ["hidden1", "hidden2", "readout"]
    assert recording.units == {"spikes": "ms", "potential": "1"}
    assert (recording.dt, recording.steps, recording.first_step, recording.duration) == (DT, STEPS, FIRST_STEP, 7 * 0.1)
    assert recording.finished
    assert recording.settings == {"experiment.name": "two tasks"}
    assert recording.attributes == {"version": "0.1.0", "git_revision": "872583a"}
    assert list(recording.neurons("hidden1")) == NEURONS["hidden1"]
    assert recording.size("hidden1") == 9
    assert repr(recording) == (
        "<Recording 'two tasks': 24 presentations; spikes of hidden1, hidden2; potential of hidden1, hidden2, readout>"
    )


def test_presentations_say_what_was_shown_when(recording):
    table = recording.presentations
    assert list(table) == ["task", "sample", "label", "after", "phase", "epoch", "begin"]
    assert table.loc[13].to_dict() == pytest.approx(
        {"task": 2, "sample": 21, "label": 1, "after": 1, "phase": "test", "epoch": 0, "begin": 13 * 7 * 0.1}
    )


def test_a_recording_is_found_by_its_folder_its_run_and_its_files(folder):
    for place in (folder, str(folder), open_run(write_run(folder / "run.h5"))):
        assert list(open_recording(place).variables) == ["spikes", "potential"]
    assert list(open_recording(folder / "spikes.h5").variables) == ["spikes"]
    assert list(open_recording(folder / "report-potential.h5").variables) == ["potential"]


def test_times_are_located(recording):
    frames = np.arange(COUNT * STEPS)
    presentation, step = recording.locate(frames * DT)
    assert np.array_equal(presentation, frames // STEPS)
    assert np.array_equal(step, frames % STEPS + FIRST_STEP)


@pytest.mark.parametrize("population", written.SPIKING)
def test_spikes_are_those_written(recording, population):
    spikes = recording.spikes(population)
    assert list(spikes) == ["presentation", "step", "time", "neuron"]
    assert spikes.attrs["units"] == {"time": "ms"}
    assert np.array_equal(dense(recording, population, spikes), written.spikes(population))
    assert list(spikes.index) == list(range(len(spikes)))
    assert spikes["time"].to_numpy() == pytest.approx(written.events(written.spikes(population), NEURONS[population])[0])
    assert list(recording.spike_counts(population)) == list(written.spikes(population).sum((0, 1)))


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        (None, range(COUNT)),
        (slice(3, 6), [3, 4, 5]),
        (slice(None, None, -5), [3, 8, 13, 18, 23]),
        ([7, 2, 2, 23], [2, 7, 23]),
        (np.array([], int), []),
        (lambda table: table["after"] == 2, range(16, 24)),
        (lambda table: table.query("task == 2 and after == 0"), range(4, 8)),
    ],
)
def test_presentations_are_chosen(recording, chosen, numbers):
    chosen = chosen(recording.presentations) if callable(chosen) else chosen
    expected = np.zeros((COUNT, STEPS, 4), bool)
    expected[list(numbers)] = written.spikes("hidden1")[list(numbers)]
    spikes = recording.spikes("hidden1", chosen)
    assert np.array_equal(dense(recording, "hidden1", spikes), expected)
    activity = recording.activity("hidden1", chosen)
    assert list(activity["presentation"].values) == list(numbers)
    assert np.array_equal(activity, expected[list(numbers)].sum(1))
    potential = recording.frames("potential", "hidden1", chosen)
    assert np.array_equal(potential, written.potential("hidden1")[list(numbers)])


def test_wrong_presentations_are_refused(recording):
    with pytest.raises(IndexError, match="^presentations from 3 to 24, expected from 0 to 23$"):
        recording.spikes("hidden1", [3, 24])
    with pytest.raises(IndexError, match="^presentations from -1 to 3, "):
        recording.spikes("hidden1", [3, -1])
    with pytest.raises(IndexError, match="^a mask of 3 presentations, expected 24$"):
        recording.spikes("hidden1", [True, False, True])


def test_parts_are_together_the_whole(recording):
    parts = list(recording.spike_parts("hidden1", slice(1, None), at_once=5))
    assert [part["presentation"].unique().tolist() for part in parts] == [
        [1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 13, 14, 15], [16, 17, 18, 19, 20], [21, 22, 23],
    ]  # fmt: skip
    assert pd.concat(parts, ignore_index=True).equals(recording.spikes("hidden1", slice(1, None)))


def test_activity_has_named_axes_and_units(recording):
    activity = recording.activity("hidden2")
    assert activity.dims == ("presentation", "neuron")
    assert activity.attrs == {"units": "1", "long_name": "spikes"}
    assert activity["begin"].attrs == {"units": "ms"}
    chosen = activity.sel(neuron=2, presentation=(activity["task"] == 2) & (activity["after"] == 1))
    assert list(chosen.values) == list(written.spikes("hidden2")[12:16, :, 2].sum(1))
    assert list(chosen["sample"].values) == [20, 21, 22, 23]
    assert set(chosen["phase"].values) == {"test"}


def test_rates_are_means_in_hertz(recording):
    counts = written.spikes("hidden1").sum(1)
    rates = recording.rates("hidden1")
    assert rates.attrs["units"] == "Hz"
    assert list(rates.columns) == NEURONS["hidden1"]
    assert rates.to_numpy()[0] == pytest.approx(counts.mean(0) / 0.7e-3)
    by_task = recording.rates("hidden1", by="task", presentations=recording.presentations["after"] == 2)
    assert list(by_task.index) == [1, 2]
    assert by_task.loc[2].to_numpy() == pytest.approx(counts[20:24].mean(0) / 0.7e-3)
    both = recording.rates("hidden1", by=["task", "after"])
    assert both.index.names == ["task", "after"]
    assert both.loc[(2, 1)].to_numpy() == pytest.approx(counts[12:16].mean(0) / 0.7e-3)


def test_frames_have_named_axes_and_units(recording):
    potential = recording.frames("potential", "readout", slice(4, None))
    assert potential.dims == ("presentation", "step", "neuron")
    assert potential.attrs == {"units": "1", "long_name": "potential"}
    expected = written.potential("readout")
    assert float(potential.sel(presentation=9, step=FIRST_STEP + 3, neuron=2)) == expected[9, 3, 2]
    assert list(potential["task"].values[:8]) == [2, 2, 2, 2, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "key",
    [
        (slice(None), slice(None), slice(None)),
        (3, slice(None), slice(1, None)),
        ([9, 2, 2], slice(None, None, 2), 1),
        (slice(None, None, -3), 4, [2, 0]),
        (5, 0, 2),
    ],
)
def test_frames_are_selected_as_an_array_is(recording, key):
    expected = written.potential("readout")
    for part, axis in zip(key, ("presentation", "step", "neuron"), strict=True):
        whole = recording.frames("potential", "readout")
        place = ["presentation", "step", "neuron"].index(axis)
        assert np.array_equal(whole.isel({axis: part}), expected[(slice(None),) * place + (part,)])
    together = recording.frames("potential", "readout").isel(dict(zip(("presentation", "step", "neuron"), key, strict=True)))
    lists = [index for index in key if isinstance(index, list)]
    if len(lists) < 2:
        for place, part in reversed(list(enumerate(key))):
            expected = expected[(slice(None),) * place + (part,)]
        assert np.array_equal(together, expected)


def test_frames_are_read_when_they_are_used(folder):
    potential = open_recording(folder).frames("potential", "hidden1")
    (folder / "report-potential.h5").unlink()
    with pytest.raises(FileNotFoundError, match="report-potential.h5: there is no such file$"):
        potential.isel(presentation=0).load()


def test_spike_trains_follow_each_other_without_gaps(recording):
    neo = pytest.importorskip("neo")
    trains = recording.spike_trains("hidden1", [2, 9])
    expected = written.spikes("hidden1")[[2, 9]].reshape(2 * STEPS, -1)
    assert len(trains) == 4
    for column, train in enumerate(trains):
        assert isinstance(train, neo.SpikeTrain)
        assert str(train.dimensionality) == "ms"
        assert (float(train.t_start), float(train.t_stop)) == pytest.approx((0, 1.4))
        assert train.magnitude == pytest.approx(np.flatnonzero(expected[:, column]) * DT)
        assert list(train.array_annotations["presentation"]) == [[2, 9][i // STEPS] for i in np.flatnonzero(expected[:, column])]
        assert train.annotations == {"population": "hidden1", "neuron": NEURONS["hidden1"][column]}
        assert float(train.sampling_rate) == pytest.approx(10)


def test_elephant_finds_the_same_rates(recording):
    statistics = pytest.importorskip("elephant.statistics")
    rates = [statistics.mean_firing_rate(train).rescale("Hz").item() for train in recording.spike_trains("hidden2")]
    assert rates == pytest.approx(recording.rates("hidden2").to_numpy()[0])
    assert rates[written.SILENT[1]] == 0


def test_what_was_not_recorded_is_said(recording, folder):
    for read in (recording.spikes, recording.activity, recording.spike_counts, recording.rates):
        with pytest.raises(ValueError, match="no spikes of 'readout'; there are hidden1, hidden2$"):
            read("readout")
    with pytest.raises(ValueError, match="no recording of 'input'; there are hidden1, hidden2, readout$"):
        recording.neurons("input")
    with pytest.raises(ValueError, match="no trace recorded; there are spikes, potential$"):
        recording.frames("trace", "hidden1")
    (folder / "spikes.h5").unlink()
    with pytest.raises(ValueError, match="no spikes recorded; there are potential$"):
        open_recording(folder).spikes("hidden1")


def test_packages_that_are_missing_are_named(recording, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(ImportError, match=r"^this needs xarray: pip install './analysis\[spikes\]'$"):
        recording.activity("hidden1")
    assert len(recording.spikes("hidden1")) > 0


def test_files_of_two_recordings_are_not_mixed(folder):
    other = {name: column[:-1] for name, column in written.PRESENTATIONS.items()}
    frames = {"hidden1": written.potential("hidden1")[:-1]}
    written.write_report(folder / "report-potential.h5", frames, presentations=other | {"task": other["task"] + 1})
    with pytest.raises(ValueError, match="report-potential.h5: not of the same recording as .*spikes.h5$"):
        open_recording(folder)
    written.write_report(folder / "report-potential.h5", neurons=NEURONS | {"hidden1": [0, 1, 2, 3]})
    with pytest.raises(ValueError, match="report-potential.h5: not of the same recording as .*spikes.h5$"):
        open_recording(folder)


# A file that was not closed, or is behind.


def test_an_unfinished_recording_has_what_all_of_it_has(folder):
    for name in ("spikes", "report-potential"):
        (folder / f"{name}.h5").rename(folder / f"{name}.partial.h5")
    with h5py.File(folder / "spikes.partial.h5", "r+") as file:
        file["orthospike/presentations/label"].resize((20,))
    with h5py.File(folder / "report-potential.partial.h5", "r+") as file:
        file["report/hidden1/data"].resize((18 * STEPS + 3, 4))
    recording = open_recording(folder)
    assert not recording.finished
    assert "unfinished" in repr(recording)
    assert len(recording.presentations) == 18
    assert np.array_equal(recording.frames("potential", "hidden1"), written.potential("hidden1")[:18])
    assert recording.spikes("hidden1")["presentation"].max() == 17
    (folder / "spikes.partial.h5").rename(folder / "spikes.h5")  # as when the run ends
    assert recording.spikes("hidden1")["presentation"].max() == 17


def test_the_finished_file_comes_before_a_partial_one(folder):
    (folder / "spikes.partial.h5").write_text("not HDF5")
    assert open_recording(folder).finished


# Hostile files.


def refusal(place):
    with pytest.raises(ValueError) as refused:
        recording = open_recording(place)
        for population in recording.variables.get("spikes", []):
            recording.activity(population)
        for population in recording.variables.get("potential", []):
            recording.frames("potential", population).load()
    return str(refused.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"^{tmp_path}: the folder holds no recording, neither spikes.h5 nor a "):
        open_recording(tmp_path)
    with pytest.raises(FileNotFoundError, match="none.h5: there is no such file or folder$"):
        open_recording(tmp_path / "none.h5")
    (tmp_path / "spikes.h5").write_text("not HDF5")
    assert refusal(tmp_path).endswith("spikes.h5: not an HDF5 file, or a damaged one")
    assert refusal(write_run(tmp_path / "run.h5")).endswith("run.h5: an HDF5 file, but not an orthospike recording")
    with h5py.File(written.write_spikes(tmp_path / "spikes.h5"), "r+") as file:
        del file["orthospike"]
    assert refusal(tmp_path).endswith("spikes.h5: an HDF5 file, but not an orthospike recording")
    with h5py.File(written.write_spikes(tmp_path / "spikes.h5"), "r+") as file:
        file.attrs["version"] = np.array([0, 2], "u4")
    assert refusal(tmp_path).endswith("spikes.h5: version 0.2 of recordings is not known here")


def test_cut_files_are_refused(folder):
    for name in ("spikes.h5", "report-potential.h5"):
        path = folder / name
        whole = path.read_bytes()
        for length in range(0, len(whole), len(whole) // 10):
            path.write_bytes(whole[:length])
            assert refusal(path) == f"{path}: not an HDF5 file, or a damaged one"


def test_flipped_bytes_are_refused_or_read(folder):
    """In the middle of anything: a sentence or a recording, never another exception, in bounded memory."""
    random = np.random.default_rng(1)
    refused = 0
    for name in ("spikes.h5", "report-potential.h5"):
        path = folder / name
        whole = path.read_bytes()
        for place in random.integers(len(whole), size=30):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ random.integers(1, 256)]) + whole[place + 1 :])
            try:
                recording = open_recording(path)
                for population in recording.variables.get("spikes", []):
                    recording.activity(population)
                for population in recording.variables.get("potential", []):
                    recording.frames("potential", population).load()
            except ValueError as error:
                assert str(error).startswith(f"{path}: ")
                refused += 1
    assert refused > 5


DAMAGES = {
    "steps": (lambda file: file["orthospike"].attrs.create("steps", 0), "0 steps of 0.1 ms from step 2 on"),
    "dt": (lambda file: file["orthospike"].attrs.create("dt", np.nan), "7 steps of nan ms from step 2 on"),
    "phase": (lambda file: write(file, "orthospike/presentations/phase", 0, 7), ""),
    "column": (lambda file: file["orthospike/presentations/label"].resize((20,)), "columns of presentations of 20 to 24 rows"),
    "type": (lambda file: replaced(file, "spikes/hidden1/timestamps", np.zeros(3, "f4")), "is not a data set of float64 of rank 1"),
    "rank": (lambda file: replaced(file, "spikes/hidden1/node_ids", np.zeros((3, 1), "u8")), "of rank 1"),
    "missing": (lambda file: file.__delitem__("spikes/hidden2/node_ids"), ""),
    "counts": (lambda file: write(file, "orthospike/neurons/hidden1/spike_counts", 0, 0), "spikes of hidden1"),
    "neurons": (lambda file: write(file, "orthospike/neurons/hidden1/ids", 1, 8), "neurons of hidden1 are not some of 9"),
    "size": (lambda file: file["orthospike/neurons/hidden1"].attrs.create("size", 7), "neurons of hidden1 are not some of 7"),
    "order": (lambda file: write(file, "spikes/hidden1/timestamps", 9, 1e6), "are not in the order of time"),
    "nan": (lambda file: write(file, "spikes/hidden1/timestamps", 9, np.nan), "are not in the order of time"),
    "stranger": (lambda file: write(file, "spikes/hidden1/node_ids", 9, 1), "neurons of hidden1 that were not recorded"),
    "group": (lambda file: replaced(file, "orthospike/config", {}), "/orthospike/config is not a text"),
}


def write(file, name, place, value):
    file[name][place] = value


def replaced(file, name, data):
    del file[name]
    if isinstance(data, dict):
        file.create_group(name)
    else:
        file[name] = data


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_spike_files_are_refused(folder, damage):
    change, reason = DAMAGES[damage]
    with h5py.File(folder / "spikes.h5", "r+") as file:
        change(file)
    found = refusal(folder)
    assert found.startswith(f"{folder}/spikes.h5: a damaged or incomplete orthospike recording")
    assert reason in found


def test_damaged_reports_are_refused(folder):
    path = folder / "report-potential.h5"
    for change, reason in {
        lambda file: file["report/hidden1/data"].resize((12, 4)): "has 12 frames, expected 168",
        lambda file: replaced(file, "report/hidden1/data", np.ones((168, 3), "f4")): "has 3 columns, expected 4",
        lambda file: replaced(file, "report/hidden1/data", np.ones((168, 4))): "is not a data set of float32 of rank 2",
        lambda file: write(file, "report/hidden1/mapping/node_ids", 0, 1): "the report of hidden1 is of other neurons",
    }.items():
        with h5py.File(written.write_report(path), "r+") as file:
            change(file)
        assert refusal(path).endswith(reason)


def test_files_that_say_they_are_huge_are_refused_in_little_memory(folder):
    huge = 1 << 40
    chunk = 1 << 20

    def vast(file, name, kind, **options):
        del file[name]
        data = file.create_dataset(name, (huge,), kind, chunks=(chunk,), compression="gzip", **options)
        data[0] = 1
        return data

    def long_text(file):
        del file["orthospike/config"]
        kind = h5py.h5t.C_S1.copy()
        kind.set_size(1 << 28)
        h5py.h5d.create(file["orthospike"].id, b"config", kind, h5py.h5s.create(h5py.h5s.SCALAR))

    def long_attribute(item, name):
        item.attrs.create(name, np.zeros(chunk * 3, "f8"))

    changes = [
        lambda file: vast(file, "orthospike/presentations/task", "u4"),
        lambda file: vast(file, "orthospike/neurons/hidden1/ids", "u8"),
        lambda file: vast(file, "spikes/hidden1/timestamps", "f8").attrs.create("units", "ms"),
        long_text,
        lambda file: long_attribute(file, "version"),
        lambda file: long_attribute(file["orthospike"], "dt"),
    ]
    for change in changes:
        with h5py.File(folder / "spikes.h5", "w", libver="latest") as new, h5py.File(written.write_spikes(folder / "old.h5")) as old:
            for part in ("/", "orthospike"):  # attributes of groups in this format may be of any length
                group = new.require_group(part)
                for name in old[part].keys() - {"orthospike"}:
                    old[part].copy(name, group)
                for name, value in old[part].attrs.items():
                    group.attrs[name] = value
            change(new)
        tracemalloc.start()
        assert "a damaged or incomplete orthospike recording" in refusal(folder / "spikes.h5")
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
        tracemalloc.stop()


def test_a_large_file_is_never_whole_in_memory(tmp_path, monkeypatch):
    """6 million spikes, 96 MB in memory; a slice of it, its rates and the activity of a task take far less."""
    neurons, samples = {"hidden1": list(range(300))}, 2000
    shown = {name: np.resize(column, samples) for name, column in written.PRESENTATIONS.items()}
    shown["task"] = np.repeat(np.arange(1, 11), samples // 10).astype("u4")
    fired = np.random.default_rng(0).random((samples, STEPS, 300)) < 0.9
    monkeypatch.setitem(written.SIZES, "hidden1", 300)
    path = written.write_spikes(tmp_path / "spikes.h5", {"hidden1": fired}, neurons, shown)
    with h5py.File(path) as file:
        in_memory = 16 * len(file["spikes/hidden1/timestamps"])
    tracemalloc.start()
    recording = open_recording(path)
    rates = recording.rates("hidden1", by="task")
    activity = recording.activity("hidden1", recording.presentations["task"] == 4)
    spikes = recording.spikes("hidden1", slice(1000, 1010))
    parts = sum(len(part) for part in recording.spike_parts("hidden1"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rates.to_numpy() == pytest.approx(fired.reshape(10, 200, STEPS, 300).sum((1, 2)) / 0.14)
    assert np.array_equal(activity, fired[600:800].sum(1))
    assert len(spikes) == fired[1000:1010].sum()
    assert parts == fired.sum()
    assert peak < in_memory / 2
