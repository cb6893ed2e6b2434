"""One HTML page of runs and sweeps for people without Jupyter: pictures, tables, configs and what the measures mean. The
page has all in it: it needs no network, no scripts and no other file."""

import io
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orthospike import plots, spike_plots
from orthospike.recording import SPIKES, Recording, open_recording
from orthospike.run_file import Run, open_runs
from orthospike.sweep import NAME as SWEEP_NAME
from orthospike.sweep import Sweep, open_sweep

#: Of Run.summary, as the page explains them where the file does not have a better place.
MEASURES = {
    "ACC": "mean accuracy over all tasks learned so far",
    "BWT": "backward transfer: mean change of the accuracy on earlier tasks since each was learned; negative is forgetting",
    "FWT": "forward transfer: mean accuracy on each task before it was learned, less that of the untrained network",
    "forgetting": "mean over the earlier tasks of the best accuracy that each ever had, less the one at the end",
    "learning accuracy": "mean accuracy on each task when it had just been learned",
}
#: Of a sweep's table, in percent.
SWEEP_MEASURES = {
    "average_accuracy": "ACC",
    "backward_transfer": "BWT",
    "forward_transfer": "FWT",
    "mean_forgetting": "forgetting",
    "learning_accuracy": "learning accuracy",
}
#: Rows of a sweep's table that the page shows, the best first.
MOST_SETTINGS = 200


@dataclass
class Picture:
    svg: Markup
    caption: str
    least_width: int  #: pixels below which it scrolls, so that its texts can be read on a phone


@dataclass
class Section:
    title: str
    note: str = ""  #: a sentence below the title
    tables: list[tuple[str, Markup]] = field(default_factory=list)  #: with captions
    pictures: list[Picture] = field(default_factory=list)
    config: str = ""
    definitions: dict[str, str] = field(default_factory=dict)


