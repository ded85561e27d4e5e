"""Bad data and bad files: errors that name the argument, what was expected and what came."""

import copy
import json
import math

import numpy as np
import pytest

from fastnn import serialization
from fastnn.layers import Dense, Dropout, Input, Subtract
from fastnn.losses import CrossEntropy, MeanSquaredError
from fastnn.network import Network, Sequential, _save, load
from fastnn.serialization import FormatError

X = np.random.default_rng(0).normal(size=(6, 4))
LABELS = np.array([0, 1, 2, 0, 1, 2])


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def classifier(dtype="float32"):
    net = Sequential([Dense(4, 5, activation="relu"), Dense(5, 3)], dtype=dtype)
    net.compile("cross_entropy")
    return net


def regression():
    net = Sequential([Dense(4, 1)])
    net.compile("mean_squared_error")
    return net


BAD_X = [
    (X[:, :3], ValueError, r"X must have shape \(N, 4\), got \(6, 3\)"),
    (X[None], ValueError, r"X must have shape \(N, 4\), got \(1, 6, 4\)"),
    (np.zeros((0, 4)), ValueError, "X must have at least one row, got none"),
    (3.0, ValueError, r"X must have shape \(N, 4\), got \(\)"),
    (None, TypeError, "X must hold real numbers, got NoneType"),
    ("text", TypeError, "X must hold real numbers, got str"),
    (X.astype(complex), TypeError, "X must hold real numbers, got dtype complex128"),
    (X.astype(object), TypeError, "X must hold real numbers, got dtype object"),
    (X.astype(str), TypeError, "X must hold real numbers, got dtype <U.*; encode text"),
    (X.astype("datetime64[s]"), TypeError, "X must hold real numbers, got dtype datetime64"),
    ([[1.0, 2.0], [3.0]], ValueError, "X must be a rectangular array of numbers"),
    (
        np.ma.masked_less(X, 0),
        ValueError,
        "X must have no masked elements; fill or drop them first",
    ),
    (
        changed(X, (3, 1), math.nan),
        ValueError,
        r"X must be finite, got X\[3, 1\] = nan; pass check_finite=False",
    ),
    (
        changed(X, (5, 0), -math.inf),
        ValueError,
        r"X must be finite, got X\[5, 0\] = -inf; pass check_finite=False",
    ),
    (changed(X, (2, 2), 1e39), ValueError, r"X must be finite in float32, got X\[2, 2\] = 1e\+39"),
    (
        changed(X, (3, 1), math.nan).astype(np.float32),
        ValueError,
        r"X must be finite, got X\[3, 1\] = nan",
    ),
]
METHODS = {
    "predict": lambda net, x: net.predict(x),
    "predict in blocks": lambda net, x: net.predict(x, batch_size=2),
    "predict_proba": lambda net, x: net.predict_proba(x),
    "evaluate": lambda net, x: net.evaluate(x, LABELS),
    "train_step": lambda net, x: net.train_step(x, LABELS),
    "loss_and_gradients": lambda net, x: net.loss_and_gradients(x, LABELS),
    "fit": lambda net, x: net.fit(x, LABELS, epochs=1),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("x", "error", "message"), BAD_X, ids=[m for _, _, m in BAD_X])
def test_bad_x_is_refused_everywhere(backend, method, x, error, message):
    net = classifier()
    before = net.get_flat()
    with pytest.raises(error, match=message):
        METHODS[method](net, x)
    np.testing.assert_array_equal(net.get_flat(), before)


