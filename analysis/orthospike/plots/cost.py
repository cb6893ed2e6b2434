"""What learning costs."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from orthospike.plots.style import Runs, by_label, fill, look, shown, task_ticks, tidy

OPERATIONS = {"multiply_adds": "dense\nmultiply-\nadds", "synaptic_operations": "synaptic\noper-\nations", "spikes": "spikes"}


def cost_comparison(runs: Runs) -> Figure:
    """Three parts: seconds of each phase, all tasks together; operations of one training sample of the last task done,
    on a logarithmic axis; kilobytes that the protection keeps of finished tasks, all projections together."""
    labelled = by_label(runs)
    names = [shown(label) for label in labelled]
    height = max(2.6, 1.3 + 0.4 * len(labelled))
    figure, (time, work, memory) = plt.subplots(1, 3, figsize=(13 if len(labelled) <= 4 else 15, height), layout="constrained")

    left = np.zeros(len(labelled))
    phases = list(dict.fromkeys(phase for run in labelled.values() for phase in run.seconds))
    for k, phase in enumerate(phases):
        spent = np.array([run.seconds[phase].sum() if phase in run.seconds else 0.0 for run in labelled.values()])
        time.barh(names, spent, 0.6, left=left, label=phase, linewidth=0, **fill(k))
        left += spent
    time.invert_yaxis()
    time.set(xlabel="seconds, all tasks")
    tidy(time, labels=0)
    figure.legend(*time.get_legend_handles_labels(), loc="outside lower left", ncols=8, frameon=False, fontsize=8)

    width = 0.8 / len(labelled)
    for i, (label, run) in enumerate(labelled.items()):
        last = run.costs.iloc[-1] if len(run.costs) > 0 else None
        values = [np.nan if last is None else last[name] for name in OPERATIONS]
        places = np.arange(len(OPERATIONS)) + (i - (len(labelled) - 1) / 2) * width
        work.bar(places, values, width, label=shown(label), linewidth=0, **fill(i))
        kept = run.subspace.groupby("task")["memory"].sum(min_count=1) / 1000
        memory.plot(kept.index, kept, label=shown(label), **look(i))
    work.set_xticks(range(len(OPERATIONS)), list(OPERATIONS.values()), fontsize=9)
    if any((run.costs[list(OPERATIONS)] > 0).any(axis=None) for run in labelled.values()):
        work.set_yscale("log")
    work.set(ylabel="a training sample")
    task_ticks(memory, max(run.tasks for run in labelled.values()))
    memory.set_ylim(bottom=0)
    memory.set(xlabel="after task", ylabel="kept of finished tasks, kB")
    tidy(work, labels=0)
    tidy(memory, len(labelled))
    return figure
