"""Training agrees with PyTorch from the same weights on the same batches (where installed)."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn as fnn
from fastnn import backend as backends

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("sklearn.datasets")

TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


def torch_parameters_after(net, batches, dtype, epochs):
    """The parameters after Adam in PyTorch, from the network's initial ones."""
    parameters = [
        torch.tensor(np.ascontiguousarray(p), requires_grad=True) for p in net.parameters.values()
    ]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    w1, b1, w2, b2 = parameters
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            logits = torch.relu(torch.tensor(x) @ w1 + b1) @ w2 + b2
            torch.nn.functional.cross_entropy(logits, torch.tensor(y)).backward()
            optimizer.step()
    return [p.detach().numpy() for p in parameters]


def test_three_epochs_of_adam_on_digits(backend, dtype):
    x, y = datasets.load_digits(return_X_y=True)
    x, y = (x / 16).astype(dtype), y.astype(np.int64)
    with backends.use(backend):
        net = fnn.Sequential(
            [fnn.Dense(64, 100, activation="relu"), fnn.Dense(100, 10)], dtype=dtype, seed=0
        )
        net.compile(loss="cross_entropy", optimizer=fnn.Adam(learning_rate=1e-3))
    batches = [(x[i : i + 64], y[i : i + 64]) for i in range(0, len(x), 64)]
    expected = torch_parameters_after(net, batches, dtype, 3)
    for _ in range(3):
        for rows, labels in batches:
            net.train_step(rows, labels)
    for found, wanted in zip(net.parameters.values(), expected, strict=True):
        assert np.max(np.abs(found - wanted)) < TOLERANCE[dtype]
