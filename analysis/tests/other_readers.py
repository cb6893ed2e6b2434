"""Recorded files read by others, in one form: of spikes (times, neurons), in the order of time, by population; of frames
(values [frame × neuron], neurons)."""

from typing import Any

import numpy as np
import pytest

libsonata = pytest.importorskip("libsonata")
pysonata = pytest.importorskip("bmtk.utils.reports", exc_type=ImportError)

Arrays = tuple[np.ndarray, np.ndarray]


def libsonata_spikes(path: Any) -> dict[str, Arrays]:
    reader = libsonata.SpikeReader(str(path))
    found = {}
    for name in reader.get_population_names():
        population = reader[name]
        assert (population.sorting, population.time_units) == ("by_time", "ms")
        columns = population.get_dict()
        found[name] = columns["timestamps"], columns["node_ids"]
    return found


def pysonata_spikes(path: Any) -> dict[str, Arrays]:
    reader = pysonata.SpikeTrains.load(str(path))
    found = {}
    for name in reader.populations:
        table = reader.to_dataframe(populations=name)
        found[name] = table["timestamps"].to_numpy(), table["node_ids"].to_numpy()
        for neuron in np.unique(found[name][1])[-1:]:  # it reads the file once for each
            assert np.array_equal(reader.get_times(neuron, population=name), found[name][0][found[name][1] == neuron])
    return found


def libsonata_frames(path: Any) -> dict[str, Arrays]:
    reader = libsonata.ElementReportReader(str(path))
    found = {}
    for name in reader.get_population_names():
        population = reader[name]
        assert (population.time_units, population.sorted) == ("ms", True)
        frames = population.get()
        found[name] = frames.data, frames.ids[:, 0]
    return found


def pysonata_frames(path: Any) -> dict[str, Arrays]:
    reader = pysonata.CompartmentReport.load(str(path))
    found = {}
    for name in reader.populations:
        population = reader[name]
        found[name] = population.data(), population.node_ids()
        for column, neuron in list(enumerate(population.node_ids()))[-1:]:
            assert np.array_equal(population.data(neuron)[:, 0], found[name][0][:, column])
    return found
