"""Engines read arrays of any real type and layout, and look at the numbers as they do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from memory import peak_of
from programs import chain, initial_storage, set_optimizer

import fastnn as fnn
from fastnn import backend as backends
from fastnn._shared.arrays import is_readable
from fastnn.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]
TYPES = [*INTEGERS, "float16", "float32", "float64"]
ROWS, WIDTH, CLASSES = 37, 21, 3


def make(backend, program, optimizer=None):
    with backends.use(backend):
        engine = backends.new_engine(program, initial_storage(program, 0))
    set_optimizer(engine, optimizer or "adam")
    return engine


def numbers(kind, shape, seed=0):
    """Numbers of a type, over much of its range."""
    rng = np.random.default_rng(seed)
    if kind == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if kind in INTEGERS:
        return rng.integers(-100 if kind[0] == "i" else 0, 120, shape).astype(kind)
    return rng.normal(size=shape).astype(kind)


LAYOUTS = {
    "C order": lambda a: a,
    "Fortran order": np.asfortranarray,
    "every second row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "every third column": lambda a: np.repeat(a, 3, axis=1)[:, ::3],
    "rows backwards": lambda a: a[::-1].copy()[::-1],
    "columns backwards": lambda a: a[:, ::-1].copy()[:, ::-1],
    "part of a wider array": lambda a: np.hstack([a, a, a])[:, a.shape[1] : 2 * a.shape[1]],
    "one row many times": lambda a: np.broadcast_to(a[:1], a.shape),
}


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def train(engine, x, y, order=None):
    """What three steps of 16 rows make of the parameters."""
    losses = np.zeros(3)
    done = engine.train([x], [(y, None)], order, 16, np.full(3, 0.05), 1, losses)
    assert done == 3
    return engine.storage.copy(), losses


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", TYPES)
def test_inputs_train_to_the_bits_of_converted_ones(backend, dtype, kind, layout):
    program = chain((WIDTH, 19, CLASSES), dtype=dtype)
    x = LAYOUTS[layout](numbers(kind, (ROWS, WIDTH)))
    labels = numbers("uint8", ROWS).astype(np.int64) % CLASSES
    order = np.random.default_rng(1).permutation(ROWS)
    expected = train(make(backend, program), np.array(x, dtype, order="C"), labels, order)
    assert_same(train(make(backend, program), x, labels, order), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", TYPES)
def test_rows_of_targets_train_to_the_bits_of_converted_ones(backend, dtype, kind, layout):
    program = chain((WIDTH, 19, 5), dtype=dtype, loss="mean_squared_error")
    x, y = numbers("float32", (ROWS, WIDTH)).astype(dtype), numbers(kind, (ROWS, 5), 1)
    y = LAYOUTS[layout](y)
    expected = train(make(backend, program), x, np.array(y, dtype, order="C"))
    assert_same(train(make(backend, program), x, y), expected)


@pytest.mark.parametrize("kind", INTEGERS)
def test_labels_of_any_integer_type(backend, dtype, kind):
    program = chain((WIDTH, 19, CLASSES), dtype=dtype)
    x = numbers("float32", (ROWS, WIDTH)).astype(dtype)
    labels = np.random.default_rng(2).integers(0, 2, ROWS)
    order = np.random.default_rng(1).permutation(ROWS)
    expected = train(make(backend, program), x, labels, order)
    for made in (labels.astype(kind), np.repeat(labels.astype(kind), 3)[::3]):
        assert_same(train(make(backend, program), x, made, order), expected)


@pytest.mark.parametrize("kind", TYPES)
def test_predictions_of_any_type_have_the_bits_of_converted_ones(backend, dtype, kind):
    engine = make(backend, chain((WIDTH, 19, 5), dtype=dtype))
    x = numbers(kind, (700, WIDTH))
    for layout in LAYOUTS.values():
        expected = engine.forward([np.array(layout(x), dtype, order="C")])
        assert_same(engine.forward([layout(x)]), expected)


def test_every_half_precision_number_is_converted_exactly(backend, dtype):
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).reshape(-1, 8)
    net = fnn.Sequential([fnn.Input(8), fnn.Identity()], dtype=dtype)
    with np.errstate(invalid="ignore"):  # NumPy warns of signalling nans on ARM
        expected = halves.astype(dtype)
    np.testing.assert_array_equal(net.predict(halves, check_finite=False), expected)


def test_large_integers_are_rounded_like_numpy(backend, dtype):
    values = np.array([2**63 - 1, 2**53 + 1, 2**24 + 1, -(2**63), -(2**31) - 1, 3])
    unsigned = np.array([2**64 - 1, 2**63 + 2**39, 2**32 + 1, 5, 0, 2**63 - 1], np.uint64)
    net = fnn.Sequential([fnn.Input(6), fnn.Identity()], dtype=dtype)
    for row in (values, unsigned):
        np.testing.assert_array_equal(net.predict(row), row.astype(dtype))


@pytest.mark.parametrize(
    "make_array",
    [
        read_only,
        lambda a: a.astype(a.dtype.newbyteorder()),
        lambda a: a.astype(np.longdouble),
        lambda a: np.frombuffer(b" " + a.tobytes(), a.dtype, a.size, 1).reshape(a.shape),
    ],
    ids=["read-only", "bytes swapped", "long double", "not aligned"],
)
def test_networks_take_any_array(backend, dtype, make_array):
    x = np.random.default_rng(0).normal(size=(50, 4))
    y = x[:, 0] > 0
    results = []
    for data in (x, make_array(x)):
        net = fnn.Sequential([fnn.Dense(4, 5, activation="tanh"), fnn.Dense(5, 2)], dtype=dtype)
        net.compile("cross_entropy")
        net.fit(data, y, epochs=2, batch_size=16)
        net.train_step(data, y)
        results.append([net.predict(data), net.get_flat(), net.evaluate(data, y)["loss"]])
    assert_same(*results)


def test_a_memory_map_is_trained_on_and_predicted(backend, tmp_path):
    x = np.random.default_rng(0).normal(size=(50, 4))
    np.save(tmp_path / "x.npy", x)
    results = []
    for data in (x, np.load(tmp_path / "x.npy", mmap_mode="r")):
        net = fnn.Sequential([fnn.Dense(4, 2)])
        net.compile("cross_entropy")
        net.fit(data, x[:, 0] > 0, epochs=2)
        results.append([net.predict(data), net.get_flat()])
    assert_same(*results)


@pytest.mark.parametrize("dtype_name", [">f8", ">i4", "longdouble", "complex64", "U3", "O"])
def test_what_engines_do_not_read_is_told_apart(dtype_name):
    assert not is_readable(np.zeros(3, dtype_name))


@pytest.mark.parametrize("kind", TYPES)
def test_what_engines_read_is_told_apart(kind):
    assert is_readable(np.zeros((3, 2), kind)[::2])


# ------------------------------------------------------------------- checks


BAD = [math.nan, math.inf, -math.inf, 1e300]


@pytest.mark.parametrize("row", [0, 15, 20, 36])
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_input_is_refused_before_its_step(backend, bad, row):
    program = chain((WIDTH, 19, CLASSES))
    x, labels = numbers("float64", (ROWS, WIDTH)), np.zeros(ROWS, np.int64)
    x[row, 7] = bad
    engine = make(backend, program)
    before = engine.storage.copy()
    with pytest.raises(ValueError, match="finite"):
        engine.train([x], [(labels, None)], None, ROWS, np.ones(1), 1, np.zeros(1), check=True)
    with pytest.raises(ValueError, match="finite"):
        engine.loss_and_gradients([x], [(labels, None)], check=True)
    with pytest.raises(ValueError, match="finite"):
        engine.forward([x], check=True)
    np.testing.assert_array_equal(engine.storage, before)


def test_a_bad_batch_ends_the_call_before_its_step(backend, dtype):
    program = chain((WIDTH, 19, CLASSES), dtype=dtype)
    x, labels = numbers("float64", (ROWS, WIDTH)), np.zeros(ROWS, np.int64)
    engine, other = make(backend, program), make(backend, program)
    losses = np.zeros(4)
    arguments = [(labels, None)], None, 10
    other.train([x], *arguments, np.ones(2), 1, losses[:2])
    x[25] = math.nan
    assert engine.train([x], *arguments, np.ones(4), 1, losses, check=True) == 2
    assert math.isnan(losses[2])
    np.testing.assert_array_equal(engine.storage, other.storage)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("row", [0, 200, 399])
def test_a_bad_row_in_the_share_of_any_thread_is_refused(backend, row, threads):
    program = chain((300, 256, 10))
    x, labels = numbers("float32", (400, 300)), np.zeros(400, np.int64)
    engine = make(backend, program)
    before, used = engine.storage.copy(), fnn.get_num_threads()
    fnn.set_num_threads(threads)
    try:
        for place, bad in ((x[row], math.nan), (labels, 10)):
            kept = place.copy()
            place[min(row, len(place) - 1)] = bad
            with pytest.raises(ValueError, match=r"finite|label"):
                engine.train(
                    [x], [(labels, None)], None, 400, np.ones(1), 1, np.zeros(1), check=True
                )
            place[...] = kept
    finally:
        fnn.set_num_threads(used)
    np.testing.assert_array_equal(engine.storage, before)


@pytest.mark.parametrize(
    ("loss", "target", "fits"),
    [
        (MeanSquaredError(), math.nan, False),
        (MeanSquaredError(), 1e300, False),
        (MeanSquaredError(ignore_value=math.nan), math.nan, True),
        (MeanSquaredError(ignore_value=math.nan), math.inf, False),
        (MeanSquaredError(ignore_value=-9.5), -9.5, True),
        (BinaryCrossEntropy(), 1.0, True),
        (BinaryCrossEntropy(), 1.25, False),
        (BinaryCrossEntropy(), -0.25, False),
        (BinaryCrossEntropy(ignore_value=-1.0), -1.0, True),
        (BinaryCrossEntropy(ignore_value=-1.0), -2.0, False),
        (CrossEntropy(), -0.5, False),
        (CrossEntropy(), 3.5, True),
        (CrossEntropy(), math.nan, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_targets_are_held_to_the_bounds_of_their_loss(backend, loss, target, fits, kind):
    net = fnn.Sequential([fnn.Dense(4, 3)])
    net.compile(loss)
    x, y = np.ones((6, 4), np.float32), np.zeros((6, 3))
    y[4, 1] = target
    with np.errstate(over="ignore"):
        y = y.astype(kind)
    before = net.get_flat()
    if fits:
        assert math.isfinite(net.train_step(x, y))
        assert not np.array_equal(net.get_flat(), before)
    else:
        with pytest.raises(ValueError, match=r"y must be .*, got y\[4, 1\] ="):
            net.train_step(x, y)
        np.testing.assert_array_equal(net.get_flat(), before)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_ignored_labels_and_class_weights_are_gathered_right(backend, dtype, reduction):
    """One thread or several, shuffled or not: the norm knows the whole batch."""
    x = np.random.default_rng(0).normal(size=(400, 300)).astype(dtype)
    y = np.random.default_rng(1).integers(0, 10, 400)
    y[::7] = -1
    weights = np.random.default_rng(2).uniform(0.5, 2, 400)
    order = np.random.default_rng(3).permutation(400)
    loss = CrossEntropy(class_weight={3: 2.5}, ignore_index=-1, reduction=reduction)
    results, used = [], fnn.get_num_threads()
    try:
        for threads in (1, 3):
            fnn.set_num_threads(threads)
            net = fnn.Sequential([fnn.Dense(300, 256, activation="tanh"), fnn.Dense(256, 10)])
            net.compile(loss, "sgd")
            first = net.train_step(x[order], y[order].astype(np.int16), weights[order])
            results.append([first, net.train_step(x, y, weights), net.get_flat()])
    finally:
        fnn.set_num_threads(used)
    assert_same(*results)


def test_the_quick_step_and_the_general_one_are_the_same(backend, dtype):
    x = np.random.default_rng(0).normal(size=(20, 4))
    y = (x[:, 0] > 0).astype(np.int64)
    results = []
    for data in ((x, y), (x.tolist(), y.tolist()), (x.astype(np.longdouble), y[:, None])):
        net = fnn.Sequential([fnn.Dense(4, 5, activation="tanh"), fnn.Dense(5, 2)], dtype=dtype)
        net.compile("cross_entropy", fnn.Adam(fnn.Exponential(0.1, 0.9, every=1)))
        losses = [net.train_step(*data) for _ in range(5)]
        results.append([losses, net.get_flat(), net.get_state()["training"]["step"]])
    assert_same(results[1], results[0])
    assert_same(results[2], results[0])


# ------------------------------------------------------------------- memory


@pytest.mark.parametrize("kind", ["int8", "float32", "float64"])
def test_predicting_many_rows_takes_memory_for_the_output_and_some_blocks(kind):
    if "compiled" not in backends.available():
        pytest.skip("the reference engine works in larger blocks")
    with backends.use("compiled"):
        net = fnn.Sequential([fnn.Dense(8, 64, activation="tanh"), fnn.Dense(64, 1)])
    x = np.ones((300_000, 8), kind)
    peak, output = peak_of(lambda: net.predict(x))
    assert peak < output.nbytes + 4e6


@pytest.mark.parametrize("kind", ["uint8", "float64"])
def test_training_makes_no_converted_copy_of_the_data(kind):
    if "compiled" not in backends.available():
        pytest.skip("the reference engine works in larger blocks")
    with backends.use("compiled"):
        net = fnn.Sequential([fnn.Dense(100, 2)])
        net.compile("cross_entropy")
    x, y = np.ones((40_000, 100), kind), np.zeros(40_000, np.uint8)
    peak, _ = peak_of(lambda: net.fit(x, y, epochs=1, batch_size=100))
    assert peak < 3e6  # the order of the rows and the checks of labels; the data are 4 MB or more


def test_training_on_4096_rows_with_50_000_classes_takes_less_than_64_mib():
    """Beyond parameters, gradients and optimizer state; the logits alone would take 781 MiB."""
    if "compiled" not in backends.available():
        pytest.skip("the reference engine holds all logits")
    with backends.use("compiled"):
        net = fnn.Sequential([fnn.Dense(4, 8, activation="relu"), fnn.Dense(8, 50_000)])
        net.compile("cross_entropy")
    x, y = np.ones((4096, 4), np.float32), np.arange(4096) * 12
    peak, _ = peak_of(lambda: net.train_step(x, y))
    assert peak < 64 << 20
