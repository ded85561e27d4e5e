"""Frozen networks: the same bits, no change, many threads."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from networks import classifier, flowers, multitask

import fastnn as fnn
from fastnn.layers import Dense, Dropout, Input, Subtract
from fastnn.network import Network, Sequential


def wide(dtype="float32"):
    """A network whose prediction of many rows takes more than one block and one thread."""
    layers = [Dense(64, 256, activation="gelu"), Dropout(0.5), Dense(256, 10)]
    return Sequential(layers, dtype=dtype)


def samples(n, dtype="float32", width=64):
    return np.random.default_rng(n).normal(size=(n, width)).astype(dtype)


@pytest.mark.parametrize("n", [1, 2, 17, 1500])
def test_the_bits_are_those_of_predict(backend, dtype, n):
    net = wide(dtype)
    x = samples(n, dtype)
    np.testing.assert_array_equal(net.predictor()(x), net.predict(x))


def test_a_single_row_gives_a_single_row(backend, dtype):
    net = wide(dtype)
    x = samples(3, dtype)
    found = net.predictor()(x[1])
    assert found.shape == (10,)
    np.testing.assert_array_equal(found, net.predict(x[1]))


def test_a_row_with_strides(backend):
    net = wide()
    x = samples(64)
    np.testing.assert_array_equal(net.predictor()(x[:, 5]), net.predict(x[:, 5].copy()))
    np.testing.assert_array_equal(net.predictor()(x[::-3]), net.predict(x[::-3]))


def test_training_on_changes_nothing(backend):
    x, y = flowers(np.random.default_rng(0))
    net = classifier()
    predict = net.predictor()
    before = predict(x)
    net.fit(x, y, epochs=2)
    net.set_flat(np.zeros(net.n_parameters))
    np.testing.assert_array_equal(predict(x), before)


def test_nothing_can_be_set():
    with pytest.raises(AttributeError):
        classifier().predictor().weight = 1


def test_the_result_goes_where_it_is_wanted(backend):
    net = wide()
    x, out = samples(30), np.full((30, 10), np.nan, np.float32)
    assert net.predictor()(x, out) is out
    np.testing.assert_array_equal(out, net.predict(x))
    row = np.zeros(10, np.float32)
    assert net.predictor()(x[0], out=row) is row
    np.testing.assert_array_equal(row, net.predict(x[0]))


def test_nan_passes_through(backend):
    x = samples(3)
    x[1, 0] = np.nan
    found = np.isnan(wide().predictor()(x)).all(axis=1)
    np.testing.assert_array_equal(found, [False, True, False])


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((3, 64)), TypeError, "X must be an array of float32, got float64"),
        ([[0.0] * 64], TypeError, "X must be an array of float32, got list"),
        (np.zeros((3, 64), ">f4"), TypeError, "X must be an array of float32"),
        (None, TypeError, "X must be an array of float32, got NoneType"),
        (
            np.zeros((3, 63), np.float32),
            ValueError,
            r"X must have shape \(N, 64\) or .*got \(3, 63\)",
        ),
        (np.zeros((0, 64), np.float32), ValueError, r"X must have shape .*, got \(0, 64\)"),
        (np.zeros(63, np.float32), ValueError, r"X must have shape .*, got \(63,\)"),
        (np.zeros((1, 3, 64), np.float32), ValueError, r"X must have shape .*, got \(1, 3, 64\)"),
        (np.float32(1), TypeError, "X must be an array of float32"),
    ],
)
def test_other_inputs_are_refused(backend, x, error, message):
    with pytest.raises(error, match=message):
        wide().predictor()(x)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros((3, 10)), TypeError, "out must be an array of float32, got float64"),
        (
            np.zeros((2, 10), np.float32),
            ValueError,
            r"out must have shape \(3, 10\), got \(2, 10\)",
        ),
        (np.zeros(10, np.float32), ValueError, r"out must have shape \(3, 10\), got \(10,\)"),
        (np.zeros((10, 3), np.float32).T, ValueError, "out must be writable, C-contiguous"),
        (np.broadcast_to(np.float32(0), (3, 10)), ValueError, "out must be writable"),
        ([0.0], TypeError, "out must be an array of float32, got list"),
    ],
)
def test_other_results_are_refused(backend, out, error, message):
    with pytest.raises(error, match=message):
        wide().predictor()(samples(3), out)


@pytest.mark.parametrize("n", [3, 3000])
def test_results_over_the_input_are_refused(backend, n):
    predict = Sequential([Dense(4, 4)]).predictor()
    memory = samples(n + 1, width=4)
    before = memory.copy()
    with pytest.raises(ValueError, match="out must share no memory with X, got an overlap"):
        predict(memory[:n], memory[1:])
    with pytest.raises(ValueError, match="out must share no memory with X"):
        predict(memory[::-1], memory)
    with pytest.raises(ValueError, match="out must share no memory with X"):
        predict(memory[0], memory[0])
    np.testing.assert_array_equal(memory, before)


def test_results_between_the_elements_of_the_input_are_not_refused(backend):
    predict = Sequential([Dense(4, 4)]).predictor()
    memory = samples(24, width=1)[:, 0]
    expected = predict(memory[::6])
    np.testing.assert_array_equal(predict(memory[::6], memory[1:5]), expected)


def test_results_over_each_other_are_refused(backend):
    x = Input(4)
    predict = Network(x, [Dense(4, 2)(x), Dense(4, 2)(x)]).predictor()
    values, out = samples(5, width=4), np.empty((6, 2), np.float32)
    with pytest.raises(ValueError, match=r"out\[1\] must share no memory with out\[0\]"):
        predict(values, [out[:5], out[1:]])
    overlapping = values.reshape(-1)[:10].reshape(5, 2)
    with pytest.raises(ValueError, match=r"out\[1\] must share no memory with X"):
        predict(values, [out[:5], overlapping])


def test_unaligned_memory_is_refused(backend):
    unaligned = np.zeros(4 * 64 + 1, np.uint8)[1:].view(np.float32)
    with pytest.raises(TypeError, match="of float32, got float32 that is not aligned"):
        wide().predictor()(unaligned)


def siamese():
    a, b = Input(3, name="left"), Input(3, name="right")
    shared = Dense(3, 4, activation="tanh")
    return Network([a, b], Dense(4, 1)(Subtract()([shared(a), shared(b)])))


def test_several_inputs(backend):
    net = siamese()
    a, b = samples(5, width=3), samples(6, width=3)[:5]
    expected = net.predict([a, b])
    np.testing.assert_array_equal(net.predictor()([a, b]), expected)
    np.testing.assert_array_equal(net.predictor()({"left": a, "right": b}), expected)
    np.testing.assert_array_equal(net.predictor()((a[0], b[0])), expected[0])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            [samples(5, width=3), samples(4, width=3)],
            r"X\['right'\] must have 5 rows as X\['left'\] has, got 4",
        ),
        ([samples(1, width=3), samples(1, width=3)[0]], "some inputs are single rows"),
        ([samples(5, width=3)], "X has 1 entries, expected 2"),
        (
            [samples(5, width=3), samples(5, width=2)],
            r"X\['right'\] must have shape .*, got \(5, 2\)",
        ),
    ],
)
def test_inputs_that_do_not_fit_together_are_refused(backend, x, message):
    with pytest.raises(ValueError, match=message):
        siamese().predictor()(x)


def test_named_outputs(backend):
    net = multitask()
    x = flowers(np.random.default_rng(0))[0]
    expected, found = net.predict(x), net.predictor()(x)
    assert list(found) == ["kind", "size"]
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    out = {name: np.empty_like(values) for name, values in expected.items()}
    assert net.predictor()(x, out)["size"] is out["size"]
    np.testing.assert_array_equal(out["kind"], expected["kind"])


def test_several_outputs_without_names(backend):
    x = Input(4)
    h = Dense(4, 6, activation="tanh")(x)
    net = Network(x, [Dense(6, 2)(h), Dense(6, 3)(h)])
    values = samples(7, width=4)
    for found, expected in zip(net.predictor()(values), net.predict(values), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [row.shape for row in net.predictor()(values[0])] == [(2,), (3,)]


def test_many_threads_at_once(backend):
    net = wide()
    predict = net.predictor()
    inputs = [samples(n) for n in (1, 3, 40, 600, 1200)]
    expected = [net.predict(x) for x in inputs]

    def work(i):
        return np.array_equal(predict(inputs[i % 5]), expected[i % 5])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))


def test_threads_that_call_at_once_do_not_wait_for_training(backend):
    """The predictor knows nothing of the network's lock."""
    x, y = flowers(np.random.default_rng(0))
    net = classifier()
    predict = net.predictor()
    seen = []

    def during(context):
        with ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(predict, x).result(10))

    net.fit(x, y, epochs=2, callbacks=during)
    np.testing.assert_array_equal(seen[0], seen[1])


def test_a_pickled_copy_is_the_same(backend, dtype):
    net = wide(dtype)
    x = samples(20, dtype)
    copy = pickle.loads(pickle.dumps(net.predictor()))
    np.testing.assert_array_equal(copy(x), net.predict(x))
    names = multitask()
    assert list(pickle.loads(pickle.dumps(names.predictor()))(samples(2, "float64", 4))) == [
        "kind",
        "size",
    ]


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_child_predicts_the_same():
    predict = wide().predictor()
    x = samples(1500)
    expected = predict(x)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=lambda: there.send(predict(x)))
    child.start()
    try:
        assert here.poll(60), "the child process hangs"
        np.testing.assert_array_equal(here.recv(), expected)
    finally:
        child.join(10)
        if child.is_alive():
            child.kill()


def test_it_says_what_it_is():
    assert repr(wide().predictor()) == "<Predictor 64 -> 10, float32>"
    assert isinstance(wide().predictor(), fnn.Predictor)


def test_it_has_the_signature_of_its_call(backend):
    assert list(inspect.signature(wide().predictor()).parameters) == ["X", "out"]
    expected = ["program", "storage", "output_names", "report"]
    assert list(inspect.signature(fnn.Predictor).parameters) == expected
