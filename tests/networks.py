"""Networks, data and a gradient check for the tests of networks."""

import math

import numpy as np

from fastnn.layers import (
    Dense,
    Dropout,
    Input,
    Subtract,
)
from fastnn.losses import MeanSquaredError
from fastnn.network import Network, Sequential
from fastnn.optimizers import Adam


def classifier(dtype="float64", seed=0, dropout=0.0, **options):
    """A compiled 4-8-3 network."""
    layers = [Dense(4, 8, activation="tanh"), Dense(8, 3)]
    if dropout:
        layers.insert(1, Dropout(dropout))
    net = Sequential(layers, dtype=dtype, seed=seed)
    net.compile(loss="cross_entropy", optimizer=Adam(0.01), **options)
    return net


def flowers(rng, n=60):
    """Samples of 4 features and their labels of 3 classes, which depend on them."""
    X = rng.normal(size=(n, 4))
    return X, (X @ rng.normal(size=(4, 3))).argmax(axis=1)


def gradient_error(net, X, y, h=1e-6, **options):
    """Largest difference of all gradients from central differences, relative to the largest."""
    _, gradients = net.loss_and_gradients(X, y, **options)
    found = np.concatenate([gradients[name].ravel() for name in net.parameters])
    flat = net.get_flat()
    expected = np.empty_like(flat)
    for i in range(flat.size):
        costs = []
        for sign in (1, -1):
            moved = flat.copy()
            moved[i] += sign * h
            net.set_flat(moved)
            costs.append(net.loss_and_gradients(X, y, **options)[0])
        expected[i] = (costs[0] - costs[1]) / (2 * h)
    net.set_flat(flat)
    return np.abs(found - expected).max() / np.abs(expected).max()


def siamese():
    """Two inputs through one layer, the difference, one output."""
    a, b = Input(3, name="left"), Input(3, name="right")
    shared = Dense(3, 4, activation="tanh", name="shared")
    difference = Subtract()([shared(a), shared(b)])
    net = Network([a, b], Dense(4, 1, name="out")(difference), dtype="float64")
    net.compile(loss="binary_cross_entropy", optimizer="adam")
    return net


def multitask(**options):
    """A trunk with a classification and a regression on it."""
    x = Input(4, name="x")
    trunk = Dense(4, 6, activation="tanh", name="trunk")(x)
    outputs = {"kind": Dense(6, 3)(trunk), "size": Dense(6, 1)(trunk)}
    net = Network(x, outputs, dtype="float64")
    loss = {"kind": "cross_entropy", "size": MeanSquaredError(ignore_value=math.nan)}
    net.compile(loss=loss, **options)
    return net


def multitask_data(rng, n=20):
    X, kind = flowers(rng, n)
    size = rng.normal(size=n)
    size[::3] = math.nan
    return X, {"kind": kind, "size": size}
