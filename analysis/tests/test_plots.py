import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import synthetic_run

from orthospike import accuracy_heatmap, average_accuracy_curves, forgetting_comparison, open_run


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
