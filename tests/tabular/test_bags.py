"""Bags and blends: folds, temperatures, weights, deadlines, and the bits of the networks."""

import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from fastnn.tabular import bags, blends
from fastnn.tabular.bags import Bag, Problem, Setting
from fastnn.tabular.construction import Shape
from fastnn.tabular.objectives import Classification, Regression
from fastnn.tabular.recipe import PRESETS, Recipe, get
from fastnn.tabular.splitting import split_folds

QUICK = Recipe(hidden=(8,), epochs=5, folds=3, bins=4, simple_models=False)


def problem(rng, n=90, weights=None, classes=True):
    """Two numbers with positions, and one category, on which the target depends."""
    numbers = rng.normal(size=(n, 2)).astype(np.float32)
    positions = rng.uniform(0, 4, (n, 2)).astype(np.float32)
    codes = rng.integers(0, 3, (n, 1)).astype(np.int32)
    latent = numbers[:, 0] + codes[:, 0] + positions[:, 1]
    shape = Shape(2, (4, 4), (3,), 2 if classes else 1)
    if classes:
        y, objective = (latent > 3).astype(np.int64), Classification(2)
    else:
        objective = Regression.fit(latent.astype(np.float64))
        y = objective.encode(latent)
    inputs = {"numbers": numbers, "positions": positions, "codes": codes}
    return Problem(inputs, shape, objective, y, weights)


def bits(blend):
    return [network.get_flat().tobytes() for network in blend.networks]


# -------------------------------------------------------------------------- folds


@pytest.mark.parametrize("n", [5, 17, 100])
@pytest.mark.parametrize("with_labels", [False, True])
def test_each_row_is_in_one_fold(rng, n, with_labels):
    labels = rng.integers(0, 3, n) if with_labels else None
    parts = split_folds(n, 5, 1, labels)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_folds_have_the_labels_in_proportion(rng):
    labels = np.repeat([0, 1, 2], [50, 10, 5])
    for part in split_folds(65, 5, 0, labels):
        assert np.bincount(labels[part]).tolist() == [10, 2, 1]


def test_predictions_of_held_out_rows_come_from_networks_that_have_not_seen_them(rng):
    asked = problem(rng)
    bag = bags.train(asked, QUICK, Setting(seed=3))
    parts = split_folds(len(asked), 3, 3, asked.y)
    for network, part in zip(bag.networks, parts, strict=True):
        outputs = network.core.outputs([array[part] for array in asked.inputs.values()])[0]
        expected = asked.objective.combine([outputs], bag.factor)
        np.testing.assert_allclose(bag.held_out[part], expected, rtol=1e-12)


def test_a_network_that_is_not_in_a_bag_has_seen_most_rows(rng):
    bag = bags.train(problem(rng), replace(QUICK, folds=1), Setting())
    assert np.isnan(bag.held_out[:, 0]).sum() == 72
    assert len(bag.networks) == 1


def test_a_bag_has_at_most_as_many_folds_as_rows(rng):
    bag = bags.train(problem(rng, 2, classes=False), QUICK, Setting())
    assert len(bag.networks) == 2


# -------------------------------------------------------------------------- epochs


def held_out_losses(asked, recipe, setting, monkeypatch):
    """The losses of the held-out rows by network and epoch, and the trained bag."""
    courses = []

    class Course(bags._Course):
        def __init__(self, *args):
            super().__init__(*args)
            courses.append(self)

    monkeypatch.setattr(bags, "_Course", Course)
    bag = bags.train(asked, recipe, setting)
    return np.array([course.losses for course in courses]), bag


@pytest.mark.parametrize("weighted", [False, True])
def test_all_networks_have_the_epoch_that_is_best_on_average(rng, weighted, monkeypatch):
    asked = problem(rng, weights=rng.uniform(0.1, 5, 90) if weighted else None)
    recipe = replace(QUICK, epochs=12, rate_factor=8.0)
    losses, bag = held_out_losses(asked, recipe, Setting(seed=2), monkeypatch)
    weights = np.ones(90) if asked.weights is None else asked.weights
    shares = [weights[part].sum() for part in split_folds(90, 3, 2, asked.y)]
    best = int(np.argmin(np.average(losses, axis=0, weights=shares))) + 1
    assert bag.epochs == (best,) * 3
    assert [network.history.best_epoch for network in bag.networks] == [best] * 3


