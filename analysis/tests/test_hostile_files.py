"""Files that are damaged, foreign or made to harm: whatever they do to the HDF5 library, there is a run or one sentence."""

import os
import random
import signal
import time

import h5py
import numpy as np
import pytest
import synthetic_run
import synthetic_sweep

from orthospike import Run, guarded, open_run, open_sweep, write_report
from orthospike.guarded import Broken

#: Seconds after which the bounded search ends; it ends earlier with SEEDS files, and not before FEWEST.
LONGEST = 8
SEEDS = 400
FEWEST = 15


@pytest.fixture(autouse=True)
def short_patience(monkeypatch):
    monkeypatch.setattr(guarded, "LONGEST", 2)


def without_checksums(path):
    """The same file in the library's earliest format, in which damage passes on to the parts that use it."""
    earliest = path.with_name("earliest.h5")
    with h5py.File(path) as source, h5py.File(earliest, "w", libver="earliest") as target:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                made = target.create_dataset(name, data=item[()], dtype=item.dtype, chunks=item.chunks, maxshape=item.maxshape)
            else:
                made = target.require_group(name)
            for key, value in item.attrs.items():
                made.attrs.create(key, value, dtype=item.attrs.get_id(key).dtype)

        copy("/", source)
        source.visititems(copy)
    return earliest


def damaged(whole, seed):
    draw = random.Random(seed)
    content = bytearray(whole)
    if seed % 16 == 0:
        return bytes(content[: draw.randrange(len(content))])
    for _ in range(draw.choice([1, 1, 2, 4, 16])):
        start, length = draw.randrange(len(content)), draw.choice([1, 1, 2, 4, 8, 64])
        place = slice(start, min(start + length, len(content)))
        size = place.stop - place.start
        kind = draw.randrange(5)
        if kind == 0:
            content[start] ^= 1 << draw.randrange(8)
        elif kind == 1:
            content[place] = draw.randbytes(size)
        elif kind == 2:
            content[place] = b"\xff" * size
        elif kind == 3:
            content[place] = bytes(size)
        else:
            other = draw.randrange(len(content) - size)
            content[place] = content[other : other + size]
    return bytes(content)


def answer_to(path, read=open_run):
    try:
        return read(path)
    except ValueError as error:
        sentence = str(error)
        assert sentence.startswith(f"{path}: ")
        assert "\n" not in sentence
        return sentence


def test_a_damaged_file_is_a_run_or_one_sentence(finished_file, killed_file, tmp_path):
    files = [path.read_bytes() for path in (finished_file, without_checksums(finished_file), killed_file)]
    kinds = {"run": 0, "sentence": 0}
    end = time.monotonic() + LONGEST
    for seed in range(SEEDS):
        path = tmp_path / "damaged.h5"
        path.write_bytes(damaged(files[seed % 5 % 3], seed))
        found = answer_to(path)
        kinds["run" if isinstance(found, Run) else "sentence"] += 1
        if seed >= FEWEST and time.monotonic() > end:
            break
    assert min(kinds.values()) > 2, kinds


def test_a_damaged_sweep_is_one_or_one_sentence(tmp_path):
    folder = synthetic_sweep.write(tmp_path / "tuned")
    whole = without_checksums(folder / "sweep.h5").read_bytes()
    end = time.monotonic() + LONGEST / 4
    refused = 0
    for seed in range(SEEDS // 4):
        (folder / "sweep.h5").write_bytes(damaged(whole, seed))
        refused += isinstance(answer_to(folder / "sweep.h5", open_sweep), str)
        if seed >= FEWEST and time.monotonic() > end:
            break
    assert refused > 1


def huge_attribute(file):
    file["metrics/loss"].attrs["definition"] = "x" * (2 << 20)


def many_bytes_on_no_disk(file):
    del file["metrics/accuracy"]
    file.create_dataset("metrics/accuracy", (1 << 20, 1 << 20), "f8", chunks=(1024, 1024))


def no_tasks(file):
    for name in ("accuracy", "loss", "forgetting"):
        del file[f"metrics/{name}"]
        file.create_dataset(f"metrics/{name}", (1, 0), "f8")


def texts_that_are_numbers(file):
    file["subspace/rank"].attrs["projections"] = np.arange(2)


def an_attribute_without_a_value(file):
    file.attrs["version"] = h5py.Empty("f8")


def a_link_to_itself(file):
    del file["metrics"]
    file["metrics"] = h5py.SoftLink("/metrics")


def config_that_is_none(file):
    del file["config"]
    file["config"] = b"no section = 1\n"


def config_that_is_not_utf8(file):
    del file["config"]
    file.create_dataset("config", data=b"[\xff\xfe]", dtype="S4")


@pytest.mark.parametrize("harm", [huge_attribute, many_bytes_on_no_disk, no_tasks, texts_that_are_numbers,
                                  an_attribute_without_a_value, a_link_to_itself, config_that_is_none, config_that_is_not_utf8])
def test_a_file_made_to_harm_is_refused(finished_file, harm, tmp_path):
    with h5py.File(finished_file, "r+") as file:
        harm(file)
    sentence = f"{finished_file}: a damaged or incomplete orthospike run"
    assert answer_to(finished_file) == sentence
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        write_report([finished_file], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_what_crashes_or_does_not_end_or_takes_all_memory_is_given_up(monkeypatch):
    with pytest.raises(Broken, match="^ended with -11$"):
        guarded.guarded(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    with pytest.raises(MemoryError):
        guarded.guarded(lambda: np.ones(2 * guarded.SPARE_MEMORY, np.uint8).sum())
    assert guarded.guarded(lambda: np.ones(1 << 24, np.uint8).nbytes) == 1 << 24
    monkeypatch.setattr(guarded, "LONGEST", 0.2)
    start = time.monotonic()
    with pytest.raises(Broken, match=r"^took longer than 0.2 s$"):
        guarded.guarded(lambda: time.sleep(60))
    assert time.monotonic() - start < 20
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # none is left


def test_guarded_work_gives_its_result_or_its_error():
    def fail():
        raise KeyError("a") from ValueError("b")

    whole = {"a": np.arange(1 << 20)}
    assert np.array_equal(guarded.guarded(lambda: whole)["a"], whole["a"])
    with pytest.raises(KeyError) as error:
        guarded.guarded(fail)
    assert repr(error.value.__cause__) == "ValueError('b')"
