"""Calls of all kernels, as lists of their results, for tests that compare bits.

A call takes kernels, a source of random numbers, the width of rows and the dtype.
"""

from __future__ import annotations

import numpy as np

from fastnn.facts.losses import ElementOptions
from fastnn.facts.updates import UPDATES
from fastnn.program import ACTIVATIONS, LOSSES

VARIED_SHIFTS = 21  # two vectors of float32 and some
N_ROWS = 19  # 16 that short rows may share a pass, and some beside


def logits(rng, shape, dtype):
    """Logits over many magnitudes, with ties, some infinite, and a nan in large ones."""
    magnitudes = np.array([0.01, 0.1, 1.0, 10.0, 100.0])  # powers are not the same everywhere
    z = (rng.standard_normal(shape) * magnitudes[rng.integers(0, 5, shape)]).astype(dtype)
    z[-1] = z[-1, 0]
    if shape[1] > 2:
        z[0, 1] = -np.inf
    if shape[1] > 100:
        z[1, 50] = np.inf
        z[2, 99] = np.nan
    return z


def normalizers(kernels, rng, width, dtype):
    z = logits(rng, (N_ROWS, width), dtype)
    d = rng.standard_normal(z.shape).astype(dtype)
    total, p, log_p, dz, dz_log = (np.empty(N_ROWS, dtype), *(np.empty_like(z) for _ in range(4)))
    kernels.logsumexp(z, total)
    kernels.softmax(z, p)
    kernels.log_softmax(z, log_p)
    kernels.softmax_backward(p, d, dz)
    kernels.log_softmax_backward(log_p, d, dz_log)
    return total, p, log_p, dz, dz_log


def layer_norm(kernels, rng, width, dtype):
    x = logits(rng, (N_ROWS, width), dtype)
    scale, shift = rng.standard_normal((2, width)).astype(dtype)
    results = []
    for vectors in ((None, None), (scale, None), (None, shift), (scale, shift)):
        results.append(np.empty_like(x))
        kernels.layer_norm(x, *vectors, 1e-5, results[-1])
    return results


def cross_entropy(kernels, rng, width, dtype):
    z = logits(rng, (N_ROWS, width), dtype)
    labels = rng.integers(0, width, N_ROWS)
    targets = rng.random(z.shape).astype(dtype)
    weights = rng.random(N_ROWS).astype(dtype)
    class_weights = rng.random(width).astype(dtype)
    results = []
    for smoothing in (0.0, 0.1):
        losses, gradient = np.empty(N_ROWS, dtype), np.empty_like(z)
        total = kernels.cross_entropy_labels(
            z, labels, weights, class_weights, smoothing, None, "mean", losses, gradient
        )
        results += [total, losses, gradient]
        losses, gradient = np.empty(N_ROWS, dtype), np.empty_like(z)
        total = kernels.cross_entropy_rows(
            z, targets, weights, class_weights, smoothing, "sum", losses, gradient
        )
        results += [total, losses, gradient]
    return results


def elementwise_losses(kernels, rng, width, dtype):
    prediction = logits(rng, (N_ROWS, width), dtype)
    target = rng.random(prediction.shape).astype(dtype)
    target[rng.random(target.shape) < 0.2] = np.nan
    class_weights = np.array([0.5, 2], dtype)
    results = []
    for name in LOSSES[1:]:
        weights = class_weights if name == "binary_cross_entropy" else None
        options = ElementOptions(0.1, np.nan, weights)
        for losses in (np.empty_like(prediction), None):
            gradient = np.empty_like(prediction)
            total = kernels.elementwise_loss(
                name, prediction, target, None, options, "mean", losses, gradient
            )
            results += [total, gradient] if losses is None else [total, gradient, losses]
    return results


def updates(kernels, rng, width, dtype):
    results = []
    for name, l2, numbers in (
        *((row.name, 0.01, row.defaults) for row in UPDATES.values()),
        ("momentum", 0.0, {"momentum": 0.9, "nesterov": 1.0, "dampening": 0.0}),
        ("adam", 0.0, {**UPDATES["adam"].defaults, "bias_correction": 0.0}),
    ):
        numbers = {key: 0.1 if key == "weight_decay" else value for key, value in numbers.items()}
        n_arrays = 2 + len(UPDATES[name].slots)
        p, g, *slots = (rng.random(width).astype(dtype) for _ in range(n_arrays))
        kernels.update(name, p, g, slots, 3, 0.01, numbers, l2)
        results += [p, *slots]
    g = rng.standard_normal(width).astype(dtype)
    results += [kernels.clip_by_norm(g, 0.5), g]
    return results


def elementary(kernels, rng, width, dtype):
    x = logits(rng, (N_ROWS, width), dtype)[0]
    results = []
    for function in (kernels.exp, kernels.expm1, kernels.log, kernels.log1p):
        results.append(np.empty_like(x))
        function(x, results[-1])
    for name in ACTIVATIONS:
        for function in (kernels.activation, kernels.activation_derivative):
            results.append(np.empty_like(x))
            function(name, x, 0.3, results[-1])
    return results


def dense(kernels, rng, width, dtype):
    x = rng.standard_normal((N_ROWS, width)).astype(dtype)
    results = []
    for n_out in (1, 16, 37):
        weight = rng.standard_normal((width, n_out)).astype(dtype)
        bias = rng.standard_normal(n_out).astype(dtype)
        dy = rng.standard_normal((N_ROWS, n_out)).astype(dtype)
        z, out, dz, dx, dweight, dbias = (np.empty_like(a) for a in (dy, dy, dy, x, weight, bias))
        kernels.dense_forward(x, weight, bias, "tanh", 1.0, z, out)
        kernels.dense_backward(x, weight, z, dy, "tanh", 1.0, dz, dx, dweight, dbias)
        results += [z, out, dz, dx, dweight, dbias]
    return results


def dropout(kernels, rng, width, dtype):
    x = rng.standard_normal((N_ROWS, width)).astype(dtype)
    results = []
    for rate in (0.0, 0.1, 0.5, 1 - 2**-20):
        results.append(np.empty_like(x))
        kernels.dropout(x, rate, 0xDEADBEEF, 7, results[-1])
    return results


def durbin_watson(kernels, rng, width, dtype):
    x = rng.standard_normal((2, width + 3, 3)).astype(dtype)
    columns = rng.standard_normal((N_ROWS, min(width, 9))).astype(dtype)
    shifts = (rng.standard_normal((VARIED_SHIFTS, 2)) + 2).astype(dtype)
    results = []
    for lag in (1, 3):
        results.append(np.empty((2, 2, 3)))
        kernels.squared_differences(x, lag, results[-1])
        results.append(np.empty((len(shifts), *2 * columns.shape[1:], 2), dtype))
        kernels.difference_resolvent(columns, lag, shifts, results[-1])
    return results


def least_squares(kernels, rng, width, dtype):
    rows = rng.standard_normal((width + 9, min(width, 9) + 1))
    q = rows.shape[1]
    high, low = np.zeros((2, q, q))
    kernels.add_gram(rows, high, low)
    factor = np.linalg.qr(rows[:, :-1])
    root = np.ascontiguousarray(np.linalg.inv(factor.R))
    b = np.ascontiguousarray(root @ (factor.Q.T @ rows[:, -1:]))
    results = [b, np.empty((q - 1, q - 1)), np.empty(1)]
    assert kernels.correct_least_squares(high, low, root, *results)
    return [high, low, *results]


CALLS = (
    normalizers, layer_norm, cross_entropy, elementwise_losses, updates, elementary, dense, dropout,
    durbin_watson, least_squares,
)  # fmt: skip
