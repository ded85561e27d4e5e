"""Balanced class weights: all classes weigh the same."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import fastnn as fnn
from fastnn.losses import BinaryCrossEntropy, CrossEntropy, CustomLoss
from fastnn.network._feed import balanced

LABELS = np.repeat([0, 1, 2], [30, 9, 3])
COUNTS = np.array([30.0, 9.0, 3.0])


def network(loss, n_out):
    net = fnn.Sequential([fnn.Dense(2, n_out)], dtype="float64", seed=3)
    net.compile(loss, fnn.Adam(0.1))
    return net


def trained(loss, n_out, y, class_weight, **options):
    X = np.random.default_rng(1).normal(size=(len(y), 2))
    net = network(loss, n_out)
    net.fit(X, y, epochs=2, class_weight=class_weight, **options)
    return net.get_flat()


def test_the_weights_are_scikit_learns():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(balanced(COUNTS), expected, rtol=1e-14)


def test_a_class_that_does_not_occur_is_not_counted():
    np.testing.assert_allclose(balanced(np.array([3.0, 0.0, 1.0])), [4 / 6, 1.0, 4 / 2])


def test_no_class_at_all_leaves_the_weights_at_1():
    assert balanced(np.zeros(2)) == [1.0, 1.0]


def test_labels_are_balanced(backend):
    weights = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    found = trained("cross_entropy", 3, LABELS, "balanced")
    np.testing.assert_allclose(found, trained("cross_entropy", 3, LABELS, weights), rtol=1e-12)


def test_one_hot_rows_are_balanced_as_their_labels(backend):
    found = trained("cross_entropy", 3, np.eye(3)[LABELS], "balanced")
    labels = trained("cross_entropy", 3, LABELS, "balanced")
    np.testing.assert_allclose(found, labels, rtol=1e-12)


def test_binary_targets_are_balanced(backend):
    y = (LABELS > 0).astype(float)
    weights = compute_class_weight("balanced", classes=np.arange(2), y=y)
    found = trained("binary_cross_entropy", 1, y, "balanced")
    expected = trained("binary_cross_entropy", 1, y, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "target", "width", "counts"),
    [
        (CrossEntropy(ignore_index=-1), np.where(LABELS == 1, -1, LABELS), 3, [30, 0, 3]),
        (CrossEntropy(ignore_nan=True), np.array([[1, 0], [np.nan, 1], [0, 1.0]]), 2, [1, 1]),
        (BinaryCrossEntropy(ignore_value=np.nan), np.array([[1.0], [np.nan], [0.25]]), 1,
         [0.75, 1.25]),
        (CustomLoss(print, "labels", activation="softmax"), LABELS, 3, COUNTS),
    ],
)  # fmt: skip
def test_counts_of_classes_leave_ignored_targets_out(loss, target, width, counts):
    np.testing.assert_allclose(loss.class_counts(target, width), counts)


def test_the_counts_are_those_of_the_rows_to_train_on(backend):
    y = np.r_[LABELS[::2], np.zeros(21, int)]
    weights = compute_class_weight("balanced", classes=np.arange(3), y=LABELS[::2])
    options = {"validation_split": 0.5, "shuffle": False}
    found = trained("cross_entropy", 3, y, "balanced", **options)
    expected = trained("cross_entropy", 3, y, weights, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("loss", ["mean_squared_error", CustomLoss(print)])
def test_a_regression_has_no_classes_to_balance(loss):
    with pytest.raises(ValueError, match="class_weight needs a classification loss"):
        trained(loss, 1, np.ones(4), "balanced")


def test_several_questions_cannot_be_balanced():
    with pytest.raises(ValueError, match="needs an output of one column"):
        trained("binary_cross_entropy", 2, np.ones((4, 2)), "balanced")
