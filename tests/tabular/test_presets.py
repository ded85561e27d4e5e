"""Models of presets: what they learn, report, refuse and keep in their files."""

import io

import numpy as np
import pytest
from memory import peak_of

import fastnn
from fastnn import backend as backends
from fastnn import serialization, tabular
from fastnn.serialization import FormatError
from fastnn.tabular.baseline import linear_measures
from fastnn.tabular.frames import as_table
from fastnn.tabular.objectives import Regression
from fastnn.tabular.recipe import Recipe
from fastnn.tabular.targets import Target

QUICK = Recipe(hidden=(16,), folds=2, epochs=12)


@pytest.fixture(params=["regression", "classification"])
def houses(request):
    """Columns of all kinds with missing values, and a target that follows from them."""
    rng = np.random.default_rng(0)
    n = 300
    area, city = rng.uniform(30, 200, n), rng.choice(["Bonn", "Rom", "Ulm"], n).astype(object)
    days = np.datetime64("2024-01-01") + rng.integers(0, 700, n).astype("timedelta64[D]")
    price = 3 * area + 90 * (city == "Rom")
    area[:20], city[10:30] = np.nan, None
    target = np.where(price > 400, "dear", "cheap") if request.param[0] == "c" else price
    return {"area": area, "city": city, "sold": days, "new": days > days[0], "price": target}


def test_a_preset_learns_and_says_what_was_held_out(houses):
    model = tabular.fit(houses, "price", preset=QUICK)
    assert [*model.results] == ["held out", "test"]
    assert (model.results["held out"]["rows"], model.results["test"]["rows"]) == (255, 45)
    assert model.results["test"].get("r2", model.results["test"].get("accuracy")) > 0.7
    assert {row.column: row.role for row in model.decisions} == {
        "area": "number", "city": "category", "sold": "date", "new": "boolean"
    }  # fmt: skip


def test_without_a_test_part_the_model_learns_from_all_rows(houses):
    model = tabular.fit(houses, "price", preset=QUICK, test=0)
    assert [*model.results] == ["held out"]
    assert model.results["held out"]["rows"] == 300


def test_a_model_of_a_preset_survives_its_file(houses, tmp_path):
    model = tabular.fit(houses, "price", preset=QUICK)
    model.save(tmp_path / "m.fastnn")
    again = tabular.load(tmp_path / "m.fastnn")
    np.testing.assert_array_equal(again.predict(houses), model.predict(houses))
    assert (again.aim, again.facts) == (model.aim, model.facts)
    assert str(again.decisions) == str(model.decisions)
    assert again.evaluate(houses) == model.evaluate(houses)


def test_the_test_part_is_measured_as_by_evaluate(houses):
    model = tabular.fit(houses, "price", preset=QUICK, test=0.2, seed=3)
    again = tabular.fit(houses, "price", preset=QUICK, test=0.2, seed=3)
    assert again.results == model.results
    from fastnn.tabular.splitting import split_rows

    labels = None if model.task == "regression" else np.unique(houses["price"], return_inverse=1)[1]
    rows = split_rows(300, 0.0, 0.2, 3, labels)[2]
    measures = model.evaluate({name: values[rows] for name, values in houses.items()})
    assert measures == {k: v for k, v in model.results["test"].items() if k != "rows"}


def test_measures_are_those_of_scikit_learn(houses):
    from sklearn import metrics

    model = tabular.fit(houses, "price", preset=QUICK)
    measures, y = model.evaluate(houses), houses["price"]
    if model.task == "classification":
        probabilities = model.predict_proba(houses)
        assert measures["accuracy"] == metrics.accuracy_score(y, model.predict(houses))
        assert measures["loss"] == pytest.approx(metrics.log_loss(y, probabilities))
    else:
        predictions = model.predict(houses)
        assert measures["r2"] == pytest.approx(metrics.r2_score(y, predictions))
        assert measures["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, predictions))


def test_unknown_categories_and_columns_are_told(houses):
    model = tabular.fit(houses, "price", preset=QUICK)
    houses["city"][:2] = "Kiel"
    with pytest.warns(UserWarning, match="column 'city': 2 rows with a category that the training"):
        model.predict(houses)


def test_numbers_written_as_text_are_predicted_alike(houses):
    model = tabular.fit(houses, "price", preset=QUICK)
    texts = houses | {"area": ["" if x != x else repr(float(x)) for x in houses["area"]]}
    np.testing.assert_array_equal(model.predict(texts), model.predict(houses))


def test_the_linear_model_is_least_squares():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=400)
    table = as_table({**{f"x{j}": X[:, j] for j in range(3)}, "y": y})
    rows, test = np.arange(300), np.arange(300, 400)
    measures = linear_measures(
        table, Target("y", "regression"), Regression.fit(y[rows]), rows, test
    )
    A = np.column_stack([X, np.ones(400)])
    w = np.linalg.lstsq(A[rows], y[rows], rcond=None)[0]
    expected = np.sqrt(np.mean((A[test] @ w - y[test]) ** 2))
    assert measures["rmse"] == pytest.approx(expected, rel=1e-3)


