"""Networks whose X is a sparse matrix: the numbers are those of the dense matrix."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import peak_of
from networks import gradient_error

import fastnn as fnn
from fastnn import backend as backends

N, WIDTH = 90, 60
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def network(dtype="float64", width=WIDTH, optimizer="adam", hidden=20, **options):
    layers = [fnn.Dense(width, hidden, activation="tanh"), fnn.Dense(hidden, 3)]
    net = fnn.Sequential(layers, dtype=dtype, seed=2)
    net.compile("cross_entropy", optimizer, **options)
    return net


@pytest.fixture
def X():
    """CSR rows, some of them empty, with an explicit zero."""
    matrix = sp.random(N, WIDTH, 0.08, format="csr", random_state=3, dtype=np.float64)
    matrix.data -= 0.5
    matrix.data[7] = 0.0
    return matrix


@pytest.fixture
def y(rng):
    return rng.integers(0, 3, N)


def assert_same(found, expected, backend, dtype="float64"):
    """Equal to the last bit in compiled code, which adds in one order; else to rounding."""
    if backend == "compiled":
        np.testing.assert_array_equal(found, expected)
    else:
        tolerance = TOLERANCE[dtype]
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------- numbers


@pytest.mark.parametrize("call", ["predict", "predict_proba", "predict_mean", "predict_classes"])
def test_predictions_are_those_of_the_dense_matrix(backend, dtype, X, call):
    net = network(dtype)
    found, expected = getattr(net, call)(X), getattr(net, call)(X.toarray())
    assert_same(found, expected, backend, dtype)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", fnn.Adam(clip_norm=0.1)])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_training_is_that_on_the_dense_matrix(backend, dtype, X, y, optimizer, l2):
    nets = [network(dtype, optimizer=optimizer, l2=l2) for _ in range(2)]
    for net, data in zip(nets, (X, X.toarray()), strict=True):
        net.fit(data, y, epochs=3, batch_size=16, validation_split=0.2, verbose=0)
    assert_same(nets[0].get_flat(), nets[1].get_flat(), backend, dtype)
    for name in ("loss", "val_loss"):
        assert_same(nets[0].history[name], nets[1].history[name], backend, dtype)


@pytest.mark.parametrize("n", [1, 2, 4, 5, 90])
def test_a_step_is_that_on_the_dense_matrix(backend, dtype, X, y, n):
    nets = [network(dtype), network(dtype)]
    rows = X[:n]
    losses = [net.train_step(x, y[:n]) for net, x in zip(nets, (rows, rows.toarray()), strict=True)]
    assert_same(losses[0], losses[1], backend, dtype)
    assert_same(nets[0].get_flat(), nets[1].get_flat(), backend, dtype)


def test_measures_are_those_of_the_dense_matrix(backend, X, y):
    net, weights = network(), np.linspace(0, 2, N)
    found = list(net.evaluate(X, y, weights).values())
    assert_same(found, list(net.evaluate(X.toarray(), y, weights).values()), backend)
    assert net.score(X, y) == net.score(X.toarray(), y)


def test_gradients_are_the_derivatives_of_the_cost(backend, X, y):
    net = network(hidden=4)
    assert gradient_error(net, X[:9], y[:9]) < 1e-7


def test_lbfgs_reaches_what_it_reaches_on_the_dense_matrix(backend, X, y):
    nets = [network(optimizer="lbfgs"), network(optimizer="lbfgs")]
    for net, data in zip(nets, (X, X.toarray()), strict=True):
        net.fit(data, y, epochs=5, verbose=0)
    assert_same(nets[0].get_flat(), nets[1].get_flat(), backend)


def test_ensembles_take_sparse_rows(backend, X, y):
    ensembles = [fnn.Ensemble(network(), 2, bootstrap=True, seed=1) for _ in range(2)]
    for ensemble, data in zip(ensembles, (X, X.toarray()), strict=True):
        ensemble.fit(data, y, epochs=1, verbose=0)
    found, expected = ensembles[0].predict(X).mean, ensembles[1].predict(X.toarray()).mean
    assert_same(found, expected, backend)


def test_a_dense_batch_may_follow_a_sparse_one(backend, dtype, X, y):
    net, expected = network(dtype), network(dtype)
    for data in (X, X.toarray(), X[:20], X.toarray()[:50], X):
        n = data.shape[0]
        net.train_step(data, y[:n])
        expected.train_step(data if isinstance(data, np.ndarray) else data.toarray(), y[:n])
    assert_same(net.predict(X.toarray()), expected.predict(X.toarray()), backend, dtype)
    assert_same(net.predict(X), expected.predict(X.toarray()), backend, dtype)


@st.composite
def sparse_and_dense(draw):
    """Columns in any order, repeated places, empty rows, zeros; the same numbers in an array."""
    n_rows, width = draw(st.integers(1, 40)), draw(st.sampled_from([1, 2, 15, 16, 17, 70]))
    seed = draw(st.integers(0, 1 << 30))
    density = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    rng = np.random.default_rng(seed)
    counts = rng.binomial(2 * width, density / 2, n_rows)
    starts = np.concatenate([[0], np.cumsum(counts)])
    matrix = sp.csr_matrix((n_rows, width))
    matrix.data = rng.integers(-3, 4, starts[-1]).astype(draw(st.sampled_from("fdbB")))
    matrix.indices = rng.integers(0, width, starts[-1]).astype(draw(st.sampled_from("il")))
    matrix.indptr = starts.astype(matrix.indices.dtype)
    return matrix, matrix.toarray()


@pytest.mark.parametrize("name", backends.available())
@given(data=sparse_and_dense(), dtype=st.sampled_from(["float32", "float64"]),
       hidden=st.sampled_from([1, 16, 33, 70, 140]))  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_random_patterns_train_as_the_dense_matrix_does(name, data, dtype, hidden):
    X, array = data
    y = np.arange(len(array)) % 3
    with backends.use(name):
        nets = [network(dtype, array.shape[1], hidden=hidden) for _ in range(2)]
        for net, rows in zip(nets, (X, array), strict=True):
            net.fit(rows, y, epochs=2, batch_size=7, verbose=0)
        assert_same(nets[0].predict(X), nets[1].predict(array), name, dtype)


# -------------------------------------------------------------------- inputs


def test_every_format_is_taken(backend, X):
    net = network()
    for form in ("csc", "coo", "lil", "dok", "bsr"):
        assert_same(net.predict(X.asformat(form)), net.predict(X.toarray()), backend)
        assert_same(net.predict(sp.csr_array(X.asformat(form))), net.predict(X), backend)


def tower(*inputs):
    """Dense layers on the inputs, added."""
    parts = [fnn.Dense(WIDTH, 5, name=f"on_{tensor.name}")(tensor) for tensor in inputs]
    return fnn.Network(list(inputs), fnn.Add()(parts), dtype="float64")


def test_each_of_several_inputs_may_be_sparse(backend, X):
    net = tower(fnn.Input(WIDTH, name="left"), fnn.Input(WIDTH, name="right"))
    net.compile("mean_squared_error")
    array, y = X.toarray(), np.ones((N, 5))
    expected = net.evaluate([array, array[::-1]], y)["loss"]
    for left in (X, array):
        for right in (X[::-1], array[::-1]):
            assert net.evaluate([left, right], y)["loss"] == pytest.approx(expected, rel=1e-12)
            net.train_step({"left": left, "right": right}, y)
            expected = net.evaluate([array, array[::-1]], y)["loss"]


def test_one_sparse_input_may_be_read_by_several_dense_layers(backend, X):
    x = fnn.Input(WIDTH, name="x")
    outputs = [fnn.Dense(WIDTH, 4, name=name)(x) for name in ("a", "b")]
    net = fnn.Network(x, fnn.Add()(outputs), dtype="float64")
    net.compile("mean_squared_error")
    (sparse, found), (full, expected) = (
        net.loss_and_gradients(data, np.ones((N, 4))) for data in (X, X.toarray())
    )
    assert sparse == pytest.approx(full, rel=1e-12)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("layer", [fnn.Dropout(0.5), fnn.Activation("relu"), fnn.LayerNorm(WIDTH)])
def test_an_input_that_another_layer_reads_may_not_be_sparse(backend, X, layer):
    net = fnn.Sequential([layer.copy(), fnn.Dense(WIDTH, 2)])
    with pytest.raises(TypeError, match=r"X may be sparse only where dense layers alone read it"):
        net.predict(X)


@pytest.mark.parametrize("call", ["trace", "predict_samples", "input_gradients"])
def test_calls_that_need_arrays_refuse_sparse_rows(backend, X, y, call):
    arguments = (X, y) if call == "trace" else (X,)
    with pytest.raises(TypeError, match=r"takes no sparse X; convert some rows with \.toarray\(\)"):
        getattr(network(), call)(*arguments)


def test_levenberg_marquardt_refuses_sparse_rows(backend, X):
    net = fnn.Sequential([fnn.Dense(WIDTH, 1)], dtype="float64")
    net.compile("mean_squared_error", fnn.LevenbergMarquardt())
    with pytest.raises(TypeError, match="Levenberg-Marquardt takes no sparse X"):
        net.fit(X, np.ones((N, 1)), verbose=0)


def test_a_predictor_refuses_sparse_rows(backend, X):
    with pytest.raises(TypeError, match="X must be an array of float64, got csr_matrix"):
        network().predictor()(X)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_named(backend, X, y, value):
    X.data[11] = value
    row = int(np.searchsorted(X.indptr, 11, side="right")) - 1
    cell = rf"X\[{row}, {X.indices[11]}\] = {value}"
    net = network()
    for call in (net.predict, lambda X: net.fit(X, y), lambda X: net.train_step(X, y)):
        with pytest.raises(ValueError, match=f"X must be finite, got {cell}"):
            call(X)


def test_nan_stays_in_its_row_where_it_is_allowed(backend, X):
    X.data[11] = np.nan
    row = int(np.searchsorted(X.indptr, 11, side="right")) - 1
    found = np.isnan(network().predict(X, check_finite=False))
    assert found[row].all()
    assert found.sum() == found[row].size


def test_a_damaged_matrix_is_refused(backend, X, y):
    X.indices[3] = WIDTH
    with pytest.raises(ValueError, match=r"X must be a valid csr_matrix, .* indices\[3\] = 60"):
        network().fit(X, y)


def test_no_dense_copy_is_made(backend, rng):
    n, width = 2000, 100_000
    places = np.arange(n).repeat(10), rng.integers(0, width, 10 * n)
    X = sp.csr_matrix((np.ones(10 * n), places), shape=(n, width))
    y = np.arange(n) % 3
    net = network("float32", width, hidden=4)

    def call():
        net.fit(X, y, epochs=1, batch_size=1000, validation_split=0.1, verbose=0)
        return net.predict(X)

    size = net.core.storage.nbytes
    assert peak_of(call)[0] < 10 * size < 0.1 * 4 * n * width
