"""Sparse rows in the compiled engine: the same bits for any team, part of a batch and build."""

from __future__ import annotations

import numpy as np
import pytest
from teams import team

from fastnn import backend as backends
from fastnn._shared.sparse import SparseRows
from fastnn.backend import compiled
from fastnn.program import Head, ProgramBuilder

pytestmark = pytest.mark.skipif("compiled" not in backends.available(), reason="needs a core")

N, WIDTH, HIDDEN = 200, 900, 420
FUSED = [isa for isa in ("v3", "v4") if isa in compiled.built() and compiled.runs_here(isa)]


def program(dtype, width=WIDTH):
    builder = ProgramBuilder(dtype)
    x = builder.input("x", width)
    weights = builder.parameter("W", (width, HIDDEN)), builder.parameter("b", (HIDDEN,))
    hidden = builder.add("dense", [x], "z", weights)
    hidden = builder.add("activation", [hidden], "a", function="tanh")
    out = builder.add("dense", [hidden], "y", [builder.parameter("V", (HIDDEN, 3))])
    return builder.build([out]).with_heads([Head(out, "cross_entropy")], l2=0.01)


@pytest.fixture(autouse=True)
def compiled_in_use():
    with backends.use("compiled"):
        yield


@pytest.fixture(scope="module")
def data():
    """Rows with 0 to 40 numbers, and their labels."""
    rng = np.random.default_rng(1)
    columns = [np.sort(rng.choice(WIDTH, n, False)) for n in rng.integers(0, 41, N)]
    starts = np.cumsum([0, *map(len, columns)])
    values = rng.normal(size=starts[-1])
    return values, np.concatenate(columns).astype(np.int32), starts, rng.integers(0, 3, N)


def rows_of(data, dtype):
    values, columns, starts, _ = data
    return SparseRows(values.astype(dtype), columns, starts, WIDTH)


def train(isa, dtype, data, rows_at_once=None, clip_norm=0.0, X=None):
    """Parameters, losses and outputs after three epochs in a fixed order."""
    own = program(dtype)
    storage = own.allocate()
    own.unflatten(np.random.default_rng(2).normal(0, 0.1, own.n_parameters), storage)
    engine = backends.load(isa, dtype).Engine(own, storage)
    engine.set_optimizer("gradient_descent", {"clip_norm": clip_norm} if clip_norm else {}, [])
    engine.rows_at_once = rows_at_once or engine.rows_at_once
    X = rows_of(data, dtype) if X is None else X
    order = np.random.default_rng(3).permutation(N)
    losses = np.empty(3)
    for epoch in range(3):
        assert engine.train([X], [(data[3], None)], order, 70, np.full(3, 0.1), 1 + 3 * epoch,
                            losses, True) == 3  # fmt: skip
    return storage, losses, engine.forward([X])[0]


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("clip_norm", [0.0, 0.05])
def test_training_has_the_bits_of_dense_rows(dtype, data, clip_norm):
    isa = backends.instruction_set()
    X = rows_of(data, dtype)
    found = train(isa, dtype, data, clip_norm=clip_norm)
    expected = train(isa, dtype, data, clip_norm=clip_norm, X=X.matrix().toarray())
    assert_equal(found, expected)


@pytest.mark.parametrize("threads", [2, 3, 5])
@pytest.mark.parametrize("clip_norm", [0.0, 0.05])
def test_training_has_the_same_bits_on_any_number_of_threads(dtype, data, threads, clip_norm):
    isa = backends.instruction_set()
    with team(1):
        expected = train(isa, dtype, data, clip_norm=clip_norm)
    with team(threads):
        assert_equal(train(isa, dtype, data, clip_norm=clip_norm), expected)


def test_a_batch_in_parts_trains_to_the_same_bits(dtype, data):
    isa = backends.instruction_set()
    assert_equal(train(isa, dtype, data, rows_at_once=1), train(isa, dtype, data))


@pytest.mark.skipif(len(FUSED) < 2, reason="needs x86-64-v3 and v4 builds and processor")
def test_training_has_the_same_bits_on_v3_and_v4(dtype, data):
    assert_equal(train("v3", dtype, data), train("v4", dtype, data))


@pytest.mark.parametrize(
    ("part", "place", "value"),
    [("columns", 5, WIDTH), ("columns", 5, -1), ("starts", 7, -4), ("starts", 7, 1 << 40),
     ("starts", N, 1 << 40), ("starts", 0, -1), ("values", 3, np.nan)],
)  # fmt: skip
def test_rows_out_of_bounds_are_refused_and_not_read(dtype, data, part, place, value):
    """Whatever the caller has checked."""
    X = rows_of(data, dtype)
    setattr(X, part, getattr(X, part).copy())
    getattr(X, part)[place] = value
    own = program(dtype)
    engine = backends.load(backends.instruction_set(), dtype).Engine(own, own.allocate())
    engine.set_optimizer("gradient_descent", {}, [])
    for call in (
        lambda: engine.forward([X], check=True),
        lambda: engine.loss_and_gradients([X], [(data[3], None)], check=True),
        lambda: engine.train([X], [(data[3], None)], None, N, np.ones(1), 1, np.empty(1), True),
    ):
        with pytest.raises(ValueError, match="the batch has nan or infinite numbers"):
            call()


def test_sparse_rows_are_not_copied_back(dtype, data):
    own = program(dtype)
    engine = backends.load(backends.instruction_set(), dtype).Engine(own, own.allocate())
    engine.loss_and_gradients([rows_of(data, dtype)], [(data[3], None)], True)
    for call in (engine.value, engine.gradient):
        with pytest.raises(ValueError, match="input 'x' is sparse"):
            call("x")
    engine.forward([rows_of(data, dtype)], True)
    with pytest.raises(ValueError, match="input 'x' is sparse"):
        engine.backward([np.zeros((N, 3), dtype)])


@pytest.mark.parametrize("change", [
    lambda X: X.astype("float16"),
    lambda X: SparseRows(X.values, X.columns.astype(np.int64), X.starts, WIDTH),
    lambda X: SparseRows(X.values, X.columns, X.starts.astype(np.int32), WIDTH),
    lambda X: SparseRows(X.values[::2], X.columns, X.starts, WIDTH),
])  # fmt: skip
def test_parts_of_other_types_are_refused(dtype, data, change):
    own = program(dtype)
    engine = backends.load(backends.instruction_set(), dtype).Engine(own, own.allocate())
    with pytest.raises(TypeError, match="contiguous vectors"):
        engine.forward([change(rows_of(data, dtype))])


def test_rows_of_another_width_are_refused(dtype, data):
    own = program(dtype, WIDTH + 1)
    engine = backends.load(backends.instruction_set(), dtype).Engine(own, own.allocate())
    with pytest.raises(ValueError, match="at least one row of 901 columns"):
        engine.forward([rows_of(data, dtype)])
