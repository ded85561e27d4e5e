"""The short way from `fastnn.functional` to the compiled kernels."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import backend as backends
from fastnn.backend.direct import direct, direct_cross_entropy
from fastnn.program import ACTIVATIONS

NAMES = [
    *ACTIVATIONS,
    *(f"{name}_derivative" for name in ACTIVATIONS),
    *("exp", "expm1", "log", "log1p", "softmax", "log_softmax", "logsumexp"),
]


@pytest.fixture
def compiled():
    if "compiled" not in backends.available():
        pytest.skip("nothing compiled here")
    with backends.use("compiled"):
        yield


def normal(dtype, *shape):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 3), (7, 16), (50, 7), (40, 100)])
def test_it_gives_the_bits_of_the_long_way(compiled, dtype, name, shape):
    x = normal(dtype, *shape)
    default = 0.01 if name.startswith("leaky_relu") else 1.0
    converted = getattr(F, name)(np.repeat(x, 2, axis=0)[::2])
    np.testing.assert_array_equal(direct(name, x, default, None), converted)


@pytest.mark.parametrize("gradient", [False, True])
def test_cross_entropy_has_the_bits_of_the_long_way(compiled, dtype, gradient):
    z, labels = normal(dtype, 50, 10), np.arange(50) % 10
    converted = F.cross_entropy(np.repeat(z, 2, axis=0)[::2], labels, gradient=gradient)
    got = direct_cross_entropy(z, labels, "mean", gradient, None)
    for a, b in zip(
        np.atleast_1d(got) if not gradient else got,
        np.atleast_1d(converted) if not gradient else converted,
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


UNFIT = {
    "list": [1.0, 2.0],
    "number": 1.0,
    "integers": np.arange(3),
    "half precision": np.ones(3, np.float16),
    "strided": np.ones(6)[::2],
    "byte-swapped": np.ones(3, ">f8"),
    "unaligned": np.zeros(25, np.uint8)[1:].view(np.float64),
    "masked": np.ma.ones(3),
}


@pytest.mark.parametrize("case", UNFIT)
def test_it_declines_what_needs_conversion(compiled, case):
    assert direct("tanh", UNFIT[case], 1.0, None) is None


WHOLE = np.ones(20)
UNFIT_OUTPUTS = {
    "list": [0.0] * 10,
    "single precision": np.ones(10, np.float32),
    "another shape": np.ones((2, 5)),
    "longer": np.ones(11),
    "strided": np.ones(20)[::2],
    "read-only": np.broadcast_to(np.ones(10), (10,)),
    "overlapping": WHOLE[5:15],
}


@pytest.mark.parametrize("case", UNFIT_OUTPUTS)
def test_it_declines_outputs_that_do_not_fit(compiled, case):
    assert direct("tanh", WHOLE[:10], 1.0, UNFIT_OUTPUTS[case]) is None


@pytest.mark.parametrize(
    "labels",
    [[0, 1], np.array([0, 1], np.int32), np.array([0, 3]), np.array([-1, 0]), np.array([0, 1, 2])],
    ids=["list", "int32", "beyond", "negative", "too many"],
)
def test_cross_entropy_declines_labels_it_cannot_take(compiled, labels):
    assert direct_cross_entropy(np.ones((2, 3)), labels, "mean", False, None) is None


@pytest.mark.parametrize(
    ("reduction", "gradient", "out"),
    [
        ("none", False, None),
        (None, False, None),
        ("mean", 1, None),
        ("mean", False, np.ones((2, 3))),
    ],
)
def test_cross_entropy_declines_options_it_cannot_take(compiled, reduction, gradient, out):
    labels = np.array([0, 1])
    assert direct_cross_entropy(np.ones((2, 3)), labels, reduction, gradient, out) is None


def test_rows_of_nothing_are_declined(compiled):
    assert direct("softmax", np.ones((2, 0)), 0.0, None) is None


def test_it_declines_on_the_reference_backend():
    with backends.use("reference"):
        assert direct("tanh", np.ones(3), 1.0, None) is None
