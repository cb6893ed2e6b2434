import numpy as np
import pytest
import synthetic_recording as written
from synthetic_recording import DT, NEURONS, STEPS

from orthospike import (
    activity_drift,
    correlation_histogram,
    correlations,
    drift_curves,
    interspike_intervals,
    interval_histogram,
    open_recording,
    principal_angles,
    raster,
    rate_histogram,
    shared_subspaces,
    silent_neurons,
    silent_share,
)

SAMPLES = 6


@pytest.fixture
def recording(tmp_path):
    return open_recording(written.write(tmp_path))


@pytest.fixture
def shown(tmp_path):
    """Makes a recording with the spike counts that a function gives of a presentation's row, in hidden1."""

    def make(counts, size=8, name="spikes.h5"):
        after, task, sample = (axis.ravel() for axis in np.mgrid[0:4, 1:4, 0:SAMPLES])
        columns = {"task": task, "sample": sample, "label": sample % 3, "after": after, "epoch": 0 * task}
        columns = {key: column.astype("u4") for key, column in columns.items()} | {"phase": np.zeros(len(task), "u1")}
        fired = np.zeros((len(task), STEPS, size), bool)
        for place, row in enumerate(zip(task, sample, after, strict=True)):
            for neuron, count in enumerate(counts(*map(int, row))):
                fired[place, :count, neuron] = True
        neurons = {"hidden1": list(range(size))}
        written.SIZES["hidden1"] = size
        return open_recording(written.write_spikes(tmp_path / name, {"hidden1": fired}, neurons, columns))

    before = written.SIZES["hidden1"]
    yield make
    written.SIZES["hidden1"] = before


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_raster_has_a_dot_for_each_spike_at_its_time(recording):
    ax = raster(recording, [2, 9], "hidden1")
    expected = np.argwhere(written.spikes("hidden1")[[2, 9]].reshape(2 * STEPS, -1))
    assert ax.collections[0].get_offsets().data.tolist() == [pytest.approx([frame * DT, place]) for frame, place in expected]
    assert ax.get_xlabel() == "time, ms"
    assert ax.get_xlim() == pytest.approx((-DT / 2, 14 * DT - DT / 2))
    top = ax.child_axes[0]
    assert [label.get_text() for label in top.get_xticklabels()] == ["task 1\nclass 2", "task 1\nclass 1"]


def test_raster_stacks_populations_the_first_on_top(recording):
    ax = raster(recording, slice(0, 3))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["hidden2\n5 neurons", "hidden1\n4 neurons"]
    below, above = (dots.get_offsets()[:, 1] for dots in ax.collections)
    assert (below.min(), below.max()) == (0, 4)
    assert (above.min(), above.max()) == (5, 8)


def test_rates_are_counted_and_silent_neurons_named(recording):
    ax = rate_histogram({"run": recording})
    assert legend(ax) == ["run, hidden1: 0 of 4 silent", "run, hidden2: 1 of 5 silent"]
    assert [patch.get_data().values.sum() for patch in ax.patches] == [4, 5]
    assert legend(rate_histogram(recording, "hidden2")) == ["hidden2: 1 of 5 silent"]
    assert "Hz" in ax.get_xlabel()


def test_silent_neurons_are_those_that_never_spike(recording, shown):
    assert (silent_share(recording)["hidden2"] >= 0.2).all()
    assert list(silent_share(recording).index) == [0, 1, 2]
    falling = shown(lambda task, sample, after: [1] * (8 - after) + [0] * after)
    assert list(silent_share(falling)["hidden1"]) == [0, 1 / 8, 2 / 8, 3 / 8]
    ax = silent_neurons({"one": falling, "other": falling})
    assert list(ax.lines[0].get_ydata()) == [0, 12.5, 25, 37.5]
    assert legend(ax) == ["one, hidden1", "other, hidden1"]


def test_intervals_are_within_presentations(recording):
    pytest.importorskip("elephant")
    expected = [
        np.diff(np.flatnonzero(fired[:, neuron])) * DT
        for fired in written.spikes("hidden1")[3:8]
        for neuron in range(len(NEURONS["hidden1"]))
    ]
    expected = np.concatenate(expected)
    intervals = interspike_intervals(recording, "hidden1", slice(3, 8))
    assert np.sort(intervals) == pytest.approx(np.sort(expected))
    ax = interval_histogram(recording, slice(3, 8), "hidden1")
    assert ax.patches[0].get_data().values.sum() == pytest.approx(100)
    assert legend(ax) == [f"hidden1: CV {expected.std() / expected.mean():.2f}"]
    assert ax.get_xlabel() == "interval between spikes, ms"


