"""Trained weights in memory. Their file's layout: learning/weights_file.md."""

import os
from pathlib import Path

import h5py
import numpy as np

from orthospike.run_file import FINISHED_NAME, PARTIAL_NAME, Run, plain, read_file

FORMAT = "orthospike weights"
FORMAT_VERSION = 1
NAME = "weights.h5"


def load_weights(run: Run | str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The weights that a run ended with, or had after its last finished task, by the name of their projection:
    [source neurons × target neurons]. `run` is one that was opened, its folder or its file, or a weights file. Raises
    ValueError when it is not a weights file, or a damaged one."""
    path = _weights_file(run.path if isinstance(run, Run) else Path(run))
    return read_file(path, FORMAT, FORMAT_VERSION, "orthospike weights file", _read)


def load_lateral_weights(run: Run | str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The subspaces that the protection of the same runs and files had found by then, by the name of their projection:
    [lateral neurons × source neurons]. Empty where it keeps none. Raises ValueError as load_weights does."""
    path = _weights_file(run.path if isinstance(run, Run) else Path(run))
    return read_file(path, FORMAT, FORMAT_VERSION, "orthospike weights file", _read_lateral)


def _weights_file(path: Path) -> Path:
    folder = path if path.is_dir() else path.parent if path.name in (FINISHED_NAME, PARTIAL_NAME) else None
    if folder is not None and not (folder / NAME).is_file():
        raise FileNotFoundError(f"{folder}: the folder holds no {NAME}, which runs write at the end of each task")
    if folder is None and not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    return path if folder is None else folder / NAME


def _read(file: h5py.File, _path: Path) -> dict[str, np.ndarray]:
    return {name: _finite(file[f"weights/{name}"], shape) for name, shape in _shapes(file).items()}


def _read_lateral(file: h5py.File, _path: Path) -> dict[str, np.ndarray]:
    lateral = {}
    for name, (source, _target) in _shapes(file).items():
        if f"lateral/{name}" in file:
            data = file[f"lateral/{name}"]
            lateral[name] = _finite(data, [data.shape[0] if data.ndim else 0, source])
    return lateral


def _shapes(file: h5py.File) -> dict[str, list[int]]:
    """Neurons of the source and of the target of each projection."""
    sizes = file["populations/size"][()]
    ends = file["projections/populations"]
    return {
        plain(name): sizes[populations].tolist()
        for name, populations in zip(ends.attrs["names"], ends[()], strict=True)
    }


def _finite(data: h5py.Dataset, expected: list[int]) -> np.ndarray:
    if list(data.shape) != expected:
        raise ValueError(f"{data.name} is {list(data.shape)}, expected {expected}")
    array: np.ndarray = data[()]
    if not np.isfinite(array).all():
        raise ValueError(f"{data.name} is not finite everywhere")
    return array
