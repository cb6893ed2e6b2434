"""What the program records, found again by others and by a simulation in NumPy. ORTHOSPIKE_PROGRAM names the program."""

import gzip
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from orthospike import load_weights, open_recording, open_run

SOURCE = Path(__file__).parents[2]
CONFIG = "tests/data/digits.ini"
# Of split tasks the images are shown as they are; these neurons have nothing but a potential.
KEYS = ["--tasks.sequence=split", "--tasks.count=3", "--tasks.epochs=2", "--tasks.train_samples=640", "--neuron.model=lif",
        "--rule.name=bptt", "--network.hidden=40,30", "--protection.name=none", "--run.threads=1"]  # fmt: skip
MEAN, DEVIATION, DECAY, THRESHOLD, STEPS = 0.287, 0.354, 0.95, 0.3, 20

pytestmark = pytest.mark.skipif("ORTHOSPIKE_PROGRAM" not in os.environ, reason="ORTHOSPIKE_PROGRAM does not name the program")


def orthospike(*arguments, **options):
    program = SOURCE / os.environ["ORTHOSPIKE_PROGRAM"]
    return subprocess.run([program, *map(str, arguments)], cwd=SOURCE, check=True, capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that recorded all of its tests, and what it answers at the end."""
    folder = tmp_path_factory.mktemp("recorded")
    recorded = ["--record.variables=spikes,potential,current", "--record.samples=all"]
    orthospike("run", CONFIG, "--out", folder, *KEYS, *recorded)
    orthospike("test", folder, "--predictions", folder / "predictions.h5")
    return folder


@pytest.fixture
def recording(folder):
    return open_recording(folder)


@pytest.fixture
def at_the_end(recording):
    return recording.presentations.query("after == 3")


def images(part):
    """[n × pixel] as the network is given them."""
    with gzip.open(SOURCE / f"tests/data/optdigits/{part}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 64)
    return (pixels / 255 - MEAN) / DEVIATION


def spikes_of(recording, population, presentations):
    """[presentation × step × neuron]"""
    spikes = recording.spikes(population, presentations)
    fired = np.zeros((len(presentations), STEPS, recording.size(population)))
    fired[presentations.index.get_indexer(spikes["presentation"]), spikes["step"], spikes["neuron"]] = 1
    return fired


def simulated(currents):
    """Spikes, and potentials before the reset, both [presentation × step × neuron]."""
    potential, fired, before = 0.0, [], []
    for step in range(STEPS):
        potential = DECAY * potential + currents[:, step]
        before.append(potential)
        fired.append(potential >= THRESHOLD)
        potential = potential - THRESHOLD * fired[-1]
    return np.stack(fired, 1), np.stack(before, 1)


def test_everything_asked_for_is_recorded(recording, folder):
    assert recording.variables == {name: ["hidden1", "hidden2"] for name in ("spikes", "current", "potential")}
    assert (recording.steps, recording.first_step) == (STEPS, 0)
    assert recording.dt == 0.05
    assert recording.finished
    assert recording.settings == open_run(folder).settings
    shown = recording.presentations
    with h5py.File(folder / "predictions.h5") as file:
        predictions = pd.DataFrame({name: file[name][()] for name in ("task", "sample", "label")})
    for _, tested in shown.groupby("after"):
        assert np.array_equal(tested[["task", "sample", "label"]], predictions)
    assert list(shown["after"].unique()) == [0, 1, 2, 3]
    assert set(shown["phase"]) == {"test"}


def test_spikes_are_those_of_a_simulation(recording, folder, at_the_end):
    weights = load_weights(folder)
    shown = images("t10k")[at_the_end["sample"]]
    currents = np.broadcast_to((shown @ weights["input_to_hidden1"])[:, None], (len(shown), STEPS, 40))
    for population, onward in (("hidden1", "hidden1_to_hidden2"), ("hidden2", "hidden2_to_readout")):
        assert np.allclose(recording.frames("current", population, at_the_end), currents, atol=1e-4)
        fired, potential = simulated(currents)
        # Where rounding alone decides about a spike, all that follows is another one.
        certain = (np.abs(potential - THRESHOLD) > 1e-5).all(1)
        assert certain.mean() > 0.99
        recorded = spikes_of(recording, population, at_the_end)
        assert 0.02 < recorded.mean() < 0.5
        assert np.array_equal(recorded.swapaxes(1, 2)[certain], fired.swapaxes(1, 2)[certain])
        after_reset = (potential - THRESHOLD * fired).swapaxes(1, 2)[certain]
        found = recording.frames("potential", population, at_the_end).values.swapaxes(1, 2)[certain]
        assert np.allclose(found, after_reset, atol=1e-4)
        currents = recorded @ weights[onward]
    with h5py.File(folder / "predictions.h5") as file:
        scores = file["scores"][()]
    told = np.isfinite(scores) & (scores != 0)
    assert told.any(1).all()
    assert np.allclose(scores[told], currents.mean(1)[told], atol=1e-4)


def test_counts_are_those_of_the_file(recording):
    for name in recording.populations:
        assert list(recording.spike_counts(name)) == list(recording.activity(name).sum("presentation"))


@pytest.mark.parametrize("compression", ["deflate", "none"])
def test_other_readers_find_the_same(folder, tmp_path, compression):
    read = pytest.importorskip("other_readers")
    orthospike("record", folder, "--out", tmp_path, "--record.samples=all", f"--record.compression={compression}")
    recording = open_recording(tmp_path)
    # The libsonata of PyPI cannot inflate.
    readers = ["pysonata"] + (["libsonata"] if compression == "none" else [])
    for reader in readers:
        found = getattr(read, f"{reader}_spikes")(tmp_path / "spikes.h5")
        assert list(found) == ["hidden1", "hidden2"]
        for name, (times, neurons) in found.items():
            spikes = recording.spikes(name)
            assert np.array_equal(times, spikes["time"])
            assert np.array_equal(neurons, spikes["neuron"])
        found = getattr(read, f"{reader}_frames")(tmp_path / "report-potential.h5")
        assert list(found) == ["hidden1", "hidden2"]
        for name, (values, neurons) in found.items():
            assert np.array_equal(values, recording.frames("potential", name).values.reshape(len(values), -1))
            assert np.array_equal(neurons, recording.neurons(name))


def test_elephant_counts_the_same(recording, at_the_end):
    statistics = pytest.importorskip("elephant.statistics")
    some = at_the_end[:50]
    rates = [statistics.mean_firing_rate(train).rescale("Hz").item() for train in recording.spike_trains("hidden1", some)]
    assert rates == pytest.approx(spikes_of(recording, "hidden1", some).mean((0, 1)) * 20000)


def test_weights_of_a_run_are_recorded_later_with_the_same_spikes(recording, folder, tmp_path):
    chosen = ["--record.variables=spikes", "--record.neurons=3-7", "--record.steps=5-14", "--record.samples=10-19"]
    orthospike("record", folder, "--out", tmp_path, *chosen)
    later = open_recording(tmp_path)
    assert (later.first_step, later.steps) == (5, 10)
    assert list(later.neurons("hidden2")) == [3, 4, 5, 6, 7]
    places = recording.presentations.query("after == 3").groupby("task").nth(list(range(10, 20)))
    assert np.array_equal(later.presentations[["task", "sample"]], places[["task", "sample"]])
    for name in ("hidden1", "hidden2"):
        whole = recording.spikes(name, places).query("neuron >= 3 and neuron <= 7 and step >= 5 and step <= 14")
        spikes = later.spikes(name)
        assert np.array_equal(spikes[["step", "neuron"]], whole[["step", "neuron"]])
        assert np.array_equal(places.index[spikes["presentation"]], whole["presentation"])


def test_training_is_recorded_by_epochs(tmp_path):
    orthospike("run", CONFIG, "--out", tmp_path, *KEYS, "--record.variables=spikes", "--record.phase=training",
               "--record.samples=random 7", "--record.tasks=2-3")  # fmt: skip
    shown = open_recording(tmp_path).presentations
    assert set(shown["phase"]) == {"training"}
    assert shown.groupby(["task", "after", "epoch"]).size().to_dict() == {
        (2, 1, 1): 7, (2, 1, 2): 7, (3, 2, 1): 7, (3, 2, 2): 7,
    }  # fmt: skip
    first, second = (set(shown.query("task == 3 and epoch == @epoch")["sample"]) for epoch in (1, 2))
    assert first == second


def test_a_recording_is_read_while_the_run_goes_on(tmp_path):
    keys = [key.replace("epochs=2", "epochs=40") for key in KEYS]
    arguments = ["run", CONFIG, "--out", tmp_path, *keys, "--record.variables=spikes,potential"]
    program = SOURCE / os.environ["ORTHOSPIKE_PROGRAM"]
    process = subprocess.Popen([program, *arguments], cwd=SOURCE, stdout=subprocess.DEVNULL)
    seen = []
    while process.poll() is None:
        try:
            recording = open_recording(tmp_path)
        except FileNotFoundError:
            continue
        if "spikes" not in recording.variables:  # one file is made after the other
            continue
        count = len(recording.presentations)
        seen.append((count, recording.finished, recording.spikes("hidden1", slice(0, count // 2))))
    assert process.returncode == 0
    counts = [count for count, *_ in seen]
    assert counts == sorted(counts)
    finished = open_recording(tmp_path)
    assert any(0 < count < len(finished.presentations) and not ended for count, ended, _ in seen)
    for count, _, spikes in seen:
        assert spikes.equals(finished.spikes("hidden1", slice(0, count // 2)))


@pytest.mark.parametrize("name", ["spikes.h5", "report-potential.h5"])
def test_the_program_says_what_is_wrong_with_a_damaged_recording(folder, tmp_path, name):
    whole = (folder / name).read_bytes()
    head = min(len(whole), 20_000)  # where the file's own structure is
    random = np.random.default_rng(5)
    refused = 0
    for kind in range(60):
        damaged = bytearray(whole)
        if kind % 3 == 0:
            del damaged[int(random.integers(len(whole))) :]
        for place in random.integers(head, size=int(random.integers(1, 30))) if kind % 3 else []:
            damaged[place] = random.integers(256) if kind % 3 == 1 else 0xFF
        (tmp_path / name).write_bytes(damaged)
        done = subprocess.run([SOURCE / os.environ["ORTHOSPIKE_PROGRAM"], "inspect", tmp_path], capture_output=True, text=True, timeout=30)
        refused += done.returncode
        assert done.returncode in (0, 1), done
        assert done.stderr.count("\n") == done.returncode, done
        assert done.returncode == 0 or done.stderr.startswith(f"orthospike: {tmp_path}"), done
    assert refused > 20
