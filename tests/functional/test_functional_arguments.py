"""What arrays the functional operations take, in which layouts, and what `out` may be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastnn.functional as F
from fastnn.program import ACTIVATIONS

ELEMENTWISE = [
    *ACTIVATIONS,
    *(f"{name}_derivative" for name in ACTIVATIONS),
    *("exp", "expm1", "log", "log1p"),
]
ROWS = ["softmax", "log_softmax", "layer_norm"]
ONE_ARRAY = [*ELEMENTWISE, *ROWS, "logsumexp"]
EACH = pytest.mark.parametrize("name", ONE_ARRAY)
HYPOTHESIS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def call(name, x, **options):
    return getattr(F, name)(x, **options)


def result_shape(name, shape):
    return shape[:-1] if name == "logsumexp" else shape


# Dtypes


@EACH
def test_float32_and_float64_stay(backend, dtype, name):
    assert call(name, np.ones((2, 3), dtype)).dtype == dtype


@EACH
@pytest.mark.parametrize("integer", [bool, np.int8, np.uint64])
def test_integers_and_booleans_become_float64(backend, name, integer):
    x = np.ones((2, 3), integer)
    got = call(name, x)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, call(name, x.astype(float)))


@EACH
@pytest.mark.parametrize("refused", ["float16", "longdouble"])
def test_other_floating_dtypes_are_refused(backend, name, refused):
    message = rf"x must be float32 or float64 \(integers .*got {np.dtype(refused)}"
    with pytest.raises(TypeError, match=message):
        call(name, np.zeros(3).astype(refused))


@EACH
@pytest.mark.parametrize("refused", ["complex128", "object", "U1", "M8[s]"])
def test_arrays_of_other_things_than_real_numbers_are_refused(backend, name, refused):
    with pytest.raises(TypeError, match="x must hold real numbers, got dtype "):
        call(name, np.zeros(3).astype(refused))


@pytest.mark.parametrize(
    ("x", "came"),
    [(None, "NoneType"), ("one", "str"), ({1: 2}, "dict"), (10**30, "int beyond 64 bits")],
)
def test_what_is_no_array_is_refused(backend, x, came):
    with pytest.raises(TypeError, match=f"x must hold real numbers, got {came}"):
        F.relu(x)


def test_ragged_lists_are_refused(backend):
    with pytest.raises(ValueError, match="x must be a rectangular array of numbers"):
        F.relu([[1.0, 2.0], [3.0]])


def test_masked_elements_are_refused(backend):
    with pytest.raises(ValueError, match="x must have no masked elements; fill or drop them first"):
        F.relu(np.ma.masked_array([1.0, 2.0], mask=[False, True]))


def test_lists_and_numbers_are_arrays(backend):
    np.testing.assert_array_equal(F.relu([-1, 2.5]), [0, 2.5])
    assert F.relu(2.5) == 2.5


# Layouts

LAYOUTS = ["C", "Fortran", "strided", "reversed", "read-only", "byte-swapped", "unaligned"]


def with_layout(x, layout):
    """A copy of the array in another memory layout."""
    if x.ndim == 0:
        return np.array(x)
    if layout == "Fortran":
        return np.asfortranarray(x)
    if layout == "strided":
        whole = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
        view = whole[tuple(slice(None, None, 2) for _ in x.shape)]
        view[...] = x
        return view
    if layout == "reversed":
        return np.flip(np.flip(x).copy())
    if layout == "byte-swapped":
        return x.astype(x.dtype.newbyteorder())
    if layout == "unaligned":
        raw = np.zeros(x.nbytes + 1, np.uint8)
        view = raw[1:].view(x.dtype).reshape(x.shape)
        view[...] = x
        return view
    copy = x.copy()
    copy.flags.writeable = layout != "read-only"
    return copy


@HYPOTHESIS
@given(data=st.data())
def test_result_does_not_depend_on_the_layout(backend, dtype, data):
    name = data.draw(st.sampled_from(ONE_ARRAY))
    row_function = name in (*ROWS, "logsumexp")
    shape = data.draw(
        hnp.array_shapes(min_dims=int(row_function), max_dims=4, min_side=0, max_side=5).filter(
            lambda s: not (row_function and s[-1] == 0)
        )
    )
    layout = data.draw(st.sampled_from(LAYOUTS))
    x = np.asarray(np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    arranged = with_layout(x, layout)
    got = call(name, arranged)
    assert got.shape == result_shape(name, x.shape)
    assert got.flags.c_contiguous
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, call(name, x))
    np.testing.assert_array_equal(arranged, x)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dense_and_losses_take_any_layout(backend, dtype, layout):
    rng = np.random.default_rng(0)
    x, weight, y = (rng.uniform(0, 1, s).astype(dtype) for s in ((6, 4), (4, 3), (6, 3)))
    labels = rng.integers(0, 3, 6)
    arranged = [with_layout(a, layout) for a in (x, weight, y, labels)]
    z = F.dense(x, weight)
    np.testing.assert_array_equal(F.dense(*arranged[:2]), z)
    for got, expected in zip(
        F.dense_backward(arranged[0], arranged[1], None, arranged[2]),
        F.dense_backward(x, weight, None, y),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)
    swapped = with_layout(z, layout)
    assert F.cross_entropy(swapped, arranged[3]) == F.cross_entropy(z, labels)
    assert F.cross_entropy(swapped, arranged[2]) == F.cross_entropy(z, y)
    assert F.binary_cross_entropy(swapped, arranged[2]) == F.binary_cross_entropy(z, y)


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2, 4)])
def test_elementwise_function_of_nothing_is_empty(backend, dtype, name, shape):
    got = call(name, np.empty(shape, dtype))
    assert got.shape == shape
    assert got.dtype == dtype


# out


@EACH
def test_out_receives_the_result(backend, dtype, name):
    x = np.linspace(0.5, 2, 12, dtype=dtype).reshape(3, 4)
    out = np.empty(result_shape(name, x.shape), dtype)
    assert call(name, x, out=out) is out
    np.testing.assert_array_equal(out, call(name, x))


@pytest.mark.parametrize("name", [*ELEMENTWISE, *ROWS])
def test_out_may_be_x_itself(backend, dtype, name):
    x = np.linspace(0.5, 2, 68, dtype=dtype).reshape(4, 17)
    expected = call(name, x)
    assert call(name, x, out=x) is x
    np.testing.assert_array_equal(x, expected)


def test_out_may_be_another_view_of_the_same_elements(backend):
    x = np.linspace(-1, 1, 5)
    F.relu(x, out=x[:])
    np.testing.assert_array_equal(x, [0, 0, 0, 0.5, 1])


WHOLE = np.ones(20)


@pytest.mark.parametrize(
    ("x", "out", "error", "message"),
    [
        (np.ones(3), [0.0] * 3, TypeError, "out is written to, .* a numpy.ndarray, got list"),
        (np.ones(3), np.ma.ones(3), TypeError, "must be a numpy.ndarray, got MaskedArray"),
        (np.ones(3), np.ones(3, "f4"), TypeError, "out must be float64, got float32"),
        (np.ones(3, int), np.ones(3, int), TypeError, "out must be float64, got int64"),
        (np.ones(3), np.ones(3, ">f8"), TypeError, "out must be float64, got >f8"),
        (np.ones(3), np.ones(4), ValueError, r"out must have shape \(3,\), got \(4,\)"),
        (np.ones((2, 3)), np.ones((3, 2)).T, ValueError, "out must be C-contiguous and aligned"),
        (np.ones(3), np.ones(6)[::2], ValueError, r"out must be C-contiguous .* strides \(16,\)"),
        (WHOLE[:10], WHOLE[5:15], ValueError, "out must be x itself or share no memory with it"),
        (WHOLE[::2], WHOLE[:10], ValueError, "out must be x itself or share no memory with it"),
        (WHOLE[9::-1], WHOLE[:10], ValueError, "out must be x itself or share no memory with it"),
        (
            np.ones(3),
            np.broadcast_to(np.ones(3), (3,)),
            ValueError,
            "out must be writable, got a read-only array",
        ),
    ],
)
def test_out_that_does_not_fit_is_refused(backend, x, out, error, message):
    with pytest.raises(error, match=message):
        F.relu(x, out=out)


@pytest.mark.parametrize("name", ["logsumexp"])
def test_out_of_a_reduction_may_not_overlap(backend, name):
    x = np.ones((3, 1))
    with pytest.raises(ValueError, match="out must share no memory with x"):
        call(name, x, out=x[:, 0])


def test_neighbours_in_one_buffer_do_not_overlap(backend):
    whole = np.linspace(-1, 1, 20)
    F.relu(whole[:10], out=whole[10:])
    np.testing.assert_array_equal(whole[10:], 0)


def test_refused_call_leaves_out_untouched(backend):
    out = np.full(3, 7.0)
    with pytest.raises(TypeError, match="x must hold real numbers, got"):
        F.relu(np.ones(3, complex), out=out)
    np.testing.assert_array_equal(out, 7)


# Numbers


@pytest.mark.parametrize(
    ("name", "parameter"), [("leaky_relu", "alpha"), ("swish", "beta"), ("elu", "alpha")]
)
@pytest.mark.parametrize("suffix", ["", "_derivative"])
def test_parameters_must_be_finite_numbers(backend, name, parameter, suffix):
    function = getattr(F, name + suffix)
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match=f"{parameter} must be a finite number, got {value}"):
            function(1.0, value)
    for value in ("1", None, True, 1j):
        with pytest.raises(TypeError, match=f"{parameter} must be a real number, got "):
            function(1.0, value)


@pytest.mark.parametrize("value", [1, np.float32(1), np.int64(1), np.array(1.0)])
def test_parameters_may_be_numpy_numbers(backend, value):
    assert F.leaky_relu(-2.0, value) == -2


# Quiet


@EACH
def test_nothing_warns(backend, dtype, name, recwarn):
    largest = np.finfo(dtype).max
    special = [math.nan, -math.inf, math.inf, -largest, largest, 0, -0.0, 1e-30, -80, -2]
    with np.errstate(all="raise"):
        call(name, np.array(special, dtype))
    assert not recwarn.list
