"""Sweeps in memory, from the tables that `orthospike sweep collect` writes. Their layout: configs/sweeps/README.md."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from orthospike.run_file import Run, open_run, read_file, text

FORMAT = "orthospike sweep"
FORMAT_VERSION = 1
NAME = "sweep.h5"


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """Everything in a sweep's table. Points and settings count from 1; a setting has a point for each seed. NaN: not
    measured, or no run done."""

    path: Path
    keys: list[str]  #: of the config that tell settings apart, "section.key"
    points: pd.DataFrame  #: a point a row: "folder", "state", all varied keys with the seed, then the measures
    settings: pd.DataFrame  #: a setting a row, a key a column: numbers, or texts where not all are numbers
    runs: "pd.Series[int]"  #: how many runs of a setting are done
    means: pd.DataFrame  #: a setting a row; columns (measure, "mean") and (measure, "std"), the sample deviation
    definitions: dict[str, str]  #: of the measures
    units: dict[str, str]  #: of those that have one
    choose_by: str  #: the measure that tells settings apart
    best: int | None  #: the best setting by it, on held-back samples
    why_none: str  #: why there is no best one; "" where there is

    @property
    def name(self) -> str:
        return self.path.resolve().parent.name

    def best_runs(self) -> dict[str, Run]:
        """The runs of the best setting by their seeds, "seed 1" …; none where there is no best one."""
        if self.best is None:
            return {}
        seeds = len(self.points) // len(self.settings)
        folders = self.points["folder"].iloc[(self.best - 1) * seeds : self.best * seeds]
        runs = [open_run(self.path.parent / folder) for folder in folders]
        return {f"seed {run.attributes['seed']}": run for run in runs}

    def __repr__(self) -> str:
        done = int((self.points["state"] == "done").sum())
        return f"<Sweep '{self.name}': {done} of {len(self.points)} points done>"


def open_sweep(path: str | os.PathLike[str]) -> Sweep:
    """Reads a sweep's table, sweep.h5, or the one in its folder. Raises FileNotFoundError where there is none yet,
    ValueError when it is not one, or a damaged one."""
    file = Path(path)
    if file.is_dir():
        file = file / NAME
        if not file.is_file():
            raise FileNotFoundError(f"{path}: the folder holds no {NAME}, which 'orthospike sweep collect' writes")
    elif not file.is_file():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    return read_file(file, FORMAT, FORMAT_VERSION, FORMAT, _read)


def _read(file: h5py.File, path: Path) -> Sweep:
    points, means = file["points"], file["means"]
    folders = text(points["folders"][()]).splitlines()
    for folder in folders:
        if Path(folder).is_absolute() or ".." in Path(folder).parts:
            raise ValueError(f"{folder} is not a folder of the sweep")
    numbered = pd.RangeIndex(1, len(folders) + 1, name="point")
    measures = [name for name in points if name not in ("settings", "state", "folders")]
    # In the file names are sorted; the order of the program's table is that of the matrix, then the rest.
    first = [name for name in ("average_accuracy", "backward_transfer", "forward_transfer", "mean_forgetting",
                               "learning_accuracy") if name in measures]
    measures = first + [name for name in measures if name not in first]
    columns: dict[str, Any] = {"folder": folders, "state": _values(points["state"])}
    columns |= {key: _values(data) for key, data in points["settings"].items()}
    columns |= {name: points[name][()] for name in measures}

    runs = pd.Series(means["runs"][()], name="runs")
    runs.index = pd.RangeIndex(1, len(runs) + 1, name="setting")
    keys = list(means["settings"])
    spread = {
        (name, short): means[f"{name}/{long}"][()]
        for name in measures
        for short, long in (("mean", "mean"), ("std", "deviation"))
    }
    best = int(file.attrs.get("best", 0))
    choose_by = text(file.attrs.get("choose_by", "average_accuracy"))
    missing = "the table is of an earlier version, which did not say: collect the sweep again"
    why_none = text(file.attrs.get("why_none", missing)) if best == 0 else ""
    if choose_by not in measures or best > len(runs) or len(runs) == 0 or len(folders) % len(runs) != 0:
        raise ValueError("points and settings do not fit")
    return Sweep(
        path=path,
        keys=keys,
        points=pd.DataFrame(columns, index=numbered),
        settings=pd.DataFrame({key: _values(means["settings"][key]) for key in keys}, index=runs.index),
        runs=runs,
        means=pd.DataFrame(spread, index=runs.index),
        definitions={name: text(points[name].attrs["definition"]) for name in measures},
        units={name: text(points[name].attrs["unit"]) for name in measures if "unit" in points[name].attrs},
        choose_by=choose_by,
        best=best or None,
        why_none=why_none,
    )


def _values(data: h5py.Dataset) -> Any:
    """Numbers, or the texts at whose places they are."""
    if "values" not in data.attrs:
        return data[()]
    return np.array([text(value) for value in data.attrs["values"]], object)[data[()]]
