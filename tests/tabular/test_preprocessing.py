"""Preprocessing of tables: against scikit-learn's, and back."""

import json

import numpy as np
import pytest
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastnn.tabular.encoders import MAX_CATEGORIES, Number
from fastnn.tabular.preprocessing import Preprocessor
from fastnn.tabular.table import DataError, Table


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return Table(
        "t.csv",
        {
            "age": rng.integers(18, 80, 60).astype(float),
            "city": rng.choice(["Rom", "Ulm", "Bonn"], 60),
            "income": rng.normal(50, 9, 60),
            "label": rng.choice(["yes", "no"], 60),
        },
    )


def test_numbers_are_standardised_as_by_scikit_learn(table):
    X = Preprocessor.fit(table, "label").features(table, np.float64)
    numbers = np.column_stack([table.columns["age"], table.columns["income"]])
    np.testing.assert_allclose(X[:, [0, 4]], StandardScaler().fit_transform(numbers), atol=1e-12)


def test_text_is_one_hot_as_by_scikit_learn(table):
    X = Preprocessor.fit(table, "label").features(table)
    expected = OneHotEncoder().fit_transform(table.columns["city"][:, None]).toarray()
    np.testing.assert_array_equal(X[:, 1:4], expected)


def test_mean_and_scale_come_from_the_rows_to_train_on(table):
    rows = np.arange(20)
    column = Preprocessor.fit(table, "label", rows=rows).columns[0]
    ages = table.columns["age"][:20]
    assert (column.mean, column.scale) == pytest.approx((ages.mean(), ages.std()))


def test_categories_and_classes_come_from_all_rows(table):
    rows = np.flatnonzero((table.columns["city"] == "Rom") & (table.columns["label"] == "no"))
    preprocessor = Preprocessor.fit(table, "label", rows=rows)
    assert preprocessor.columns[1].categories == ("Bonn", "Rom", "Ulm")
    assert preprocessor.classes == ("no", "yes")


def test_common_scaling_is_that_of_all_numbers_together(table):
    columns = Preprocessor.fit(table, "label", scaling="common").columns
    numbers = np.concatenate([table.columns["age"], table.columns["income"]])
    for column in (columns[0], columns[2]):
        assert (column.mean, column.scale) == pytest.approx((numbers.mean(), numbers.std()))


def test_no_scaling_leaves_numbers_alone(table):
    X = Preprocessor.fit(table, "label", scaling="none").features(table, np.float64)
    np.testing.assert_array_equal(X[:, 0], table.columns["age"])


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e12])
def test_a_constant_column_becomes_zero(constant):
    table = Table("t", {"a": np.full(7, constant), "y": np.array(list("aababab"))})
    X = Preprocessor.fit(table, "y").features(table, np.float64)
    np.testing.assert_allclose(X, 0, atol=1e-3)


def test_columns_are_found_by_name(table):
    preprocessor = Preprocessor.fit(table, "label")
    turned = Table("turned", dict(reversed(table.columns.items())))
    np.testing.assert_array_equal(preprocessor.features(turned), preprocessor.features(table))


def test_class_indices_name_the_labels(table):
    preprocessor = Preprocessor.fit(table, "label")
    assert preprocessor.labels(preprocessor.targets(table)) == table.columns["label"].tolist()


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (np.array([3, 1, 3, 1]), (1, 3)),
        (np.array([3.0, 1.0, 3.0, 1.0]), (1, 3)),
        (np.array([1.5, 1.0, 1.5, 1.0]), (1, 1.5)),
        (np.array([True, False, True, True]), (0, 1)),
        (np.array(["b", "a", "b", "a"]), ("a", "b")),
    ],
)
def test_labels_of_any_kind_become_classes(values, classes):
    table = Table("t", {"x": np.arange(4.0), "y": values})
    preprocessor = Preprocessor.fit(table, "y", "classification")
    assert preprocessor.classes == classes
    labels = preprocessor.labels(preprocessor.targets(table))
    assert labels == values.tolist()


def test_regression_targets_are_standardised_and_turned_back():
    table = Table("t", {"x": np.arange(50.0), "y": np.linspace(100, 900, 50)})
    preprocessor = Preprocessor.fit(table, "y")
    y = preprocessor.targets(table, np.float64)
    assert (y.mean(), y.std()) == pytest.approx((0, 1))
    np.testing.assert_allclose(preprocessor.units(y[:, None]), table.columns["y"])


def test_the_table_is_left_as_it_was(table):
    before = {name: values.copy() for name, values in table.columns.items()}
    preprocessor = Preprocessor.fit(table, "label")
    preprocessor.features(table)[...] = 7
    preprocessor.targets(table)[...] = 7
    for name, values in before.items():
        np.testing.assert_array_equal(table.columns[name], values)


@pytest.mark.parametrize("target", ["label", "age"])
def test_preprocessing_survives_json(table, target):
    preprocessor = Preprocessor.fit(table, target)
    assert Preprocessor.from_dict(json.loads(json.dumps(preprocessor.to_dict()))) == preprocessor


@pytest.mark.parametrize(
    "damage",
    [
        {"task": "poetry"},
        {"target": 3},
        {"columns": []},
        {"columns": [{"name": "a", "mean": 0.0, "scale": 0.0}]},
        {"columns": [{"name": "a", "mean": "0", "scale": 1.0}]},
        {"columns": [{"name": "a", "mean": 1e999, "scale": 1.0}]},
        {"columns": [{"name": "a", "categories": []}]},
        {"columns": [{"name": "a", "categories": ["b", "a"]}]},
        {"columns": [{"name": "a", "categories": [1, 2]}]},
        {"columns": [3]},
        {"columns": 3},
        {"classes": ["a", 1]},
        {"classes": [[]]},
        {"target_scale": -1.0},
    ],
)
def test_a_damaged_description_is_refused(table, damage):
    data = Preprocessor.fit(table, "label").to_dict()
    with pytest.raises(ValueError, match="not a preprocessing"):
        Preprocessor.from_dict(data | damage)


# ----------------------------------------------------------------------- refusals


def test_text_of_many_kinds_is_refused():
    values = np.array([f"name {i}" for i in range(MAX_CATEGORIES + 1)])
    table = Table("t", {"name": values, "y": np.arange(len(values)) % 2})
    with pytest.raises(DataError, match=f"'name' has {MAX_CATEGORIES + 1} different texts; at"):
        Preprocessor.fit(table, "y")


def test_texts_among_many_numbers_are_counted_apart():
    values = np.array([*map(str, range(200)), "1o7"])
    table = Table("t", {"a": values, "y": np.arange(len(values)) % 2})
    with pytest.raises(DataError, match=r"201 different values \(1 not numbers, '1o7' for one\)"):
        Preprocessor.fit(table, "y")


@pytest.mark.parametrize(("label", "shown"), [("b", "'b'"), (1, "1"), (1.0, "1"), (True, "1")])
def test_a_target_of_one_class_is_refused(label, shown):
    table = Table("t", {"a": np.arange(3.0), "y": np.array([label] * 3)})
    with pytest.raises(DataError, match=f"one class only, {shown}$"):
        Preprocessor.fit(table, "y")


def test_text_is_no_target_of_regression(table):
    with pytest.raises(DataError, match=r"holds text .*, expected numbers for regression"):
        Preprocessor.fit(table, "label", "regression")


def test_a_class_for_each_row_is_refused():
    table = Table("t", {"a": np.arange(300.0), "y": np.array([f"id{i}" for i in range(300)])})
    with pytest.raises(DataError, match="300 classes in 300 rows"):
        Preprocessor.fit(table, "y")


def test_a_target_alone_is_refused():
    with pytest.raises(DataError, match="no column besides the target"):
        Preprocessor.fit(Table("t", {"y": np.arange(3.0)}), "y")


def test_numbers_too_large_to_scale_are_refused():
    table = Table("t", {"a": np.array([1e308, -1e308] * 3), "y": np.array(list("ababab"))})
    with pytest.raises(DataError, match="'a' are too large"):
        Preprocessor.fit(table, "y")


def test_missing_columns_are_named(table):
    with pytest.raises(DataError, match="lacks 1 of the 3 columns the model takes: income"):
        Preprocessor.fit(table, "label").features(table.without("income"))


def with_column(table, name, values):
    return Table("other.csv", {**table.columns, name: np.asarray(values)})


def test_an_unknown_category_is_named(table):
    preprocessor = Preprocessor.fit(table, "label")
    cities = np.where(np.arange(60) == 4, "Köln", table.columns["city"])
    with pytest.raises(DataError, match="row 5, column 'city': unknown category 'Köln'"):
        preprocessor.features(with_column(table, "city", cities))


@pytest.mark.parametrize("label", ["a", "zz"])
def test_an_unknown_class_is_named(table, label):
    preprocessor = Preprocessor.fit(table, "label")
    with pytest.raises(DataError, match=f"unknown class '{label}'; the model knows no, yes"):
        preprocessor.targets(with_column(table, "label", [label] * 60))


def test_text_where_numbers_were_is_refused(table):
    preprocessor = Preprocessor.fit(table, "label")
    with pytest.raises(DataError, match="row 2, column 'age': 'old', expected a number"):
        preprocessor.features(with_column(table, "age", ["30", "old"] * 30))


def test_a_decimal_comma_where_numbers_were_is_pointed_at(table):
    preprocessor = Preprocessor.fit(table, "label")
    with pytest.raises(DataError, match="'30,5', expected a number with a decimal point"):
        preprocessor.features(with_column(table, "age", ["30,5"] * 60))


def test_numbers_where_text_was_are_refused(table):
    preprocessor = Preprocessor.fit(table, "label")
    with pytest.raises(DataError, match="column 'city' holds numbers, expected text"):
        preprocessor.features(with_column(table, "city", np.arange(60.0)))


def test_numbers_where_names_of_classes_were_are_refused(table):
    preprocessor = Preprocessor.fit(table, "label")
    with pytest.raises(DataError, match="holds numbers, but the model's classes are no, yes"):
        preprocessor.targets(with_column(table, "label", np.arange(60.0)))


@pytest.mark.parametrize(("argument", "value"), [("task", "poetry"), ("scaling", "log")])
def test_an_unknown_choice_is_refused(table, argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be one of"):
        Preprocessor.fit(table, "label", **{argument: value})


def test_number_describes_itself():
    assert Number("a", 1.5, 2.0).describe() == "(x - 1.5) / 2"
