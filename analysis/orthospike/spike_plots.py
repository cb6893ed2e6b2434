"""Plots of recordings and the measures they show. Each plot draws into `ax`, or into a new figure, and returns the Axes. A
population may be left out where a plot shows all that spikes were recorded of."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from orthospike.recording import SPIKES, Presentations, Recording, optional

if TYPE_CHECKING:
    import xarray as xr

#: One recording, or several by the label that plots give them.
Recordings = Recording | Mapping[str, Recording]


def raster(
    recording: Recording,
    presentations: Presentations = slice(0, 5),
    population: str | Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A dot for each spike of these presentations, which follow each other without a gap: neurons over time in ms."""
    populations = _populations(recording, population)
    numbers = pd.Index(recording.numbers(presentations))
    ax = ax or _new_axes(min(12, 4 + 1.2 * len(numbers)), 1.5 + 1.6 * len(populations))
    bottom, middles = 0, []
    for colour, name in reversed(list(enumerate(populations))):
        spikes, neurons = recording.spikes(name, numbers), recording.neurons(name)
        frames = numbers.get_indexer(spikes["presentation"]) * recording.steps + spikes["step"] - recording.first_step
        ax.scatter(
            frames * recording.dt,
            bottom + np.searchsorted(neurons, spikes["neuron"]),
            s=max(0.5, min(12, 600 / len(neurons))),
            linewidths=0,
            color=f"C{colour}",
            rasterized=True,  # a page of many thousand dots would be slow
        )
        middles.append(bottom + (len(neurons) - 1) / 2)
        bottom += len(neurons)
        ax.axhline(bottom - 0.5, color="0.3", linewidth=0.8)
    begins = np.arange(len(numbers) + 1) * recording.duration
    for begin in begins[1:-1]:
        ax.axvline(begin - recording.dt / 2, color="0.8", linewidth=0.8, zorder=0)
    few = len(numbers) <= 12
    shown = ax.secondary_xaxis("top")
    shown.set_xticks(begins[:-1] + recording.duration / 2 if few else [])
    if few:
        rows = recording.presentations.loc[numbers].itertuples()
        shown.set_xticklabels([f"task {row.task}\nclass {row.label}" for row in rows], fontsize=8)
    shown.tick_params(length=0)
    ax.set_yticks(middles, [f"{name}\n{len(recording.neurons(name))} neurons" for name in reversed(populations)])
    ax.tick_params(axis="y", length=0)
    ax.set(xlim=(-recording.dt / 2, begins[-1] - recording.dt / 2), ylim=(-0.5, bottom - 0.5), xlabel="time, ms")
    shown.spines[:].set_visible(False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def rate_histogram(
    recordings: Recordings, population: str | None = None, presentations: Presentations = None, ax: Axes | None = None
) -> Axes:
    """How many neurons fire at which mean rate, in Hz; the legend counts those that never do."""
    ax = ax or _new_axes(6, 4)
    rates = {
        _join(label, name): recording.rates(name, presentations=presentations).to_numpy().ravel()
        for label, recording in _labelled(recordings).items()
        for name in _populations(recording, population)
    }
    edges = np.linspace(0, max([1e-9, *(values.max(initial=0) for values in rates.values())]), 31)
    for label, values in rates.items():
        ax.stairs(*np.histogram(values, edges), label=f"{label}: {(values == 0).sum()} of {len(values)} silent", linewidth=1.5)
    ax.set(xlabel="mean rate, Hz", ylabel="neurons")
    return _tidy(ax)


def silent_share(
    recording: Recording, population: str | None = None, by: str = "after", presentations: Presentations = None
) -> pd.DataFrame:
    """[value of `by` × population] share of the recorded neurons that never spike in those presentations."""
    rates = {name: recording.rates(name, by, presentations) for name in _populations(recording, population)}
    return pd.DataFrame({name: (values == 0).mean(axis="columns") for name, values in rates.items()})


def silent_neurons(
    recordings: Recordings, population: str | None = None, presentations: Presentations = None, ax: Axes | None = None
) -> Axes:
    """The share of neurons that never spike, after each number of tasks learned, in percent."""
    shares = {label: silent_share(one, population, "after", presentations) for label, one in _labelled(recordings).items()}
    ax = _lines({label: 100 * share for label, share in shares.items()}, ax)
    ax.set(xlabel="after task", ylabel="silent neurons, %")
    ax.set_ylim(0, max(5, ax.get_ylim()[1]))
    return _tidy(ax)


def interspike_intervals(recording: Recording, population: str, presentations: Presentations = None) -> np.ndarray:
    """ms between the spikes of each neuron within a presentation, of all neurons together (elephant.statistics.isi)."""
    statistics = optional("elephant.statistics")
    found = []
    for train in recording.spike_trains(population, presentations):
        intervals = statistics.isi(train).rescale("ms").magnitude
        found.append(intervals[np.diff(train.array_annotations["presentation"]) == 0])
    return np.concatenate(found)


def interval_histogram(
    recording: Recording, presentations: Presentations, population: str | None = None, ax: Axes | None = None
) -> Axes:
    """How often which interval lies between two spikes of a neuron, in ms, within presentations; the legend has their
    coefficient of variation (elephant.statistics.cv)."""
    statistics = optional("elephant.statistics")
    ax = ax or _new_axes(6, 4)
    edges = (np.arange(1, recording.steps + 1) - 0.5) * recording.dt
    for name in _populations(recording, population):
        intervals = interspike_intervals(recording, name, presentations)
        variation = f"CV {statistics.cv(intervals):.2f}" if len(intervals) > 0 else "no intervals"
        shares = np.histogram(intervals, edges)[0] / max(1, len(intervals))
        ax.stairs(100 * shares, edges, label=f"{name}: {variation}", linewidth=1.5)
    ax.set(xlabel="interval between spikes, ms", ylabel="share of intervals, %", xlim=(0, None), ylim=(0, None))
    return _tidy(ax)


def correlations(recording: Recording, population: str, presentations: Presentations = None) -> pd.DataFrame:
    """[neuron × neuron] correlation coefficients of spikes in steps (elephant.spike_train_correlation), of the neurons that
    spike in some steps, but not in all."""
    conversion, correlation = optional("elephant.conversion"), optional("elephant.spike_train_correlation")
    steps = recording.steps * len(recording.numbers(presentations))
    trains = [train for train in recording.spike_trains(population, presentations) if 0 < len(train) < steps]
    neurons = pd.Index([train.annotations["neuron"] for train in trains], name="neuron")
    if not trains:
        return pd.DataFrame(index=neurons, columns=neurons, dtype=float)
    binned = conversion.BinnedSpikeTrain(trains, bin_size=1 / trains[0].sampling_rate)
    return pd.DataFrame(np.atleast_2d(correlation.correlation_coefficient(binned)), neurons, neurons)


def correlation_histogram(
    recording: Recording, presentations: Presentations, population: str | None = None, ax: Axes | None = None
) -> Axes:
    """How many pairs of neurons have which correlation coefficient of spikes in steps; the legend has the mean."""
    ax = ax or _new_axes(6, 4)
    matrices = {name: correlations(recording, name, presentations) for name in _populations(recording, population)}
    pairs_of = {name: matrix.to_numpy()[np.triu_indices(len(matrix), 1)] for name, matrix in matrices.items()}
    largest = max([0.1, *(np.abs(pairs).max(initial=0) for pairs in pairs_of.values())])
    for name, pairs in pairs_of.items():
        mean = f"mean {pairs.mean():.2f}" if len(pairs) > 0 else "no pairs"
        counts, edges = np.histogram(pairs, np.linspace(-largest, largest, 41))
        ax.stairs(100 * counts / max(1, len(pairs)), edges, label=f"{name}: {mean}", linewidth=1.5)
    ax.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set(xlabel="correlation of two neurons' spikes", ylabel="share of pairs, %")
    ax.set_ylim(bottom=0)
    return _tidy(ax)


def activity_drift(recording: Recording, task: int = 1, population: str | None = None) -> pd.DataFrame:
    """[after × population] how much a task's samples still excite the neurons that they did when the task had just been
    learned: the cosine of a sample's spike counts then and after each task, mean over the samples tested both times."""
    tested = recording.presentations.query("task == @task and phase == 'test'")
    found = {}
    for name in _populations(recording, population):
        counts = {
            after: recording.activity(name, rows).set_index(presentation="sample")
            for after, rows in tested.groupby("after")
        }
        if task not in counts:
            raise ValueError(f"{recording.path}: no test of task {task} after it was recorded")
        found[name] = pd.Series({after: _mean_cosine(counts[task], values) for after, values in counts.items()})
    return pd.DataFrame(found).rename_axis("after")


def drift_curves(
    recordings: Recordings, task: int = 1, population: str | None = None, ax: Axes | None = None
) -> Axes:
    """`activity_drift` as a line for each recording and population."""
    ax = _lines({label: activity_drift(one, task, population) for label, one in _labelled(recordings).items()}, ax)
    ax.axvline(task, color="0.8", linewidth=0.8, zorder=0)
    ax.set_ylim(0, 1.02)
    ax.set(xlabel="after task", ylabel=f"cosine to the activity after task {task}", title=f"samples of task {task}")
    return _tidy(ax)


def principal_angles(
    recording: Recording, population: str, directions: int = 10, after: int | None = None
) -> pd.DataFrame:
    """[task × task] mean principal angle, in degrees, between the subspaces of two tasks' activity (spike counts of test
    samples) after `after` tasks, by default the last: 0 where they use the same directions, 90 where none is shared. A
    subspace has the `directions` of most energy; that of a row is from every other sample of the task, that of a column
    from the rest, so that the diagonal shows what the choice of samples alone does."""
    linear = optional("scipy.linalg")
    tested = recording.presentations.query("phase == 'test'")
    after = tested["after"].max() if after is None else after
    halves: dict[int, list[np.ndarray]] = {}
    for task, rows in tested[tested["after"] == after].groupby("task"):
        counts = recording.activity(population, rows).to_numpy().astype(float)
        halves[task] = [_leading(half, directions) for half in (counts[::2], counts[1::2])]
        if min(half.shape[1] for half in halves[task]) < directions:
            found = min(half.shape[1] for half in halves[task])
            raise ValueError(
                f"{recording.path}: half of task {task}'s {len(rows)} samples has {found} directions in {population}, "
                f"fewer than {directions}"
            )
    if not halves:
        raise ValueError(f"{recording.path}: no test after {after} tasks was recorded")
    tasks = pd.Index(halves, name="task")
    angles = [
        [np.mean([linear.subspace_angles(*pair) for pair in ((a[0], b[1]), (a[1], b[0]))]) for b in halves.values()]
        for a in halves.values()
    ]
    return pd.DataFrame(np.rad2deg(angles), tasks, tasks)


def shared_subspaces(
    recording: Recording, population: str, directions: int = 10, after: int | None = None, ax: Axes | None = None
) -> Axes:
    """`principal_angles` as a heat map: dark where two tasks use the same directions of activity."""
    angles = principal_angles(recording, population, directions, after)
    count = len(angles)
    ax = ax or _new_axes(2.2 + 0.62 * count, 1.8 + 0.5 * count)
    ax.imshow(angles, cmap="YlGnBu_r", vmin=0, vmax=90, aspect="auto")
    for (row, column), value in np.ndenumerate(angles.to_numpy()):
        ax.text(column, row, f"{value:.0f}", ha="center", va="center", color="white" if value < 40 else "black", fontsize=9)
    ax.set_xticks(range(count), angles.columns)
    ax.set_yticks(range(count), angles.index)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="task (on the diagonal: halves of its samples)", ylabel="task")
    ax.set_title(f"{population}: mean of {directions} principal angles, °")
    return ax


