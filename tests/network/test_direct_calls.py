"""Direct calls: their results, when they decline, and that code of users runs once."""

from __future__ import annotations

import numpy as np
import pytest
from networks import classifier, flowers

import fastnn as fnn
from fastnn.training.state import TrainingError

X, LABELS = flowers(np.random.default_rng(0), 20)


def custom(loss, dtype="float64"):
    """A network with a custom loss, and targets for it."""
    net = fnn.Sequential([fnn.Dense(4, 3)], dtype=dtype)
    net.compile(loss)
    return net


class Loss:
    """A custom loss that counts its calls, and raises or returns something bad."""

    def __init__(self, error=None, value=0.0):
        self.error, self.value, self.calls = error, value, 0

    def __call__(self, output, target):
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self.value, np.zeros_like(output)


TARGETS = np.zeros((20, 3))
CALLS = {
    "train_step": lambda net: net.train_step(X, TARGETS),
    "loss_and_gradients": lambda net: net.loss_and_gradients(X, TARGETS),
}


@pytest.mark.parametrize("error", [ValueError("mine"), TypeError("mine"), RuntimeError("mine")])
@pytest.mark.parametrize("call", CALLS)
def test_error_of_a_custom_loss_arrives_after_one_call(backend, call, error):
    loss = Loss(error)
    with pytest.raises(type(error), match="mine"):
        CALLS[call](custom(loss))
    assert loss.calls == 1


@pytest.mark.parametrize("call", CALLS)
def test_custom_loss_is_called_once_in_a_step(backend, call):
    loss = Loss()
    CALLS[call](custom(loss))
    assert loss.calls == 1


def test_custom_loss_that_is_nan_is_called_once(backend):
    loss = Loss(value=np.nan)
    with pytest.raises(TrainingError, match="the loss became nan"):
        custom(loss).train_step(X, TARGETS)
    assert loss.calls == 1


def test_direct_gradients_are_those_of_prepared_data(backend, dtype):
    net = classifier(dtype, dropout=0.3)
    direct = net.loss_and_gradients(X, LABELS, training=True)
    prepared = net.loss_and_gradients(X.tolist(), LABELS.tolist(), training=True)
    assert direct[0] == prepared[0]
    np.testing.assert_equal(direct[1], prepared[1])


UNFIT = {
    "a list": (X.tolist(), LABELS),
    "another width": (X[:, :3], LABELS),
    "other numbers of rows": (X[:10], LABELS),
    "a column of labels": (X, LABELS[:, None]),
    "real labels": (X, LABELS.astype(float)),
    "swapped bytes": (X.astype(">f8"), LABELS),
    "no rows": (X[:0], LABELS[:0]),
    "nan": (np.where(X > 0, X, np.nan), LABELS),
    "labels that are no classes": (X, LABELS + 1),
}
DIRECT = {
    "direct_step": lambda engine, x, y, check: engine.direct_step(x, y, 0.1, 1, check),
    "direct_gradients": lambda engine, x, y, check: engine.direct_gradients(x, y, False, 1, check),
}


@pytest.mark.parametrize("name", UNFIT)
@pytest.mark.parametrize("call", DIRECT)
def test_direct_call_declines_without_a_change(backend, call, name):
    net = classifier()
    before = net.get_state()
    assert DIRECT[call](net.core.engine, *UNFIT[name], True) is None
    np.testing.assert_equal(net.get_state(), before)


@pytest.mark.parametrize("x", [X.tolist(), X[:, :3], X[:0], X.astype(">f8"), X * np.nan])
def test_direct_prediction_declines(backend, x):
    assert classifier().core.engine.direct_predict(x, True) is None


@pytest.mark.parametrize("call", DIRECT)
def test_direct_call_leaves_a_flag_that_is_no_bool_to_python(backend, call):
    assert DIRECT[call](classifier().core.engine, X, LABELS, 1) is None


def test_reference_declines_everything():
    with fnn.backend.use("reference"):
        engine = classifier().core.engine
    assert engine.direct_predict(X) is None
    assert engine.direct_step(X, LABELS, 0.1, 1) is None
    assert engine.direct_gradients(X, LABELS) is None


# ------------------------------------------------------------------------ weights

WEIGHTS = np.random.default_rng(5).uniform(0, 2, len(X))
UNFIT_WEIGHTS = {
    "a list": WEIGHTS.tolist(),
    "another length": WEIGHTS[:10],
    "negative": -WEIGHTS,
    "nan": np.where(WEIGHTS > 1, WEIGHTS, np.nan),
    "integers": WEIGHTS.astype(int),
    "all zero": np.zeros(len(X)),
    "strided": np.repeat(WEIGHTS, 2)[::2],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", ["float32", "float64"])
def test_weighted_step_is_that_of_prepared_weights(backend, dtype, given):
    weights = WEIGHTS.astype(given)
    direct, prepared = classifier(dtype), classifier(dtype)
    x = X.astype(dtype)
    losses = [
        direct.train_step(x, LABELS, weights),
        prepared.train_step(x, LABELS, weights.tolist()),
    ]
    assert losses[0] == losses[1]
    np.testing.assert_equal(direct.get_state(), prepared.get_state())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weighted_gradients_are_those_of_prepared_weights(backend, dtype):
    net = classifier(dtype)
    direct = net.loss_and_gradients(X.astype(dtype), LABELS, WEIGHTS)
    np.testing.assert_equal(
        direct, net.loss_and_gradients(X.astype(dtype), LABELS, WEIGHTS.tolist())
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weighted_calls_are_direct(dtype):
    if "compiled" not in fnn.backend.available():
        pytest.skip("no compiled core")
    with fnn.backend.use("compiled"):
        engine = classifier(dtype).core.engine
    assert engine.direct_step(X, LABELS, 0.1, 1, True, None, WEIGHTS) is not None
    assert engine.direct_gradients(X, LABELS, False, 1, True, WEIGHTS) is not None


@pytest.mark.parametrize("name", UNFIT_WEIGHTS)
def test_other_weights_are_declined_without_a_change(backend, name):
    net = classifier()
    before = net.get_state()
    engine = net.core.engine
    assert engine.direct_step(X, LABELS, 0.1, 1, True, None, UNFIT_WEIGHTS[name]) is None
    assert engine.direct_gradients(X, LABELS, False, 1, True, UNFIT_WEIGHTS[name]) is None
    np.testing.assert_equal(net.get_state(), before)


def test_weights_that_float32_cannot_hold_are_declined(backend):
    engine = classifier("float32").core.engine
    for weight in (1e-50, 1e39):
        weights = np.where(WEIGHTS > 1, WEIGHTS, weight)
        assert engine.direct_step(X, LABELS, 0.1, 1, True, None, weights) is None


def test_a_direct_step_counts_itself():
    if "compiled" not in fnn.backend.available():
        pytest.skip("no compiled core")
    with fnn.backend.use("compiled"):
        core = classifier().core
    core.engine.direct_step(X, LABELS, 0.1, 1, True, core.state)
    assert core.state.step == 1


@pytest.mark.parametrize("x", [X, X[0]], ids=["rows", "a row"])
def test_direct_probabilities_are_those_of_prepared_rows(backend, x):
    net = classifier()
    np.testing.assert_array_equal(net.predict_proba(x), net.predict_proba(x.tolist()))
