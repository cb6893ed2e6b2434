"""Writes data sets that the program reads: the four IDX files of MNIST, one for images and one for labels of training
and test."""

import gzip
import itertools
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PARTS = ("train", "t10k")
KINDS = ("images-idx3", "images-idx4", "labels-idx1")
NAMES = [f"{part}-{kind}-ubyte{end}" for part, kind, end in itertools.product(PARTS, KINDS, ("", ".gz"))]
LARGEST_LABEL = 255


def write_dataset(
    folder: str | os.PathLike[str],
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    test_images: npt.ArrayLike | None = None,
    test_labels: npt.ArrayLike | None = None,
    *,
    test_fraction: float = 1 / 6,
    seed: int = 0,
    remap: bool = False,
    overwrite: bool = False,
) -> list[Any]:
    """Makes `folder` a data set for `data.path`, or for `data.name` where its parent is in ORTHOSPIKE_DATA.

    images: [n × height × width] or [n × height × width × channels], bytes, or floats from 0 to 1, which become bytes.
    labels: [n] whole numbers, all from 0 to the largest, at most 255; with `remap` any values, numbered in their order.
    Without test images, of each class `test_fraction` of the images, at least one, chosen by `seed`, are for testing and
    the others for training.

    Returns the value that each label stands for. Raises ValueError when arrays do not fit, FileExistsError where the
    folder holds a data set that is not to be overwritten."""
    if (test_images is None) != (test_labels is None):
        raise ValueError("test_images and test_labels: expected both or neither")
    images = _bytes(images, "images")
    labels = _vector(labels, len(images), "labels")
    if test_images is None or test_labels is None:
        test = _drawn(labels, test_fraction, seed)
        parts = [(images[~test], labels[~test]), (images[test], labels[test])]
    else:
        test_images = _bytes(test_images, "test_images")
        if test_images.shape[1:] != images.shape[1:]:
            raise ValueError(f"test_images: images of {test_images.shape[1:]}, expected {images.shape[1:]} as in images")
        parts = [(images, labels), (test_images, _vector(test_labels, len(test_images), "test_labels"))]

    values = np.unique(parts[0][1])
    unknown = np.setdiff1d(parts[1][1], values)
    if len(unknown) > 0:
        raise ValueError(f"test_labels: {unknown[0]} is the label of no training image")
    if not remap:
        _check_without_gaps(values)
    if len(values) > LARGEST_LABEL + 1:
        raise ValueError(f"labels: {len(values)} classes, expected at most {LARGEST_LABEL + 1}")

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    old = [folder / name for name in NAMES if (folder / name).exists()]
    if old and not overwrite:
        raise FileExistsError(f"{old[0]}: the folder holds a data set; overwrite=True replaces it")
    new = {}
    for name, (part_images, part_labels) in zip(PARTS, parts, strict=True):
        numbers = np.searchsorted(values, part_labels).astype(np.uint8)
        new[folder / f"{name}-images-idx{part_images.ndim}-ubyte.gz"] = part_images
        new[folder / f"{name}-labels-idx1-ubyte.gz"] = numbers
    try:
        for path, array in new.items():
            _write_idx(_temporary(path), array)
        for path in new:
            _temporary(path).replace(path)
    finally:
        for path in new:
            _temporary(path).unlink(missing_ok=True)
    for path in set(old) - set(new):  # which the reader might take for a part of the data set
        path.unlink()
    return list(values.tolist())


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _bytes(given: npt.ArrayLike, name: str) -> npt.NDArray[np.uint8]:
    images: npt.NDArray[Any] = np.asarray(given)
    if images.ndim not in (3, 4) or images.size == 0:
        raise ValueError(f"{name}: shape {images.shape}, expected [n, height, width] or [n, height, width, channels]")
    if images.dtype.kind == "f":
        if not (np.min(images) >= 0 and np.max(images) <= 1):  # which NaN is neither
            raise ValueError(f"{name}: floats from {np.min(images)} to {np.max(images)}, expected 0 to 1")
        images = np.rint(images * 255)
        return images.astype(np.uint8)
    if images.dtype.kind not in "iu" or np.min(images) < 0 or np.max(images) > 255:
        raise ValueError(f"{name}: expected whole numbers from 0 to 255 or floats from 0 to 1")
    return images.astype(np.uint8)


def _vector(given: npt.ArrayLike, count: int, name: str) -> npt.NDArray[Any]:
    labels: npt.NDArray[Any] = np.asarray(given)
    if labels.shape != (count,):
        raise ValueError(f"{name}: shape {labels.shape}, expected ({count},), one for each image")
    return labels


def _check_without_gaps(values: np.ndarray) -> None:
    if values.dtype.kind not in "iu" or values[0] < 0:
        raise ValueError("labels: expected whole numbers from 0 on, or remap=True")
    if not np.array_equal(values, np.arange(len(values))):
        missing = int(np.flatnonzero(values != np.arange(len(values)))[0])
        raise ValueError(f"labels: no image has label {missing}, but one has {values[-1]}; remap=True numbers them anew")


def _drawn(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Which samples are for testing."""
    random = np.random.default_rng(seed)
    test = np.zeros(len(labels), bool)
    for value in np.unique(labels):
        of_class = random.permutation(np.flatnonzero(labels == value))
        count = max(1, round(fraction * len(of_class)))
        if count >= len(of_class):
            raise ValueError(f"labels: {len(of_class)} images of class {value}, too few to train and to test")
        test[of_class[:count]] = True
    return test


def _write_idx(path: Path, values: np.ndarray) -> None:
    # Without a name and a time in the gzip header the same arrays give the same bytes.
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as stream:
        stream.write(struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape))
        stream.write(np.ascontiguousarray(values).tobytes())
