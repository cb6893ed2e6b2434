"""Recordings in readers that are not ours: libsonata, and bmtk's pysonata."""

import numpy as np
import pytest
import synthetic_recording as written
from other_readers import libsonata_frames, libsonata_spikes, pysonata_frames, pysonata_spikes

from orthospike import open_recording



# The libsonata of PyPI cannot inflate.
@pytest.mark.parametrize(("read", "compression"), [(libsonata_spikes, None), (pysonata_spikes, None), (pysonata_spikes, "gzip")])
def test_they_find_the_same_spikes(tmp_path, read, compression):
    folder = written.write(tmp_path, compression=compression)
    found = read(folder / "spikes.h5")
    assert list(found) == written.SPIKING
    for name, (times, neurons) in found.items():
        spikes = open_recording(folder).spikes(name)
        assert list(times) == list(spikes["time"])
        assert list(neurons) == list(spikes["neuron"])
        assert np.array_equal(spikes["neuron"], written.events(written.spikes(name), written.NEURONS[name])[1])


@pytest.mark.parametrize(("read", "compression"), [(libsonata_frames, None), (pysonata_frames, None), (pysonata_frames, "gzip")])
def test_they_find_the_same_frames(tmp_path, read, compression):
    folder = written.write(tmp_path, compression=compression)
    found = read(folder / "report-potential.h5")
    assert list(found) == list(written.NEURONS)
    for name, (values, neurons) in found.items():
        frames = open_recording(folder).frames("potential", name)
        assert np.array_equal(values, frames.values.reshape(len(values), -1))
        assert list(neurons) == list(frames["neuron"])
        assert np.array_equal(frames, written.potential(name))
