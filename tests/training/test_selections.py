"""Training and measuring on some rows of data where they are: the bits are those of a copy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from memory import peak_of

import fastnn as fnn
from fastnn import backend as backends
from fastnn.ensemble.members import AllBut, Member
from fastnn.network._checkpoint import digest_of_data
from fastnn.network._fit import Extras
from fastnn.training.data import Data, Selection
from fastnn.training.session import Plan

ROWS = {
    "ascending": np.arange(0, 120, 3),
    "in any order, with repetition": np.array([7, 3, 3, 119, 0, 55, 56, 7] * 5),
    "narrow": np.arange(100, dtype=np.int8),
}


def classifier(dtype="float32", optimizer="adamw"):
    layers = [fnn.Dense(4, 8, activation="tanh"), fnn.Dropout(0.2), fnn.Dense(8, 3)]
    if optimizer == "lbfgs":
        del layers[1]
    network = fnn.Sequential(layers, dtype=dtype, seed=1)
    network.compile("cross_entropy", optimizer)
    return network


def data_of(network, rng, kind="float32", weighs=False, n=120):
    X = rng.integers(-5, 6, (n, 4)).astype(np.float64)
    X = scipy.sparse.csr_array(X) if kind == "sparse" else X.astype(kind)
    weights = rng.uniform(0.1, 3, n) if weighs else None
    return network.core.feed.data(X, rng.integers(0, 3, n), weights, True)


def trained(network, data, validation=None, **options):
    network.core.fit(data, Plan(3, batch_size=16, **options), validation, network)
    history = {name: values for name, values in network.history.items() if name != "seconds"}
    return network.core.storage.tobytes(), history


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int8", ">f4", "sparse"])
def test_training_gives_the_bits_of_a_copy(backend, dtype, rng, rows, kind):
    data = data_of(classifier(dtype), rng, kind)
    expected = trained(classifier(dtype), data.rows(rows))
    assert trained(classifier(dtype), Selection(data, rows)) == expected


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("weights_mean", ["data", "batch"])
def test_weights_of_the_rows_count_as_in_a_copy(backend, rng, shuffle, weights_mean):
    data = data_of(classifier(), rng, weighs=True)
    rows = ROWS["in any order, with repetition"]
    plan = {"shuffle": shuffle, "weights_mean": weights_mean}
    expected = trained(classifier(), data.rows(rows), **plan)
    assert trained(classifier(), Selection(data, rows), **plan) == expected


def test_measures_are_those_of_a_copy(backend, rng):
    data = data_of(classifier(), rng, weighs=True)
    rows = ROWS["ascending"]
    expected = trained(classifier(), data, data.rows(rows))
    assert trained(classifier(), data, Selection(data, rows)) == expected


def test_a_solver_takes_the_rows(backend, rng):
    data = data_of(classifier(optimizer="lbfgs"), rng)
    results = []
    for samples in (data.rows(ROWS["ascending"]), Selection(data, ROWS["ascending"])):
        network = classifier(optimizer="lbfgs")
        network.core.fit(samples, Plan(3), None, network)
        results.append(network.core.storage.tobytes())
    assert results[0] == results[1]


@pytest.mark.parametrize("kind", ["float32", "sparse"])
def test_the_digest_is_that_of_a_copy(rng, kind):
    data = data_of(classifier(), rng, kind, weighs=True)
    for rows in ROWS.values():
        assert digest_of_data(Selection(data, rows)) == digest_of_data(data.rows(rows))


def test_balanced_classes_are_counted_among_the_rows(rng):
    data = data_of(classifier(), rng)
    rows = np.flatnonzero(rng.random(120) < 0.5)
    results = []
    for samples, chosen in ((data, rows), (data.rows(rows), None)):
        network = classifier()
        extras = Extras(class_weight="balanced")
        Member(network, samples, chosen, Plan(2), extras, None).train(lambda: False)
        results.append(network.core.storage.tobytes())
    assert results[0] == results[1]


@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 40_000])
def test_all_but_some_rows_are_the_others(n):
    rows = AllBut(np.arange(0, n, 2)).of(n)
    assert rows.tolist() == list(range(1, n, 2))


def test_training_on_some_rows_makes_no_copy_of_them():
    if "compiled" not in backends.available():
        pytest.skip("the reference engine works in larger blocks")
    with backends.use("compiled"):
        network = fnn.Sequential([fnn.Dense(100, 1)])
        network.compile("mean_squared_error")
    n = 40_000
    data = Data([np.ones((n, 100), np.float32)], [(np.zeros((n, 1), np.float32), None)])
    rows = AllBut(np.arange(0, n, 5, dtype=np.int32))

    def train():
        member = Member(network, data, rows, Plan(2, 100), Extras(), rows.rows)
        member.train(lambda: False)

    peak, _ = peak_of(train)
    assert peak < 4.5e6  # a copy takes 12.8 MB; 3.2 MB are a block of those that are measured
