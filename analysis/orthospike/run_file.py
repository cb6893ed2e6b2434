"""Run files in memory. Their layout: learning/run_file.md."""

import configparser
import ctypes
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import pandas as pd
from h5py._objects import phil

from orthospike.guarded import Broken, guarded

T = TypeVar("T")

FORMAT = "orthospike run"
FORMAT_VERSION = 1
FINISHED_NAME = "run.h5"
PARTIAL_NAME = "run.partial.h5"
#: In bytes. A longer text in a file is damage.
LONGEST_TEXT = 1 << 20
#: Beside a writer what looks damaged may be whole a moment later.
ATTEMPTS = 25

CURVES = ["task", "epoch", "batch", "loss", "accuracy"]
SUBSPACE = ["rank", "orthonormality_error", "explained_energy", "mean_angle", "largest_angle", "leak"]
# Measures that files of earlier versions lack.
SUBSPACE_ADDED = ["largest_eigenvalue", "effective_rank", "memory"]
METRICS_ADDED = ["logit_change"]
COSTS = [
    "training_batches",
    "training_samples",
    "multiply_adds",
    "spikes",
    "synaptic_operations",
    "peak_memory",
]


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """Everything in a run file. Tasks count from 1; NaN: not measured, or not defined."""

    path: Path
    finished: bool
    tasks: int
    tasks_done: int
    attributes: dict[str, str | int]  #: version, git_revision, started, seed, device, threads, …
    config: str  #: can be run again as it is
    settings: dict[str, str]  #: the config by "section.key"
    definitions: dict[str, str]  #: what each object is, by its name in the file: "/metrics/accuracy", …
    units: dict[str, str]  #: of the objects that have one
    task_names: list[str]  #: empty, as the next, where files of earlier versions lack them
    task_told: list[bool]  #: whether the network is told at test time that a sample is of the task

    accuracy: pd.DataFrame  #: rows: after task 0 (before any training) … T, columns: task 1 … T
    loss: pd.DataFrame  #: like accuracy
    average_accuracy: pd.Series  #: ACC after each task
    backward_transfer: pd.Series  #: BWT after each task
    forward_transfer: pd.Series  #: FWT after each task
    learning_accuracy: pd.Series  #: mean of the diagonal of accuracy, after each task
    forgetting: pd.DataFrame  #: rows: after task, columns: of task
    logit_change: pd.Series  #: how much each task changed the logits of earlier ones; NaN in files that lack it

    curves: pd.DataFrame  #: an update a row
    detected_boundaries: list[int]  #: updates with which a task seemed to begin, counted from 1 over all tasks
    subspace: pd.DataFrame  #: a task done and a projection a row
    costs: pd.DataFrame  #: a task done a row
    seconds: pd.DataFrame  #: a task done a row, a phase a column

    @property
    def name(self) -> str:
        return self.settings.get("experiment.name") or str(self.path)

    def summary(self) -> pd.Series:
        """The measures after the last task done; forgetting is the mean over the earlier tasks."""
        measures = {
            "ACC": self.average_accuracy,
            "BWT": self.backward_transfer,
            "FWT": self.forward_transfer,
            "forgetting": self.forgetting.mean(axis="columns"),
            "learning accuracy": self.learning_accuracy,
        }
        last = {name: values.get(self.tasks_done, np.nan) for name, values in measures.items()}
        return pd.Series(last, name=self.name)

    def intransigence(self, joint: "Run") -> pd.Series:
        """Of each task: its accuracy in `joint`, a run that learned the same tasks at once, minus its accuracy when this
        run had just learned it. The mean is the run's intransigence."""
        if joint.settings.get("protection.name") != "joint":
            raise ValueError(f"{joint.path}: not a run of joint training")
        if joint.tasks != self.tasks:
            raise ValueError(f"{joint.path}: a run of {joint.tasks} tasks, not of {self.tasks}")
        learned = np.diagonal(self.accuracy.loc[1:])
        return (joint.accuracy.loc[joint.tasks] - learned).rename("intransigence")

    def __repr__(self) -> str:
        state = "" if self.finished else ", unfinished"
        return f"<Run '{self.name}': {self.tasks_done} of {self.tasks} tasks{state}>"