def test_the_parameters_are_those_of_the_best_epoch(rng, monkeypatch):
    asked = problem(rng)
    recipe = replace(QUICK, epochs=12, rate_factor=8.0)
    losses, bag = held_out_losses(asked, recipe, Setting(seed=2), monkeypatch)
    parts = split_folds(90, 3, 2, asked.y)
    for network, part, course in zip(bag.networks, parts, losses, strict=True):
        logits = network.core.outputs([array[part] for array in asked.inputs.values()])[0]
        loss = asked.objective.losses(asked.objective.combine([logits], 1.0), asked.y[part]).mean()
        assert loss == pytest.approx(course[bag.epochs[0] - 1], rel=1e-5)


@pytest.mark.parametrize("most", [1, 2_000, 1 << 25])
def test_few_copies_of_the_parameters_still_have_the_last_epoch(rng, most, monkeypatch):
    monkeypatch.setattr(bags, "_MOST_COPIES", most)
    losses, bag = held_out_losses(problem(rng), QUICK, Setting(seed=2), monkeypatch)
    total = QUICK.epochs * sum(network.n_parameters for network in bag.networks)
    every = max(1, -(-total // most))
    copied = [epoch for epoch in range(1, 6) if (5 - epoch) % every == 0]
    assert bag.epochs[0] == min(copied, key=lambda epoch: losses.mean(axis=0)[epoch - 1])


@pytest.mark.parametrize("seed", range(5))
def test_held_out_predictions_of_noise_are_no_better_than_chance(seed):
    rng = np.random.default_rng(seed)
    asked = replace(problem(rng, 300), y=rng.permutation(np.repeat([0, 1], 150)))
    recipe = replace(QUICK, hidden=(32, 32), epochs=16, folds=10)
    bag = bags.train(asked, recipe, Setting(seed=seed))
    loss = asked.objective.losses(bag.held_out, asked.y).mean()
    assert loss > np.log(2) - 0.003


# ---------------------------------------------------------------------------- bits


@pytest.mark.parametrize("classes", [True, False])
def test_results_do_not_depend_on_the_number_of_jobs(backend, rng, classes):
    asked = problem(rng, classes=classes)
    one, two = (blends.train(asked, QUICK, Setting(seed=1, n_jobs=jobs)) for jobs in (1, 2))
    assert bits(one) == bits(two)


def test_results_depend_on_the_seed(rng):
    asked = problem(rng)
    assert bits(blends.train(asked, QUICK, Setting(0))) != bits(
        blends.train(asked, QUICK, Setting(1))
    )


def test_rows_of_weight_0_count_for_nothing(rng):
    asked = problem(rng)
    weights = np.ones(len(asked))
    weights[::3] = 0
    other = replace(asked, weights=weights, y=np.where(weights == 0, 1 - asked.y, asked.y))
    asked = replace(asked, weights=weights)
    recipe = replace(QUICK, folds=1, refit=False, batch_size=90)
    # Stratified folds depend on the labels: give both problems the same rows.
    held_out = [np.arange(60, 90)]
    for case in (asked, other):
        network = bags._network(case, recipe, Setting(), 0, 60)
        bags._train(case, recipe, Setting(), [network], held_out)
        outputs = network.core.outputs(list(case.inputs.values()))[0]
        if case is asked:
            expected = outputs
    assert np.array_equal(outputs, expected)


# --------------------------------------------------------------------- temperature


def test_the_factor_of_logits_has_the_smallest_log_loss(rng):
    z = rng.normal(size=(5000, 3))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(3, p=row) for row in p])
    factor = bags.best_factor(Classification(3), 3 * z, y)
    objective = Classification(3)
    cost = lambda f: objective.losses(objective.combine([3 * z], f[0]), y).mean()  # noqa: E731
    best = minimize(cost, [0.5], method="Nelder-Mead").x[0]
    assert factor == pytest.approx(best, rel=0.05)
    assert factor == pytest.approx(1 / 3, rel=0.1)