BAD_LABELS = [
    (LABELS[:5], ValueError, "y must have 6 rows as X has, got 5"),
    (changed(LABELS, 4, 3), ValueError, r"y must be integers from 0 to 2, got y\[4\] = 3"),
    (changed(LABELS, 4, -1), ValueError, r"y must be integers from 0 to 2, got y\[4\] = -1"),
    (LABELS + 0.5, ValueError, r"y must be integer labels or rows \(N, 3\), got y\[0\] = 0.5"),
    (
        np.eye(4)[LABELS],
        ValueError,
        r"y must have shape \(N,\) for labels or \(N, 3\) for rows, got \(6, 4\)",
    ),
    (-np.eye(3)[LABELS], ValueError, r"y must be >= 0, got y\[0, 0\] = -1.0"),
    (list("abcabc"), TypeError, "y must hold real numbers, got dtype <U1"),
    (None, TypeError, "y must hold real numbers, got NoneType"),
]
TRAINING = {
    "evaluate": lambda net, x, y, w: net.evaluate(x, y, w),
    "train_step": lambda net, x, y, w: net.train_step(x, y, w),
    "loss_and_gradients": lambda net, x, y, w: net.loss_and_gradients(x, y, w),
    "fit": lambda net, x, y, w: net.fit(x, y, sample_weight=w, epochs=1),
}


@pytest.mark.parametrize("ready", [True, False], ids=["ready", "converted"])
@pytest.mark.parametrize("method", TRAINING)
@pytest.mark.parametrize(("y", "error", "message"), BAD_LABELS, ids=[m for _, _, m in BAD_LABELS])
def test_bad_labels_are_refused_everywhere(backend, method, ready, y, error, message):
    net = classifier()
    before = net.get_flat()
    with pytest.raises(error, match=message):
        TRAINING[method](net, X.astype(np.float32) if ready else X, y, None)
    np.testing.assert_array_equal(net.get_flat(), before)


BAD_NUMBERS = [
    (np.ones((6, 2)), ValueError, r"y must have shape \(N,\) or \(N, 1\), got \(6, 2\)"),
    (np.ones(7), ValueError, "y must have 6 rows as X has, got 7"),
    (changed(np.ones(6), 2, math.nan), ValueError, r"y must be finite, got y\[2, 0\] = nan"),
    (
        changed(np.ones(6, np.float32), 2, math.inf),
        ValueError,
        r"y must be finite, got y\[2, 0\] = inf",
    ),
    (np.ones(6, complex), TypeError, "y must hold real numbers"),
]


@pytest.mark.parametrize("method", TRAINING)
@pytest.mark.parametrize(("y", "error", "message"), BAD_NUMBERS, ids=[m for _, _, m in BAD_NUMBERS])
def test_bad_numbers_to_fit_are_refused_everywhere(backend, method, y, error, message):
    with pytest.raises(error, match=message):
        TRAINING[method](regression(), X.astype(np.float32), y, None)


def test_a_binary_target_out_of_range_is_refused(backend):
    net = Sequential([Dense(4, 1)], dtype="float64")
    net.compile("binary_cross_entropy")
    with pytest.raises(ValueError, match=r"y must be within \[0, 1\], got y\[1, 0\] = 2.0"):
        net.train_step(X, np.array([0.0, 2, 1, 1, 0, 0]))


BAD_WEIGHTS = [
    (np.ones(5), ValueError, r"sample_weight must have shape \(6,\), got \(5,\)"),
    (np.ones((6, 1)), ValueError, r"sample_weight must have shape \(6,\), got \(6, 1\)"),
    (
        changed(np.ones(6), 1, -1),
        ValueError,
        r"sample_weight must be finite and >= 0, got sample_weight\[1\] = -1.0",
    ),
    (
        changed(np.ones(6), 1, math.nan),
        ValueError,
        r"sample_weight must be finite and >= 0, got sample_weight\[1\] = nan",
    ),
    (["a"] * 6, TypeError, "sample_weight must hold real numbers"),
    ({"other": np.ones(6)}, ValueError, "sample_weight has 'other', expected 'dense_2'"),
]