def open_run(path: str | os.PathLike[str]) -> Run:
    """Reads a run file, finished or not, or the one in a run folder; the file is closed again. Raises ValueError when
    it is not a run file, or a damaged one."""
    noun = "orthospike run"

    def attempts() -> Run:
        attempts_left = ATTEMPTS
        while True:
            file = _run_file(Path(path))
            attempts_left -= 1
            try:
                return _read_file(file, FORMAT, FORMAT_VERSION, noun, _read)
            except ValueError:
                if file.name != PARTIAL_NAME or attempts_left == 0:
                    raise
            time.sleep(0.02)

    return _guarded(_run_file(Path(path)), noun, attempts)


def open_runs(*paths: str | os.PathLike[str]) -> dict[str, Run]:
    """Opens runs as `open_run` does, each by the name of its folder, or of its file where that has one of its own; of
    those with the same name, all but the first by their path."""
    runs: dict[str, Run] = {}
    for path in paths:
        run = open_run(path)
        named = run.path.resolve().parent.name if run.path.name in (FINISHED_NAME, PARTIAL_NAME) else run.path.stem
        runs[named if named not in runs else str(path)] = run
    return runs


def read_file(path: Path, form: str, form_version: int, noun: str, read: Callable[[h5py.File, Path], T]) -> T:
    """What `read` makes of an HDF5 file with these attributes format and format_version; it is closed again. Raises
    ValueError where it is none, or a damaged one, whatever that does to the HDF5 library."""
    return _guarded(path, noun, lambda: _read_file(path, form, form_version, noun, read))


def _guarded(path: Path, noun: str, work: Callable[[], T]) -> T:
    try:
        return guarded(work, 8 * path.stat().st_size)
    except Broken as error:
        raise ValueError(f"{path}: a damaged or incomplete {noun}") from error


def _read_file(path: Path, form: str, form_version: int, noun: str, read: Callable[[h5py.File, Path], T]) -> T:
    try:
        file = open_hdf5(path)
    except PermissionError:
        raise
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path}: not an HDF5 file, or a damaged one") from error
    # Of damage, h5py and what works on its values raise errors of every kind.
    try:
        with file:
            kind = plain(file.attrs.get("format"))
            version = plain(file.attrs.get("format_version"))
            if (kind, version) == (form, form_version):
                return read(file, path)
    except Exception as error:
        raise ValueError(f"{path}: a damaged or incomplete {noun}") from error
    if kind != form:
        raise ValueError(f"{path}: an HDF5 file, but not an {noun}")
    raise ValueError(f"{path}: format version {version} of {noun}s is not known here")


def open_hdf5(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except PermissionError:
        raise
    except OSError:
        # Perhaps because its writer has not closed it.
        file = h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ, _beside_writer()))
    if path.stat().st_size < file.id.get_filesize():
        # HDF5 itself looks only where there is no writer, and reads zeros behind the end.
        file.close()
        raise OSError("the file is shorter than it says")
    return file