def test_few_rows_hardly_change_the_factor(rng):
    logits = np.array([[2.0, 0.0], [0.0, 2.0]])
    assert bags.best_factor(Classification(2), logits, np.array([0, 1])) < 1.2


# --------------------------------------------------------------------------- blends


def test_weights_of_bags_prefer_the_better_predictions(rng):
    asked = problem(rng, 200, classes=False)
    truth = asked.objective.scale * asked.y + asked.objective.centre
    noise = rng.normal(size=(3, 200))
    parts = [Bag((), 1.0, (), truth + s * e) for s, e in zip((0.1, 0.1, 5.0), noise, strict=True)]
    weights = blends.blend_weights(asked, parts)
    assert sum(weights) == pytest.approx(1)
    assert weights[2] == 0
    assert 0.3 < weights[0] < 0.7


def test_a_blend_predicts_the_weighted_mean_of_its_bags(rng):
    asked = problem(rng, 200)
    blend = blends.train(asked, replace(QUICK, candidates=3), Setting())
    parts = [
        w * asked.objective.combine(bag.outputs(asked.inputs), bag.factor)
        for w, bag in zip(blend.weights, blend.bags, strict=True)
    ]
    np.testing.assert_allclose(blend.predictions(asked.inputs), sum(parts), rtol=1e-12)


def test_a_blend_returns_from_its_state(rng):
    asked = problem(rng)
    blend = blends.train(asked, replace(QUICK, candidates=2), Setting())
    again = blends.Blend.from_state(*blend.to_state())
    assert np.array_equal(again.predictions(asked.inputs), blend.predictions(asked.inputs))


def test_a_blend_of_other_weights_is_refused(rng):
    state, arrays = blends.train(problem(rng), QUICK, Setting()).to_state()
    with pytest.raises(ValueError, match="weights do not fit"):
        blends.Blend.from_state(state | {"weights": [0.5]}, arrays)


# ---------------------------------------------------------------------------- time


def test_a_deadline_shortens_the_training(rng):
    asked = problem(rng, 3000)
    start = time.monotonic()
    blend = blends.train(
        asked, replace(QUICK, hidden=(64,), epochs=10**6), Setting(deadline=start + 1.5)
    )
    assert time.monotonic() - start < 20  # a training without it takes hours
    assert blend.networks[0].history.epochs < 10**6


def test_ctrl_c_keeps_the_networks_that_have_an_epoch(rng, monkeypatch):
    def interrupted(members, verbose, who):
        members[0].train(lambda: False)
        raise KeyboardInterrupt

    monkeypatch.setattr(bags, "train_members", interrupted)
    blend = blends.train(problem(rng), QUICK, Setting())
    assert blend.is_partial
    assert len(blend.networks) == 1
    assert np.isfinite(blend.predictions(problem(rng).inputs)).all()


def test_ctrl_c_before_the_first_epoch_is_passed_on(rng, monkeypatch):
    def interrupted(members, verbose, who):
        raise KeyboardInterrupt

    monkeypatch.setattr(bags, "train_members", interrupted)
    with pytest.raises(KeyboardInterrupt):
        blends.train(problem(rng), QUICK, Setting())


# -------------------------------------------------------------------------- recipes


@pytest.mark.parametrize(
    ("n_rows", "rows"), [(1, 16), (700, 16), (1500, 32), (5000, 128), (10**6, 256)]
)
def test_batches_grow_with_the_rows(n_rows, rows):
    assert Recipe().rows_of_batch(n_rows) == rows


@pytest.mark.parametrize(
    ("n_rows", "bins", "values", "networks"), [(19_999, 16, 64, 10), (20_000, 48, 128, 5)]
)
def test_many_rows_have_more_bins_and_fewer_networks(n_rows, bins, values, networks):
    assert Recipe().bins_of_number(n_rows) == bins
    assert Recipe(bins=5).bins_of_number(n_rows) == 5
    assert Recipe().values_of_number(n_rows) == values
    assert Recipe(whole=7).values_of_number(n_rows) == 7
    assert Recipe().networks_of_bag(n_rows) == networks
    assert Recipe(folds=3).networks_of_bag(n_rows) == 3


