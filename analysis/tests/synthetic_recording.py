"""A small recording as sim/recording.md describes it: two tasks, tested before any training and after each, of random
spikes and potentials that the tests know."""

import h5py
import numpy as np

DT, STEPS, FIRST_STEP = 0.1, 7, 2
SAMPLES = 4  # of each task
CONFIG = '[experiment]\nname = "two tasks"\n'
SIZES = {"hidden1": 9, "hidden2": 5, "readout": 3}
NEURONS = {"hidden1": [0, 2, 3, 7], "hidden2": [0, 1, 2, 3, 4], "readout": [0, 1, 2]}
SPIKING = ["hidden1", "hidden2"]
SILENT = ("hidden2", 3)

AFTER, TASK, SAMPLE = (axis.ravel() for axis in np.mgrid[0:3, 1:3, 0:SAMPLES])
PRESENTATIONS = {
    "task": TASK.astype("u4"),
    "sample": (10 * TASK + SAMPLE).astype("u4"),
    "label": (SAMPLE % 3).astype("u4"),
    "after": AFTER.astype("u4"),
    "phase": np.zeros(len(TASK), "u1"),
    "epoch": np.zeros(len(TASK), "u4"),
}


def spikes(population):
    """[presentation × step × recorded neuron], never of one neuron of hidden2."""
    random = np.random.default_rng(len(population) + SIZES[population])
    fired = random.random((len(TASK), STEPS, len(NEURONS[population]))) < 0.4
    if population == SILENT[0]:
        fired[:, :, SILENT[1]] = False
    return fired


def potential(population):
    """[presentation × step × recorded neuron]"""
    random = np.random.default_rng(SIZES[population])
    return random.normal(size=(len(TASK), STEPS, len(NEURONS[population]))).astype("f4")


def events(fired, neurons):
    """times (ms) and neurons of what spiked, in the order of time."""
    frames, columns = np.nonzero(fired.reshape(-1, len(neurons)))
    return frames * DT, np.array(neurons, "u8")[columns]


def write_spikes(path, fired=None, neurons=NEURONS, presentations=PRESENTATIONS, compression="gzip"):
    fired = fired or {name: spikes(name) for name in SPIKING}
    with h5py.File(path, "w") as file:
        _common(file, neurons, presentations)
        sorting = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
        for name, values in fired.items():
            group = file.create_group(f"spikes/{name}")
            group.attrs.create("sorting", 2, dtype=sorting)
            times, ids = events(values, neurons[name])
            times = _grown(group, "timestamps", times, compression)
            times.attrs["units"] = "ms"
            _grown(group, "node_ids", ids, compression)
            counts = values.sum((0, 1)).astype("u8")
            file[f"orthospike/neurons/{name}"]["spike_counts"] = counts
    return path


def write_report(path, frames=None, neurons=NEURONS, presentations=PRESENTATIONS, compression="gzip"):
    frames = frames or {name: potential(name) for name in NEURONS}
    with h5py.File(path, "w") as file:
        _common(file, neurons, presentations)
        for name, values in frames.items():
            group = file.create_group(f"report/{name}")
            count = values.shape[0] * values.shape[1]
            data = _grown(group, "data", values.reshape(count, -1), compression)
            data.attrs["units"] = "1"
            mapping = group.create_group("mapping")
            mapping["node_ids"] = np.array(neurons[name], "u8")
            mapping["node_ids"].attrs["sorted"] = np.uint8(1)
            mapping["index_pointers"] = np.arange(len(neurons[name]) + 1, dtype="u8")
            mapping["index_pointer"] = mapping["index_pointers"]
            mapping["element_ids"] = np.zeros(len(neurons[name]), "u4")
            mapping["element_pos"] = np.zeros(len(neurons[name]), "f4")
            mapping["time"] = np.array([0, count * DT, DT])
            mapping["time"].attrs["units"] = "ms"
    return path


def write(folder, **options):
    """Both files, in a folder that is made. Returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_spikes(folder / "spikes.h5", **options)
    write_report(folder / "report-potential.h5", **options)
    return folder


def _common(file, neurons, presentations):
    file.attrs["magic"] = np.uint32(0x0A7A)
    file.attrs["version"] = np.array([0, 1], "u4")
    ours = file.create_group("orthospike")
    ours.attrs["dt"] = DT
    ours.attrs["first_step"] = np.uint64(FIRST_STEP)
    ours.attrs["steps"] = np.uint64(STEPS)
    for name, text in {"version": "0.1.0", "git_revision": "872583a"}.items():
        ours.attrs.create(name, text.encode(), dtype=h5py.string_dtype("utf-8", len(text)))
    ours.create_dataset("config", data=CONFIG.encode(), dtype=h5py.string_dtype("utf-8", len(CONFIG)))
    for name, column in presentations.items():
        _grown(ours, f"presentations/{name}", column, "gzip")
    for name, ids in neurons.items():
        ours[f"neurons/{name}/ids"] = np.array(ids, "u8")
        ours[f"neurons/{name}"].attrs["size"] = np.uint64(SIZES.get(name, len(ids)))


def _grown(group, name, data, compression):
    """As the writer makes what grows: in chunks, compressed."""
    return group.create_dataset(name, data=data, maxshape=(None, *data.shape[1:]), chunks=(max(64, len(data) // 100), *data.shape[1:]),
                                compression=compression, shuffle=compression is not None)
