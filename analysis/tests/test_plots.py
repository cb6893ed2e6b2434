import dataclasses

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import synthetic_run

from orthospike import (
    accuracy_heatmap,
    accuracy_heatmaps,
    average_accuracy_curves,
    compare,
    comparison_bars,
    cost_comparison,
    forgetting_comparison,
    learning_curves,
    open_run,
    subspace_curves,
)


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_heatmap_shows_every_accuracy_in_percent_at_its_place(run):
    ax = accuracy_heatmap(run)
    shown = {text.get_position(): text.get_text() for text in ax.texts}
    assert shown == {
        (column, row): f"{100 * value:.1f}"
        for row, values in enumerate(synthetic_run.ACCURACY)
        for column, value in enumerate(values)
    }
    assert shown[(0, 1)] == "90.0"
    assert tick_labels(ax.yaxis) == ["before", "1", "2", "3"]
    assert tick_labels(ax.xaxis) == ["1", "2", "3"]
    assert ax.images[0].get_clim() == (0, 1)
    assert ax.get_ylim() == (3.5, -0.5), "row 'before' is on top"


def test_heatmap_leaves_out_what_is_not_measured(killed_file):
    ax = accuracy_heatmap(open_run(killed_file))
    assert len(ax.texts) == 9
    assert max(text.get_position()[1] for text in ax.texts) == 2


def test_heatmap_texts_fit_their_cells(run):
    figure, axes = plt.subplots(1, 2, figsize=(2, 2))
    ax = accuracy_heatmap(run, axes[0])
    cell = ax.get_window_extent().width / run.tasks
    assert all(text.get_window_extent().width < cell for text in ax.texts)


def test_forgetting_is_that_at_the_end_of_each_run(run, killed_file):
    ax = forgetting_comparison({"whole": run, "killed": open_run(killed_file)})
    whole, killed = ax.containers
    assert [bar.get_height() for bar in whole] == pytest.approx([7, 10])
    assert [bar.get_height() for bar in killed] == pytest.approx([-2])
    assert [text.get_text() for text in ax.texts] == ["7.0", "10.0", "-2.0"]
    assert [round(bar.get_x() + bar.get_width() / 2, 1) for bar in (*whole, *killed)] == [0.8, 1.8, 1.2]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["whole", "killed"]


def test_average_accuracy_is_a_line_for_each_run(run):
    ax = average_accuracy_curves({"one": run, "other": run})
    assert len(ax.lines) == 2
    assert list(ax.lines[0].get_xdata()) == [1, 2, 3]
    assert list(ax.lines[0].get_ydata()) == pytest.approx([90, 86, 250 / 3])
    assert ax.get_ylim() == (0, 100)


@pytest.mark.parametrize("tasks_done", [0, 1])
def test_a_run_that_has_nothing_to_forget_yet_can_be_plotted(tmp_path, tasks_done):
    run = open_run(synthetic_run.write(tmp_path / "run.partial.h5", tasks_done=tasks_done))
    assert not forgetting_comparison({"begun": run}).texts
    accuracy_heatmap(run).figure.draw_without_rendering()
    average_accuracy_curves({"begun": run}).figure.draw_without_rendering()


def test_joint_training_can_be_plotted_beside_a_sequence(run, joint_run):
    assert len(accuracy_heatmap(joint_run).texts) == 6
    ax = forgetting_comparison({"sequence": run, "joint": joint_run})
    assert [text.get_text() for text in ax.texts] == ["7.0", "10.0", "", ""]
    ax.figure.draw_without_rendering()
    average_accuracy_curves({"sequence": run, "joint": joint_run}).figure.draw_without_rendering()


def test_plots_draw_where_they_are_told_and_change_no_settings(run):
    before = dict(mpl.rcParams)
    ax = plt.subplots()[1]
    other = plt.subplots()[1]
    assert accuracy_heatmap(run, ax) is ax
    assert forgetting_comparison({"run": run}, ax) is ax
    assert average_accuracy_curves({"run": run}, ax) is ax
    assert plt.gca() is other
    assert not other.has_data()
    assert len(plt.get_fignums()) == 2
    assert dict(mpl.rcParams) == before


def titles(figure):
    return [ax.get_title() for ax in figure.axes]


def test_heatmaps_stand_side_by_side_and_need_no_label_for_one_run(run):
    figure = accuracy_heatmaps({"first": run, "second": run, "third": run})
    assert titles(figure) == ["first", "second", "third", ""]
    assert not figure.axes[3].axison
    assert titles(accuracy_heatmaps(run)) == ["50 % of it"]
    with pytest.raises(ValueError, match="^there is no run to plot$"):
        accuracy_heatmaps({})


def test_labels_are_no_formulas_and_not_hidden(run):
    ax = average_accuracy_curves({"_hidden": run, "$\\frac$": run, "long" * 100: run})
    ax.figure.draw_without_rendering()
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["\u200b_hidden", r"\$\frac\$", "long" * 9 + "lon…"]


