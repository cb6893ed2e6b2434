"""Networks that the program exports as NIR graphs: read by the package nir, run by snnTorch, and imported again.

ORTHOSPIKE_PROGRAM names the program, ORTHOSPIKE_SNNTORCH_PYTHON an interpreter that has torch, snntorch and nir."""

import configparser
import gzip
import json
import os
import subprocess
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from orthospike import load_normalisation, load_weights

SOURCE = Path(__file__).parents[2]
DIGITS = SOURCE / "tests/data/optdigits"
LIF = ["--rule.name=bptt", "--neuron.model=lif"]
NETWORKS = {
    "lif_dsr": [],
    "lif": LIF,
    "lif, hard reset": [*LIF, "--neuron.reset=hard"],
    "lif, synaptic currents": [*LIF, "--neuron.synapse_tau=0.2", "--neuron.threshold=2"],
    "lif, recurrent, leaky read-out": [*LIF, "--network.recurrent=true", "--network.readout_tau=0.5"],
    "if": ["--rule.name=bptt", "--neuron.model=if"],
    "lif_dsr, biases": ["--network.bias=all"],
    "lif_dsr, convolutions": ["--network.layers=6c3, lif, p2, 8c3s2, lif, p2", "--network.bias=all", "--optimiser.learning_rate=0.2"],
    "lif_dsr, normalised": ["--network.layers=6c3, bn, lif, p2, 8c3s2, bn, lif, p2", "--network.bias=readout"],
    "lif, convolution, dense": [*LIF, "--network.layers=6c5p1, lif, p2, 30, lif", "--network.bias=readout"],
    "lif, biases, leaky read-out": [*LIF, "--network.bias=all", "--network.readout_tau=0.5"],
}
ANSWERED = 100

pytestmark = pytest.mark.skipif("ORTHOSPIKE_PROGRAM" not in os.environ, reason="ORTHOSPIKE_PROGRAM does not name the program")


def orthospike(*arguments, code=0):
    program = SOURCE / os.environ["ORTHOSPIKE_PROGRAM"]
    result = subprocess.run([program, *map(str, arguments)], cwd=SOURCE, capture_output=True, text=True)
    assert result.returncode == code, result.stderr
    return result


class Exported:
    """A trained network, its graph and its answers to some test images."""

    def __init__(self, folder, options):
        self.run, self.graph_file = folder / "run", folder / "network.nir"
        self.has_maps = any("layers" in option for option in options)
        tasks = ["--tasks.sequence=rotated", "--rotated.angles=0", "--protection.name=none", "--metrics.quality_samples=0"]
        few = ["--tasks.train_samples=1280", *([] if self.has_maps else ["--network.hidden=40,30"]), "--tasks.epochs=2", "--run.threads=1"]
        orthospike("run", "tests/data/digits.ini", "--out", self.run, *tasks, *few, *options)
        orthospike("export", self.run, "--nir", self.graph_file)
        self.graph = nir.read(self.graph_file)
        self.predictions = self.answers(self.run)
        with gzip.open(DIGITS / "t10k-images-idx3-ubyte.gz") as file:
            pixels = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 64)
        self.images = (pixels[self.predictions["sample"]] / 255).astype(np.float32)

    @staticmethod
    def answers(run):
        file = run / "predictions.h5"
        orthospike("test", run, "--predictions", file, f"--tasks.test_samples={ANSWERED}", "--run.threads=1")
        with h5py.File(file) as stored:
            return {name: stored[name][()] for name in ("sample", "prediction", "scores")}


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request, tmp_path_factory):
    return Exported(tmp_path_factory.mktemp("nir"), NETWORKS[request.param])


