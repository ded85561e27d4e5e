"""Threshold networks are exact; a gradient through steps is zero, and `compile` warns."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn as fnn
from fastnn import threshold


def distinct(x):
    return len(set(x)) == len(x)


def ascending(x):
    return all(a < b for a, b in itertools.pairwise(x))


DECIDERS = {threshold.all_distinct: distinct, threshold.strictly_ascending: ascending}
EACH = pytest.mark.parametrize("build", DECIDERS)


def assert_right(build, lists, dtype="float64"):
    lists = np.array(lists, dtype)
    out = build(lists.shape[1], dtype).predict(lists)
    expected = [[float(DECIDERS[build](x))] for x in lists.tolist()]
    np.testing.assert_array_equal(out, np.array(expected, dtype))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@EACH
def test_every_list_over_a_small_alphabet_is_judged_rightly(backend, dtype, build, n):
    alphabet = [-1.5, 0.0, 0.1, 3.0] if n < 5 else [-1.5, 0.1, 3.0]
    assert_right(build, list(itertools.product(alphabet, repeat=n)), dtype)


@EACH
def test_every_order_of_six_numbers_is_judged_rightly(backend, build):
    assert_right(build, list(itertools.permutations(range(6))))


def numbers(width):
    """Finite numbers of all sizes, subnormal ones too, few enough that equal ones meet."""
    largest = float(np.finfo(f"float{width}").max)
    usual = st.floats(-largest, largest, width=width)
    return st.one_of(usual, st.sampled_from([0.0, -0.0, 1.0, largest, -largest, 1e-40]))


@pytest.mark.parametrize("name", ["compiled", "reference"])
@EACH
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_finite_numbers_are_judged_rightly(build, name, data):
    if name not in fnn.backend.available():
        pytest.skip("not installed")
    width = data.draw(st.sampled_from([32, 64]))
    n = data.draw(st.integers(1, 6))
    row = data.draw(st.lists(numbers(width), min_size=n, max_size=n))
    with fnn.backend.use(name):
        assert_right(build, [row], f"float{width}")


@EACH
def test_neighbouring_numbers_are_distinguished(backend, dtype, build):
    for x in (0.0, 1.0, -1e30, float(np.finfo(dtype).tiny)):
        start = np.array(x, dtype)
        above = np.nextafter(start, np.array(math.inf, dtype))
        assert_right(build, [[start, above], [above, start], [above, above]], dtype)


@EACH
def test_layers_have_the_shapes_of_the_pairs_and_whole_numbers(build):
    net = build(4)
    p = net.parameters
    assert {name: view.shape for name, view in p.items()} == {
        "pairs.weight": (4, 6), "pairs.bias": (6,), "verdict.weight": (6, 1), "verdict.bias": (1,)
    }  # fmt: skip
    assert set(np.unique(p["pairs.weight"])) == {-1, 0, 1}
    assert all(sorted(column) == [-1, 0, 0, 1] for column in p["pairs.weight"].T)


@EACH
def test_training_leaves_a_frozen_net_as_it_is_without_a_warning(backend, build):
    net = build(3)
    before = net.get_flat()
    net.compile("mean_squared_error")
    net.train_step([[1.0, 2.0, 2.0]], [1.0])
    np.testing.assert_array_equal(net.get_flat(), before)


@EACH
def test_gradients_through_steps_are_zero_and_one_warning_names_the_layers(backend, dtype, build):
    net = build(4, dtype)
    for layer in net.layers:
        layer.trainable = True
    with pytest.warns(UserWarning, match="steps? in layer 'verdict' is 0") as caught:
        net.compile("mean_squared_error")
    assert len(caught) == 1
    assert "no gradient reaches pairs, verdict" in str(caught[0].message)
    gradients = net.loss_and_gradients([[1.0, 2.0, 3.0, 3.0]], [0.5])[1]
    assert not any(gradient.any() for gradient in gradients.values())


@EACH
def test_away_from_the_jumps_central_differences_are_zero_too(backend, build):
    net = build(4)
    net.parameters["verdict.bias"] = [0.5]  # half way between two counts of objections
    net.compile("mean_squared_error")
    X = [[1.0, 2.5, 4.0, 8.0], [3.0, 1.5, 1.0, 7.0]]  # far enough apart that no unit changes
    y = [0.3, 0.3]
    flat, h = net.get_flat(), 1e-3
    cost = net.evaluate(X, y)["loss"]
    for i in range(net.n_parameters):
        for step in (h, -h):
            moved = flat.copy()
            moved[i] += step
            net.set_flat(moved)
            assert net.evaluate(X, y)["loss"] == cost


def test_two_steps_side_by_side_are_named_in_one_warning():
    x = fnn.Input(2)
    branches = [fnn.Dense(2, 2, step, name=step) for step in ("binary_step", "zero_indicator")]
    net = fnn.Network(x, fnn.Add()([branch(x) for branch in branches]))
    with pytest.warns(UserWarning, match="layers 'binary_step', 'zero_indicator' is 0") as caught:
        net.compile("mean_squared_error")
    assert len(caught) == 1


def test_a_step_that_a_gradient_can_go_around_needs_no_warning():
    x = fnn.Input(2)
    h = fnn.Dense(2, 3, name="h")(x)
    y = fnn.Add()([fnn.ZeroIndicator()(h), h])
    fnn.Network(x, y).compile("mean_squared_error")  # a warning would be an error


def test_a_saved_decider_decides(backend, tmp_path):
    threshold.all_distinct(3).save(tmp_path / "net.fnn")
    loaded = fnn.load(tmp_path / "net.fnn")
    np.testing.assert_array_equal(loaded.predict([[1, 2, 3], [1, 2, 1]]), [[1], [0]])


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError)])
@EACH
def test_a_length_that_is_no_positive_integer_is_refused(build, n, error):
    with pytest.raises(error, match="n must be"):
        build(n)
