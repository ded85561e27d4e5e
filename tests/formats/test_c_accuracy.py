"""Errors of the activations in exported C against mpmath, in ULP, with and without FMA."""

import functools
import re
from pathlib import Path

import accuracy
import mpmath
import numpy as np
import pytest
from c_code import COMPILERS, Library

from fastnn import backend
from fastnn.backend import kernels
from fastnn.formats.c.constants import CONSTANTS
from fastnn.program import ACTIVATIONS, ProgramBuilder

pytestmark = pytest.mark.skipif(not COMPILERS, reason="needs a C compiler")

HEADER = Path(__file__).parents[2] / "fastnn" / "backend" / "compiled" / "simd" / "constants.h"
WIDTH = 64
BOUND = 4
OPTIONS = {
    "plain": ["-O2", "-ffp-contract=off"],
    "native": ["-O3", "-march=native", "-ffp-contract=fast"],
}


def one_activation(function, alpha, dtype):
    """A program of one activation."""
    builder = ProgramBuilder(dtype)
    x = builder.input("x", WIDTH)
    return builder.build([builder.add("activation", [x], "y", function=function, alpha=alpha)])


def of_rows(kind, dtype):
    """A program of one function of rows."""
    builder = ProgramBuilder(dtype)
    options = {"epsilon": 2.0**-20, "scale": False, "shift": False} if kind == "layer_norm" else {}
    return builder.build([builder.add(kind, [builder.input("x", WIDTH)], "y", **options)])


@pytest.fixture(scope="module", params=[(d, o) for d in ("float32", "float64") for o in OPTIONS])
def library(request, tmp_path_factory):
    """One program for each activation, compiled with some options; the native ones use FMA."""
    dtype, options = request.param
    programs = {name: one_activation(name, 1.0, dtype) for name in ACTIVATIONS}
    programs["beta"] = one_activation("swish", 30.0, dtype)
    programs |= {kind: of_rows(kind, dtype) for kind in ("softmax", "log_softmax", "layer_norm")}
    storages = {name: program.allocate() for name, program in programs.items()}
    folder = tmp_path_factory.mktemp("library")
    return Library(folder, programs, storages, *OPTIONS[options])


def evaluate(library, name, z):
    """The function at each z, in rows of the width."""
    rows = np.zeros(-(-len(z) // WIDTH) * WIDTH, z.dtype)
    rows[: len(z)] = z
    return library.outputs(name, [rows.reshape(-1, WIDTH)]).ravel()[: len(z)]


@functools.cache
def cases(function, dtype):
    """Hard and random arguments and the exact values there."""
    hard, random = accuracy.hard_arguments, accuracy.random_arguments
    z = np.concatenate([hard(function, dtype)[::4], random(function, dtype, 150)])
    return z, [accuracy.exact_value(function, x) for x in z.tolist()]


FUNCTIONS = [name for name in ACTIVATIONS if name not in accuracy.ROUND_ONCE]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_error_is_within_the_promised_bound(library, function):
    dtype = str(library.programs[function].dtype)
    z, expected = cases(function, dtype)
    error = accuracy.errors(function, z, evaluate(library, function, z), expected)
    i = int(error.argmax())
    assert error[i] <= BOUND, z[i]


@pytest.mark.parametrize("function", sorted(accuracy.ROUND_ONCE))
def test_simple_functions_are_those_of_the_reference(library, function):
    z = accuracy.hard_arguments(function, str(library.programs[function].dtype))
    expected = np.empty_like(z)
    with backend.use("reference"):
        kernels(z.dtype).activation(function, z, 1.0, expected)
    assert np.array_equal(evaluate(library, function, z), expected)


@pytest.mark.parametrize("function", [*ACTIVATIONS, "beta"])
def test_limits_are_those_of_the_reference(library, function):
    z = np.array([np.inf, -np.inf, np.nan, 0.0], library.programs[function].dtype)
    name, alpha = ("swish", 30.0) if function == "beta" else (function, 1.0)
    expected = np.empty_like(z)
    with backend.use("reference"):
        kernels(z.dtype).activation(name, z, alpha, expected)
    assert np.allclose(evaluate(library, function, z), expected, rtol=1e-6, equal_nan=True)


def test_swish_is_as_accurate_for_a_large_beta(library):
    z = accuracy.random_arguments("swish", str(library.programs["beta"].dtype), 200)
    z = z[np.abs(z) < 20]
    sigmoid = accuracy.DERIVATIVES["softplus"]
    expected = [x * sigmoid(30 * x) for x in map(accuracy.mpf, z.tolist())]
    error = accuracy.errors("swish", z, evaluate(library, "beta", z), expected)
    assert error.max() <= BOUND


def exact_row(kind, x):
    """A function of a row, in the digits of mpmath."""
    x = [accuracy.mpf(v) for v in x.tolist()]
    if kind == "layer_norm":
        mean = sum(x) / len(x)
        variance = sum((v - mean) ** 2 for v in x) / len(x)
        return [(v - mean) / mpmath.sqrt(variance + accuracy.mpf(2) ** -20) for v in x]
    total = sum(mpmath.exp(v) for v in x)
    if kind == "softmax":
        return [mpmath.exp(v) / total for v in x]
    return [v - mpmath.log(total) for v in x]


@pytest.mark.parametrize("kind", ["softmax", "log_softmax", "layer_norm"])
def test_functions_of_rows_are_as_accurate(library, kind, rng):
    """Differences of these numbers are exact, so that what the function rounds remains."""
    dtype = library.programs[kind].dtype
    x = (np.round(rng.normal(scale=5, size=(4, WIDTH)) * 64) / 64).astype(dtype)
    x[0] = x[0] / 8 + 100
    for row, found in zip(x, library.outputs(kind, [x]), strict=True):
        expected = exact_row(kind, row)
        smallest = accuracy.unit(accuracy.mpf(1 if kind == "layer_norm" else 0), np.finfo(dtype))
        errors = [
            accuracy.error(float(y), e, smallest, np.finfo(dtype))
            for y, e in zip(found.tolist(), expected, strict=True)
        ]
        assert max(errors) <= BOUND


@pytest.mark.skipif(not HEADER.exists(), reason="looks at the compiled core's sources")
def test_constants_are_those_of_the_compiled_backend():
    """In this order: double, then float; MILLS_POLYNOMIAL is in three parts here."""
    header = HEADER.read_text()
    for ctype, text in zip(("double", "float"), header.split("#else"), strict=True):
        own = CONSTANTS[ctype]
        numbers = r"R_\((.*?)\)"
        for name in ("EXP", "LOG", "TANH", "MILLS"):
            body = re.search(rf"{name}_POLYNOMIAL\[\] = \{{(.*?)\}}", text, re.DOTALL)[1]
            found = tuple(map(float, re.findall(numbers, body)))
            parts = (own.get("MILLS_FIRST"), own.get("MILLS_SECOND"), *own["MILLS_REST"])
            assert found == (parts if name == "MILLS" else own[name])
        for name, value in re.findall(rf"#define (\w+) {numbers}", text):
            if name in own:
                assert float(value) == own[name], name
