"""Embeddings of codes, and piecewise-linear ones of numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from programs import OPTIMIZERS, data_for, initial_storage, set_optimizer

import fastnn as fnn
from fastnn import backend as backends
from fastnn.program import Head, ProgramBuilder

TOLERANCE = {"float32": 2e-5, "float64": 1e-13}
SIZES = (5, 1, 3, 300, 17)
KINDS = ("embedding", "piecewise_linear")
LAYERS = {"embedding": fnn.Embedding, "piecewise_linear": fnn.PiecewiseLinear}
EACH_KIND = pytest.mark.parametrize("kind", KINDS)
EACH_COMBINATION = pytest.mark.parametrize("combine", ["concatenate", "sum"])


def numbers_for(kind, sizes, n, rng, dtype="float64"):
    """Codes, or positions, some of them beyond the bins."""
    if kind == "embedding":
        return np.stack([rng.integers(0, size, n) for size in sizes], axis=1).astype(dtype)
    return np.stack([rng.uniform(-0.2, size + 0.2, n) for size in sizes], axis=1).astype(dtype)


def encoded(kind, x, sizes):
    """One-hot rows, or the encoding of Gorishniy et al. in [-1, 1]: a matrix for each column."""
    blocks = []
    for j, size in enumerate(sizes):
        k = np.arange(size)
        u = np.asarray(x, np.float64)[:, j, None]
        blocks.append((u == k) * 1.0 if kind == "embedding" else 2 * np.clip(u - k, 0, 1) - 1)
    return blocks


def expected_output(kind, x, sizes, weight, combine):
    """Products of the encodings and the parts of the weight."""
    parts = np.split(weight.astype(np.float64), np.cumsum(sizes)[:-1])
    products = [e @ w for e, w in zip(encoded(kind, x, sizes), parts, strict=True)]
    return sum(products) if combine == "sum" else np.concatenate(products, axis=1)


@EACH_KIND
@EACH_COMBINATION
@pytest.mark.parametrize("width", [1, 7, 16, 130])
def test_output_is_that_of_a_dense_layer_on_the_encoding(backend, dtype, kind, combine, width, rng):
    layer = LAYERS[kind](SIZES, width, combine, dtype=dtype, seed=1)
    x = numbers_for(kind, SIZES, 70, rng, dtype)
    expected = expected_output(kind, x, SIZES, layer.weight, combine)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(layer(x), expected, rtol=0, atol=TOLERANCE[dtype] * scale)


@EACH_KIND
@EACH_COMBINATION
@pytest.mark.parametrize(("width", "n"), [(1, 3), (16, 600), (37, 1), (140, 30)])
def test_gradients_are_those_of_a_dense_layer_on_the_encoding(
    backend, dtype, kind, combine, width, n, rng
):
    layer = LAYERS[kind](SIZES, width, combine, dtype=dtype, seed=1)
    x = numbers_for(kind, SIZES, n, rng, dtype)
    dy = rng.normal(size=layer(x).shape).astype(dtype)
    dx = layer.backward(dy)
    columns = np.split(dy, len(SIZES), axis=1) if combine == "concatenate" else [dy] * len(SIZES)
    blocks = encoded(kind, x, SIZES)
    expected = np.concatenate([e.T @ d for e, d in zip(blocks, columns, strict=True)])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        layer.gradients["weight"], expected, rtol=0, atol=TOLERANCE[dtype] * scale
    )
    if kind == "embedding":
        np.testing.assert_array_equal(dx, 0)
        return
    for j, size in enumerate(SIZES):
        u = np.clip(x[:, j], 0, size)
        row = np.minimum(np.floor(u), size - 1).astype(int)
        slope = 2 * (columns[j] * layer.rows_of(j)[row]).sum(axis=1) * (u == x[:, j])
        np.testing.assert_allclose(dx[:, j], slope, atol=TOLERANCE[dtype] * np.abs(slope).max())


def test_values_at_the_edges_are_the_same_from_both_sides(backend, dtype, rng):
    layer = fnn.PiecewiseLinear(9, 12, dtype=dtype, seed=0)
    edges = np.arange(10, dtype=dtype)[:, None]
    below = np.nextafter(edges, -np.inf, dtype=dtype)
    np.testing.assert_allclose(layer(edges), layer(below), rtol=0, atol=20 * np.finfo(dtype).eps)


def test_positions_beyond_the_bins_are_at_their_ends(backend, dtype):
    layer = fnn.PiecewiseLinear([3, 2], 4, dtype=dtype, seed=0)
    inside = layer(np.array([[0.0, 2.0], [3.0, 0.0]], dtype))
    beyond = layer(np.array([[-5.0, 2.5], [1e30, -np.inf]], dtype))
    np.testing.assert_array_equal(beyond, inside)


def test_output_for_a_position_that_is_nan_is_nan(backend, dtype):
    layer = fnn.PiecewiseLinear([3, 2], 4, "concatenate", dtype=dtype, seed=0)
    output = layer(np.array([[np.nan, 1.0]], dtype))
    assert np.isnan(output[0, :4]).all()
    assert np.isfinite(output[0, 4:]).all()


@pytest.mark.parametrize("bad", [-1.0, 3.0, 1e9, np.inf, -np.inf])
def test_codes_out_of_range_have_the_nearest_row_where_nothing_is_checked(backend, dtype, bad):
    net = fnn.Sequential([fnn.Embedding([3, 4], 5, combine="sum")], dtype=dtype)
    nearest = np.array([[np.clip(bad, 0, 2), 1.0]])
    output = net.predict(np.array([[bad, 1.0]]), check_finite=False)
    np.testing.assert_array_equal(output, net.predict(nearest))
    np.testing.assert_array_equal(net.predictor()(np.array([[bad, 1.0]], dtype)), output)


def test_a_code_that_is_nan_has_the_first_row_where_nothing_is_checked(backend):
    net = fnn.Sequential([fnn.Embedding(3, 5)])
    output = net.predict(np.array([[np.nan]]), check_finite=False)
    np.testing.assert_array_equal(output[0], net.parameters["embedding_1.weight"][0])


REFUSED = [
    (3, "integers from 0 to 2, got X[1, 0] = 3"),
    (-1, "integers from 0 to 2, got X[1, 0] = -1"),
    (0.5, "integers from 0 to 2, got X[1, 0] = 0.5"),
    (np.nan, "integers from 0 to 2, got X[1, 0] = nan"),
]


@pytest.mark.parametrize(("bad", "message"), REFUSED)
@pytest.mark.parametrize("call", ["predict", "fit", "train_step", "evaluate", "input_gradients"])
def test_number_that_is_no_code_is_refused_with_its_place(backend, bad, message, call):
    net = fnn.Sequential([fnn.Embedding([3, 4], 5), fnn.Dense(10, 2)])
    net.compile(loss="cross_entropy", optimizer="adam")
    X, y = np.array([[2, 3], [bad, 0], [0, 0]]), np.array([0, 1, 1])
    before = net.get_flat()
    arguments = (X,) if call in ("predict", "input_gradients") else (X, y)
    with pytest.raises(ValueError, match=re.escape("column 0 of X must hold codes, " + message)):
        getattr(net, call)(*arguments)
    np.testing.assert_array_equal(net.get_flat(), before)


def test_layer_called_on_an_array_refuses_numbers_that_are_no_codes(backend):
    with pytest.raises(ValueError, match=r"column 1 of x must hold codes, .* x\[0, 1\] = 4"):
        fnn.Embedding([3, 4], 5)([[1, 4]])


@pytest.mark.parametrize("integer", ["int64", "uint8", "int16", "float16", "bool"])
def test_codes_have_any_real_dtype(backend, integer):
    net = fnn.Sequential([fnn.Embedding([2, 2], 3)], seed=3)
    X = np.array([[0, 1], [1, 0]])
    np.testing.assert_array_equal(net.predict(X.astype(integer)), net.predict(X.astype("f4")))


# ------------------------------------------------------------------------------ training


def program_of(kind, combine, dtype, l2=0.0, uses=1, trainable=True):
    """One table, used once or more, before a dense layer."""
    builder = ProgramBuilder(dtype)
    width = 37
    weight = builder.parameter("table.weight", (sum(SIZES), width), trainable=trainable)
    values = []
    for i in range(uses):
        x = builder.input(f"x{i}", len(SIZES))
        values.append(builder.add(kind, [x], f"t{i}", [weight], sizes=SIZES, combine=combine))
    y = builder.add("add", values, "sum.A") if uses > 1 else values[0]
    h = builder.add("activation", [y], "h.A", function="tanh")
    out = builder.parameter("out.weight", (builder.buffers[h].width, 3))
    z = builder.add("dense", [h], "out.Z", [out])
    return builder.build([z]).with_heads([Head(z, "mean_squared_error")], l2)


def data_of(kind, program, n, seed=0):
    rng = np.random.default_rng(seed)
    inputs = [numbers_for(kind, SIZES, n, rng, program.dtype) for _ in program.inputs]
    return inputs, data_for(program, n, seed)[1]


def new_engine(program):
    return backends.new_engine(program, initial_storage(program, scale=0.3))


@EACH_KIND
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("clip_norm", "n"), [(0.0, 1), (0.05, 40)])
def test_gradients_and_update_have_the_bits_of_a_step(backend, dtype, kind, name, clip_norm, n):
    program = program_of(kind, "concatenate", dtype, l2=0.01)
    inputs, targets = data_of(kind, program, n)
    step, apart = new_engine(program), new_engine(program)
    slots = [set_optimizer(engine, name, clip_norm) for engine in (step, apart)]
    for number in range(1, 4):
        loss = np.zeros(1)
        step.train(inputs, targets, None, n, np.array([0.01]), number, loss)
        assert apart.loss_and_gradients(inputs, targets, True, number) == loss[0]
        apart.update(0.01, number)
    np.testing.assert_array_equal(step.storage, apart.storage)
    for own, other in zip(*slots, strict=True):
        np.testing.assert_array_equal(own, other)


@EACH_KIND
@EACH_COMBINATION
def test_steps_in_one_call_have_the_bits_of_single_ones(backend, dtype, kind, combine):
    program = program_of(kind, combine, dtype, l2=0.01)
    inputs, targets = data_of(kind, program, 90)
    together, single = new_engine(program), new_engine(program)
    for engine in (together, single):
        set_optimizer(engine, "adam")
    losses, rates = np.zeros(3), np.full(3, 0.01)
    assert together.train(inputs, targets, None, 30, rates, 1, losses) == 3
    for i in range(3):
        rows, loss = slice(30 * i, 30 * i + 30), np.zeros(1)
        parts = [x[rows] for x in inputs], [(t[rows], None) for t, _ in targets]
        single.train(*parts, None, 30, rates[:1], i + 1, loss)
        assert loss[0] == losses[i]
    np.testing.assert_array_equal(together.storage, single.storage)


@EACH_KIND
def test_frozen_table_stays_and_the_rest_is_trained(backend, kind):
    program = program_of(kind, "sum", "float32", trainable=False)
    inputs, targets = data_of(kind, program, 30)
    engine = new_engine(program)
    set_optimizer(engine, "adam")
    before = engine.storage.copy()
    engine.train(inputs, targets, None, 30, np.array([0.01]), 1, np.zeros(1))
    table, out = (p.view(engine.storage) for p in program.parameters)
    np.testing.assert_array_equal(table, program.parameters[0].view(before))
    assert (out != program.parameters[1].view(before)).all()


@EACH_KIND
@EACH_COMBINATION
def test_gradient_of_a_shared_table_is_the_sum_of_those_of_its_uses(dtype, kind, combine):
    if "compiled" not in backends.available():
        pytest.skip("a promise of the compiled engine")
    shared = program_of(kind, combine, dtype, uses=3)
    inputs, targets = data_of(kind, shared, 40)
    engine = new_engine(shared)
    engine.loss_and_gradients(inputs, targets)
    total = None
    dh = engine.gradient("t0")
    for x in reversed(inputs):  # the last use first
        layer = LAYERS[kind](SIZES, 37, combine, dtype=dtype)
        layer.weight = shared.parameters[0].view(engine.storage)
        layer(x)
        layer.backward(dh)
        own = layer.gradients["weight"].copy()
        total = own if total is None else total + own
    np.testing.assert_array_equal(shared.parameters[0].view(engine.gradients), total)


@EACH_KIND
@pytest.mark.parametrize("uses", [1, 2])
def test_batch_in_parts_has_the_bits_of_one_piece(dtype, kind, uses):
    if "compiled" not in backends.available():
        pytest.skip("a promise of the compiled engine")
    program = program_of(kind, "sum", dtype, l2=0.01, uses=uses)
    inputs, targets = data_of(kind, program, 1500)
    engines = [new_engine(program) for _ in range(2)]
    engines[1].rows_at_once = 64
    for engine in engines:
        set_optimizer(engine, "adam")
        engine.train(inputs, targets, None, 1500, np.array([0.01]), 1, np.zeros(1))
    np.testing.assert_array_equal(engines[0].storage, engines[1].storage)


@EACH_KIND
def test_parts_of_a_table_may_be_read_by_different_columns(backend, kind):
    builder = ProgramBuilder("float64")
    weight = builder.parameter("w", (10, 3))
    x = [builder.input("a", 2), builder.input("b", 3)]
    parts = [(4, 6), (1, 7, 2)]
    values = [
        builder.add(kind, [source], f"t{i}", [weight], sizes=sizes, combine="sum")
        for i, (source, sizes) in enumerate(zip(x, parts, strict=True))
    ]
    y = builder.add("add", values, "y.A")
    program = builder.build([y]).with_heads([Head(y, "mean_squared_error")])
    rng = np.random.default_rng(0)
    inputs = [numbers_for(kind, sizes, 20, rng) for sizes in parts]
    target = rng.normal(size=(20, 3))
    engine = backends.new_engine(program, initial_storage(program))
    engine.loss_and_gradients(inputs, [(target, None)])
    dy = engine.gradient("y.A")
    expected = sum(
        np.concatenate([e.T @ dy for e in encoded(kind, source, sizes)])
        for source, sizes in zip(inputs, parts, strict=True)
    )
    found = program.parameters[0].view(engine.gradients)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@EACH_KIND
def test_small_tables_and_rows_read_one_by_one_have_the_same_sums(dtype, kind, rng):
    """Columns of many rows are not sorted: the same numbers, as bins of a smaller column."""
    sizes = (200, 400)
    layer = LAYERS[kind](sizes, 20, "concatenate", dtype=dtype, seed=0)
    x = numbers_for(kind, (200, 200), 700, rng, dtype)
    x = np.clip(x[:, :1], 0, 199.5).repeat(2, axis=1)
    dy = rng.normal(size=(700, 20)).astype(dtype)
    layer(x)
    layer.backward(np.tile(dy, 2))
    small, large = np.split(layer.gradients["weight"], [200])
    if kind == "embedding":
        np.testing.assert_array_equal(large[:200], small)
        np.testing.assert_array_equal(large[200:], 0)
    else:  # the bins above are below no position: minus the sum of all
        scale = np.abs(small).max()
        np.testing.assert_allclose(large[:200], small, rtol=0, atol=TOLERANCE[dtype] * scale)
        np.testing.assert_allclose(
            large[200:], np.tile(-dy.sum(axis=0), (200, 1)), rtol=0, atol=TOLERANCE[dtype] * scale
        )


# ------------------------------------------------------------------------- whole networks


def network_of(kind, dtype="float32", combine="concatenate"):
    layer = LAYERS[kind]([4, 6, 3], 8, combine)
    width = 8 if combine == "sum" else 24
    return fnn.Sequential([layer, fnn.Dense(width, 10, "relu"), fnn.Dense(10, 2)], dtype=dtype)


@EACH_KIND
@EACH_COMBINATION
def test_gradients_agree_with_central_differences(backend, kind, combine, rng):
    layer = LAYERS[kind]([2, 3], 3, combine)
    layers = [fnn.Dense(2, 2), layer, fnn.Dense(3 if combine == "sum" else 6, 2)]
    net = fnn.Sequential(layers if kind == "piecewise_linear" else layers[1:], dtype="float64")
    net.compile(loss="cross_entropy", optimizer="adam", l2=0.01)
    X = numbers_for(kind, (2, 3), 6, rng)
    check = fnn.check_gradients(net, X, rng.integers(0, 2, 6))
    assert check.ok, check


@EACH_KIND
def test_trace_has_the_values_of_a_step(backend, kind, rng):
    net = network_of(kind)
    net.compile(loss="cross_entropy", optimizer="adam")
    X, y = numbers_for(kind, (4, 6, 3), 9, rng, "float32"), rng.integers(0, 2, 9)
    trace = net.trace(X, y)
    name = f"{kind}_1"
    np.testing.assert_array_equal(trace[name].A, network_output(net, kind, X))
    net.loss_and_gradients(X, y)
    gradient = trace[name].gradients["weight"]
    np.testing.assert_array_equal(gradient, net.gradients[f"{name}.weight"])


def network_output(net, kind, X):
    layer = LAYERS[kind]([4, 6, 3], 8, "concatenate")
    layer.weight = net.parameters[f"{kind}_1.weight"]
    return layer(X)


@EACH_KIND
def test_jacobian_of_parameters_agrees_with_gradients(backend, kind, rng):
    net = network_of(kind, "float64")
    net.compile(loss="mean_squared_error", optimizer="adam")
    X = numbers_for(kind, (4, 6, 3), 4, rng)
    jacobian = net.parameter_jacobian(X, column=1)
    target = net.predict(X)
    target[:, 1] -= 1  # so that the gradient is 2 / size in one column
    net.loss_and_gradients(X, target)
    flat = np.concatenate([g.ravel() for g in net.gradients.values()])
    np.testing.assert_allclose(jacobian.sum(axis=0) * 2 / target.size, flat, atol=1e-12)


@EACH_KIND
def test_saved_network_predicts_the_same(backend, kind, rng, tmp_path):
    net = network_of(kind)
    X = numbers_for(kind, (4, 6, 3), 9, rng, "float32")
    net.save(tmp_path / "net.fastnn")
    again = fnn.load(tmp_path / "net.fastnn")
    np.testing.assert_array_equal(again.predict(X), net.predict(X))
    assert [repr(layer) for layer in again.layers] == [repr(layer) for layer in net.layers]


@EACH_KIND
@pytest.mark.parametrize("n", [1, 500])
def test_predictor_has_the_bits_of_predict(backend, dtype, kind, n, rng):
    net = network_of(kind, dtype)
    X = numbers_for(kind, (4, 6, 3), n, rng, dtype)
    np.testing.assert_array_equal(net.predictor()(X), net.predict(X))


def test_prediction_follows_a_change_of_the_parameters(backend):
    net = network_of("piecewise_linear")
    X = np.array([[1.5, 2.5, 0.25]], np.float32)
    before = net.predict(X)
    net.parameters["piecewise_linear_1.weight"][...] *= 2
    assert (net.predict(X) != before).any()


@EACH_KIND
def test_ensemble_trains_in_threads(kind, rng):
    X, y = numbers_for(kind, (4, 6, 3), 64, rng, "float32"), rng.integers(0, 2, 64)
    members = fnn.Ensemble(lambda seed: _compiled(kind, seed), 2, seed=0)
    members.fit(X, y, epochs=2, batch_size=16)
    assert members.predict_proba(X).shape == (64, 2)


def _compiled(kind, seed):
    layer = LAYERS[kind]([4, 6, 3], 8, "sum")
    net = fnn.Sequential([layer, fnn.Dense(8, 2)], seed=seed)
    net.compile(loss="cross_entropy", optimizer="adam")
    return net


@EACH_KIND
@EACH_COMBINATION
@pytest.mark.parametrize("batch", [1, 5, 64])
def test_a_row_has_the_same_bits_in_any_batch(dtype, kind, combine, batch, rng):
    if "compiled" not in backends.available():
        pytest.skip("a promise of the compiled engine")
    layer = LAYERS[kind](SIZES, 45, combine, dtype=dtype, seed=2)
    x = numbers_for(kind, SIZES, 130, rng, dtype)
    together = layer(x)
    for first in range(0, len(x), batch):
        rows = slice(first, first + batch)
        np.testing.assert_array_equal(layer(x[rows]), together[rows])


# ------------------------------------------------------------------------- declarations


@pytest.mark.parametrize("combine", ["concatenate", "sum"])
def test_initial_piecewise_linear_outputs_have_unit_variance(combine, rng):
    sizes = (2, 48, 10)
    layer = fnn.PiecewiseLinear(sizes, 4000, combine, seed=0)
    output = layer(numbers_for("piecewise_linear", sizes, 50, rng))
    parts = np.split(output, 1 if combine == "sum" else 3, axis=1)
    for part in parts:
        assert 0.6 < part.var() < 1.1


def test_initial_embeddings_are_standard_normal():
    weight = fnn.Embedding(1000, 50, seed=0).weight
    assert abs(weight.mean()) < 0.02
    assert abs(weight.std() - 1) < 0.02


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (fnn.Embedding(3, 2), "Embedding(3, 2)"),
        (fnn.Embedding([3, 4], 2, "sum"), "Embedding([3, 4], 2, combine='sum')"),
        (fnn.PiecewiseLinear(np.array([3, 4]), 2), "PiecewiseLinear([3, 4], 2)"),
        (
            fnn.PiecewiseLinear([2] * 9, 1, "concatenate", weight="zeros", trainable=False),
            "PiecewiseLinear([2, 2, 2, 2, 2, 2, 2, 2, ...], 1, combine='concatenate', "
            "weight=Zeros(), trainable=False)",
        ),
    ],
)
def test_repr_shows_what_is_not_default(layer, text):
    assert repr(layer) == text


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fnn.Embedding([], 2), ValueError, "sizes is empty"),
        (lambda: fnn.Embedding(0, 2), ValueError, "sizes must be an integer from 1 to"),
        (lambda: fnn.Embedding([3, 0], 2), ValueError, r"sizes\[1\] must be an integer from 1"),
        (lambda: fnn.Embedding([3, 2.5], 2), TypeError, r"sizes\[1\] must be an integer, got"),
        (lambda: fnn.Embedding(3, 0), ValueError, "width must be an integer >= 1"),
        (lambda: fnn.PiecewiseLinear(3, 2, "mean"), ValueError, "combine must be"),
        (lambda: fnn.PiecewiseLinear(2**24 + 1, 1), ValueError, "bins must be an integer from 1"),
        (
            lambda: fnn.PiecewiseLinear([1, 2], 2, weight=np.zeros((2, 2))),
            ValueError,
            r"weight must have shape \(3, 2\), got \(2, 2\)",
        ),
        (lambda: fnn.Embedding([3, 4], 2)([[1.0]]), ValueError, "width 2, but x has width 1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_embedding_of_a_hidden_layer_cuts_its_gradient():
    layers = [fnn.Dense(3, 2), fnn.Embedding([4, 4], 3), fnn.Dense(6, 1)]
    net = fnn.Sequential(layers)
    with pytest.warns(UserWarning, match="no gradient reaches dense_1"):
        net.compile(loss="mean_squared_error", optimizer="adam")