def test_correlations_are_those_of_steps(recording):
    pytest.importorskip("elephant")
    found = correlations(recording, "hidden2", [1, 4, 5])
    fired = written.spikes("hidden2")[[1, 4, 5]].reshape(3 * STEPS, -1)
    fires = fired.any(0)
    assert list(found.index) == list(found.columns) == [0, 1, 2, 4]
    assert found.to_numpy() == pytest.approx(np.corrcoef(fired[:, fires].T))
    ax = correlation_histogram(recording, [1, 4, 5], "hidden2")
    assert ax.patches[0].get_data().values.sum() == pytest.approx(100)
    assert legend(ax) == [f"hidden2: mean {found.to_numpy()[np.triu_indices(4, 1)].mean():.2f}"]
    assert correlations(recording, "hidden2", []).empty


def test_drift_is_the_cosine_to_the_activity_right_after_the_task(shown):
    def counts(task, sample, after):
        return {0: [0] * 8, 1: [1, 2] + [0] * 6, 2: [2, 4] + [0] * 6, 3: [2, 0, 0, 0, 1, 0, 0, 0]}[after]

    drifting = shown(counts)
    drift = activity_drift(drifting, task=1)["hidden1"]
    assert list(drift.index) == [0, 1, 2, 3]
    assert list(drift) == pytest.approx([0, 1, 1, 2 / 5])
    assert list(activity_drift(drifting, task=2)["hidden1"]) == pytest.approx([0, 1, 1, 2 / 5])
    ax = drift_curves({"one": drifting}, task=1)
    assert list(ax.lines[0].get_ydata()) == pytest.approx([0, 1, 1, 0.4])
    assert legend(ax) == ["one, hidden1"]


def test_drift_compares_each_sample_with_itself(shown):
    turned = shown(lambda task, sample, after: np.roll([3] + [0] * 7, sample if after < 3 else sample + 1))
    assert list(activity_drift(turned)["hidden1"]) == pytest.approx([1, 1, 1, 0])


def test_drift_needs_a_test_after_the_task(recording):
    with pytest.raises(ValueError, match="no test of task 7 after it was recorded$"):
        activity_drift(recording, task=7)


def test_angles_are_those_between_the_tasks_subspaces(shown):
    def counts(task, sample, after):
        values = np.zeros(8, int)
        values[{1: [0, 1], 2: [0, 1], 3: [6, 7]}[task]] = [1 + sample, 6 - sample] if after == 3 else [sample % 2, 1]
        return values

    disjoint = shown(counts)
    angles = principal_angles(disjoint, "hidden1", directions=2)
    assert angles.to_numpy() == pytest.approx(np.array([[0, 0, 90], [0, 0, 90], [90, 90, 0]]), abs=1e-4)
    assert list(angles.index) == list(angles.columns) == [1, 2, 3]
    ax = shared_subspaces(disjoint, "hidden1", 2)
    assert {text.get_position(): text.get_text() for text in ax.texts}[(2, 1)] == "90"
    assert ax.images[0].get_clim() == (0, 90)
    assert ax.get_title() == "hidden1: mean of 2 principal angles, °"


def test_angles_of_one_direction_are_those_of_the_activity(shown):
    leaning = shown(lambda task, sample, after: [3, {1: 0, 2: 3, 3: 3}[task], {1: 0, 2: 0, 3: 3}[task], 0, 0, 0, 0, 0])
    angles = principal_angles(leaning, "hidden1", directions=1)
    assert angles.loc[1, 2] == pytest.approx(45)
    assert angles.loc[1, 3] == pytest.approx(np.rad2deg(np.arccos(1 / np.sqrt(3))))
    assert np.allclose(angles, angles.T)


def test_the_diagonal_is_between_halves_of_the_samples(shown):
    turning = shown(lambda task, sample, after: np.roll([3] + [0] * 7, 2 * task + sample % 2))
    assert principal_angles(turning, "hidden1", directions=1).to_numpy() == pytest.approx(np.full((3, 3), 90))


def test_too_few_samples_for_a_subspace_are_said(recording):
    with pytest.raises(ValueError, match="half of task 1's 4 samples has 2 directions in hidden1, fewer than 3$"):
        principal_angles(recording, "hidden1", directions=3)
    with pytest.raises(ValueError, match="no test after 7 tasks was recorded$"):
        principal_angles(recording, "hidden1", after=7)


def test_a_report_alone_has_no_spikes_to_plot(tmp_path):
    states = open_recording(written.write_report(tmp_path / "report-potential.h5"))
    with pytest.raises(ValueError, match="report-potential.h5: no spikes recorded$"):
        raster(states)
