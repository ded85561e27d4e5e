"""What the networks of a model learn, and what their outputs mean together."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import log_softmax, softmax

from fastnn.tabular import objectives
from fastnn.tabular.objectives import LOSSES, Classification, Regression


def test_probabilities_are_the_mean_over_the_networks(rng):
    first, second = rng.normal(size=(2, 6, 3))
    mean = Classification(3).combine([first, second], 0.7)
    expected = (softmax(0.7 * first, axis=1) + softmax(0.7 * second, axis=1)) / 2
    np.testing.assert_allclose(mean, expected, rtol=1e-14)


def test_probabilities_of_many_rows_are_those_of_each(rng, monkeypatch):
    outputs = rng.normal(size=(2, 100, 3)).astype(np.float32)
    whole = Classification(3).combine(outputs, 0.7)
    monkeypatch.setattr(objectives, "_ROWS_AT_ONCE", 7)
    assert np.array_equal(Classification(3).combine(outputs, 0.7), whole)


def test_losses_of_classes_are_log_losses(rng):
    logits, y = rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
    objective = Classification(3)
    losses = objective.losses(objective.combine([logits]), y)
    np.testing.assert_allclose(losses, -log_softmax(logits, axis=1)[np.arange(6), y], rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-300, 1e-9, 1.0, 1e9, 1e300])
def test_targets_are_standardised_in_any_unit(rng, factor):
    y = factor * rng.normal(3, 2, 500)
    encoded = Regression.fit(y).encode(y)
    assert abs(encoded.mean()) < 1e-12
    assert encoded.std() == pytest.approx(1, rel=1e-12)


def test_outputs_return_to_the_unit_of_the_target(rng):
    y = rng.normal(1e6, 20, 50)
    objective = Regression.fit(y)
    outputs = objective.encode(y)[:, None]
    np.testing.assert_allclose(objective.combine([outputs, outputs]), y, rtol=1e-12)


def test_predictions_are_limited_to_the_range_of_the_training():
    objective = Regression.fit(np.array([1.0, 2.0, 5.0]))
    assert objective.combine([np.array([[-9.0], [9.0]])]).tolist() == [1.0, 5.0]


def test_rates_of_counts_are_positive_and_in_their_unit():
    y = np.array([0.0, 2.0, 4.0])
    objective = Regression.fit(y, "poisson")
    assert objective.combine([np.zeros((3, 1))]).tolist() == [2.0, 2.0, 2.0]
    assert objective.combine([np.full((1, 1), 800.0)]).tolist() == pytest.approx([4.0])


@pytest.mark.parametrize("y", [[-1.0, 2.0], [0.0, 0.0]])
def test_counts_must_not_be_negative_or_all_0(y):
    with pytest.raises(ValueError, match="loss='poisson' needs targets >= 0"):
        Regression.fit(np.array(y), "poisson")


def test_losses_of_several_quantiles_are_their_mean(rng):
    y = rng.normal(5, 2, 30)
    objective = Regression.fit(y, "quantile", (0.2, 0.5, 0.9))
    within = objective.combine([rng.normal(size=(30, 3))])
    parts = [
        Regression.fit(y, "quantile", level).losses(within[:, k], objective.encode(y))
        for k, level in enumerate(objective.quantiles)
    ]
    losses = objective.losses(within, objective.encode(y))
    np.testing.assert_allclose(losses, np.mean(parts, axis=0), rtol=1e-12)


@settings(deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.just(3), st.just(5), st.just(6)),
        elements=st.floats(-(2.0**99), 2.0**99, width=32),
    ),
    st.lists(st.floats(1e-3, 1.0), min_size=2, max_size=2),
)
def test_quantiles_of_bags_and_of_their_blend_never_cross(outputs, weights):
    objective = Regression.fit(np.array([-3e9, 1.0, 7e8]), "quantile", np.linspace(0.1, 0.9, 6))
    bags = [objective.combine(list(outputs[:2])), objective.combine(list(outputs[2:]))]
    blend = weights[0] * bags[0] + weights[1] * bags[1]
    for values in (*bags, blend):
        assert (np.diff(values, axis=1) >= 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_of_the_network(rng, name):
    y = rng.exponential(size=40)
    objective = Regression.fit(y, name, 0.3)
    t, z = objective.encode(y), rng.normal(size=40)
    within = objective.combine([z[:, None]])
    z = np.log(within / objective.scale) if name == "poisson" else objective.encode(within)
    head = {"mean_squared_error": "squared_error", "mean_absolute_error": "absolute_error"}
    assert head.get(objective.loss.name, objective.loss.name) == name
    value = objective.loss.row.formula(np, z, t, objective.loss.parameter)[0]
    np.testing.assert_allclose(objective.losses(within, t), value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "objective",
    [
        Classification(4),
        Regression.fit(np.array([0.5, 2, 7.0]), "huber"),
        Regression.fit(np.array([0.5, 2, 7.0]), "quantile", (0.1, 0.8)),
    ],
)
def test_an_objective_returns_from_its_state(objective):
    assert objectives.from_state(json.loads(json.dumps(objective.to_state()))) == objective


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "ranking"}, "ranking"),
        ({"scale": 0.0}, "not positive"),
        ({"low": "x"}, "not a finite number"),
        ({"loss": "hinge"}, "loss must be"),
    ],
)
def test_a_damaged_state_is_refused(change, message):
    state = Regression.fit(np.array([0.5, 2, 7.0])).to_state() | change
    with pytest.raises(ValueError, match=message):
        objectives.from_state(state)