def _labelled(recordings: Recordings) -> Mapping[str, Recording]:
    return {"": recordings} if isinstance(recordings, Recording) else recordings


def _populations(recording: Recording, population: str | Sequence[str] | None) -> list[str]:
    if population is None:
        population = recording.variables.get(SPIKES, [])
        if not population:
            raise ValueError(f"{recording.path}: no spikes recorded")
    return [population] if isinstance(population, str) else list(population)


def _join(*labels: str) -> str:
    return ", ".join(label for label in labels if label)


def _lines(tables: Mapping[str, pd.DataFrame], ax: Axes | None) -> Axes:
    """A line for each column, its colour that of the column, its style that of the table."""
    ax = ax or _new_axes(6, 4)
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    for style, (label, table) in zip(("-", "--", ":", "-.") * len(tables), tables.items(), strict=False):
        for name in table:
            ax.plot(table.index, table[name], style, color=f"C{names.index(name)}", marker="o", label=_join(label, name))
    ax.set_xticks(sorted({after for table in tables.values() for after in table.index}))
    return ax


def _mean_cosine(one: "xr.DataArray", other: "xr.DataArray") -> float:
    """Mean over samples; 0 for one that excites no neuron any more, and without those that never did."""
    one, other = (values.astype(float) for values in optional("xarray").align(one, other))
    energies = [(values**2).sum("neuron") for values in (one, other)]
    cosines = (one * other).sum("neuron") / np.sqrt(energies[0] * energies[1])
    return float(cosines.where(energies[0] * energies[1] > 0, 0).where(energies[0] + energies[1] > 0).mean())


def _leading(activity: np.ndarray, directions: int) -> np.ndarray:
    """[neuron × direction] of most energy, fewer where there are no more."""
    _, energies, rows = np.linalg.svd(activity, full_matrices=False)
    leading: np.ndarray = rows[:directions][energies[:directions] > 1e-9 * energies[0]].T
    return leading


def _new_axes(width: float, height: float) -> Axes:
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _tidy(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax
