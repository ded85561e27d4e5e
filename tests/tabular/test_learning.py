"""Learning from a table in Python: the model, its file, and what is refused."""

import doctest

import numpy as np
import pytest
from commands import people_csv, run, write_csv

import fastnn
from fastnn import serialization, tabular
from fastnn.network._core import Core
from fastnn.tabular import learning, splitting
from fastnn.tabular.frames import as_table
from fastnn.tabular.learning import split_and_fit

QUICK = tabular.Options(hidden=(16,), learning_rate=0.02, epochs=40, batch_size=16)


@pytest.fixture
def houses():
    """Columns with a price that follows from the others."""
    rng = np.random.default_rng(0)
    area, city = rng.uniform(30, 200, 240), rng.choice(["Bonn", "Rom", "Ulm"], 240)
    return {"area": area, "city": city, "price": 1000 + 3 * area + 90 * (city == "Rom")}


@pytest.fixture
def people():
    """Columns with a label that follows from the others."""
    rng = np.random.default_rng(0)
    age, city = rng.integers(18, 80, 240), rng.choice(["Bonn", "Rom", "Ulm"], 240)
    return {"age": age, "city": city, "label": np.where(age > 45, "old", "young")}


def rows_of_passes(monkeypatch):
    """A list to which each forward pass of a network appends the number of its rows."""
    rows, outputs = [], Core.outputs

    def counted(core, arrays, *arguments, **options):
        rows.append(len(arrays[0]))
        return outputs(core, arrays, *arguments, **options)

    monkeypatch.setattr(Core, "outputs", counted)
    return rows


# ----------------------------------------------------------------------- learning


def test_regression_is_learned_in_the_unit_of_the_target(backend, houses):
    model = tabular.fit(houses, "price", QUICK)
    assert (model.task, model.target, model.classes) == ("regression", "price", ())
    errors = model.predict(houses) - houses["price"]
    assert np.sqrt(np.mean(errors**2)) < 0.1 * houses["price"].std()


def test_classification_predicts_names_of_classes(backend, people):
    model = tabular.fit(people, "label", QUICK)
    assert (model.task, model.classes) == ("classification", ("old", "young"))
    assert np.mean(model.predict(people) == people["label"]) > 0.95