@pytest.mark.parametrize("method", TRAINING)
@pytest.mark.parametrize(("w", "error", "message"), BAD_WEIGHTS, ids=[m for _, _, m in BAD_WEIGHTS])
def test_bad_weights_are_refused_everywhere(backend, method, w, error, message):
    with pytest.raises(error, match=message):
        TRAINING[method](classifier(), X, LABELS, w)


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ({5: 1.0}, ValueError, "class_weight has class 5, expected 0 <= class < 3"),
        ([1.0, 2.0], ValueError, "class_weight has 2 weights, expected 3"),
        ({0: -1.0}, ValueError, "class_weight must be a finite number >= 0"),
        ({"a": 1.0}, TypeError, "class must be an integer"),
        ("even", ValueError, "one weight per class or 'balanced', got 'even'"),
    ],
)
def test_bad_class_weights_are_refused(class_weight, error, message):
    with pytest.raises(error, match=message):
        classifier().fit(X, LABELS, epochs=1, class_weight=class_weight)


def test_class_weights_of_a_regression_are_refused():
    with pytest.raises(ValueError, match="class_weight needs a classification loss"):
        regression().fit(X, np.ones(6), epochs=1, class_weight={0: 1.0})


def test_bad_validation_data_are_named():
    with pytest.raises(ValueError, match=r"X of validation_data must have shape .*, got \(6, 3\)"):
        classifier().fit(X, LABELS, epochs=1, validation_data=(X[:, :3], LABELS))
    with pytest.raises(ValueError, match=r"got y of validation_data\[0\] = 7"):
        classifier().fit(X, LABELS, epochs=1, validation_data=(X, LABELS + 7))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones(4), r"use X\[None, :\] for a single sample"),
        (np.ones(7), r"X must have shape \(N, 4\), got \(7,\)"),
    ],
)
def test_training_takes_no_single_rows(x, message):
    with pytest.raises(ValueError, match=message):
        classifier().train_step(x, [0])


def test_a_column_given_as_a_vector_is_explained():
    with pytest.raises(ValueError, match=r"use X.reshape\(-1, 1\) for 6 samples of one feature"):
        Sequential([Dense(1, 1)]).predict(np.ones(6))


@pytest.mark.parametrize("method", ["predict", "evaluate"])
def test_check_finite_may_be_turned_off(backend, method):
    bad = changed(X, (3, 1), math.nan)
    net = classifier()
    if method == "predict":
        out = net.predict(bad, check_finite=False)
        np.testing.assert_array_equal(np.isnan(out).all(axis=1), np.arange(6) == 3)
    else:
        assert math.isnan(net.evaluate(bad, LABELS, check_finite=False)["loss"])


@pytest.mark.parametrize("value", ["no", None, 0])
@pytest.mark.parametrize("method", ["predict", "evaluate", "train_step", "loss_and_gradients"])
def test_check_finite_is_true_or_false_for_arrays_of_any_kind(backend, method, value):
    net = classifier()
    for x in (np.ascontiguousarray(X, np.float32), X.tolist(), X[0]):
        arguments = (x,) if method == "predict" else (x, LABELS[: len(x) if x is not X[0] else 1])
        with pytest.raises(TypeError, match=f"check_finite must be True or False, got {value!r}"):
            getattr(net, method)(*arguments, check_finite=value)


def test_check_finite_may_be_a_bool_of_numpy(backend):
    net = classifier()
    np.testing.assert_array_equal(net.predict(X, check_finite=np.True_), net.predict(X))


