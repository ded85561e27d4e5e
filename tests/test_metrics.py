"""Calibration: reliability curves and the expected calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import plot
from fastnn.metrics import expected_calibration_error, reliability_curve


def predictions(seed=0, n=500, k=4):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k) * 0.7, n)
    return p, rng.integers(0, k, n)


def test_classes_drawn_from_the_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 200_000)
    labels = (p.cumsum(axis=1) > rng.random((200_000, 1))).argmax(axis=1)
    assert expected_calibration_error(p, labels) < 0.005


def test_error_of_one_bin_is_confidence_minus_accuracy():
    p, labels = predictions()
    expected = abs(p.max(axis=1).mean() - np.mean(p.argmax(axis=1) == labels))
    assert expected_calibration_error(p, labels, bins=1) == pytest.approx(expected)


def test_a_case_by_hand():
    p = [[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [0.35, 0.65]]
    # Bin (0.5, 0.75]: confidences 0.7, 0.6, 0.65, of which two are right; (0.75, 1]: 0.9, wrong.
    curve = reliability_curve(p, [1, 0, 1, 0], bins=4)
    assert curve.counts.tolist() == [0, 0, 3, 1]
    assert curve.confidence[2:] == pytest.approx([0.65, 0.9])
    assert curve.accuracy[2:] == pytest.approx([2 / 3, 0.0])
    assert np.isnan(curve.accuracy[:2]).all()
    error = expected_calibration_error(p, [1, 0, 1, 0], bins=4)
    assert error == pytest.approx(0.75 * (2 / 3 - 0.65) + 0.25 * 0.9)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 100))
def test_binary_curve_is_scikit_learns(bins, seed):
    calibration = pytest.importorskip("sklearn.calibration")
    rng = np.random.default_rng(seed)
    p, labels = rng.random(200).round(2), rng.integers(0, 2, 200)
    share, mean = calibration.calibration_curve(labels, p, n_bins=bins)
    curve = reliability_curve(p, labels, bins)
    seen = curve.counts > 0
    assert curve.accuracy[seen] == pytest.approx(share)
    assert curve.confidence[seen] == pytest.approx(mean)


def test_column_is_a_binary_classifier():
    p, labels = np.array([0.2, 0.7, 0.9]), np.array([0, 1, 0])
    flat, column = reliability_curve(p, labels), reliability_curve(p[:, None], labels[:, None])
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(flat, column, strict=True))


def test_zero_and_one_are_in_the_first_and_the_last_bin():
    assert reliability_curve([0.0, 1.0, 0.5], [0, 1, 1], bins=2).counts.tolist() == [2, 1]


def test_single_precision_sums_are_probabilities():
    p, labels = predictions(k=100)
    found = expected_calibration_error(p.astype(np.float32), labels)
    assert found == pytest.approx(expected_calibration_error(p, labels), abs=1e-6)


def test_arguments_stay_as_they_are():
    p, labels = predictions()
    before = p.copy()
    expected_calibration_error(p, labels)
    assert np.array_equal(p, before)


@pytest.mark.parametrize(
    ("p", "labels", "message"),
    [
        (
            [[2.0, -1.0]],
            [0],
            r"probabilities must be within \[0, 1\], got probabilities\[0, 0\] = 2.0",
        ),
        ([[0.5, 0.2]], [0], "row 0 of probabilities sums to 0.7"),
        ([[0.5, np.nan]], [0], r"probabilities must be finite, got probabilities\[0, 1\] = nan"),
        ([[0.5, 0.5]], [2], r"labels must be integers from 0 to 1, got labels\[0\] = 2"),
        ([[0.5, 0.5]], [0.5], r"labels must be integers from 0 to 1, got labels\[0\] = 0.5"),
        ([[0.5, 0.5]], [0, 1], "labels must have shape"),
        ([0.5, 0.5], [0, 2], r"labels must be integers from 0 to 1, got labels\[1\] = 2"),
        ([], [], "N > 0"),
        ([[[0.5]]], [0], "must have shape .N, K. or .N,."),
    ],
)
def test_bad_input_is_named(p, labels, message):
    with pytest.raises(ValueError, match=message):
        reliability_curve(p, labels)


def test_bins_are_checked():
    with pytest.raises(ValueError, match="bins must be an integer >= 1"):
        expected_calibration_error([0.5], [1], bins=0)


def test_diagram_has_a_bar_for_each_bin_in_use(tmp_path):
    pytest.importorskip("matplotlib")
    p, labels = predictions()
    figure = plot.reliability(p, labels, 10, path=tmp_path / "reliability.png")
    axes = figure.axes[0]
    curve = reliability_curve(p, labels, 10)
    heights = [bar.get_height() for bar in axes.containers[0]]
    assert heights == pytest.approx(curve.accuracy[curve.counts > 0])
    tops = [bar.get_y() + bar.get_height() for bar in axes.containers[1]]
    assert tops == pytest.approx(curve.confidence[curve.counts > 0])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("confidence", "accuracy")
    assert f"{expected_calibration_error(p, labels, 10):.3f}" in axes.get_title()
    assert (tmp_path / "reliability.png").stat().st_size > 1000