def test_a_time_limit_is_taken(houses):
    model = tabular.fit(houses, "price", preset="best", time_limit=0.5)
    assert np.isfinite(list(model.results["test"].values())).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"preset": "slow"}, ValueError, "preset must be one of fast, balanced, best"),
        ({"preset": "fast", "time_limit": -1}, ValueError, "time_limit must be"),
        ({"preset": "network", "time_limit": 3}, ValueError, "time_limit does not go with"),
        ({"preset": "fast", "n_jobs": 0}, ValueError, "n_jobs must be"),
        ({"preset": "fast", "test": 1.5}, ValueError, "test must be"),
        ({"preset": "fast", "columns": {"x": "drop"}}, tabular.DataError, "has no column 'x'"),
        ({"preset": "fast", "options": tabular.Options()}, ValueError, "options are for preset"),
    ],
)
def test_unfit_arguments_are_refused(arguments, error, message):
    columns = {"a": np.arange(40.0), "y": np.arange(40.0)}
    with pytest.raises(error, match=message):
        tabular.fit(columns, "y", **arguments)


def test_one_network_is_the_network_of_the_model(houses):
    model = tabular.fit(houses, "price", preset="network")
    assert isinstance(model.network, fastnn.Sequential)
    model = tabular.fit(houses, "price", preset=QUICK)
    with pytest.raises(ValueError, match=r"has \d+ networks: see model\.learner\.networks"):
        _ = model.network


def test_a_second_ctrl_c_ends_the_training_without_a_model(houses, monkeypatch):
    def train_members(members, verbose, jobs):
        try:
            raise KeyboardInterrupt
        finally:
            raise KeyboardInterrupt

    monkeypatch.setattr("fastnn.tabular.bags.train_members", train_members)
    with pytest.raises(KeyboardInterrupt):
        tabular.fit(houses, "price", preset=QUICK)


def saved(houses):
    file = io.BytesIO()
    tabular.fit(houses, "price", preset=QUICK).save(file)
    file.seek(0)
    return serialization.load(file)


def test_other_readers_name_the_one_that_reads_the_file(houses, tmp_path):
    structure, arrays = saved(houses)
    serialization.save(tmp_path / "m.fastnn", structure, arrays)
    with pytest.raises(FormatError, match=r"holds a model for tables: fastnn\.tabular\.load reads"):
        fastnn.load(tmp_path / "m.fastnn")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["model"], 3),
        (["model", "target"], {}),
        (["model", "target", "task"], "poetry"),
        (["model", "facts"], 3),
        (["model", "learner"], []),
        (["model", "learner", "encoder", "columns"], []),
        (["model", "learner", "blend", "weights"], [0.5]),
        (["model", "learner", "blend", "bags"], []),
        (["model", "learner", "blend", "objective", "kind"], "poetry"),
    ],
)
def test_damaged_files_are_refused(houses, tmp_path, path, value):
    structure, arrays = saved(houses)
    part = structure
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    serialization.save(tmp_path / "m.fastnn", structure, arrays)
    with pytest.raises(FormatError, match=r"m\.fastnn: damaged"):
        tabular.load(tmp_path / "m.fastnn")


@pytest.mark.parametrize("classes", [True, False])
def test_a_training_takes_less_than_twice_the_memory_of_the_table(rng, classes):
    if "compiled" not in backends.available():
        pytest.skip("the reference engine works in larger blocks")
    n = 100_000
    table = {f"x{i}": rng.normal(size=n) for i in range(10)}
    y = table["x0"] + rng.normal(size=n)
    table["y"] = y > 0 if classes else y
    size = sum(column.nbytes for column in table.values())
    recipe = Recipe(hidden=(8,), epochs=1, folds=1)
    with backends.use("compiled"):
        few = {name: column[:100] for name, column in table.items()}
        tabular.fit(few, "y", preset=recipe, n_jobs=1)  # what is imported counts, too
        peak, _ = peak_of(lambda: tabular.fit(table, "y", preset=recipe, n_jobs=1))
    assert peak < 1.95 * size  # beside the table: inputs as large as it, and no copy of their rows