def test_learning_curves_are_means_over_updates(run):
    ax = learning_curves({"all": run}, points=3)
    curve, *begins = ax.lines
    assert list(curve.get_xdata()) == [1, 3, 5]
    assert list(curve.get_ydata()) == [37.5, 50, 62.5]
    assert [line.get_xdata()[0] for line in begins] == [2, 4]


def test_subspaces_have_a_row_a_measure_and_a_column_a_projection(run, killed_file):
    figure = subspace_curves({"whole": run, "killed": open_run(killed_file)})
    assert len(figure.axes) == 8
    assert titles(figure)[:2] == ["input → hidden1", "hidden1 → readout"]
    assert [ax.get_ylabel() for ax in figure.axes[::2]] == [
        "explained energy, %", "principal angle, degrees", "effective rank", "leak, %"]
    whole, killed = figure.axes[0].lines
    assert list(whole.get_xdata()) == [1, 2, 3]
    assert list(whole.get_ydata()) == [24, 34, 44]
    assert list(killed.get_ydata()) == [24, 34]
    assert list(figure.axes[5].lines[0].get_ydata()) == [10, 12.5, 15]
    assert list(figure.axes[7].lines[0].get_ydata()[1:]) == [1, 2]
    for ax in figure.axes:
        bottom, top = ax.get_ylim()
        assert bottom == 0
        assert all(np.nanmax(line.get_ydata()) < top for line in ax.lines), "no line is cut"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["whole", "killed"]


def test_measures_that_no_run_has_are_left_out(run):
    leak_alone = run.subspace.assign(explained_energy=np.nan, mean_angle=np.nan, effective_rank=np.nan)
    figure = subspace_curves(dataclasses.replace(run, subspace=leak_alone))
    assert [ax.get_ylabel() for ax in figure.axes] == ["leak, %", ""]
    figure = subspace_curves(dataclasses.replace(run, subspace=leak_alone.assign(leak=np.nan)))
    assert [text.get_text() for text in figure.texts] == ["No subspace has been measured (yet)."]


def test_projections_that_tasks_do_not_share_are_left_out(run):
    measures = ["explained_energy", "mean_angle", "leak"]
    subspace = run.subspace.copy()
    subspace.loc[subspace["projection"] == "hidden1_to_readout", measures] = np.nan
    subspace.loc[subspace["projection"] == "hidden1_to_readout", "effective_rank"] = 0
    assert titles(subspace_curves(dataclasses.replace(run, subspace=subspace)))[:1] == ["input → hidden1"]
    assert len(subspace_curves(dataclasses.replace(run, subspace=subspace)).axes) == 4


def test_costs_are_the_seconds_of_phases_operations_and_memory(run, killed_file):
    time, work, memory = cost_comparison({"whole": run, "killed": open_run(killed_file)}).axes
    # Of the numbers 0 to 23, eight a task.
    assert [bars.patches[0].get_width() for bars in time.containers] == [24, 27, 30, 33, 36, 39, 42, 45]
    assert time.containers[1].patches[1].get_x() == 8
    assert [bar.get_height() for bar in work.containers[0]] == [100, 100, 100]
    assert [bar.get_height() for bar in work.containers[1]] == [200, 200, 200]
    assert work.get_yscale() == "log"
    assert list(memory.lines[0].get_ydata()) == pytest.approx([0.512, 0.672, 0.832])
    assert tick_labels(time.yaxis) == ["whole", "killed"]


def test_bars_of_a_comparison_are_means_with_deviations(run):
    def variant(rule, seed, better):
        settings = {**run.settings, "rule.name": rule, "experiment.seed": seed}
        return dataclasses.replace(run, settings=settings, average_accuracy=run.average_accuracy + better)

    table = compare([variant("dsr", "1", 0.0), variant("dsr", "2", 0.02), variant("bptt", "1", -0.1)])
    ax = comparison_bars(table)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([250 / 3 + 1, 250 / 3 - 10])
    assert tick_labels(ax.yaxis) == ["dsr", "bptt"]
    assert [text.get_text() for text in ax.texts] == ["84.3", "73.3"]
    segments = ax.containers[0].lines[2][0].get_segments()
    assert segments[0][1][0] - segments[0][0][0] == pytest.approx(2 * np.sqrt(2))
    assert comparison_bars(table, "BWT").get_xlabel() == "BWT, %"


def test_a_run_of_many_tasks_leaves_out_what_cannot_be_read(run):
    tasks = 400
    numbers = range(1, tasks + 1)
    many = dataclasses.replace(run, tasks=tasks, accuracy=type(run.accuracy)(
        np.full((tasks + 1, tasks), 0.5), index=range(tasks + 1), columns=numbers))
    ax = accuracy_heatmap(many)
    assert not ax.texts
    assert len(ax.get_xticks()) == 25
    assert max(ax.figure.get_size_inches()) <= 12
