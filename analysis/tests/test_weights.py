import h5py
import numpy as np
import pytest
from synthetic_run import write as write_run

from orthospike import load_lateral_weights, load_normalisation, load_weights, open_run

SIZES = {"input": 3, "hidden1": 2, "readout": 4}
# By name hidden1_to_readout comes first.
PROJECTIONS = {"input_to_hidden1": (0, 1), "hidden1_to_hidden1": (1, 1), "hidden1_to_readout": (1, 2)}

LATERAL = np.array([[0.6, 0.8], [0.8, -0.6], [0.0, 0.0]], np.float32)


def expected(name):
    source, target = (list(SIZES.values())[i] for i in PROJECTIONS[name])
    return np.arange(source * target, dtype=np.float32).reshape(source, target) - 2.5


def write(path):
    """What load_weights reads of the file that learning/weights_file.cpp writes."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs.create("format", b"orthospike weights", dtype=h5py.string_dtype("utf-8", 18))
        file.attrs["format_version"] = np.uint64(1)
        sizes = file.create_dataset("populations/size", data=np.array(list(SIZES.values()), np.uint32))
        sizes.attrs.create("names", list(SIZES), dtype=h5py.string_dtype(length=7))
        ends = file.create_dataset("projections/populations", data=np.array(list(PROJECTIONS.values()), np.uint32))
        ends.attrs.create("names", list(PROJECTIONS), dtype=h5py.string_dtype(length=18))
        for name in PROJECTIONS:
            file[f"weights/{name}"] = expected(name)
        file["lateral/hidden1_to_readout"] = LATERAL
    return path


@pytest.fixture
def weights_file(tmp_path):
    return write(tmp_path / "weights.h5")


def test_weights_are_arrays_by_projection_in_the_order_of_the_network(weights_file):
    weights = load_weights(weights_file)
    assert list(weights) == list(PROJECTIONS)
    for name, array in weights.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, expected(name))


def test_lateral_weights_are_those_of_projections_that_have_a_subspace(weights_file):
    lateral = load_lateral_weights(weights_file)
    assert list(lateral) == ["hidden1_to_readout"]
    assert np.array_equal(lateral["hidden1_to_readout"], LATERAL)
    with h5py.File(weights_file, "r+") as file:
        del file["lateral"]
    assert load_lateral_weights(weights_file) == {}


@pytest.mark.parametrize("data", [LATERAL.T, LATERAL[0], np.float32(1), np.full((2, 2), np.inf)])
def test_damaged_lateral_weights_are_refused(weights_file, data):
    with h5py.File(weights_file, "r+") as file:
        del file["lateral/hidden1_to_readout"]
        file["lateral/hidden1_to_readout"] = data
    with pytest.raises(ValueError, match="weights.h5: a damaged or incomplete orthospike weights file$"):
        load_lateral_weights(weights_file)


def test_normalisations_are_those_of_populations_that_have_one(weights_file):
    assert load_normalisation(weights_file) == {}
    numbers = np.arange(8, dtype=np.float32).reshape(4, 2)
    with h5py.File(weights_file, "r+") as file:
        file["normalisation/hidden1"] = numbers
    found = load_normalisation(weights_file)
    assert list(found) == ["hidden1"]
    assert list(found["hidden1"].columns) == ["gain", "offset", "mean", "variance"]
    assert np.array_equal(found["hidden1"].to_numpy(), numbers.T)
    for damaged in (numbers.T, numbers[:3], numbers[:, :0], np.tile(numbers, 2), np.full((4, 2), np.nan)):
        with h5py.File(weights_file, "r+") as file:
            del file["normalisation/hidden1"]
            file["normalisation/hidden1"] = damaged
        with pytest.raises(ValueError, match="weights.h5: a damaged or incomplete orthospike weights file$"):
            load_normalisation(weights_file)


def test_a_run_stands_for_its_weights(weights_file, tmp_path):
    file = write_run(tmp_path / "run.h5")
    for place in (tmp_path, str(tmp_path), file, open_run(file), tmp_path / "run.partial.h5"):
        assert list(load_weights(place)) == list(PROJECTIONS)
    copy = weights_file.rename(tmp_path / "weights-task-2.h5")
    assert list(load_weights(copy)) == list(PROJECTIONS)


def test_a_run_without_weights_is_named(tmp_path):
    for place in (tmp_path, write_run(tmp_path / "run.h5")):
        with pytest.raises(FileNotFoundError, match=f"^{tmp_path}: the folder holds no weights.h5, "):
            load_weights(place)
    with pytest.raises(FileNotFoundError, match="none.h5: there is no such file or folder$"):
        load_weights(tmp_path / "none.h5")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (np.zeros((2, 3), np.float32), "/weights/hidden1_to_readout is [2, 3], expected as many columns as the target has neurons, 4"),
        (np.full((2, 4), np.nan, np.float32), "/weights/hidden1_to_readout is not finite everywhere"),
        (None, "hidden1_to_readout"),
    ],
)
def test_damaged_weights_are_refused(weights_file, data, reason):
    with h5py.File(weights_file, "r+") as file:
        del file["weights/hidden1_to_readout"]
        if data is not None:
            file["weights/hidden1_to_readout"] = data
    with pytest.raises(ValueError, match="weights.h5: a damaged or incomplete orthospike weights file$") as refusal:
        load_weights(weights_file)
    assert reason in str(refusal.value.__cause__)


def test_other_files_are_refused(weights_file, tmp_path):
    with pytest.raises(ValueError, match="run.h5: an HDF5 file, but not an orthospike weights file$"):
        load_weights(write_run(tmp_path / "run.h5").rename(tmp_path / "other-run.h5"))
    with h5py.File(weights_file, "r+") as file:
        file.attrs["format_version"] = np.uint64(2)
    with pytest.raises(ValueError, match="format version 2 of orthospike weights files is not known here$"):
        load_weights(weights_file)
    whole = weights_file.read_bytes()
    for length in range(0, len(whole), len(whole) // 20):
        weights_file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="weights.h5: not an HDF5 file, or a damaged one$"):
            load_weights(weights_file)
