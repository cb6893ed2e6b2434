"""Recorded spikes and states, read a slice at a time. The files' layout: sim/recording.md."""

import bisect
import configparser
import importlib
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import h5py
import numpy as np
import pandas as pd

from orthospike.run_file import ATTEMPTS, Run, _settings, open_hdf5, plain

if TYPE_CHECKING:
    import neo
    import xarray as xr

#: Which ones: None for all, a slice, numbers, a mask, or rows of Recording.presentations. They come in the order of time.
Presentations: TypeAlias = slice | Sequence[int] | np.ndarray | pd.Series | pd.Index | pd.DataFrame | None

SPIKES = "spikes"
MAGIC = 0x0A7A
VERSION = (0, 1)
PARTIAL = ".partial.h5"
PRESENTATIONS = {"task": "u4", "sample": "u4", "label": "u4", "after": "u4", "phase": "u1", "epoch": "u4"}
PHASES = ["test", "training"]
#: Values in memory at once while more are read.
PIECE = 1 << 18
MAX_CHUNK = 1 << 26  # bytes
MAX_TEXT = 1 << 24  # bytes


class Damaged(ValueError):
    """Why a file cannot be what it says."""


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """What was recorded of a run. Presentations of samples and steps count from 0, tasks from 1; times are in ms.

    Only what is below is in memory. Methods read what they are asked for, a piece at a time, and close the file again; of
    a run that goes on, they know the presentations that were there when it was opened, of which the last may lack spikes
    that the program still has in memory."""

    path: Path  #: of the folder or the one file
    finished: bool
    dt: float  #: ms
    steps: int  #: recorded of each presentation
    first_step: int
    presentations: pd.DataFrame  #: task, sample, label, after, phase, epoch and begin (ms), by number
    variables: dict[str, list[str]]  #: spikes, potential, …: the populations of which they were recorded
    units: dict[str, str]  #: of the variables
    attributes: dict[str, str | int]  #: version and git_revision of the program
    config: str
    settings: dict[str, str]  #: the config by "section.key"
    _files: dict[str, Path]  # by variable
    _neurons: dict[str, np.ndarray]  # by population
    _sizes: dict[str, int]
    _spike_counts: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        return self.settings.get("experiment.name") or str(self.path)

    @property
    def populations(self) -> list[str]:
        return list(self._neurons)

    @property
    def duration(self) -> float:
        """ms of each presentation."""
        return self.steps * self.dt

    def size(self, population: str) -> int:
        """Neurons of the population, recorded or not."""
        self._check(population)
        return self._sizes[population]

    def neurons(self, population: str) -> np.ndarray:
        """[n] those recorded, ascending."""
        self._check(population)
        return self._neurons[population].copy()

    def spike_counts(self, population: str) -> pd.Series:
        """Spikes of each recorded neuron in the whole file; in an unfinished one, at the run's last checkpoint."""
        self._check(population, SPIKES)
        index = pd.Index(self._neurons[population], name="neuron")
        return pd.Series(self._spike_counts[population], index, name="spikes")

    def locate(self, times: Any) -> tuple[np.ndarray, np.ndarray]:
        """The presentation and its step that each time, in ms, is in."""
        frames = np.rint(np.asarray(times) / self.dt).astype(np.int64)
        return frames // self.steps, frames % self.steps + self.first_step

    def numbers(self, presentations: Presentations) -> np.ndarray:
        """Which ones these are, ascending, each once."""
        count = len(self.presentations)
        if presentations is None or isinstance(presentations, slice):
            return np.sort(np.arange(count)[presentations or slice(None)])
        if isinstance(presentations, pd.DataFrame):
            presentations = presentations.index
        numbers = np.asarray(presentations)
        if numbers.dtype == bool:
            if len(numbers) != count:
                raise IndexError(f"a mask of {len(numbers)} presentations, expected {count}")
            return np.flatnonzero(numbers)
        numbers = np.unique(numbers.astype(np.int64))
        if len(numbers) > 0 and not 0 <= numbers[0] <= numbers[-1] < count:
            raise IndexError(f"presentations from {numbers[0]} to {numbers[-1]}, expected from 0 to {count - 1}")
        return numbers

    def spikes(self, population: str, presentations: Presentations = None) -> pd.DataFrame:
        """presentation, step, time (ms) and neuron of each spike in these presentations. Of the file only they are
        read."""
        pieces = list(self._pieces(population, self.numbers(presentations)))
        return pd.concat(pieces, ignore_index=True) if pieces else _table([], [], [], [])

    def spike_parts(
        self, population: str, presentations: Presentations = None, at_once: int = 100
    ) -> Iterator[pd.DataFrame]:
        """`spikes` of so many presentations after another, for more of them than memory has room for."""
        numbers = self.numbers(presentations)
        for begin in range(0, len(numbers), at_once):
            yield self.spikes(population, numbers[begin : begin + at_once])

    def activity(self, population: str, presentations: Presentations = None) -> "xr.DataArray":
        """[presentation × neuron] spikes, with what each presentation is as coordinates."""
        numbers = self.numbers(presentations)
        values = self._counts(population, numbers, np.arange(len(numbers)), len(numbers))
        return self._array(population, values, numbers, units="1", long_name="spikes")

    def rates(
        self, population: str, by: str | Sequence[str] = (), presentations: Presentations = None
    ) -> pd.DataFrame:
        """[group × neuron] mean firing rates in Hz, a group being presentations with the same value in the columns `by`
        of `presentations`: "task", ["task", "after"], …; without, one row for all."""
        numbers = self.numbers(presentations)
        rows = self.presentations.iloc[numbers]
        groups = rows.groupby([by] if isinstance(by, str) else list(by) or np.zeros(len(rows), int))
        counts = self._counts(population, numbers, groups.ngroup().to_numpy(), groups.ngroups)
        seconds = groups.size() * self.duration / 1000
        neurons = pd.Index(self._neurons[population], name="neuron")
        rates = pd.DataFrame(counts / seconds.to_numpy()[:, None], seconds.index, neurons)
        rates.attrs["units"] = "Hz"
        return rates

    def frames(self, variable: str, population: str, presentations: Presentations = None) -> "xr.DataArray":
        """[presentation × step × neuron] a recorded state. It is read when it is used, and only what is selected of it
        (`.sel`, `.isel`)."""
        self._check(population, variable)
        numbers = self.numbers(presentations)
        shape = (len(numbers), self.steps, len(self._neurons[population]))
        values = _lazy(shape, np.dtype("f4"), lambda key: self._read_frames(variable, population, numbers, key))
        return self._array(population, values, numbers, units=self.units[variable], long_name=variable)

    def spike_trains(self, population: str, presentations: Presentations = None) -> "list[neo.SpikeTrain]":
        """A neo.SpikeTrain of each recorded neuron, in ms: these presentations one after the other without a gap, the first
        from 0 on. Each spike is annotated with the number of its presentation."""
        neo, quantities = optional("neo"), optional("quantities")
        numbers = self.numbers(presentations)
        spikes = self.spikes(population, numbers)
        places = np.searchsorted(numbers, spikes["presentation"])
        spikes["time"] = (places * self.steps + spikes["step"] - self.first_step) * self.dt
        of_neuron, none = dict(iter(spikes.groupby("neuron"))), spikes.iloc[:0]
        return [
            neo.SpikeTrain(
                of_neuron.get(neuron, none)["time"].to_numpy(float),
                units="ms",
                t_stop=len(numbers) * self.duration,
                sampling_rate=1 / (self.dt * quantities.ms),
                name=f"{population} {neuron}",
                array_annotations={"presentation": of_neuron.get(neuron, none)["presentation"].to_numpy()},
                population=population,
                neuron=int(neuron),
            )
            for neuron in self._neurons[population]
        ]

    def __repr__(self) -> str:
        what = "; ".join(f"{variable} of {', '.join(populations)}" for variable, populations in self.variables.items())
        state = "" if self.finished else ", unfinished"
        return f"<Recording '{self.name}': {len(self.presentations)} presentations{state}; {what}>"

    def _check(self, population: str, variable: str | None = None) -> None:
        if variable is not None and variable not in self.variables:
            raise ValueError(f"{self.path}: no {variable} recorded; there are {', '.join(self.variables)}")
        known = self.populations if variable is None else self.variables[variable]
        if population not in known:
            raise ValueError(f"{self.path}: no {variable or 'recording'} of {population!r}; there are {', '.join(known)}")

    def _pieces(self, population: str, numbers: np.ndarray) -> Iterator[pd.DataFrame]:
        """The spikes of these presentations, at most PIECE at once."""
        self._check(population, SPIKES)
        with _opened(self._file(SPIKES)) as file:
            times, neurons = _spike_data(file, population)
            end = 0
            for first, last in _runs(numbers):
                # Half a step earlier, so that no rounding of times matters.
                begin = bisect.bisect_left(times, (first * self.steps - 0.5) * self.dt, end)
                end = bisect.bisect_left(times, ((last + 1) * self.steps - 0.5) * self.dt, begin)
                for start in range(begin, end, PIECE):
                    place = slice(start, min(start + PIECE, end))
                    time, neuron = times[place], neurons[place]
                    if len(neuron) < len(time) or not (np.diff(time) >= 0).all():
                        raise Damaged(f"spikes of {population} are not in the order of time")
                    presentation, step = self.locate(time)
                    if presentation[0] < first or presentation[-1] > last:
                        raise Damaged(f"spikes of {population} are not in the order of time")
                    if not np.isin(neuron, self._neurons[population]).all():
                        raise Damaged(f"there are spikes of neurons of {population} that were not recorded")
                    yield _table(presentation, step, time, neuron)

    def _counts(self, population: str, numbers: np.ndarray, rows: np.ndarray, row_count: int) -> np.ndarray:
        """[row_count × n] spikes, those of presentation numbers[i] in row rows[i]."""
        self._check(population, SPIKES)
        values = np.zeros((row_count, len(self._neurons[population])), np.uint32)
        for piece in self._pieces(population, numbers):
            row = rows[np.searchsorted(numbers, piece["presentation"])]
            np.add.at(values, (row, np.searchsorted(self._neurons[population], piece["neuron"])), 1)
        return values

    def _read_frames(self, variable: str, population: str, numbers: np.ndarray, key: tuple[Any, ...]) -> np.ndarray:
        """[presentation × step × neuron] at `key`, each of its parts a number, which takes its dimension away, a slice or
        an array."""
        presentation, step, neuron = key
        wanted, places = np.unique(numbers[presentation], return_inverse=True)
        steps = np.arange(self.steps)[step]
        columns = np.arange(len(self._neurons[population]))[neuron]
        values = np.empty((len(wanted), *steps.shape, *columns.shape), np.float32)
        at_once = max(1, PIECE // (self.steps * len(self._neurons[population])))
        with _opened(self._file(variable)) as file:
            data = _frame_data(file, population)
            filled = 0
            for first, last in _runs(wanted):
                for begin in range(first, last + 1, at_once):
                    end = min(begin + at_once, last + 1)
                    block = data[begin * self.steps : end * self.steps].reshape(end - begin, self.steps, -1)
                    values[filled : filled + end - begin] = block[:, steps][..., columns]
                    filled += end - begin
        return values[places.reshape(np.shape(numbers[presentation]))]

    def _file(self, variable: str) -> Path:
        """A run may have ended meanwhile."""
        path = self._files[variable]
        return path if path.exists() or not _partial(path) else _final(path)

    def _array(self, population: str, values: Any, numbers: np.ndarray, **attributes: str) -> "xr.DataArray":
        xarray = optional("xarray")
        rows = self.presentations.iloc[numbers]
        dims = ("presentation", "step", "neuron") if len(values.shape) == 3 else ("presentation", "neuron")
        coords: dict[str, Any] = {"presentation": numbers, "neuron": self._neurons[population]}
        coords |= {name: ("presentation", rows[name].to_numpy()) for name in PRESENTATIONS}
        coords["begin"] = ("presentation", rows["begin"].to_numpy(), {"units": "ms"})
        if "step" in dims:
            coords["step"] = np.arange(self.first_step, self.first_step + self.steps)
        array: xr.DataArray = xarray.DataArray(xarray.Variable(dims, values, attributes), coords, name=population)
        return array


def open_recording(place: str | os.PathLike[str] | Run) -> Recording:
    """Opens the recordings in a folder of a run or of `orthospike record`, that of an opened run, or one file, whether
    the program still writes them or not. Raises FileNotFoundError where there is none, ValueError when it is not a
    recording, or a damaged one."""
    path = place.path.parent if isinstance(place, Run) else Path(place)
    for attempts_left in reversed(range(ATTEMPTS)):
        files = _recorded(path)
        try:
            return _merged(path, [_read(file) for file in files])
        except (ValueError, FileNotFoundError):
            # Beside a writer, which may also just have given a file its final name.
            if attempts_left == 0 or not any(map(_partial, files)):
                raise
        time.sleep(0.02)
    raise AssertionError


def optional(module: str) -> Any:
    """A module that only recordings need."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f"this needs {package}: pip install './analysis[spikes]'") from error


def _recorded(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file or folder")
        return [path]
    found = [file for pattern in ("spikes*.h5", "report-*.h5") for file in sorted(path.glob(pattern))]
    if not found:
        found_none = "the folder holds no recording, neither spikes.h5 nor a report-….h5, which record.variables asks for"
        raise FileNotFoundError(f"{path}: {found_none}")
    return [file for file in found if not (_partial(file) and _final(file) in found)]


def _partial(path: Path) -> bool:
    return path.name.endswith(PARTIAL)


def _final(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(PARTIAL) + ".h5")


def _runs(numbers: np.ndarray) -> list[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1) if len(numbers) > 0 else []
    return [(int(part[0]), int(part[-1])) for part in parts]


def _table(presentation: Any, step: Any, time: Any, neuron: Any) -> pd.DataFrame:
    kinds = {"presentation": "i8", "step": "i8", "time": "f8", "neuron": "i8"}
    columns = zip(kinds.items(), (presentation, step, time, neuron), strict=True)
    table = pd.DataFrame({name: np.asarray(values, kind) for (name, kind), values in columns})
    table.attrs["units"] = {"time": "ms"}
    return table


def _lazy(shape: tuple[int, ...], dtype: np.dtype, read: Callable[[tuple[Any, ...]], np.ndarray]) -> Any:
    """What xarray takes for an array, and asks for what of it is used."""
    backends, indexing = optional("xarray.backends"), optional("xarray.core.indexing")

    class Lazy(backends.BackendArray):  # type: ignore[name-defined,misc]
        def __getitem__(self, key: Any) -> Any:
            return indexing.explicit_indexing_adapter(key, shape, indexing.IndexingSupport.OUTER, read)

    lazy = Lazy()
    lazy.shape, lazy.dtype = shape, dtype
    return indexing.LazilyIndexedArray(lazy)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        file = open_hdf5(path)
    except PermissionError:
        raise
    except OSError as error:
        raise ValueError(f"{path}: not an HDF5 file, or a damaged one") from error
    with file:
        try:
            ours = "magic" in file.attrs and _attribute(file, "magic") == MAGIC and "orthospike" in file
            version = tuple(map(int, _attribute(file, "version"))) if ours else None
            if version == VERSION:
                yield file
        except (KeyError, OSError, OverflowError, RuntimeError, TypeError, ValueError, configparser.Error) as error:
            reason = f": {error}" if isinstance(error, Damaged) else ""
            raise ValueError(f"{path}: a damaged or incomplete orthospike recording{reason}") from error
    if version is None:
        raise ValueError(f"{path}: an HDF5 file, but not an orthospike recording")
    if version != VERSION:
        raise ValueError(f"{path}: version {'.'.join(map(str, version))} of recordings is not known here")


def _attribute(item: h5py.Group | h5py.Dataset, name: str) -> Any:
    """One that says it is huge is not read: h5py would first make room for all of it."""
    attribute = item.attrs.get_id(name)
    if attribute.shape is None or math.prod(attribute.shape) * attribute.dtype.itemsize > MAX_TEXT:
        raise Damaged(f"attribute {name} of {item.name} has shape {attribute.shape}")
    return plain(item.attrs[name])


def _data(group: h5py.Group, name: str, kind: str, rank: int = 1, length: int | None = None) -> h5py.Dataset:
    """Raises Damaged where it has not that length, says that it has more than was written, or cannot be read piece by
    piece. One of a known length need not be written yet."""
    data = group[name]
    if not isinstance(data, h5py.Dataset) or data.dtype != np.dtype(kind) or data.ndim != rank:
        raise Damaged(f"{group.name}/{name} is not a data set of {np.dtype(kind)} of rank {rank}")
    if length is not None and len(data) != length:
        raise Damaged(f"{data.name} has {len(data)} values, expected {length}")
    room = data.id.get_storage_size()
    if data.chunks:
        chunk = math.prod(data.chunks) * data.dtype.itemsize
        if chunk > MAX_CHUNK:
            raise Damaged(f"{data.name} has chunks of {chunk} bytes")
        room = data.id.get_num_chunks() * chunk
    if length is None and data.nbytes > room:
        raise Damaged(f"{data.name} says it has {data.size} values, which are not there")
    return data


def _spike_data(file: h5py.File, population: str) -> tuple[h5py.Dataset, h5py.Dataset]:
    group = file["spikes"][population]
    return _data(group, "timestamps", "f8"), _data(group, "node_ids", "u8")


def _frame_data(file: h5py.File, population: str) -> h5py.Dataset:
    return _data(file["report"][population], "data", "f4", 2)


def _text(group: h5py.Group, name: str) -> str:
    data = group[name]
    if not isinstance(data, h5py.Dataset) or data.shape != () or data.dtype.itemsize > MAX_TEXT:
        raise Damaged(f"{group.name}/{name} is not a text")
    return str(plain(data[()]))


def _read(path: Path) -> Recording:
    """That of one file."""
    finished = not _partial(path)
    with _opened(path) as file:
        ours = file["orthospike"]
        dt, steps, first_step = (_attribute(ours, name) for name in ("dt", "steps", "first_step"))
        if not (0 < dt < np.inf and steps >= 1 and first_step >= 0):
            raise Damaged(f"{steps} steps of {dt} ms from step {first_step} on")
        steps, first_step = int(steps), int(first_step)
        columns = {name: _data(ours["presentations"], name, kind)[()] for name, kind in PRESENTATIONS.items()}
        lengths = [len(column) for column in columns.values()]
        neurons = {name: _data(group, "ids", "u8")[()] for name, group in ours["neurons"].items()}
        sizes = {name: int(_attribute(group, "size")) for name, group in ours["neurons"].items()}
        for name, ids in neurons.items():
            if len(ids) == 0 or not (np.diff(ids.astype(float)) > 0).all() or ids[-1] >= sizes[name]:
                raise Damaged(f"neurons of {name} are not some of {sizes[name]} in ascending order")
        counts, units = {}, {}
        if SPIKES in file:
            variable = SPIKES
            found = list(file["spikes"])
            for name in found:
                times, ids = _spike_data(file, name)
                counts[name] = _data(ours["neurons"][name], "spike_counts", "u8", length=len(neurons[name]))[()]
                units[variable] = _attribute(times, "units")
                if finished and not len(times) == len(ids) == counts[name].sum():
                    raise Damaged(f"{len(times)} times, {len(ids)} neurons and {counts[name].sum()} spikes of {name}")
        else:
            variable = path.name.removesuffix(".h5").removesuffix(".partial").removeprefix("report-")
            found = list(file["report"])
            for name in found:
                data = _frame_data(file, name)
                mapped = _data(file["report"][name], "mapping/node_ids", "u8", length=len(neurons[name]))
                if not np.array_equal(mapped, neurons[name]):
                    raise Damaged(f"the report of {name} is of other neurons")
                if data.shape[1] != len(neurons[name]):
                    raise Damaged(f"{data.name} has {data.shape[1]} columns, expected {len(neurons[name])}")
                if finished and len(data) != lengths[0] * steps:
                    raise Damaged(f"{data.name} has {len(data)} frames, expected {lengths[0] * steps}")
                lengths.append(len(data) // steps)
                units[variable] = _attribute(data, "units")
        if finished and len(set(lengths)) > 1:
            raise Damaged(f"columns of presentations of {min(lengths)} to {max(lengths)} rows")
        # The writer appends to one after the other.
        presentations = pd.DataFrame({name: column[: min(lengths)] for name, column in columns.items()})
        presentations.index.name = "presentation"
        presentations["phase"] = pd.Categorical.from_codes(presentations["phase"].to_numpy(), PHASES)
        presentations["begin"] = presentations.index * (steps * dt)
        config = _text(ours, "config")
        return Recording(
            path=path,
            finished=finished,
            dt=dt,
            steps=steps,
            first_step=first_step,
            presentations=presentations,
            variables={variable: found},
            units=units,
            attributes={name: _attribute(ours, name) for name in ("version", "git_revision")},
            config=config,
            settings=_settings(config),
            _files={variable: path},
            _neurons=neurons,
            _sizes=sizes,
            _spike_counts=counts,
        )


def _merged(path: Path, parts: list[Recording]) -> Recording:
    first = parts[0]
    count = min(len(part.presentations) for part in parts)
    neurons: dict[str, np.ndarray] = {}
    for part in parts:
        alike = (part.dt, part.steps, part.first_step) == (first.dt, first.steps, first.first_step)
        alike = alike and part.presentations[:count].equals(first.presentations[:count])
        if not alike or not all(np.array_equal(ids, neurons.get(name, ids)) for name, ids in part._neurons.items()):
            raise ValueError(f"{part.path}: not of the same recording as {first.path}")
        neurons |= part._neurons
    return replace(
        first,
        path=path,
        finished=all(part.finished for part in parts),
        presentations=first.presentations[:count],
        variables={variable: found for part in parts for variable, found in part.variables.items()},
        units={variable: unit for part in parts for variable, unit in part.units.items()},
        _files={variable: file for part in parts for variable, file in part._files.items()},
        _neurons=neurons,
        _sizes={name: size for part in parts for name, size in part._sizes.items()},
        _spike_counts={name: counts for part in parts for name, counts in part._spike_counts.items()},
    )