def two_inputs():
    a, b = Input(2, name="a"), Input(3, name="b")
    hidden = Subtract()([Dense(2, 4)(a), Dense(3, 4)(b)])
    return Network([a, b], {"u": Dense(4, 1)(hidden), "v": Dense(4, 1)(hidden)})


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((6, 2)), TypeError, "X must be a list of 2 or a dict with 'a', 'b', got ndarray"),
        ([np.ones((6, 2))], ValueError, "X has 1 entries, expected 2: a, b"),
        ({"a": np.ones((6, 2))}, ValueError, "X has nothing for 'b'"),
        ({"a": 1, "b": 1, "c": 1}, ValueError, "X has 'c', expected 'a', 'b'"),
        (
            [np.ones((6, 2)), np.ones((6, 4))],
            ValueError,
            r"X\['b'\] must have shape .*, got \(6, 4\)",
        ),
        (
            [np.ones((6, 2)), np.ones((5, 3))],
            ValueError,
            r"X\['b'\] must have 6 rows as X has, got 5",
        ),
        (
            [np.ones((6, 2)), np.full((6, 3), np.nan)],
            ValueError,
            r"X\['b'\] must be finite, got X\['b'\]\[0, 0\] = nan",
        ),
    ],
)
def test_bad_data_of_several_inputs_are_named(x, error, message):
    with pytest.raises(error, match=message):
        two_inputs().predict(x)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.ones(6), TypeError, "y must be a list of 2 or a dict with 'u', 'v', got ndarray"),
        ({"u": np.ones(6)}, ValueError, "y has nothing for 'v'"),
        ({"u": 1, "v": 1, "w": 1}, ValueError, "y has 'w', expected 'u', 'v'"),
        ([np.ones(6), np.ones((6, 2))], ValueError, r"y\['v'\] must have shape .*, got \(6, 2\)"),
    ],
)
def test_bad_targets_of_several_outputs_are_named(y, error, message):
    net = two_inputs()
    net.compile({"u": "huber", "v": "mean_squared_error"})
    with pytest.raises(error, match=message):
        net.train_step([np.ones((6, 2)), np.ones((6, 3))], y)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "all"])
def test_bad_batch_sizes_are_refused(batch_size):
    with pytest.raises((TypeError, ValueError), match="batch_size must be an integer"):
        classifier().predict(X, batch_size=batch_size)


# --------------------------------------------------------------------- files


def saved():
    """The structure and the arrays of a network with some of everything."""
    a, b = Input(3, name="a"), Input(3)
    shared = Dense(3, 4, activation="elu", alpha=0.5)
    hidden = Dropout(0.25, seed=1)(Subtract()([shared(a), shared(b)]))
    outputs = {"k": Dense(4, 3)(hidden), "r": Dense(4, 1, weight=np.ones((4, 1)))(hidden)}
    net = Network([a, b], outputs, name="net", seed=3)
    kind = CrossEntropy(0.1, {1: 2.0}, ignore_index=-1)
    net.compile({"k": kind, "r": MeanSquaredError(ignore_value=math.nan)}, "adam", l2=0.1)
    net.fit([X[:, :3], X[:, 1:]], [LABELS, X[:, 0]], epochs=1)
    return _save.structure(net), _save.arrays(net.core)


