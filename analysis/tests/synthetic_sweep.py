"""A small sweep as `orthospike sweep collect` leaves it: three settings of two seeds; one point is missing."""

import h5py
import numpy as np
import synthetic_run

NAN = float("nan")
FOLDERS = [f"lambda={value},rule={rule},seed={seed}"
           for value, rule in (("0.01", "dsr"), ("1", "bptt"), ("100", "dsr")) for seed in (1, 2)]
POINTS = {
    "average_accuracy": [0.84, 0.86, 0.90, 0.92, 0.50, NAN],
    "mean_forgetting": [0.07, 0.07, 0.05, 0.04, 0.30, NAN],
    "seconds": [1.0, 2.0, 3.0, 4.0, 5.0, NAN],
}


def write(folder):
    """Returns the folder."""
    for name in FOLDERS[:5]:
        (folder / name).mkdir(parents=True)
        path = synthetic_run.write(folder / name / "run.h5")
        with h5py.File(path, "r+") as file:
            file.attrs["seed"] = np.uint64(name[-1])
    with h5py.File(folder / "sweep.h5", "w", libver="latest") as file:
        synthetic_run._text_attribute(file, "format", "orthospike sweep")
        synthetic_run._text_attribute(file, "choose_by", "average_accuracy")
        file.attrs["format_version"] = np.uint64(1)
        file.attrs["best"] = np.uint64(2)
        text = "".join(f"{name}\n" for name in FOLDERS)
        file.create_dataset("points/folders", data=text.encode(), dtype=synthetic_run._text_type(text))
        states = file.create_dataset("points/state", data=np.array([0, 0, 0, 0, 0, 4], np.uint32))
        states.attrs.create("values", [b"done", b"running", b"failed", b"interrupted", b"missing"], dtype="S11")
        for group, step in (("points", 1), ("means", 2)):
            file[f"{group}/settings/leaky.lambda"] = np.repeat([0.01, 1, 100], 2)[::step]
            rules = file.create_dataset(f"{group}/settings/rule.name", data=np.array([0, 0, 1, 1, 0, 0], np.uint32)[::step])
            rules.attrs.create("values", [b"dsr", b"bptt"], dtype="S4")
        file["points/settings/experiment.seed"] = np.tile([1.0, 2.0], 3)
        file["means/runs"] = np.array([2, 2, 1], np.uint32)
        for name, values in POINTS.items():
            pairs = np.reshape(values, (3, 2))
            file[f"points/{name}"] = np.array(values)
            synthetic_run._text_attribute(file[f"points/{name}"], "definition", f"definition of {name}")
            file[f"means/{name}/mean"] = np.nanmean(pairs, axis=1)
            file[f"means/{name}/deviation"] = [*np.std(pairs[:2], axis=1, ddof=1), NAN]
        synthetic_run._text_attribute(file["points/seconds"], "unit", "s")
    return folder
