"""Compares runs by their configs."""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from orthospike.run_file import Run

#: Keys that tell runs of one experiment apart, not experiments.
OF_THE_RUN = ("experiment.name", "experiment.seed", "run.")


def compare(runs: Iterable[Run], keys: Sequence[str] | None = None) -> pd.DataFrame:
    """A row for each config: the number of its runs, of different seeds for example, and of the measures of Run.summary,
    as fractions, the mean and the sample deviation over these runs. The index has the config keys that tell rows apart:
    `keys`, or those in which the runs differ; '' where a run does not know the key. An unfinished run is left out with
    a warning that names it: its measures are those of fewer tasks. ValueError when there is no finished one."""
    runs = _finished(runs)
    settings = pd.DataFrame([run.settings for run in runs])
    if keys is None:
        keys = [key for key in settings if not key.startswith(OF_THE_RUN) and settings[key].nunique(dropna=False) > 1]
        keys = keys or ["protection.name"]
    settings = settings.reindex(columns=keys).astype(object).fillna("")
    measures = pd.DataFrame([run.summary() for run in runs]).reset_index(drop=True)
    groups = measures.groupby([settings[key] for key in keys], sort=False)
    table = groups.agg(["mean", "std"])
    table.insert(0, ("runs", ""), groups.size())
    return table


def _finished(runs: Iterable[Run]) -> list[Run]:
    finished = []
    for run in runs:
        if not isinstance(run, Run):
            raise TypeError(f"compare: expected runs, as in [run, …], not {run!r}; of {{label: run}}, give the values")
        if run.finished:
            finished.append(run)
        else:
            warnings.warn(f"{run.path}: left out, {run.tasks_done} of {run.tasks} tasks, unfinished", stacklevel=3)
    if not finished:
        raise ValueError("there is no finished run to compare")
    return finished


def to_markdown(table: pd.DataFrame) -> str:
    """The result of `compare` in percent, mean ± deviation; "-" for NaN."""
    measures = [name for name in table.columns.get_level_values(0).unique() if name != "runs"]
    rows = [[*table.index.names, "runs", *measures], ["---"] * (table.index.nlevels + 1 + len(measures))]
    for index, row in table.iterrows():
        labels = index if isinstance(index, tuple) else (index,)
        rows.append([*labels, str(int(row["runs", ""])), *(_percent(*row[name]) for name in measures)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _percent(mean: float, deviation: float) -> str:
    if np.isnan(mean):
        return "-"
    return f"{100 * mean:.2f}" + ("" if np.isnan(deviation) else f" ± {100 * deviation:.2f}")
