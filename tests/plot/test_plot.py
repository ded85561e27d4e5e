"""Plots: their contents, and that they do not change the state of matplotlib."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics

from fastnn import plot
from fastnn._shared.figures import FORMATS
from fastnn.training.callbacks import History


@pytest.fixture
def history():
    history = History()
    for i in range(12):
        history.append({"loss": 0.5**i, "val_loss": 0.5**i + 0.1, "val_accuracy": 1 - 0.5**i})
    history.best_epoch = 7
    return history


def lines(ax):
    return {line.get_label(): line.get_ydata() for line in ax.get_lines()}


def test_learning_curve_draws_loss_and_score_against_the_epoch(history):
    loss, score = plot.learning_curve(history).axes
    np.testing.assert_array_equal(lines(loss)["training"], history["loss"])
    np.testing.assert_array_equal(lines(loss)["validation"], history["val_loss"])
    np.testing.assert_array_equal(lines(score)["validation"], history["val_accuracy"])
    assert loss.get_lines()[0].get_xdata().tolist() == list(range(1, 13))


def test_learning_curve_labels_its_axes_and_lines(history):
    for ax, title in zip(plot.learning_curve(history).axes, ("loss", "accuracy"), strict=True):
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", title)
        assert "best epoch (7)" in [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([1.0, 0.05], "log"), ([1.0, 0.5], "linear"), ([1.0, 0.0], "linear"), ([1, -9], "linear")],
)
def test_loss_has_a_logarithmic_axis_where_it_spans_decades(losses, scale):
    (ax,) = plot.learning_curve({"loss": losses}).axes
    assert ax.get_yscale() == scale


def test_learning_curve_accepts_gaps():
    (ax,) = plot.learning_curve({"loss": [1.0, float("nan"), 0.5]}).axes
    assert ax.get_yscale() == "linear"


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 100])
def test_epochs_are_ticked_and_bounded_by_whole_numbers(epochs):
    figure = plot.learning_curve({"loss": np.linspace(1, 0.9, epochs)})
    figure.draw_without_rendering()
    (ax,) = figure.axes
    positions = [*ax.get_xticks(), *ax.get_xlim()]
    np.testing.assert_array_equal(positions, np.rint(positions))
    assert ax.get_xlim() == (0, epochs + 1)


def tick_labels(ax, which):
    ax.figure.draw_without_rendering()
    return [text.get_text() for text in ax.get_yticklabels(which=which) if text.get_text()]


@pytest.mark.parametrize("low", [0.09, 0.07, 0.02, 1e-4])
def test_a_logarithmic_axis_is_labelled_at_major_ticks_only(low):
    (ax,) = plot.learning_curve({"loss": [1.0, low]}).axes
    assert not tick_labels(ax, "minor")


def test_less_than_two_decades_are_labelled_at_1_2_and_5():
    (ax,) = plot.learning_curve({"loss": [1.2, 0.07]}).axes
    assert {"0.1", "0.2", "0.5", "1"} <= set(tick_labels(ax, "major"))


@pytest.mark.parametrize("ending", FORMATS)
def test_figures_are_saved_in_every_format(history, ending, tmp_path):
    plot.learning_curve(history, tmp_path / f"curve.{ending}")
    assert (tmp_path / f"curve.{ending}").stat().st_size > 1000


def test_a_picture_of_many_epochs_is_small(tmp_path):
    losses = 1 / np.arange(1, 101) + np.random.default_rng(0).uniform(0, 0.01, (2, 100))
    history = {"loss": losses[0], "val_loss": losses[1], "val_accuracy": 1 - losses[1]}
    plot.learning_curve(history, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size < 100_000


def test_learning_curve_is_saved_as_png(history, tmp_path):
    plot.learning_curve(history, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_learning_curve_draws_on_given_axes(history):
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.subplots()
    assert plot.learning_curve(history, ax=ax) is figure
    assert figure.axes == [ax]
    assert set(lines(ax)) >= {"training", "validation"}


@pytest.mark.parametrize(
    ("history", "message"), [({}, "must have 'loss'"), ({"loss": []}, "no epochs")]
)
def test_a_history_without_losses_is_refused(history, message):
    with pytest.raises(ValueError, match=message):
        plot.learning_curve(history)


def shown(ax):
    """The counts a confusion matrix shows as an image."""
    return np.asarray(ax.images[0].get_array())


def test_confusion_matrix_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 4, (2, 90))
    (ax,) = plot.confusion_matrix(true, predicted).axes
    np.testing.assert_array_equal(shown(ax), metrics.confusion_matrix(true, predicted))


def test_confusion_matrix_names_classes_that_do_not_occur():
    (ax,) = plot.confusion_matrix([0, 2], [0, 0], ["a", "b", "c"]).axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"]
    np.testing.assert_array_equal(shown(ax), [[1, 0, 0], [0, 0, 0], [1, 0, 0]])


def test_confusion_matrix_takes_text():
    (ax,) = plot.confusion_matrix(["b", "a"], ["b", "b"]).axes
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b"]
    assert ax.get_title() == "1 of 2 right (50.0%)"


def test_confusion_matrix_writes_the_counts_into_its_cells():
    (ax,) = plot.confusion_matrix([0, 0, 1], [0, 1, 1]).axes
    cells = {text.get_position(): text.get_text() for text in ax.texts}
    assert cells == {(0, 0): "1", (1, 0): "1", (1, 1): "1"}


@pytest.mark.parametrize(
    ("true", "predicted", "names", "message"),
    [
        ([], [], None, "N > 0"),
        ([0, 1], [0], None, "one shape"),
        ([0, 2], [0, 1], ["a", "b"], "y_true must hold integers 0 <= label < 2"),
        ([0, 1], [0, -1], ["a", "b"], "y_pred must hold integers"),
        ([0.5, 1.0], [0, 1], ["a", "b"], "y_true must hold integers"),
    ],
)
def test_unfit_labels_are_refused(true, predicted, names, message):
    with pytest.raises(ValueError, match=message):
        plot.confusion_matrix(true, predicted, names)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"fastnn\[plot\]"):
        plot.learning_curve({"loss": [1.0]})


def test_plots_do_without_pyplot(tmp_path):
    code = (
        "import sys; from fastnn import plot; plot.learning_curve({'loss': [1.0, 0.5]}, 'c.png');"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
