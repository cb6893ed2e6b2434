import gzip
import os
import subprocess

import numpy as np
import pytest

from orthospike import write_dataset


def read(path):
    data = gzip.open(path).read()
    rank = data[3]
    assert data[:3] == b"\0\0\x08"
    shape = np.frombuffer(data[4 : 4 + 4 * rank], ">u4")
    return np.frombuffer(data[4 + 4 * rank :], np.uint8).reshape(shape)


def images(count, *shape):
    return np.random.default_rng(1).integers(0, 256, (count, *shape), np.uint8)


def test_arrays_become_the_four_files(tmp_path):
    train, test = images(6, 4, 5), images(3, 4, 5)
    assert write_dataset(tmp_path / "new" / "set", train, [0, 1, 2, 0, 1, 2], test, [2, 1, 0]) == [0, 1, 2]
    folder = tmp_path / "new" / "set"
    assert len(list(folder.iterdir())) == 4
    assert np.array_equal(read(folder / "train-images-idx3-ubyte.gz"), train)
    assert np.array_equal(read(folder / "t10k-images-idx3-ubyte.gz"), test)
    assert read(folder / "train-labels-idx1-ubyte.gz").tolist() == [0, 1, 2, 0, 1, 2]
    assert read(folder / "t10k-labels-idx1-ubyte.gz").tolist() == [2, 1, 0]


def test_channels_come_last_in_idx4_files(tmp_path):
    train = images(4, 2, 3, 3)
    write_dataset(tmp_path, train, [0, 1, 0, 1], train, [0, 1, 0, 1])
    assert np.array_equal(read(tmp_path / "train-images-idx4-ubyte.gz"), train)


def test_floats_from_0_to_1_become_bytes(tmp_path):
    write_dataset(tmp_path, np.full((2, 1, 1), 0.5), [0, 1], np.ones((1, 1, 1)), [0])
    assert read(tmp_path / "train-images-idx3-ubyte.gz").ravel().tolist() == [128, 128]
    assert read(tmp_path / "t10k-images-idx3-ubyte.gz").item() == 255


def test_without_test_images_some_of_each_class_are_drawn(tmp_path):
    train = np.arange(80, dtype=np.uint8).reshape(80, 1, 1)
    labels = [0] * 60 + [1] * 18 + [2] * 2
    write_dataset(tmp_path / "a", train, labels)
    write_dataset(tmp_path / "b", train, labels)
    write_dataset(tmp_path / "c", train, labels, seed=1)
    kept, drawn = (read(tmp_path / "a" / f"{part}-images-idx3-ubyte.gz").ravel() for part in ("train", "t10k"))
    assert sorted([*kept, *drawn]) == list(range(80))
    assert np.bincount(read(tmp_path / "a" / "t10k-labels-idx1-ubyte.gz")).tolist() == [10, 3, 1]
    name = "t10k-images-idx3-ubyte.gz"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / name).read_bytes()[4:8] == bytes(4)  # the time in the gzip header
    assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()
    with pytest.raises(ValueError, match="1 images of class 3, too few"):
        write_dataset(tmp_path / "d", images(3, 1, 1), [0, 0, 3])


def test_labels_that_leave_gaps_are_refused_or_numbered_anew(tmp_path):
    train = images(4, 1, 1)
    with pytest.raises(ValueError, match="no image has label 1, but one has 7"):
        write_dataset(tmp_path, train, [0, 7, 0, 7], train, [0, 7, 0, 7])
    with pytest.raises(ValueError, match="whole numbers from 0 on"):
        write_dataset(tmp_path, train, list("abab"), train, list("abab"))
    assert list(tmp_path.iterdir()) == []
    assert write_dataset(tmp_path, train, list("bdcd"), train, list("dcbb"), remap=True) == ["b", "c", "d"]
    assert read(tmp_path / "train-labels-idx1-ubyte.gz").tolist() == [0, 2, 1, 2]
    assert read(tmp_path / "t10k-labels-idx1-ubyte.gz").tolist() == [2, 1, 0, 0]


def test_a_data_set_is_only_overwritten_when_asked(tmp_path):
    train = images(4, 2, 2)
    (tmp_path / "t10k-images-idx3-ubyte").touch()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_dataset(tmp_path, train, [0, 1, 0, 1])
    write_dataset(tmp_path, train, [0, 1, 0, 1], overwrite=True)
    assert not (tmp_path / "t10k-images-idx3-ubyte").exists()
    assert len(list(tmp_path.iterdir())) == 4


def test_an_old_data_set_stays_whole_when_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    train = images(4, 2, 2)
    write_dataset(tmp_path, train, [0, 1, 0, 1])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr("orthospike.dataset.gzip.GzipFile", full)
    with pytest.raises(OSError, match="No space"):
        write_dataset(tmp_path, 255 - train, [0, 1, 0, 1], overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("train", "labels", "test", "test_labels", "message"),
    [
        (images(4, 2), [0, 1, 0, 1], None, None, r"images: shape \(4, 2\)"),
        (images(0, 2, 2), [], None, None, "images: shape"),
        (images(4, 2, 2), [0, 1, 0], None, None, r"labels: shape \(3,\), expected \(4,\)"),
        (images(4, 2, 2) * 2.0, [0, 1, 0, 1], None, None, "expected 0 to 1"),
        (np.full((4, 1, 1), np.nan), [0, 1, 0, 1], None, None, "expected 0 to 1"),
        (np.full((4, 1, 1), 256), [0, 1, 0, 1], None, None, "whole numbers from 0 to 255"),
        (np.full((4, 1, 1), -1), [0, 1, 0, 1], None, None, "whole numbers from 0 to 255"),
        (images(4, 2, 2), [0, 1, 0, 1], images(4, 2, 3), [0, 1, 0, 1], "test_images: images of"),
        (images(4, 2, 2), [0, 1, 0, 1], images(4, 2, 2), None, "expected both or neither"),
        (images(4, 2, 2), [0, 1, 0, 1], images(2, 2, 2), [0, 2], "test_labels: 2 is the label of no training image"),
        (images(257, 1, 1), range(257), images(1, 1, 1), [0], "257 classes, expected at most 256"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, train, labels, test, test_labels, message):
    with pytest.raises(ValueError, match=message):
        write_dataset(tmp_path, train, labels, test, test_labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif("ORTHOSPIKE_PROGRAM" not in os.environ, reason="ORTHOSPIKE_PROGRAM names no program")
@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3)])
def test_the_program_reads_it(tmp_path, shape):
    labels = np.arange(40) % 4
    train = np.stack([np.full(shape, 60 * label, np.uint8) for label in labels])
    write_dataset(tmp_path / "set", train, labels)
    (tmp_path / "config.ini").write_text(
        f"[data]\npath = {tmp_path / 'set'}\n[tasks]\ncount = 1\n[network]\nhidden = 8\n[hlop]\nranks = 2\n"
        "[run]\ndevice = cpu\n"
    )
    run = [os.environ["ORTHOSPIKE_PROGRAM"], "run", tmp_path / "config.ini", "--out", tmp_path / "run"]
    subprocess.run(run, check=True, capture_output=True)
