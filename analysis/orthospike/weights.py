"""Trained weights in memory. Their file's layout: learning/weights_file.md."""

import os
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from orthospike.run_file import FINISHED_NAME, PARTIAL_NAME, Run, plain, read_file

FORMAT = "orthospike weights"
FORMAT_VERSION = 1
NAME = "weights.h5"
NORMALISATION = ["gain", "offset", "mean", "variance"]


def load_weights(run: Run | str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The weights that a run ended with, or had after its last finished task, by the name of their projection:
    [source neurons × target neurons], of a convolution [values of a patch × channels]. `run` is one that was opened, its
    folder or its file, or a weights file. Raises ValueError when it is not a weights file, or a damaged one."""
    path = _weights_file(run.path if isinstance(run, Run) else Path(run))
    return read_file(path, FORMAT, FORMAT_VERSION, "orthospike weights file", _read)


def load_lateral_weights(run: Run | str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The subspaces that the protection of the same runs and files had found by then, by the name of their projection:
    [lateral neurons × source neurons], or values of a patch. Empty where it keeps none. Raises ValueError as load_weights does."""
    path = _weights_file(run.path if isinstance(run, Run) else Path(run))
    return read_file(path, FORMAT, FORMAT_VERSION, "orthospike weights file", _read_lateral)


def load_normalisation(run: Run | str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """Gain, offset, mean and variance (columns) of each channel (rows), by the name of the population whose currents are
    normalised so: gain * (current - mean) / sqrt(variance + normalisation.epsilon) + offset. Empty where none are. Raises
    ValueError as load_weights does."""
    path = _weights_file(run.path if isinstance(run, Run) else Path(run))
    return read_file(path, FORMAT, FORMAT_VERSION, "orthospike weights file", _read_normalisation)


def _weights_file(path: Path) -> Path:
    folder = path if path.is_dir() else path.parent if path.name in (FINISHED_NAME, PARTIAL_NAME) else None
    if folder is not None and not (folder / NAME).is_file():
        raise FileNotFoundError(f"{folder}: the folder holds no {NAME}, which runs write at the end of each task")
    if folder is None and not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    return path if folder is None else folder / NAME


def _read(file: h5py.File, _path: Path) -> dict[str, np.ndarray]:
    sizes = file["populations/size"][()]
    weights = {}
    for name, target in zip(_names(file), file["projections/populations"][:, 1], strict=True):
        data = file[f"weights/{name}"]
        if data.ndim != 2 or 0 in data.shape or sizes[target] % data.shape[1]:
            raise ValueError(
                f"{data.name} is {list(data.shape)}, expected as many columns as the target has neurons, {sizes[target]}, "
                "or a part of them"
            )
        weights[name] = _finite(data)
    return weights


def _read_lateral(file: h5py.File, _path: Path) -> dict[str, np.ndarray]:
    lateral = {}
    for name in _names(file):
        if f"lateral/{name}" in file:
            data, columns = file[f"lateral/{name}"], file[f"weights/{name}"].shape[0]
            if data.ndim != 2 or data.shape[1] != columns:
                raise ValueError(f"{data.name} is {list(data.shape)}, expected {columns} columns")
            lateral[name] = _finite(data)
    return lateral


def _read_normalisation(file: h5py.File, _path: Path) -> dict[str, pd.DataFrame]:
    normalisation = {}
    sizes = file["populations/size"]
    for name, size in zip(map(plain, sizes.attrs["names"]), sizes[()], strict=True):
        if f"normalisation/{name}" in file:
            data = file[f"normalisation/{name}"]
            if data.ndim != 2 or len(data) != len(NORMALISATION) or not data.shape[1] or size % data.shape[1]:
                raise ValueError(f"{data.name} is {list(data.shape)}, expected {len(NORMALISATION)} rows for channels of {size}")
            normalisation[name] = pd.DataFrame(_finite(data).T, columns=NORMALISATION)
    return normalisation


def _names(file: h5py.File) -> list[str]:
    return [plain(name) for name in file["projections/populations"].attrs["names"]]


def _finite(data: h5py.Dataset) -> np.ndarray:
    array: np.ndarray = data[()]
    if not np.isfinite(array).all():
        raise ValueError(f"{data.name} is not finite everywhere")
    return array
