"""Random networks of everything a network may have: what must hold for each of them.

Shared layers, merges, normalisation, dropout, a trained beta, frozen and custom layers; several
heads with built-in and custom losses, missing targets, weights; penalties and clipping.
"""

from __future__ import annotations

import numpy as np
import pytest
from custom_layers import Bilinear, Centering, RadialBasis

import fastnn as fnn
from fastnn import backend as backends
from fastnn.losses import CrossEntropy, CustomLoss, Huber, Quantile

SEEDS = range(24)
ROWS = (1, 3, 16, 33, 129)
each_network = pytest.mark.parametrize("seed", SEEDS)
needs_compiled = pytest.mark.skipif(
    "compiled" not in backends.available(), reason="nothing compiled here"
)


def squared(output, target, weight):
    difference = output - target
    norm = weight.sum() * output.shape[1]
    return (weight[:, None] * difference**2).sum() / norm, 2 * weight[:, None] * difference / norm


LOSSES = {
    "labels": lambda: "cross_entropy",
    "smoothed": lambda: CrossEntropy(0.1),
    "binary": lambda: "binary_cross_entropy",
    "squared": lambda: "mean_squared_error",
    "huber": lambda: Huber(0.7),
    "quantile": lambda: Quantile(0.3),
    "custom": lambda: CustomLoss(squared, weighted=True),
}


def trunk(rng, inputs, width, calls):
    """A node of the given width that all inputs reach, by way of random layers."""
    nodes = [fnn.Dense(x.width, width, "tanh")(x) for x in inputs]
    shared = fnn.Dense(width, width, "relu", name="shared")
    swish = fnn.Swish(0.8, trainable_beta=True, name="swish")
    of_one = [
        shared,
        shared,
        swish,
        lambda x: fnn.Dense(width, width, "softplus", trainable=False)(x),
        lambda x: fnn.LayerNorm(width)(x),
        lambda x: fnn.Dropout(0.3)(x),
    ]
    of_two = [
        lambda a, b: fnn.Multiply()([fnn.Tanh()(a), b]),
        lambda a, b: fnn.AbsDifference()([a, b]),
        lambda a, b: fnn.Dense(2 * width, width, "sigmoid")(fnn.Concatenate()([a, b])),
    ]
    if calls:
        of_one += [lambda x: Centering()(x), lambda x: RadialBasis(width, width)(x)]
        of_two += [lambda a, b: Bilinear(width)([fnn.Tanh()(a), b])]
    for _ in range(rng.integers(2, 8)):
        a, b = rng.integers(len(nodes), size=2)
        if a != b and rng.integers(2):
            nodes.append(of_two[rng.integers(len(of_two))](nodes[a], nodes[b]))
        else:
            nodes.append(of_one[rng.integers(len(of_one))](nodes[-1]))
    return fnn.Average()(nodes)


def target(rng, kind, n_rows, width, missing):
    """Targets for a head, two of five missing."""
    if kind in ("labels", "smoothed"):
        y = rng.integers(0, width, n_rows).astype(float)
    elif kind == "binary":
        y = rng.integers(0, 2, (n_rows, width)).astype(float)
    else:
        y = rng.normal(size=(n_rows, width))
    if missing:
        y[rng.uniform(size=y.shape) < 0.4] = np.nan
    return y


def case(seed, dtype="float64", calls=True):
    """A network and a batch: inputs, targets, sample weights or None.

    Without `calls` nothing in it is computed by Python.
    """
    rng = np.random.default_rng(seed)
    n_rows, width = int(rng.choice(ROWS)), int(rng.integers(2, 40))
    inputs = [fnn.Input(int(rng.integers(1, 30)), name=f"x{i}") for i in range(rng.integers(2, 4))]
    top = trunk(rng, inputs, width, calls)
    missing = bool(rng.integers(2))
    offered = [kind for kind in LOSSES if kind != "custom" or (calls and not missing)]
    kinds = {f"head{i}": str(rng.choice(offered)) for i in range(rng.integers(1, 4))}
    widths = {name: int(rng.integers(2, 20)) for name in kinds}
    outputs = {name: fnn.Dense(width, widths[name])(top) for name in kinds}
    net = fnn.Network(inputs, outputs, dtype=dtype, seed=seed)
    optimizer = (fnn.Adam, fnn.Momentum, fnn.RMSprop)[seed % 3]
    net.compile(
        {name: LOSSES[kind]() for name, kind in kinds.items()},
        optimizer(0.01, **({"clip_norm": 0.5} if seed % 2 else {})),
        loss_weights={name: float(rng.uniform(0.2, 2)) for name in kinds},
        l2=float(rng.choice([0, 0.01])),
        missing="nan" if missing else None,
    )
    X = [rng.normal(size=(n_rows, x.width)) for x in inputs]
    y = {name: target(rng, kind, n_rows, widths[name], missing) for name, kind in kinds.items()}
    weights = rng.uniform(0.1, 2, n_rows) if rng.integers(2) else None
    return net, X, y, weights


@needs_compiled
@each_network
def test_both_engines_agree(seed):
    found = []
    for name in ("compiled", "reference"):
        with backends.use(name):
            net, X, y, weights = case(seed)
            cost, gradients = net.loss_and_gradients(X, y, weights)
            steps = [net.train_step(X, y, weights) for _ in range(3)]
            found.append([cost, *gradients.values(), *steps, net.get_flat()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * (1 + np.abs(b).max()))


@needs_compiled
@each_network
def test_a_row_alone_is_the_row_of_a_batch(dtype, seed):
    with backends.use("compiled"):
        net, X, _, _ = case(seed, dtype)
    batch = net.predict(X)
    for row in {0, len(X[0]) - 1, len(X[0]) // 2}:
        for name, output in net.predict([x[row : row + 1] for x in X]).items():
            np.testing.assert_array_equal(output[0], batch[name][row])


@each_network
def test_a_trace_shows_the_step_that_follows(backend, dtype, seed):
    net, X, y, weights = case(seed, dtype)
    net.train_step(X, y, weights)
    trace = net.trace(X, y, weights)
    assert trace.loss == net.train_step(X, y, weights)
    for name, values in net.parameters.items():
        np.testing.assert_array_equal(trace.parameters[name].after, values)


@needs_compiled
@each_network
def test_parts_of_a_batch_make_the_step_of_the_whole(seed):
    with backends.use("compiled"):
        nets = [case(seed, calls=False) for _ in range(2)]
        nets[1][0].core.engine.rows_at_once = 1 + len(nets[1][1][0]) // 3
        for net, *batch in nets:
            net.train_step(*batch)
    np.testing.assert_allclose(nets[1][0].get_flat(), nets[0][0].get_flat(), rtol=0, atol=1e-9)
