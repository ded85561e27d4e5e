"""Products of eight bits: the same bits from every build of the core and from the reference."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import backend as backends
from fastnn.backend import compiled
from fastnn.backend.reference.frozen import Frozen as Reference
from fastnn.program import ProgramBuilder

VARIANTS = [isa for isa in compiled.built() if compiled.runs_here(isa)]

variant = pytest.mark.parametrize(
    "isa",
    VARIANTS
    or [pytest.param(None, marks=pytest.mark.skip(reason="nothing compiled for this processor"))],
)


def product(n_in, n_out, has_bias=True, function=None, dtype="float32", **attributes):
    """A program that is one product of eight bits."""
    builder = ProgramBuilder(dtype)
    x = builder.input("x", n_in)
    parameters = [builder.parameter("weight", (n_in, n_out))]
    if has_bias:
        parameters.append(builder.parameter("bias", (n_out,)))
    y = builder.add("dense", [x], "z", parameters, precision="int8", **attributes)
    if function:
        y = builder.add("activation", [y], "a", function=function)
    return builder.build([y])


def filled(program, rng, size=1.0):
    storage = program.allocate()
    values = rng.normal(size=program.n_parameters) * size
    program.unflatten(values.astype(np.float32), storage)
    return storage


def check(isa, program, storage, x):
    frozen = backends.load(isa, "float32").Frozen(program, storage)
    np.testing.assert_array_equal(frozen.one(x), Reference(program, storage).one(x))


@variant
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 14, 15, 33, 600])
@pytest.mark.parametrize("n_in", [1, 3, 4, 15, 17, 64, 131, 260])
def test_shapes(isa, rows, n_in):
    rng = np.random.default_rng(rows * 1000 + n_in)
    for n_out in (1, 15, 16, 33, 48, 300):
        attributes = {"low": -1.5, "high": 2.0} if rng.integers(2) else {}
        program = product(n_in, n_out, bool(rng.integers(2)), **attributes)
        x = rng.normal(size=(rows, n_in)).astype(np.float32)
        check(isa, program, filled(program, rng), x)


@variant
def test_numbers_of_every_size(isa, rng):
    program = product(37, 40)
    for size in (1e-38, 1e-20, 1.0, 1e18, 3e38):
        with np.errstate(over="ignore"):
            x = (rng.uniform(-1, 1, (50, 37)) * size).astype(np.float32)
        x[0] = 0
        x[1, 1:] = 0
        x[2] = np.abs(x[2])
        x[3] = -np.abs(x[3])
        check(isa, program, filled(program, rng, 1e-3), x)


@variant
def test_rows_with_nan_and_inf(isa, rng):
    program = product(70, 40)
    x = rng.normal(size=(9, 70)).astype(np.float32)
    x[1, 69], x[4, 0], x[7, 33] = np.nan, np.inf, -np.inf
    check(isa, program, filled(program, rng), x)


@variant
def test_ties_are_rounded_to_even(isa):
    program = product(128, 32, low=0.0, high=255.0)
    x = np.arange(256, dtype=np.float32).reshape(2, 128) + np.float32(0.5)
    check(isa, program, filled(program, np.random.default_rng(0)), x)


@variant
def test_the_largest_sums(isa):
    program = product(66311, 3, has_bias=False)
    storage = program.allocate()
    program.unflatten(np.repeat([[1, -1, 1]], 66311, axis=0).ravel().astype(np.float32), storage)
    x = np.ones((2, 66311), np.float32)
    x[1, ::2] = -1
    check(isa, program, storage, x)


@variant
@pytest.mark.parametrize("function", ["relu", "leaky_relu"])
def test_an_activation_follows(isa, function, rng):
    program = product(90, 70, function=function)
    x = rng.normal(size=(70, 90)).astype(np.float32)
    check(isa, program, filled(program, rng), x)


@variant
def test_programs_in_float64_are_refused(isa):
    program = product(4, 4, dtype="float64")
    with pytest.raises(ValueError, match="need a program in float32"):
        backends.load(isa, "float64").Frozen(program, program.allocate())
