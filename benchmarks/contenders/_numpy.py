"""NumPy: the formula as people write it, and the same formula in place, without temporaries."""

from __future__ import annotations

import numpy as np

from benchmarks.works import SLOPE, Work, array, labels, regression

from ._base import Contender, Job, Setting


class NumPy(Contender):
    def __init__(self, setting: Setting) -> None:
        self.version = np.__version__

    def cross_entropy(self, work: Work):
        z, y = array(work), labels(work)
        rows, g = np.arange(len(z)), np.empty_like(z)

        def expression():
            shifted = z - z.max(axis=1, keepdims=True)
            e = np.exp(shifted)
            sums = e.sum(axis=1, keepdims=True)
            loss = np.mean(np.log(sums[:, 0]) - shifted[rows, y])
            e /= sums
            e[rows, y] -= 1
            e /= len(z)
            return loss, e

        def in_place():
            np.subtract(z, z.max(axis=1, keepdims=True), out=g)
            picked = g[rows, y]
            np.exp(g, out=g)
            sums = g.sum(axis=1, keepdims=True)
            loss = np.mean(np.log(sums[:, 0]) - picked)
            np.multiply(g, 1 / (sums * len(z)), out=g)
            g[rows, y] -= z.dtype.type(1 / len(z))
            return loss, g

        return [Job("expression", expression), Job("in place", in_place)]

    def logsumexp(self, work: Work):
        z = array(work)
        scratch = np.empty_like(z)

        def in_place():
            greatest = z.max(axis=1, keepdims=True)
            np.subtract(z, greatest, out=scratch)
            np.exp(scratch, out=scratch)
            return np.log(scratch.sum(axis=1)) + greatest[:, 0]

        return [Job("in place", in_place)]

    def durbin_watson(self, work: Work):
        e = array(work)

        def expression():
            return np.sum(np.diff(e, axis=0) ** 2, axis=0) / np.sum(e**2, axis=0)

        return [Job("expression", expression)]

    def least_squares(self, work: Work):
        x, y = regression(work)
        return [Job("lstsq", lambda: np.linalg.lstsq(_with_ones(x), y)[0])]

    def linear_regression(self, work: Work):
        x, y = regression(work)

        def by_qr():
            Q, R = np.linalg.qr(_with_ones(x))
            b = np.linalg.solve(R, Q.T @ y)
            variance = np.sum((y - _with_ones(x) @ b) ** 2) / (len(y) - len(b))
            return b, np.sqrt(variance * np.sum(np.linalg.inv(R) ** 2, axis=1))

        return [Job("qr", by_qr)]

    def function(self, work: Work):
        x = array(work)
        return _jobs(x, _EXPRESSIONS.get(work.activation), _IN_PLACE.get(work.activation))

    def derivative(self, work: Work):
        x = array(work)
        return _jobs(x, _DERIVATIVES.get(work.activation), _DERIVATIVES_IN_PLACE[work.activation])


def _with_ones(x):
    return np.column_stack([np.ones(len(x)), x])


def _jobs(x, expression, in_place):
    """Jobs of a function of x and of one of (x, out); either may be None."""
    out = np.empty_like(x)
    jobs = [] if expression is None else [Job("expression", lambda: expression(x))]
    return jobs + ([] if in_place is None else [Job("in place", lambda: in_place(x, out))])


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _sigmoid_derivative(x):
    s = _sigmoid(x)
    return s * (1 - s)


def _swish_derivative(x):
    s = _sigmoid(x)
    return s * (1 + x * (1 - s))


def _hard_swish_derivative(x):
    return np.where(x <= -3, 0, np.where(x >= 3, 1, (2 * x + 3) / 6)).astype(x.dtype)


_EXPRESSIONS = {
    "sigmoid": _sigmoid,
    "swish": lambda x: x / (1 + np.exp(-x)),
    "leaky_relu": lambda x: np.where(x > 0, x, SLOPE * x),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
}
_DERIVATIVES = {
    "sigmoid": _sigmoid_derivative,
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
    "swish": _swish_derivative,
    "relu": lambda x: (x > 0).astype(x.dtype),
    "leaky_relu": lambda x: np.where(x > 0, 1, SLOPE).astype(x.dtype),
    "hard_swish": _hard_swish_derivative,
}


def _sigmoid_in_place(x, out):
    np.negative(x, out=out)
    np.exp(out, out=out)
    out += 1
    return np.reciprocal(out, out=out)


def _swish_in_place(x, out):
    np.negative(x, out=out)
    np.exp(out, out=out)
    out += 1
    return np.divide(x, out, out=out)


def _leaky_relu_in_place(x, out):
    np.multiply(x, SLOPE, out=out)
    return np.maximum(x, out, out=out)


def _hard_swish_in_place(x, out):
    np.add(x, 3, out=out)
    np.clip(out, 0, 6, out=out)
    out *= 1 / 6
    out *= x
    return out


_IN_PLACE = {
    "exp": lambda x, out: np.exp(x, out=out),
    "tanh": lambda x, out: np.tanh(x, out=out),
    "relu": lambda x, out: np.maximum(x, 0, out=out),
    "sigmoid": _sigmoid_in_place,
    "swish": _swish_in_place,
    "leaky_relu": _leaky_relu_in_place,
    "hard_swish": _hard_swish_in_place,
}


def _sigmoid_derivative_in_place(x, out):
    s = _sigmoid_in_place(x, out)
    return np.subtract(s, s * s, out=out)


def _tanh_derivative_in_place(x, out):
    np.tanh(x, out=out)
    out *= out
    return np.subtract(1, out, out=out)


def _swish_derivative_in_place(x, out):
    s = _sigmoid_in_place(x, out)
    rest = 1 - s
    rest *= x
    rest += 1
    return np.multiply(s, rest, out=out)


def _hard_swish_derivative_in_place(x, out):
    np.multiply(x, 1 / 3, out=out)
    out += 0.5
    out *= np.abs(x) < 3  # boolean indices would be ten times slower
    out += x >= 3
    return out


def _relu_derivative_in_place(x, out):
    return np.greater(x, 0, out=out, casting="unsafe")


def _leaky_relu_derivative_in_place(x, out):
    np.greater(x, 0, out=out, casting="unsafe")
    out *= 1 - SLOPE
    out += SLOPE
    return out


_DERIVATIVES_IN_PLACE = {
    "sigmoid": _sigmoid_derivative_in_place,
    "tanh": _tanh_derivative_in_place,
    "swish": _swish_derivative_in_place,
    "relu": _relu_derivative_in_place,
    "leaky_relu": _leaky_relu_derivative_in_place,
    "hard_swish": _hard_swish_derivative_in_place,
}

contender = NumPy
