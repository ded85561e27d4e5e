"""`evaluate` adds up losses and scores over blocks of rows: the values, and the memory."""

from __future__ import annotations

import numpy as np
import pytest
from memory import peak_of
from sklearn.metrics import accuracy_score, r2_score

import fastnn as fnn
from fastnn.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanSquaredError
from fastnn.network import _measures

N = 1000


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 64 rows: the data take 16, and the last is not full."""
    monkeypatch.setattr(_measures, "_BLOCK_ROWS", (64, 64))


def network(loss, n_out=3, dtype="float64", l2=0.0):
    net = fnn.Sequential([fnn.Dense(4, n_out)], dtype=dtype)
    net.compile(loss, l2=l2)
    return net


def labels(rng):
    return rng.integers(0, 3, N)


def shares(rng):
    return rng.dirichlet(np.ones(3), N)


def numbers(rng):
    return rng.normal(2, 3, (N, 3))


def questions(rng):
    return rng.integers(0, 2, (N, 3)).astype(float)


def holes(make):
    """Some targets are missing, among them the whole of the first blocks in one column."""

    def made(rng):
        y = make(rng).astype(float)
        y[rng.random(y.shape) < 0.3] = np.nan
        if y.ndim == 2:
            y[:200, 0] = np.nan
        return y

    return made


def ignored(rng):
    return np.where(np.arange(N) < 100, -1, labels(rng))


CASES = {
    "labels": (CrossEntropy(), labels),
    "label smoothing": (CrossEntropy(label_smoothing=0.1), labels),
    "class weights": (CrossEntropy(class_weight=[0.5, 2.0, 3.0]), labels),
    "ignored labels": (CrossEntropy(ignore_index=-1, class_weight={1: 5.0}), ignored),
    "sum": (CrossEntropy(reduction="sum"), labels),
    "rows": (CrossEntropy(class_weight=[0.5, 2.0, 3.0]), shares),
    "rows with nan": (CrossEntropy(ignore_nan=True), holes(shares)),
    "binary": (BinaryCrossEntropy(class_weight=(1.0, 4.0)), questions),
    "binary with nan": (
        BinaryCrossEntropy(class_weight=(1.0, 4.0), ignore_value=np.nan), holes(questions),
    ),
    "squares": (MeanSquaredError(), numbers),
    "half sum": (MeanSquaredError(reduction="half_sum"), numbers),
    "squares with nan": (MeanSquaredError(ignore_value=np.nan), holes(numbers)),
    "huber": (Huber(delta=0.5), numbers),
}  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "make"), CASES.values(), ids=CASES)
def test_blocks_give_what_all_rows_at_once_give(backend, dtype, monkeypatch, loss, make, weighted):
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(N, 4)), make(rng)
    weights = np.where(np.arange(N) < 70, 0, rng.uniform(0, 2, N)) if weighted else None
    net = network(loss, dtype=dtype, l2=0.1)
    whole = net.evaluate(X, y, weights)
    monkeypatch.setattr(_measures, "_BLOCK_ROWS", (64, 64))
    found = net.evaluate(X, y, weights)
    assert found == pytest.approx(whole, rel=1e-12 if dtype == "float64" else 1e-6)
    assert net.evaluate(X, y, weights, batch_size=37) == pytest.approx(found, rel=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_the_scores_are_those_of_scikit_learn(backend):
    rng = np.random.default_rng(5)
    X, weights = rng.normal(size=(N, 4)), rng.uniform(0, 2, N)
    net, y = network("mean_squared_error"), numbers(rng)
    expected = r2_score(y, net.predict(X), sample_weight=weights)
    assert net.score(X, y, weights) == pytest.approx(expected, rel=1e-12)
    net, y = network("cross_entropy"), labels(rng)
    expected = accuracy_score(y, net.predict_classes(X), sample_weight=weights)
    assert net.score(X, y, weights) == pytest.approx(expected, rel=1e-12)


@pytest.mark.usefixtures("small_blocks")
def test_equal_targets_score_0_or_1_in_blocks_as_well(backend):
    X = np.zeros((N, 4))
    net = network("mean_squared_error", 1)
    y = np.full(N, 0.1)
    assert net.score(X, y) == 0
    net.parameters["dense_1.bias"][...] = 0.1
    assert net.score(X, y) == 1


@pytest.mark.usefixtures("small_blocks")
def test_r_squared_bears_targets_far_from_zero(backend):
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(N, 4)), 1e8 + rng.normal(size=N)
    net = network("mean_squared_error", 1)
    net.parameters["dense_1.weight"][...] = 0
    net.parameters["dense_1.bias"][...] = 1e8
    assert net.score(X, y) == pytest.approx(r2_score(y, np.full(N, 1e8)), rel=1e-9)


@pytest.mark.usefixtures("small_blocks")
def test_a_custom_loss_is_called_once_on_all_rows(backend):
    def largest(output, target):
        calls.append(len(output))
        return np.abs(output - target).max(), np.zeros_like(output)

    calls = []
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(N, 4)), numbers(rng)
    net = network(largest)
    assert net.evaluate(X, y)["loss"] == pytest.approx(np.abs(net.predict(X) - y).max())
    assert calls == [N]


@pytest.mark.usefixtures("small_blocks")
def test_several_losses_have_their_own_sums(backend):
    rng = np.random.default_rng(8)
    x = fnn.Input(4)
    net = fnn.Network(x, {"a": fnn.Dense(4, 3)(x), "b": fnn.Dense(4, 1)(x)}, dtype="float64")
    net.compile({"a": "cross_entropy", "b": "huber"}, loss_weights={"a": 2.0, "b": 0.5})
    X, y = rng.normal(size=(N, 4)), {"a": labels(rng), "b": rng.normal(size=N)}
    found = net.evaluate(X, y)
    outputs = net.predict(X)
    assert found["a_loss"] == pytest.approx(
        fnn.functional.cross_entropy(outputs["a"], y["a"]), rel=1e-12
    )
    assert found["loss"] == pytest.approx(2 * found["a_loss"] + 0.5 * found["b_loss"], rel=1e-12)


def test_threads_and_batch_size_do_not_change_the_blocks(backend):
    rng = np.random.default_rng(9)
    X, y = rng.normal(size=(N, 4)), labels(rng)
    net = network("cross_entropy")
    before = fnn.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            fnn.set_num_threads(threads)
            found.append(net.evaluate(X, y))
    finally:
        fnn.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error"])
def test_memory_does_not_grow_with_the_rows_of_a_memory_map(backend, tmp_path, loss):
    net = network(loss, 10, dtype="float32")

    def memory(n):
        X = np.memmap(tmp_path / f"X{n}", np.float32, "w+", shape=(n, 4))
        shape = (n,) if loss == "cross_entropy" else (n, 10)
        y = np.memmap(
            tmp_path / f"y{n}", np.int64 if len(shape) == 1 else np.float32, "w+", shape=shape
        )
        return peak_of(lambda: net.evaluate(X, y))[0]

    few, many = memory(150_000), memory(450_000)
    assert few > 1e6  # the blocks are seen
    assert many < 1.1 * few