def leaves(value, path=()):
    """The path of every value in nested dicts and lists, containers included."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        yield (*path, key)
        if isinstance(part, (dict, list)):
            yield from leaves(part, (*path, key))


def replaced(structure, path, value):
    structure = copy.deepcopy(structure)
    part = structure
    for key in path[:-1]:
        part = part[key]
    if value is Ellipsis:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return structure


JUNK = [..., None, True, -1, 0, 7, 10**18, 1.5, "", "x", "__class__", [], [1], {}, {"name": "x"}]


def test_a_file_with_any_part_of_its_structure_replaced_is_refused_or_loads(monkeypatch):
    """Loads, because some changes leave a structure that describes another network."""
    structure, arrays = saved()
    structure = json.loads(json.dumps(structure))
    refused = 0
    for place in leaves(structure):
        for junk in JUNK:
            changed = replaced(structure, place, junk)
            monkeypatch.setattr(serialization, "load", lambda path, read=changed: (read, arrays))
            try:
                load("net.fastnn")
            except FormatError:
                refused += 1
    assert refused > 500


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("class",), "Popen"),
        (("dtype",), "object"),
        (("graph", "layers", 0, "class"), "Layer"),
        (("graph", "layers", 0, "config", "n_in"), 10**12),
        (("graph", "layers", 0, "config", "unknown"), 1),
        (("graph", "inputs", 0, "width"), 10**12),
        (("graph", "calls", 0, "inputs"), [-1]),
        (("graph", "calls", 0, "inputs"), [5]),
        (("graph", "calls", 0, "inputs"), [0, 1]),
        (("graph", "calls", 0, "layer"), -1),
        (("graph", "outputs"), []),
        (("output_names",), ["k"]),
        (("output_names",), ["k", "k"]),
        (("output_names",), ["k", None]),
        (("losses",), []),
        (("losses", 1, "output"), 0),
        (("losses", 0, "weight"), -1),
        (("optimizer", "name"), "momentum"),
        (("training", "step"), -1),
    ],
    ids=str,
)
def test_a_file_that_describes_no_network_is_refused(tmp_path, place, value):
    structure, arrays = saved()
    serialization.save(tmp_path / "bad.fastnn", replaced(structure, place, value), arrays)
    with pytest.raises(FormatError, match=r"bad\.fastnn does not describe a network"):
        load(tmp_path / "bad.fastnn")


def without(arrays, name):
    return {key: value for key, value in arrays.items() if key != name}


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: {},
        lambda arrays: without(arrays, "dense_1.weight"),
        lambda arrays: without(arrays, ":optimizer.first.dense_1.weight"),
        lambda arrays: {**arrays, "dense_9.weight": np.ones((2, 2))},
        lambda arrays: {**arrays, "dense_1.weight": np.ones((4, 3), np.float32)},
        lambda arrays: {**arrays, "dense_1.weight": np.ones((3, 4), np.float64)},
        lambda arrays: {**arrays, "dense_1.weight": np.ones((3, 4), np.int32)},
        lambda arrays: {**arrays, ":optimizer.first.dense_1.weight": np.ones(3, np.float32)},
    ],
)
def test_a_file_whose_arrays_do_not_fit_is_refused(tmp_path, change):
    structure, arrays = saved()
    serialization.save(tmp_path / "bad.fastnn", structure, change(arrays))
    with pytest.raises(FormatError, match="does not describe a network"):
        load(tmp_path / "bad.fastnn")


def test_a_layer_may_not_claim_more_memory_than_its_arrays_have(tmp_path):
    """The claim of 10**14 bytes is refused before anything is allocated."""
    structure = {
        "class": "Sequential", "name": None, "dtype": "float32", "seed": 0,
        "graph": {
            "inputs": [{"name": "x", "width": 10**7}],
            "layers": [
                {"class": "Dense", "config": {"n_in": 10**7, "n_out": 10**7, "name": "d"}}
            ],
            "calls": [{"layer": 0, "inputs": [0]}],
            "outputs": [1],
        },
        "output_names": None, "losses": [], "optimizer": None, "l2": 0.0, "training": {},
    }  # fmt: skip
    arrays = {"d.weight": np.ones((2, 2), np.float32), "d.bias": np.ones(2, np.float32)}
    serialization.save(tmp_path / "bad.fastnn", structure, arrays)
    with pytest.raises(FormatError, match="must be float32 of shape"):
        load(tmp_path / "bad.fastnn")


def test_concatenations_may_not_double_widths_without_end(tmp_path):
    n = 60
    structure = {
        "class": "Network", "name": None, "dtype": "float32", "seed": 0,
        "graph": {
            "inputs": [{"name": "x", "width": 2}],
            "layers": [{"class": "Concatenate", "config": {}} for _ in range(n)],
            "calls": [{"layer": i, "inputs": [i, i]} for i in range(n)],
            "outputs": [n],
        },
        "output_names": None, "losses": [], "optimizer": None, "l2": 0.0, "training": {},
    }  # fmt: skip
    serialization.save(tmp_path / "bad.fastnn", structure, {})
    with pytest.raises(FormatError, match="a width is"):
        load(tmp_path / "bad.fastnn")


def test_a_missing_file_is_not_a_format_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.fastnn")


class NullableTable:
    """Like a pandas DataFrame of Float64 columns."""

    def __array__(self, dtype=None, copy=None):
        return np.array([[1.0, None]], dtype=object)

    def astype(self, dtype):
        return np.array([[1.0, np.nan]])


def test_nullable_columns_are_refused_with_the_conversion_that_helps():
    net = Sequential([Dense(2, 1)])
    with pytest.raises(TypeError, match=r"nullable columns of a table with \.astype\(float\)"):
        net.predict(NullableTable())