def convolved(values, weights, stride, padding):
    """[images, height, width, channels] through weights [k·k·channels × channels out]."""
    kernel = round((len(weights) / values.shape[-1]) ** 0.5)
    padded = np.pad(values, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
    return patches.transpose(0, 1, 2, 4, 5, 3).reshape(*patches.shape[:3], -1) @ weights


def pooled(values, size):
    images, height, width, channels = values.shape
    return values.reshape(images, height // size, size, width // size, size, channels).mean((2, 4))


def arriving(values, weights, ways, name):
    """Currents of a population or the read-out, each a row, maps channel last."""
    side, channels, pooling, window = ways.get(name, (0, 0, 1, None))
    if side:
        values = pooled(values.reshape(len(values), side, side, channels), pooling)
        if window:
            return convolved(values, weights, *window).reshape(len(values), -1)
    return values.reshape(len(values), -1) @ weights


def folded_weights(run):
    """Those of a run, with normalisations of currents in the weights that bring them and biases."""
    weights = load_weights(run)
    with h5py.File(run / "weights.h5") as file:
        config = configparser.ConfigParser(interpolation=None)
        config.read_string(file["config"][()].decode())
    for population, channels in load_normalisation(run).items():
        channels = channels.astype(np.float64)
        factor = (channels.gain / np.sqrt(channels.variance + config["normalisation"].getfloat("epsilon"))).to_numpy()
        name = next(name for name in weights if name.endswith(f"_to_{population}"))
        weights[name] = (weights[name] * factor).astype(np.float32)
        weights[f"bias_to_{population}"] = (channels.offset.to_numpy() - channels["mean"].to_numpy() * factor).astype(np.float32)[None]
    return weights


#: Of networks with layers: side and channels of the map before, its pooling, stride and padding of a convolution.
WAYS = {
    "6c3, lif, p2, 8c3s2, lif, p2": {"hidden1": (8, 1, 1, (1, 1)), "hidden2": (8, 6, 2, (2, 1)), "readout": (2, 8, 2, None)},
    "6c3, bn, lif, p2, 8c3s2, bn, lif, p2": {"hidden1": (8, 1, 1, (1, 1)), "hidden2": (8, 6, 2, (2, 1)), "readout": (2, 8, 2, None)},
    "6c5p1, lif, p2, 30, lif": {"hidden1": (8, 1, 1, (1, 1)), "hidden2": (6, 6, 2, None)},
}


def equations(run, images):
    """Spikes by population and logits, by the equations of kernels/neurons on the run's own weights."""
    with h5py.File(run / "weights.h5") as file:
        config = configparser.ConfigParser(interpolation=None)
        config.read_string(file["config"][()].decode())
        thresholds = {name: data[0] for name, data in file.get("thresholds", {}).items()}
        drive = (images - file["input/mean"][0]) / file["input/deviation"][0]
    neuron, weights = config["neuron"], folded_weights(run)
    dt, model = neuron.getfloat("dt"), neuron["model"]
    one = np.float32(1)
    decay, gain, synapse_decay = one, one, np.float32(0)
    if model == "lif_dsr":
        decay = np.exp(np.float32(-dt / neuron.getfloat("tau")))
        gain = one - decay
    elif model == "lif":
        decay = np.float32(1 - dt / neuron.getfloat("tau"))
        synapse_tau = neuron.getfloat("synapse_tau")
        synapse_decay = np.float32(1 - dt / synapse_tau if synapse_tau else 0)
    readout_tau = config["network"].getfloat("readout_tau", 0)
    leak = np.float32(1 - dt / readout_tau if readout_tau else 0)
    ways = WAYS.get(config["network"]["layers"], {})
    names = ["hidden1", "hidden2"]
    state = {name: [np.float32(0)] * 2 for name in names}
    spikes = {name: None for name in names}
    counts = dict.fromkeys(names, 0)
    readout, total, weight = 0, 0, 0
    averaging = decay if model == "lif_dsr" else 1
    for _ in range(neuron.getint("steps")):
        source, values = "input", drive
        for name in names:
            theta = thresholds.get(name, neuron.getfloat("threshold", 0))
            current = arriving(values, weights[f"{source}_to_{name}"], ways, name)
            if (bias := weights.get(f"bias_to_{name}")) is not None:
                current = current + np.tile(bias, current.shape[1] // bias.size)
            if f"{name}_to_{name}" in weights and spikes[name] is not None:
                current = current + spikes[name] @ weights[f"{name}_to_{name}"]
            synapse, potential = state[name]
            synapse = synapse_decay * synapse + gain * current
            potential = decay * potential + synapse
            level = neuron.getfloat("firing_fraction") * theta if model == "lif_dsr" else theta
            fires = potential >= np.float32(level)
            hard = neuron.get("reset") == "hard"
            potential = np.where(fires, 0 if hard else potential - np.float32(theta), potential)
            state[name] = synapse, potential.astype(np.float32)
            spikes[name] = fires.astype(np.float32) * np.float32(theta / dt if model == "lif_dsr" else 1)
            counts[name] = counts[name] + fires
            source, values = name, spikes[name]
        current = arriving(values, weights[f"{source}_to_readout"], ways, "readout")
        readout = leak * readout + current + weights.get("bias_to_readout", 0)
        total, weight = averaging * total + readout, averaging * weight + 1
    return counts | {"logits": total / weight}


def assert_same_answers(exported, result):
    scores = exported.predictions["scores"]
    # A spike that rounding decides moves a logit by a step's share of one weight.
    assert np.abs(result["logits"] - scores).mean() < 2e-3 * np.abs(scores).mean()
    assert (result["logits"].argmax(1) == exported.predictions["prediction"]).mean() >= 0.99


def test_the_package_nir_reads_a_graph(exported):
    graph = exported.graph
    assert graph.input_type["input"].tolist() == ([1, 8, 8] if exported.has_maps else [64])
    assert graph.output_type["output"].tolist() == [10]
    assert nir.serialization.read_version(exported.graph_file) == "1.0.8"
    assert graph.metadata["time_unit"] == "s"
    with h5py.File(exported.graph_file) as file:
        attributes = []
        file.visititems(lambda name, item: attributes.extend(item.attrs))
        assert attributes == list(file.attrs) == []
    weights = folded_weights(exported.run)
    for name, weight in weights.items():
        if name.startswith("bias_to_"):
            biases = next(node for other, node in graph.nodes.items() if other.endswith(name[len("bias") :])).bias
            assert biases.any()
            assert np.allclose(biases[None], weight, rtol=1e-6, atol=0)
            continue
        stored = graph.nodes[name].weight
        if isinstance(graph.nodes[name], nir.Conv2d):
            stored = stored.transpose(0, 2, 3, 1).reshape(len(stored), -1)
        elif f"{name}_flatten" in graph.nodes:
            channels, height, width = graph.nodes[f"{name}_flatten"].input_type["input"]
            stored = stored.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(len(stored), -1)
        stored = stored.T
        height = 1
        if "trained_thresholds" in graph.metadata and not name.startswith("input"):
            height = graph.metadata["trained_thresholds"][int(name[len("hidden")]) - 1] / 0.05
        assert np.allclose(stored, weight * height, rtol=3e-7, atol=0)


def test_equations_are_those_of_the_program(exported):
    result = equations(exported.run, exported.images)
    assert result["hidden1"].sum() > 1000
    assert result["hidden2"].sum() > 1000
    assert_same_answers(exported, result)


def test_an_independent_simulator_gives_the_same_spikes(exported, tmp_path):
    python = os.environ.get("ORTHOSPIKE_SNNTORCH_PYTHON")
    if not python:
        pytest.skip("ORTHOSPIKE_SNNTORCH_PYTHON names no interpreter with torch, snntorch and nir")
    np.save(tmp_path / "images.npy", exported.images)
    script = Path(__file__).with_name("nir_simulator.py")
    arguments = [SOURCE / python, script, exported.graph_file, tmp_path / "images.npy", tmp_path / "result.npz"]
    subprocess.run(arguments, check=True)
    result, expected = np.load(tmp_path / "result.npz"), equations(exported.run, exported.images)
    for name in ("hidden1", "hidden2"):
        maps = result[name]
        counts = maps.transpose(0, 2, 3, 1).reshape(len(maps), -1) if maps.ndim == 4 else maps
        differ = counts != expected[name]
        off = result[name].sum() / expected[name].sum() - 1
        print(f"{name}: {expected[name].sum()} spikes, off by {off:.2g}, {differ.mean():.2g} of the counts differ")
        assert differ.mean() <= 0.01
        assert abs(off) <= 1e-3
    assert_same_answers(exported, result)


def stored(file):
    """All data sets of a file by name, as bytes; the HDF5 library also stores when it was written."""
    found = {}
    with h5py.File(file) as opened:
        opened.visititems(lambda name, item: found.update({name: np.asarray(item[()]).tobytes()} if hasattr(item, "dtype") else {}))
    return found


def test_an_imported_network_is_the_exported_one(exported, tmp_path):
    out, again = tmp_path / "imported", tmp_path / "again.nir"
    summary = json.loads(orthospike("import", exported.graph_file, "--out", out).stdout.splitlines()[-1])
    assert summary == {"config_file": str(out / "config.ini"), "weights_file": str(out / "weights.h5")}
    accuracy = [json.loads(orthospike("test", run).stdout.splitlines()[-1])["accuracies"] for run in (exported.run, out)]
    assert accuracy[0] == accuracy[1]
    orthospike("export", out, "--nir", again)
    graphs = stored(again), stored(exported.graph_file)
    if load_normalisation(exported.run):  # which the config of the imported network does not have
        assert all(graph.pop("node/metadata/config") for graph in graphs)
    assert graphs[0] == graphs[1]
    here, there = load_weights(out), folded_weights(exported.run)
    assert here.keys() == there.keys()
    exact = "trained_thresholds" not in exported.graph.metadata
    for name, weight in there.items():
        assert np.array_equal(here[name], weight) if exact else np.allclose(here[name], weight, rtol=2e-7, atol=0)


def foreign_graph(scale=1.0):
    """As another program would write it: other constants of each neuron, texts of variable length, gzip, spikes out."""
    random = np.random.default_rng(1)
    gain = random.uniform(0.5, 2, 30)
    hidden = nir.LIF(
        tau=np.full(30, 2e-3), r=gain * scale, v_leak=np.zeros(30), v_threshold=np.full(30, 0.1), v_reset=np.zeros(30)
    )
    last = nir.LIF(
        tau=np.full(10, 2e-3), r=np.full(10, 1.0), v_leak=np.zeros(10), v_threshold=np.linspace(0.05, 0.15, 10)
    )
    return nir.NIRGraph(
        nodes={
            "in": nir.Input(np.array([1, 8, 8])),
            "flat": nir.Flatten({"input": np.array([1, 8, 8])}, start_dim=0),
            "fc1": nir.Affine(weight=random.normal(size=(30, 64)), bias=random.normal(size=30)),
            "lif1": hidden,
            "fc2": nir.Linear(weight=random.normal(size=(10, 30))),
            "lif2": last,
            "out": nir.Output(np.array([10])),
        },
        edges=[("in", "flat"), ("flat", "fc1"), ("fc1", "lif1"), ("lif1", "fc2"), ("fc2", "lif2"), ("lif2", "out")],
    )


def test_a_graph_from_elsewhere_is_imported(tmp_path):
    file, out = tmp_path / "foreign.nir", tmp_path / "out"
    graph = foreign_graph()
    nir.write(file, graph)
    data = ["--data.name=optdigits", "--data.path=tests/data", "--neuron.dt=0.5", "--neuron.steps=25"]
    told = orthospike("import", file, "--out", out, *data).stdout
    assert "data.mean = 0, data.deviation = 1" in told
    assert "neuron.dt" not in told
    predictions = Exported.answers(out)
    with gzip.open(DIGITS / "t10k-images-idx3-ubyte.gz") as pixels:
        images = np.frombuffer(pixels.read()[16:], np.uint8).reshape(-1, 64)[predictions["sample"]] / 255
    potentials, counts = [0, 0], 0
    for _ in range(25):
        values = images
        for i, (weights, neurons) in enumerate((("fc1", "lif1"), ("fc2", "lif2"))):
            node = graph.nodes[neurons]
            current = values @ graph.nodes[weights].weight.T + getattr(graph.nodes[weights], "bias", 0)
            potentials[i] = potentials[i] + 0.5e-3 / node.tau * (node.r * current - potentials[i])
            values = (potentials[i] > node.v_threshold).astype(float)
            potentials[i] = np.where(values, node.v_reset, potentials[i])
        counts = counts + values
    assert counts.sum() > 1000
    assert np.isclose(counts / 25, predictions["scores"], atol=1e-5).mean() > 0.99
    orthospike("run", out / "config.ini", "--out", tmp_path / "trained", f"--network.weights={out}", "--tasks.epochs=1")


def test_a_damaged_file_of_the_package_is_refused_or_read(tmp_path):
    """Its texts of variable length crash the HDF5 library where they are damaged."""
    file = tmp_path / "damaged.nir"
    nir.write(file, foreign_graph())
    whole = file.read_bytes()
    program = SOURCE / os.environ["ORTHOSPIKE_PROGRAM"]
    random, refused = np.random.default_rng(3), 0
    for attempt in range(60):
        damaged = bytearray(whole)
        if attempt % 4 == 0:
            del damaged[random.integers(len(whole)) :]
        else:
            for place in random.integers(len(whole), size=200):
                damaged[place] = random.integers(256)
        file.write_bytes(damaged)
        out = tmp_path / str(attempt)
        result = subprocess.run([program, "import", file, "--out", out], capture_output=True, text=True)
        assert result.returncode in (0, 1)
        refused += result.returncode
        if result.returncode == 1:
            assert result.stderr.startswith(f"orthospike: {file}: ")
            assert result.stderr.count("\n") == 1
            assert not out.exists()
    assert refused > 20
