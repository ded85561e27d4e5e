"""What the tests of the loss functions share."""

from __future__ import annotations

import numpy as np
import pytest

TOLERANCE = {"float32": 1e-6, "float64": 1e-14}
EACH_REDUCTION = pytest.mark.parametrize("reduction", ["mean", "sum", "half_sum"])


def central_differences(loss, z, h=1e-6):
    gradient = np.empty_like(z)
    for index in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[index] = h
        gradient[index] = (loss(z + step) - loss(z - step)) / (2 * h)
    return gradient


def check_gradient(loss, z):
    """The gradient a loss returns is that of the value it returns."""
    value, gradient = loss(z, gradient=True)
    assert value == loss(z)
    np.testing.assert_allclose(gradient, central_differences(loss, z), atol=2e-8)