@pytest.mark.parametrize("columns", [1, 1000, 2500, 8000, 20_000, 50_000])
def test_many_columns_have_few_bins_or_none(columns):
    recipe = Recipe().for_rows(300)
    for bins in (recipe.bins_of_number(300, columns), recipe.values_of_number(300, columns)):
        assert bins == 0 or bins >= 4
        assert bins * columns * recipe.hidden[0] <= 1 << 24
    assert Recipe(bins=7).bins_of_number(300, columns) == 7
    assert (recipe.bins_of_number(300, columns) == 16) == (columns < 7000)


@pytest.mark.parametrize(("n_rows", "layers"), [(19_999, 3), (20_000, 2)])
def test_many_rows_have_fewer_layers(n_rows, layers):
    assert Recipe().for_rows(n_rows).hidden == (128,) * layers
    assert Recipe(hidden=(7,)).for_rows(n_rows).hidden == (7,)
    assert Recipe(hidden=()).for_rows(n_rows).hidden == ()


def test_what_a_recipe_makes_is_named():
    assert Recipe().kind == "network"
    assert [recipe.kind for recipe in Recipe().simple(500)] == ["linear", "additive"]
    assert Recipe(hidden=(), bins=0).kind == "linear"


# ----------------------------------------------------------------- simple models


def test_a_noisy_linear_table_is_left_to_the_simple_models(rng):
    numbers = rng.normal(size=(200, 3)).astype(np.float32)
    y = numbers @ [1.0, -2.0, 0.5] + 3 * rng.normal(size=200)
    positions = rng.uniform(0, 4, (200, 3)).astype(np.float32)
    objective = Regression.fit(y)
    inputs = {"numbers": numbers, "positions": positions}
    asked = Problem(inputs, Shape(3, (4, 4, 4), (), 1), objective, objective.encode(y))
    recipe = Recipe(hidden=(64, 64), folds=5, bins=4, epochs=40, rate_factor=1.0)
    blend = blends.train(asked, recipe, Setting())
    weights = {bag.kind: w for bag, w in zip(blend.bags, blend.weights, strict=True)}
    assert weights.get("network", 0.0) < 0.5


def test_an_additive_function_is_learnt_without_hidden_layers(rng):
    asked = problem(rng, 600, classes=False)
    bag = bags.train(asked, replace(QUICK, hidden=(), epochs=40, dropout=0.0), Setting())
    truth = asked.objective.scale * asked.y + asked.objective.centre
    assert np.mean((bag.held_out - truth) ** 2) < 0.02 * np.var(truth)


def test_a_linear_model_does_not_read_positions(rng):
    asked = problem(rng)
    blend = blends.train(asked, replace(QUICK, simple_models=True), Setting())
    read = {bag.kind: bag.networks[0].core.input_names for bag in blend.bags}
    assert read.get("linear", ["numbers", "codes"]) == ["numbers", "codes"]
    linear = bags.train(asked, QUICK.simple(len(asked))[0], Setting()).networks[0]
    assert linear.core.input_names == ["numbers", "codes"]


def test_a_table_without_bins_has_no_additive_model(rng):
    asked = problem(rng)
    inputs = {"codes": asked.inputs["codes"]}
    asked = replace(asked, inputs=inputs, shape=Shape(0, (), (3,), 2))
    recipes = [recipe for recipe, _ in blends._trainings(asked, Recipe(), Setting())]
    assert [recipe.kind for recipe in recipes] == ["network", "linear"]


def test_a_preset_may_be_changed():
    assert get("fast", epochs=3, hidden=None) == replace(PRESETS["fast"], epochs=3)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": 8},
        {"whole": -1},
        {"simple_models": 1},
        {"hidden": (0,)},
        {"activation": "step"},
        {"dropout": 1.0},
        {"bins": -1},
        {"epochs": 0},
        {"batch_size": 0},
        {"rate_factor": 0.0},
        {"weight_decay": -1.0},
        {"folds": 0},
        {"validation": 0.0},
        {"refit": 1},
        {"candidates": 0},
    ],
)
def test_a_wrong_parameter_of_a_recipe_is_named(change):
    (name,) = change
    with pytest.raises((TypeError, ValueError), match=f"^{name}"):
        Recipe(**change)


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match=r"preset must be .*fast"):
        get("quick")
