"""Messages of numbers that are not finite name check_finite only where there is one."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import fastnn as fnn
from fastnn.stats import residual_report

X = np.random.default_rng(0).normal(size=(20, 3))
Y = X[:, :1] + 1
BAD = X.copy()
BAD[4, 1] = np.nan


def network():
    net = fnn.Sequential([fnn.Dense(3, 1)])
    net.compile("mean_squared_error")
    return net


def ensemble():
    return fnn.Ensemble(network(), 2)


WITHOUT = {
    "Network.score": (fnn.Network.score, lambda: network().score(BAD, Y)),
    "Ensemble.score": (fnn.Ensemble.score, lambda: ensemble().score(BAD, Y)),
    "check_gradients": (fnn.check_gradients, lambda: fnn.check_gradients(network(), BAD, Y)),
    "residual_report": (residual_report, lambda: residual_report(network(), BAD, Y)),
}
WITH = {
    "predict": (fnn.Network.predict, lambda: network().predict(BAD)),
    "fit": (fnn.Network.fit, lambda: network().fit(BAD, Y)),
    "evaluate": (fnn.Network.evaluate, lambda: network().evaluate(BAD, Y)),
    "trace": (fnn.Network.trace, lambda: network().trace(BAD, Y)),
    "Ensemble.evaluate": (fnn.Ensemble.evaluate, lambda: ensemble().evaluate(BAD, Y)),
}


@pytest.mark.parametrize(("function", "call"), WITHOUT.values(), ids=WITHOUT)
def test_functions_without_check_finite_do_not_mention_it(backend, function, call):
    assert "check_finite" not in inspect.signature(function).parameters
    with pytest.raises(ValueError, match=r"^X must be finite, got X\[4, 1\] = nan$"):
        call()


@pytest.mark.parametrize(("function", "call"), WITH.values(), ids=WITH)
def test_functions_with_check_finite_say_how_to_allow_it(backend, function, call):
    assert "check_finite" in inspect.signature(function).parameters
    with pytest.raises(
        ValueError,
        match=r"^X must be finite, got X\[4, 1\] = nan; pass check_finite=False to allow it$",
    ):
        call()