def test_probabilities_are_in_the_order_of_the_classes(people):
    model = tabular.fit(people, "label", QUICK)
    probabilities = model.predict_proba(people)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    likely = np.array(model.classes)[probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(likely, model.predict(people))


def test_a_table_and_a_mapping_give_the_same_model(houses):
    models = [tabular.fit(data, "price", QUICK) for data in (houses, as_table(houses))]
    np.testing.assert_array_equal(*(model.network.get_flat() for model in models))


def test_integer_classes_are_predicted_as_integers(people):
    people["label"] = (people["age"] > 45).astype(int)
    assert tabular.fit(people, "label", QUICK).predict(people).dtype.kind == "i"


def test_the_example_of_the_documentation_runs():
    assert doctest.testmod(learning).attempted > 0
    assert doctest.testmod(learning).failed == 0


def test_verbose_prints_the_epochs(houses, capsys):
    tabular.fit(houses, "price", tabular.Options(epochs=2), verbose=2)
    assert any("2/2" in stream for stream in capsys.readouterr())


def test_the_task_is_guessed_once(people, monkeypatch):
    calls = []
    guess = splitting.guess_task

    def counted(y):
        calls.append(y)
        return guess(y)

    monkeypatch.setattr(splitting, "guess_task", counted)
    tabular.fit(people, "label", tabular.Options(epochs=1))
    assert len(calls) == 1


# ----------------------------------------------------------------------- measures


@pytest.mark.parametrize(
    ("name", "words"),
    [("houses", ["--score"]), ("people", ["--score"]), ("people", ["--score", "--proba"])],
)
def test_the_network_runs_once_for_predictions_and_score(
    name, words, request, elsewhere, monkeypatch, capsys
):
    columns = request.getfixturevalue(name)
    tabular.fit(columns, [*columns][-1], tabular.Options(epochs=1)).save("model.fastnn")
    write_csv("data.csv", [*columns], *columns.values())
    rows = rows_of_passes(monkeypatch)
    assert run("predict", "model.fastnn", "data.csv", *words) == 0
    assert sum(rows) == 240


@pytest.mark.parametrize("name", ["houses", "people"])
def test_a_part_runs_through_the_network_once_for_its_results(name, request, monkeypatch):
    columns = request.getfixturevalue(name)
    rows = rows_of_passes(monkeypatch)
    options = tabular.Options(epochs=1, validation=0, test=0.5)
    tabular.fit(columns, [*columns][-1], options)
    assert sum(rows) == 240


def test_measures_of_regression_are_those_of_the_predictions(backend, houses):
    model = tabular.fit(houses, "price", tabular.Options(hidden=(8,), epochs=5, l2=0.1))
    errors = model.predict(houses) - houses["price"]
    measures = model.evaluate(houses)
    scale = model.learner.preprocessor.target_scale
    assert measures["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)
    assert measures["mse"] == pytest.approx(np.mean(errors**2) / scale**2, rel=1e-5)
    assert measures["r2"] == pytest.approx(1 - np.mean(errors**2) / houses["price"].var(), rel=1e-5)


def test_measures_of_classification_are_those_of_the_network(backend, people):
    model = tabular.fit(people, "label", tabular.Options(hidden=(8,), epochs=5, l2=0.1))
    table = as_table(people)
    X, y = model.learner.preprocessor.features(table), model.learner.preprocessor.targets(table)
    assert model.evaluate(people) == model.network.evaluate(X, y)


@pytest.mark.parametrize("name", ["houses", "people"])
def test_results_are_the_measures_of_each_part(name, request):
    columns = request.getfixturevalue(name)
    table = as_table(columns)
    training = split_and_fit(table, [*columns][-1], QUICK)
    assert list(training.model.results) == list(learning.PARTS)
    for part, rows in training.rows.items():
        measures = training.model.evaluate(table.take(rows))
        assert training.model.results[part] == pytest.approx({"rows": len(rows), **measures})


# --------------------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["houses", "people"])
def test_a_model_read_from_its_file_is_equal(name, request, tmp_path):
    columns = request.getfixturevalue(name)
    model = tabular.fit(columns, [*columns][-1], tabular.Options(epochs=3))
    model.save(tmp_path / "a.fastnn")
    again = tabular.load(tmp_path / "a.fastnn")
    assert again.learner.preprocessor == model.learner.preprocessor
    assert again.results == model.results
    np.testing.assert_array_equal(again.predict(columns), model.predict(columns))


def test_a_model_that_was_read_can_be_saved_again(houses, tmp_path):
    model = tabular.fit(houses, "price", tabular.Options(epochs=1))
    for name in ("a.fastnn", "b.fastnn"):
        model.save(tmp_path / name)
        model = tabular.load(tmp_path / name)
    first, second = (serialization.load(tmp_path / name)[0] for name in ("a.fastnn", "b.fastnn"))
    assert first == second


def test_the_command_line_reads_a_model_from_python(people, tmp_path, capsys):
    model = tabular.fit(people, "label", QUICK)
    model.save(tmp_path / "model.fastnn")
    np.savetxt(
        tmp_path / "people.csv",
        np.column_stack([people["age"].astype(str), people["city"]]),
        fmt="%s", delimiter=",", header="age,city", comments="",
    )  # fmt: skip
    assert run("predict", tmp_path / "model.fastnn", tmp_path / "people.csv") == 0
    assert capsys.readouterr().out.split()[1:] == model.predict(people).tolist()
    assert run("info", tmp_path / "model.fastnn") == 0
    out = capsys.readouterr().out
    assert "target 'label', 2 classes: old, young" in out
    assert f"{model.results['test']['accuracy']:.4f}" in out


def test_python_reads_a_model_from_the_command_line(elsewhere, capsys):
    file = people_csv()
    words = ("--quiet", "--plot", "none", "--epochs", 3)
    assert run("train", file, *words) == 0
    capsys.readouterr()
    assert run("predict", "model.fastnn", file) == 0
    predicted = tabular.load("model.fastnn").predict(tabular.read_csv(file))
    assert capsys.readouterr().out.split()[1:] == predicted.tolist()


def test_fastnn_load_reads_the_network_of_a_model(houses, tmp_path):
    model = tabular.fit(houses, "price", tabular.Options(epochs=1))
    model.save(tmp_path / "model.fastnn")
    network = fastnn.load(tmp_path / "model.fastnn")
    np.testing.assert_array_equal(network.get_flat(), model.network.get_flat())


def test_a_network_without_preprocessing_is_refused(tmp_path):
    fastnn.Sequential([fastnn.Dense(2, 1)]).save(tmp_path / "plain.fastnn")
    with pytest.raises(fastnn.FormatError, match=r"plain\.fastnn has no preprocessing"):
        tabular.load(tmp_path / "plain.fastnn")


# ------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"hidden": (0,)}, ValueError, "hidden must be an integer >= 1, got 0"),
        ({"hidden": (2.5,)}, TypeError, "hidden must be an integer, got float"),
        ({"activation": "x"}, ValueError, "activation must be one of .*, got 'x'"),
        ({"dropout": 1.0}, ValueError, "dropout must be .*, got 1.0"),
        ({"dropout": 0.5, "hidden": ()}, ValueError, "dropout needs hidden layers, but hidden="),
        ({"optimizer": "x"}, ValueError, "unknown optimizer 'x'"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be .*, got -1.0"),
        ({"schedule": "x"}, ValueError, "schedule must be one of .*, got 'x'"),
        ({"schedule": "plateau", "validation": 0}, ValueError,
         "schedule='plateau' needs validation data, but validation=0"),
        ({"schedule": "plateau", "plateau_patience": 15}, ValueError,
         "plateau_patience=15 must be less than patience=15"),
        ({"schedule": "plateau", "patience": 4}, ValueError,
         "plateau_patience=5 must be less than patience=4"),
        ({"plateau_patience": 0}, ValueError, "plateau_patience must be .*, got 0"),
        ({"plateau_factor": 1.0}, ValueError, "plateau_factor must be .*, got 1"),
        ({"plateau_factor": 0.5}, ValueError, "plateau_factor needs schedule='plateau'"),
        ({"plateau_patience": 2}, ValueError, "plateau_patience needs schedule='plateau'"),
        ({"class_weight": "even"}, ValueError, "class_weight must be one of balanced, got"),
        ({"weights_mean": "x"}, ValueError, "weights_mean must be one of data, batch, count"),
        ({"weights_mean": "batch"}, ValueError, "weights_mean='batch' needs class_weight"),
        ({"l2": -1.0}, ValueError, "l2 must be .*, got -1.0"),
        ({"epochs": 0}, ValueError, "epochs must be an integer >= 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer, got float"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer >= 1, got 0"),
        ({"validation": 1.0}, ValueError, "validation must be .*, got 1.0"),
        ({"test": -0.1}, ValueError, "test must be .*, got -0.1"),
        ({"patience": -1}, ValueError, "patience must be an integer >= 0, got -1"),
        ({"patience": 3, "validation": 0}, ValueError, "patience needs .*, but validation=0"),
        ({"seed": -1}, ValueError, "seed must be an integer >= 0, got -1"),
        ({"dtype": "int8"}, ValueError, "dtype must be one of float32, float64, got 'int8'"),
        ({"task": "x"}, ValueError, "task must be one of auto, .*, got 'x'"),
        ({"scaling": "x"}, ValueError, "scaling must be one of auto, .*, got 'x'"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(parameters, error, message):
    with pytest.raises(error, match=f"^{message}"):
        tabular.Options(**parameters)


@pytest.mark.parametrize(
    "parameter",
    [
        {"batch_size": 8},
        {"learning_rate": 0.1},
        {"schedule": "cosine"},
        {"schedule": "plateau"},
        {"dropout": 0.5},
        {"weights_mean": "batch", "class_weight": "balanced"},
    ],
    ids=lambda parameter: next(iter(parameter)),
)
def test_a_parameter_that_a_solver_lacks_is_named(parameter):
    name = next(iter(parameter))
    with pytest.raises(ValueError, match=f"^{name} does not go with optimizer='lbfgs'"):
        tabular.Options(optimizer="lbfgs", **parameter)


def test_balanced_classes_are_for_classification(houses):
    with pytest.raises(ValueError, match=r"^class_weight='balanced' is for classification"):
        tabular.fit(houses, "price", tabular.Options(class_weight="balanced"))


@pytest.fixture
def rare():
    """Columns with a label of 30 rows in 300 that no column tells for sure."""
    rng = np.random.default_rng(0)
    label = np.where(np.arange(300) % 10 == 0, "rare", "usual")
    return {"x": rng.normal(size=300) + (label == "rare"), "label": label}


def trained(table, **options):
    shares = {"validation": 0.2, "test": 0.2}
    shares |= {"hidden": (), "epochs": 20, "learning_rate": 0.03}
    return tabular.fit(table, "label", tabular.Options(**shares, **options))


def test_balanced_classes_are_weights_of_the_rows_to_train_on(backend, rare):
    plain, balanced = trained(rare), trained(rare, class_weight="balanced")
    assert plain.results["train"]["rows"] == balanced.results["train"]["rows"] == 180
    assert np.mean(plain.predict(rare) == "rare") < 0.1
    assert 0.2 < np.mean(balanced.predict(rare) == "rare") < 0.6


@pytest.mark.parametrize("rule", ["batch", "count"])
def test_weighted_means_can_be_chosen(rare, rule):
    usual, other = (
        trained(rare, class_weight="balanced", weights_mean=mean) for mean in ("data", rule)
    )
    assert not np.array_equal(usual.network.get_flat(), other.network.get_flat())


def test_rate_decreases_on_a_plateau(backend, houses):
    options = {"schedule": "plateau", "plateau_patience": 2, "plateau_factor": 0.5, "patience": 9}
    model = tabular.fit(houses, "price", tabular.Options(hidden=(), learning_rate=0.8, **options))
    losses, rates = model.network.history["val_loss"], model.network.history["learning_rate"]
    rate, best, waited = 0.8, np.inf, 0
    for loss, used in zip(losses, rates, strict=True):
        assert used == pytest.approx(rate)
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == 2:
            rate, waited = rate / 2, 0
    assert rate < 0.8


def test_a_solver_for_regression_names_the_optimizer(people):
    with pytest.raises(ValueError, match=r"^optimizer='levenberg_marquardt' is for regression"):
        tabular.fit(people, "label", tabular.Options(optimizer="levenberg_marquardt"))


def test_an_unknown_target_is_named(houses):
    with pytest.raises(tabular.DataError, match="table has no column 'x'; it has area, city"):
        tabular.fit(houses, "x", QUICK)


def test_data_that_are_no_table_are_refused():
    with pytest.raises(TypeError, match=r"table must be a table: a frame, .*, got int"):
        tabular.fit(3, "x", QUICK)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0, float("inf")], "table, row 3, column 'a': inf, expected a finite number"),
        ([1.0, [2.0], "x"], "table, column 'a', row 2: a value of type list"),
        ([1.0, 2.0], "the columns of table must have one length, got 2, 3 rows"),
    ],
)
def test_columns_that_cannot_be_used_are_named(values, message):
    with pytest.raises(tabular.DataError, match=message):
        tabular.fit({"a": values, "y": [1.0, 2.0, 3.0]}, "y", QUICK)


def test_a_table_without_rows_is_refused():
    with pytest.raises(tabular.DataError, match="table has no columns"):
        tabular.fit({}, "y", QUICK)


@pytest.mark.parametrize("missing", [[3, 7], [*range(100)]])
def test_missing_values_are_learnt(houses, missing):
    houses["area"][missing] = np.nan
    houses["city"] = houses["city"].astype(object)
    houses["city"][missing[:5]] = None
    model = tabular.fit(houses, "price", QUICK)
    assert np.isfinite(model.predict(houses)).all()


def test_rows_without_a_target_are_dropped_and_counted(houses):
    houses["price"][:40] = np.nan
    model = tabular.fit(houses, "price", QUICK)
    assert model.facts["rows_without_target"] == 40
    assert sum(part["rows"] for part in model.results.values()) == 200
    complete = {name: values[40:] for name, values in houses.items()}
    assert model.evaluate(houses) == model.evaluate(complete)


def test_a_target_without_values_is_refused(houses):
    houses["price"][:] = np.nan
    with pytest.raises(tabular.DataError, match="target column 'price' has no value in any row"):
        tabular.fit(houses, "price", QUICK)


def test_predict_warns_of_columns_and_categories_that_are_unknown(houses):
    model = tabular.fit(houses, "price", tabular.Options(epochs=1))
    houses["city"] = np.where(np.arange(240) < 2, "Kiel", houses["city"])
    with pytest.warns(UserWarning, match="column 'city': 2 rows with a category that the training"):
        model.predict(houses)
    del houses["city"]
    with pytest.warns(UserWarning, match="does not know 'town', ignored"):
        model.predict(houses | {"town": [1.0] * 240, "city": ["Rom"] * 240})


def test_probabilities_of_a_regression_are_refused(houses):
    model = tabular.fit(houses, "price", tabular.Options(epochs=1))
    with pytest.raises(ValueError, match="probabilities need a model for classification"):
        model.predict_proba(houses)