def write_report(paths: Iterable[str | os.PathLike[str]], out: str | os.PathLike[str] = "report.html") -> Path:
    """Writes the page of run folders or files, also of runs that still go on, and of folders of collected sweeps. The old
    page stays until the new one is complete. Raises as `open_run` and `open_sweep` do."""
    places = [Path(path) for path in paths]
    of_sweeps = [path for path in places if path.name == SWEEP_NAME or (path / SWEEP_NAME).is_file()]
    sweeps = [open_sweep(path) for path in of_sweeps]
    runs = open_runs(*(path for path in places if path not in of_sweeps))
    if not runs and not sweeps:
        raise ValueError("there is no run and no sweep to report")

    sections = []
    if runs:
        sections.append(_comparison(runs))
    for label, run in runs.items():
        sections += [_run_section(label, run), *_spikes_section(label, run)]
    sections += [_sweep_section(sweep) for sweep in sweeps]
    title = ", ".join([*runs, *(sweep.name for sweep in sweeps)])
    environment = Environment(loader=PackageLoader("orthospike", ""), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    page = environment.get_template("report.html.jinja").render(title=title, sections=sections, measures=MEASURES)
    file = Path(out)
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return file


def _comparison(runs: Mapping[str, Run]) -> Section:
    rows = {
        label: {
            "tasks": f"{run.tasks_done} of {run.tasks}" + ("" if run.finished else ", unfinished"),
            **{f"{name}, %": _spread(100 * value, np.nan) for name, value in run.summary().items()},
        }
        for label, run in runs.items()
    }
    section = Section("Results" if len(runs) == 1 else f"{len(runs)} runs compared")
    section.tables.append(("After the last task done.", _table(pd.DataFrame(rows).T)))
    add = section.pictures.append
    add(_picture(lambda: plots.accuracy_heatmaps(runs),
                 "Accuracy on each task (columns) after each was learned (rows), in percent. Below the line stand tasks "
                 "that were learned before: a network that forgets nothing keeps a column's colour down to the last row."))
    if any(run.forgetting.notna().any(axis=None) for run in runs.values()):
        add(_picture(lambda: plots.forgetting_comparison(runs),
                     "How much accuracy each task has lost since its best: low bars are good."))
    add(_picture(lambda: plots.average_accuracy_curves(runs),
                 "Mean accuracy on the tasks learned so far, after each task: a line that stays high forgets little."))
    if any(len(run.curves) > 0 for run in runs.values()):
        add(_picture(lambda: plots.learning_curves(runs),
                     "Accuracy on training samples while learning; dotted lines are where tasks begin."))
    if any(run.subspace[list(plots.subspace.MEASURES)].notna().any(axis=None) for run in runs.values()):
        add(_picture(lambda: plots.subspace_curves(runs),
                     "What the protection keeps of earlier tasks, by projection. Explained energy: the share of their "
                     "activity that it covers. Principal angle to the best subspace of the same rank: the line is the "
                     "mean, the shade reaches to the largest. Effective rank: directions taken from later changes. Leak: "
                     "how much of a task's change of weights still acts on earlier activity; 0 is none."))
    if any(run.tasks_done > 0 for run in runs.values()):
        add(_picture(lambda: plots.cost_comparison(runs),
                     "What learning took: the time by phase, the operations of one training sample of the last task, "
                     "and the memory that the protection keeps of finished tasks."))
    return section


def _run_section(label: str, run: Run) -> Section:
    a = run.attributes
    section = Section(
        f"Run {label}",
        f"“{run.name}”, {run.tasks_done} of {run.tasks} tasks{'' if run.finished else ', unfinished'}; orthospike "
        f"{a.get('version', '?')} ({a.get('git_revision', '?')}), started {a.get('started', '?')}, seed "
        f"{a.get('seed', '?')}, {a.get('device', '?')} with {a.get('threads', '?')} threads.",
        config=run.config,
        definitions=run.definitions,
    )
    if run.task_names:
        tasks = pd.DataFrame({"task": run.task_names, "told at test time": ["yes" if t else "no" for t in run.task_told]})
        tasks.index = pd.RangeIndex(1, len(tasks) + 1)
        section.tables.append(("Tasks, in the order in which they are learned.", _table(tasks)))
    last = run.subspace[run.subspace["task"] == run.tasks_done].set_index("projection").drop(columns="task")
    last = last.dropna(axis="columns", how="all")
    if not last.empty:
        section.tables.append(("Protection of each projection after the last task done.",
                               _table(last.rename(columns=_with_unit(run)).map(_number))))
    return section


def _spikes_section(label: str, run: Run) -> list[Section]:
    """Of a run that recorded spikes of tests, one section."""
    try:
        recording = open_recording(run)
    except FileNotFoundError:
        return []
    tests = recording.presentations.query("phase == 'test'")
    if SPIKES not in recording.variables or tests.empty:
        return []
    title, last, task = f"Spikes of run {label}", tests["after"].max(), tests["task"].min()
    try:
        return [Section(title, f"Of {len(tests)} presentations of test samples.",
                        pictures=_spike_pictures(recording, tests, last, task))]
    except ImportError as error:
        return [Section(title, f"There are no pictures of the recorded spikes: {error}.")]


def _spike_pictures(recording: Recording, tests: pd.DataFrame, last: int, task: int) -> list[Picture]:
    at_the_end = tests[tests["after"] == last]
    some = at_the_end.groupby("task").head(20)

    def pair(*draw: Callable[[Axes], Axes]) -> Figure:
        figure, axes = plt.subplots(1, len(draw), figsize=(6.5 * len(draw), 4), layout="constrained", squeeze=False)
        for one, ax in zip(draw, axes.flat, strict=True):
            one(ax)
        return figure

    pictures = [
        _picture(lambda: spike_plots.raster(recording, at_the_end[at_the_end["task"] == task][:5]),
                 f"Five samples of task {task} after task {last}: a dot is a spike, a sample is shown from one line to the next."),
        _picture(lambda: pair(lambda ax: spike_plots.rate_histogram(recording, presentations=at_the_end, ax=ax),
                              lambda ax: spike_plots.silent_neurons(recording, presentations=tests, ax=ax)),
                 "Mean rates of the neurons at the end, and how many never spike in a test."),
        _picture(lambda: pair(lambda ax: spike_plots.interval_histogram(recording, some, ax=ax),
                              lambda ax: spike_plots.correlation_histogram(recording, some, ax=ax)),
                 "Intervals between a neuron's spikes (CV: their deviation over their mean; at random times 1, for a clock 0), and "
                 "correlations of pairs of neurons, of at most 20 samples of each task at the end."),
    ]
    if tests["after"].nunique() > 1 and task in tests["after"].to_numpy():
        pictures.append(_picture(lambda: spike_plots.drift_curves(recording, task),
                                 f"How much the samples of task {task} still excite the same neurons as when it had just been "
                                 "learned; 1: exactly those."))
    populations = recording.variables[SPIKES]
    if at_the_end["task"].nunique() > 1:
        try:
            pictures.append(_picture(
                lambda: pair(*(lambda ax, name=name: spike_plots.shared_subspaces(recording, name, ax=ax) for name in populations)),
                "Principal angles between the subspaces in which the activity of two tasks lies at the end: 0° where they use the "
                "same directions, 90° where they share none. On the diagonal are two halves of a task's samples."))
        except ValueError:  # too few samples, or neurons, for so many directions
            plt.close("all")
    return pictures


def _with_unit(run: Run) -> Callable[[str], str]:
    def named(measure: str) -> str:
        unit = run.units.get(f"/subspace/{measure}")
        return measure.replace("_", " ") + (f", {unit}" if unit else "")

    return named


def _sweep_section(sweep: Sweep) -> Section:
    section = Section(f"Sweep {sweep.name}", _best_sentence(sweep), definitions=sweep.definitions)
    section.tables.append(("Each setting's mean ± sample deviation over its seeds, in percent; the best by "
                           f"{sweep.choose_by.replace('_', ' ')} on top.", _table(sweep_table(sweep).head(MOST_SETTINGS))))
    if sweep.means[sweep.choose_by, "mean"].notna().any():
        section.pictures.append(_picture(
            lambda: plots.parallel_coordinates(sweep),
            "Every line is a setting and shows its values on the upright axes; the last axis is what it reached, and "
            "brighter lines are higher. The dashed one is the best."))
    if best := sweep.best_runs():
        section.pictures.append(_picture(
            lambda: plots.accuracy_heatmaps(best), "The accuracy matrices of the best setting, one for each seed."))
        section.config = next(iter(best.values())).config
    return section


def _best_sentence(sweep: Sweep) -> str:
    done = int((sweep.points["state"] == "done").sum())
    text = f"{done} of {len(sweep.points)} points are done. "
    if sweep.best is None:
        return text + f"{sweep.why_none[:1].upper()}{sweep.why_none[1:]}."
    values = ", ".join(f"{key} = {_plain(value)}" for key, value in sweep.settings.loc[sweep.best].items())
    mean, deviation = (100 * sweep.means.loc[sweep.best, (sweep.choose_by, part)] for part in ("mean", "std"))
    return text + (f"Best by {sweep.choose_by.replace('_', ' ')} on held-back samples: {values} with "
                   f"{_spread(mean, deviation)} %.")


def sweep_table(sweep: Sweep) -> pd.DataFrame:
    """Texts: a row for each setting, the best by its measure first, with its keys, how many of its runs are done and mean
    ± sample deviation in percent."""
    table = sweep.settings.map(_plain)
    table["runs"] = sweep.runs
    for name, heading in SWEEP_MEASURES.items():
        if (name, "mean") in sweep.means:
            pairs = 100 * sweep.means[name]
            table[f"{heading}, %"] = [_spread(m, d) for m, d in zip(pairs["mean"], pairs["std"], strict=True)]
    # Of forgetting less is better, of the others more.
    order = sweep.means[sweep.choose_by, "mean"].sort_values(ascending=sweep.choose_by == "mean_forgetting")
    return table.loc[order.index]


def _plain(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def _spread(mean: float, deviation: float) -> str:
    if np.isnan(mean):
        return "–"
    return f"{mean:.2f}" + ("" if np.isnan(deviation) else f" ± {deviation:.2f}")


def _table(frame: pd.DataFrame) -> Markup:
    # It escapes what stands in the cells and the headings.
    return Markup(frame.to_html(border=0, classes="table", index_names=False))


def _picture(draw: Callable[[], Figure | Axes], caption: str) -> Picture:
    """As SVG, whose texts stay texts."""
    with mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}), warnings.catch_warnings():
        # A run may name its parts in letters that matplotlib's own fonts lack; the reader's has them.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        drawn = draw()
        figure = drawn if isinstance(drawn, Figure) else drawn.get_figure(root=True)
        assert figure is not None
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
        width = int(96 * figure.get_figwidth())
        plt.close(figure)
    svg = stream.getvalue()
    return Picture(Markup(svg[svg.index("<svg") :]), caption, int(0.7 * width))
