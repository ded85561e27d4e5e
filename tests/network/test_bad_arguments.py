"""Mistaken arguments of what looks into networks: clear errors, and nothing is changed by them."""

from __future__ import annotations

import numpy as np
import pytest
from networks import classifier, flowers

import fastnn as fnn
from fastnn import optimizers, plot

X, Y = flowers(np.random.default_rng(0), 20)

USES = {
    "trace": lambda net, X, y, **options: net.trace(X, y, **options),
    "layer_statistics": lambda net, X, y, **options: net.layer_statistics(X, y, **options),
    "check_gradients": lambda net, X, y, **options: fnn.check_gradients(net, X, y, **options),
    "input_gradients": lambda net, X, y, **options: net.input_gradients(X, **options),
    "parameter_jacobian": lambda net, X, y, **options: net.parameter_jacobian(X, **options),
    "predict_samples": lambda net, X, y, **options: net.predict_samples(X, n_samples=3, **options),
    "Ensemble.fit": lambda net, X, y, **options: fnn.Ensemble(net, 2).fit(X, y, **options),
    "Ensemble.predict": lambda net, X, y, **options: fnn.Ensemble(net, 2).predict(X, **options),
}
WITH_TARGETS = ["trace", "layer_statistics", "check_gradients", "Ensemble.fit"]
CHECKING = sorted(USES.keys() - {"check_gradients"})


def refused(use, error, message, X=X, y=Y, **options):
    """The use raises this error, and leaves the network and the arrays alone."""
    net = classifier(dropout=0.5)
    before = net.get_state(), net.summary()
    arrays = [a for a in (X, y) if isinstance(a, np.ndarray)]
    copies = [a.copy() for a in arrays]
    with pytest.raises(error, match=message):
        USES[use](net, X, y, **options)
    np.testing.assert_equal((net.get_state(), net.summary()), before)
    np.testing.assert_equal(arrays, copies)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (None, TypeError, "X must hold real numbers, got NoneType"),
        (X[:, :3], ValueError, r"X must have shape \(N, 4\), got \(20, 3\)"),
        (X[:0], ValueError, "X must have at least one row"),
        (X + 1j, TypeError, "X must hold real numbers, got dtype complex128"),
        (X * np.nan, ValueError, r"X must be finite, got X\[0, 0\] = nan"),
        ({"z": X}, ValueError, "X has 'z', expected 'input_1'"),
    ],
    ids=["none", "width", "empty", "complex", "nan", "name"],
)
def test_unfit_inputs_are_named(backend, use, bad, error, message):
    refused(use, error, message, X=bad)


@pytest.mark.parametrize("use", WITH_TARGETS)
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (None, TypeError, "y must hold real numbers, got NoneType"),
        (Y[:3], ValueError, "y must have 20 rows as X has, got 3"),
        (Y + 5, ValueError, r"y must be integers from 0 to 2, got y\[0\] = \d"),
        (Y + 0.5, ValueError, r"y must be integer labels or rows \(N, 3\), got y\[0\] = \d.5"),
    ],
    ids=["none", "short", "range", "fraction"],
)
def test_unfit_targets_are_named(backend, use, bad, error, message):
    refused(use, error, message, y=bad)


@pytest.mark.parametrize("use", WITH_TARGETS)
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (
            -np.ones(20),
            ValueError,
            r"sample_weight must be finite and >= 0, got sample_weight\[0\] = -1",
        ),
        (np.ones(3), ValueError, r"sample_weight must have shape \(20,\), got \(3,\)"),
        ("a", TypeError, "sample_weight must hold real numbers, got str"),
    ],
    ids=["negative", "short", "text"],
)
def test_unfit_weights_are_named(backend, use, bad, error, message):
    refused(use, error, message, sample_weight=bad)


@pytest.mark.parametrize("use", CHECKING)
def test_check_finite_is_a_flag(use):
    refused(use, TypeError, "check_finite must be True or False, got 'no'", check_finite="no")


@pytest.mark.parametrize("use", ["input_gradients", "parameter_jacobian"])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"output": "z"}, ValueError, "output is 'z', but the network has 'dense_2'"),
        ({"column": 3}, ValueError, "column must be an integer from 0 to 2, got 3"),
        ({"column": 1.5}, TypeError, "column must be an integer, got float"),
    ],
)
def test_columns_that_there_are_not_are_named(use, options, error, message):
    refused(use, error, message, **options)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (3, TypeError, "function_with_gradient must be callable, got int"),
        (lambda x: x.sum(), TypeError, r"must return \(value, gradient\), got float64"),
        (lambda x: (1.0, None), TypeError, "gradient must hold real numbers, got NoneType"),
        (lambda x: (1.0, 1j * x), TypeError, "must hold real numbers, got dtype complex128"),
        (lambda x: (1.0, x[:1]), ValueError, r"shape of x0, \(2,\), got \(1,\)"),
        (lambda x: (1.0, x / 0), FloatingPointError, "gradient at step 1 is not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_minimize_says_what_a_function_must_return(backend, function, error, message):
    with pytest.raises(error, match=message):
        optimizers.minimize(function, [1.0, 2.0], "sgd", 3)


def test_a_function_to_check_must_be_one():
    with pytest.raises(TypeError, match="function must be callable, got str"):
        fnn.check_gradient("sum", [1.0])


def test_a_learning_curve_needs_a_mapping():
    pytest.importorskip("matplotlib")
    with pytest.raises(TypeError, match="history must be a mapping, got int"):
        plot.learning_curve(3)