def _beside_writer() -> h5py.h5p.PropFAID:
    """Access that takes a wrong checksum for a write under way and tries again, but not, as h5py's own, without end: on
    a damaged file that would never return. h5py does not have the function, but the library that it has loaded does."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    set_attempts = ctypes.PyDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts
    set_attempts.argtypes = [ctypes.c_int64, ctypes.c_uint]
    with phil:
        # The pause doubles with each attempt; as in sim/hdf5_file.cpp they are a millisecond in all.
        set_attempts(access.id, 20)
    return access


def _run_file(path: Path) -> Path:
    if path.is_dir():
        for name in (FINISHED_NAME, PARTIAL_NAME, FINISHED_NAME):  # it may get its final name meanwhile
            if (path / name).is_file():
                return path / name
        raise FileNotFoundError(f"{path}: the folder holds neither {FINISHED_NAME} nor {PARTIAL_NAME}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    return path


def _read(file: h5py.File, path: Path) -> Run:
    # First: beside a writer, HDF5 goes on to see an object as it was when it first looked, and what it looks at after
    # this has all that these tasks wrote.
    done = int(file["progress/tasks_done"][0])
    definitions: dict[str, str] = {}
    units: dict[str, str] = {}

    def describe(name: str, item: h5py.Group | h5py.Dataset) -> None:
        for texts, attribute in ((definitions, "definition"), (units, "unit")):
            if attribute in item.attrs:
                texts[f"/{name}"] = text(item.attrs[attribute])

    file.visititems(describe)

    tasks = file["metrics/accuracy"].shape[1]
    if done > tasks:
        raise ValueError(f"{done} of {tasks} tasks done")
    of_task = pd.RangeIndex(1, tasks + 1, name="task")
    after_task = pd.RangeIndex(1, tasks + 1, name="after task")
    from_untrained = pd.RangeIndex(0, tasks + 1, name="after task")
    tasks_done = of_task[:done]

    def matrix(name: str, rows: pd.RangeIndex) -> pd.DataFrame:
        return pd.DataFrame(file[f"metrics/{name}"][()], index=rows, columns=of_task)

    def series(name: str) -> pd.Series:
        values = file[f"metrics/{name}"][()] if name not in METRICS_ADDED or name in file["metrics"] else np.nan
        return pd.Series(values, index=after_task, name=name)

    config = text(file["config"][()])
    phases = [text(phase) for phase in file["costs/seconds"].attrs["phases"]]
    return Run(
        path=path,
        finished=path.name != PARTIAL_NAME and done == tasks,
        tasks=tasks,
        tasks_done=done,
        attributes={name: _scalar(value) for name, value in file.attrs.items()},
        config=config,
        settings=_settings(config),
        definitions=definitions,
        units=units,
        task_names=[text(name) for name in file["tasks/told"].attrs["names"]] if "tasks" in file else [],
        task_told=file["tasks/told"][()].astype(bool).tolist() if "tasks" in file else [],
        accuracy=matrix("accuracy", from_untrained),
        loss=matrix("loss", from_untrained),
        average_accuracy=series("average_accuracy"),
        backward_transfer=series("backward_transfer"),
        forward_transfer=series("forward_transfer"),
        learning_accuracy=series("learning_accuracy"),
        forgetting=matrix("forgetting", after_task),
        logit_change=series("logit_change"),
        curves=_curves(file["curves"]),
        # Files of earlier versions lack them.
        detected_boundaries=file["boundaries/detected"][()].tolist() if "boundaries" in file else [],
        subspace=_subspace(file["subspace"], tasks_done),
        costs=pd.DataFrame({name: file[f"costs/{name}"][:done] for name in COSTS}, index=tasks_done),
        seconds=pd.DataFrame(file["costs/seconds"][:done], index=tasks_done, columns=phases),
    )


def _curves(group: h5py.Group) -> pd.DataFrame:
    columns = {name: group[name][()] for name in CURVES}
    # The writer appends to one column after the other: a reader in between sees columns of two lengths.
    shortest = min(len(column) for column in columns.values())
    return pd.DataFrame({name: column[:shortest] for name, column in columns.items()})


def _subspace(group: h5py.Group, tasks_done: pd.RangeIndex) -> pd.DataFrame:
    projections = [text(name) for name in group["rank"].attrs["projections"]]
    rows = pd.MultiIndex.from_product([tasks_done, projections], names=["task", "projection"])
    measures = {name: group[name][: len(tasks_done)].ravel() for name in SUBSPACE}
    for name in SUBSPACE_ADDED:
        measures[name] = group[name][: len(tasks_done)].ravel() if name in group else np.nan
    return pd.DataFrame(measures, index=rows).reset_index()


def _settings(config: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(config)
    return {
        f"{section}.{key}": _unquoted(value) for section in parser.sections() for key, value in parser[section].items()
    }


def _unquoted(value: str) -> str:
    """Texts that a config file would cut or trim are stored in quotes."""
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def plain(value: Any) -> Any:
    """Python's own text or number for what h5py gives."""
    if isinstance(value, bytes | str) and len(value) > LONGEST_TEXT:
        raise ValueError(f"a text of {len(value)} bytes")
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


def text(value: object) -> str:
    """Python's own text for what h5py gives."""
    found = plain(value)
    if not isinstance(found, str):
        raise ValueError(f"{type(found).__name__} where a text is expected")
    return found


def _scalar(value: object) -> str | int:
    found = plain(value)
    if not isinstance(found, str | int):
        raise ValueError(f"{type(found).__name__} where a text or a whole number is expected")
    return found
