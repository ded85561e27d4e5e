"""Preprocessing of tables: against scikit-learn's, and back."""

import json

import numpy as np
import pytest
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastnn.tabular.frames import as_table
from fastnn.tabular.preprocessing import MAX_LEVELS, Preprocessor
from fastnn.tabular.scaling import Scaled
from fastnn.tabular.table import DataError, Table


def values(table, name):
    return table.column(name).to_numpy()


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    columns = {
        "age": rng.integers(18, 80, 60).astype(float),
        "city": rng.choice(["Rom", "Ulm", "Bonn"], 60),
        "income": rng.normal(50, 9, 60),
        "label": rng.choice(["yes", "no"], 60),
    }
    return as_table(columns, "t.csv")


def test_numbers_are_standardised_as_by_scikit_learn(table):
    X = Preprocessor.fit(table, "label").features(table, np.float64)
    numbers = np.column_stack([values(table, "age"), values(table, "income")])
    np.testing.assert_allclose(X[:, [0, 4]], StandardScaler().fit_transform(numbers), atol=1e-12)


def test_text_is_one_hot_as_by_scikit_learn(table):
    X = Preprocessor.fit(table, "label").features(table)
    expected = OneHotEncoder().fit_transform(values(table, "city")[:, None]).toarray()
    np.testing.assert_array_equal(X[:, 1:4], expected)


def test_mean_and_scale_come_from_the_rows_to_train_on(table):
    rows = np.arange(20)
    scaled = Preprocessor.fit(table, "label", rows=rows).encoder.columns[0].scaled
    ages = values(table, "age")[:20]
    assert (scaled.center, scaled.scale) == pytest.approx((ages.mean(), ages.std()))


def test_classes_come_from_all_rows(table):
    rows = np.flatnonzero(values(table, "label") == "no")
    assert Preprocessor.fit(table, "label", rows=rows).classes == ("no", "yes")


def test_categories_come_from_the_rows_to_train_on(table):
    rows = np.flatnonzero(values(table, "city") != "Ulm")
    preprocessor = Preprocessor.fit(table, "label", rows=rows)
    assert preprocessor.encoder.columns[1].texts == ("Bonn", "Rom")
    X = preprocessor.features(table)[:, 1:3]
    np.testing.assert_array_equal(X.sum(axis=1) == 0, values(table, "city") == "Ulm")


def test_common_scaling_is_that_of_all_numbers_together(table):
    columns = Preprocessor.fit(table, "label", scaling="common").encoder.columns
    numbers = np.concatenate([values(table, "age"), values(table, "income")])
    for column in (columns[0], columns[2]):
        scaled = column.scaled
        assert (scaled.center, scaled.scale) == pytest.approx((numbers.mean(), numbers.std()))


def test_no_scaling_leaves_numbers_alone(table):
    X = Preprocessor.fit(table, "label", scaling="none").features(table, np.float64)
    np.testing.assert_array_equal(X[:, 0], values(table, "age"))


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e12])
def test_a_column_that_is_constant_in_the_rows_to_train_on_becomes_zero(constant):
    column = np.append(np.full(7, constant), 1e9)
    table = as_table({"a": column, "y": np.array(list("aababaab"))}, "t")
    X = Preprocessor.fit(table, "y", rows=np.arange(7)).features(table, np.float64)
    np.testing.assert_allclose(X[:7], 0, atol=1e-3)


def test_a_table_of_constants_is_refused_with_its_roles():
    table = as_table({"a": np.ones(4), "y": np.array(list("abab"))}, "t")
    with pytest.raises(DataError, match=r"no column to learn from:\n(.*\n)+a +constant"):
        Preprocessor.fit(table, "y")


def test_missing_values_are_an_input_of_their_own(table):
    ages = values(table, "age").copy()
    ages[:20] = np.nan
    cities = values(table, "city")
    cities[:3] = None
    table = as_table({"age": ages, "city": cities, "label": values(table, "label")})
    X = Preprocessor.fit(table, "label").features(table)
    assert X.shape[1] == 2 + 4
    np.testing.assert_array_equal(X[:, 1], np.isnan(ages))
    assert not X[:20, 0].any()
    np.testing.assert_array_equal(X[:, 5], np.arange(60) < 3)


def test_the_first_format_of_files_is_read(table):
    data = {
        "task": "classification",
        "target": "label",
        "classes": ["no", "yes"],
        "target_mean": 0.0,
        "target_scale": 1.0,
        "columns": [
            {"name": "age", "mean": 50.0, "scale": 10.0},
            {"name": "city", "categories": ["Bonn", "Rom", "Ulm"]},
            {"name": "income", "mean": 50.0, "scale": 9.0},
        ],
    }
    X = Preprocessor.from_dict(data).features(table, np.float64)
    np.testing.assert_array_equal(X[:, 0], (values(table, "age") - 50) / 10)
    np.testing.assert_array_equal(X[:, 2], values(table, "city") == "Rom")
    np.testing.assert_array_equal(X[:, 4], (values(table, "income") - 50) / 9)


def test_columns_are_found_by_name(table):
    preprocessor = Preprocessor.fit(table, "label")
    turned = Table("turned", dict(reversed(table.columns.items())))
    np.testing.assert_array_equal(preprocessor.features(turned), preprocessor.features(table))


def test_class_indices_name_the_labels(table):
    aim = Preprocessor.fit(table, "label").aim
    assert aim.labels(aim.indices(table)).tolist() == values(table, "label").tolist()


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array([3, 1, 3, 1]), (1, 3)),
        (np.array([3.0, 1.0, 3.0, 1.0]), (1, 3)),
        (np.array([1.5, 1.0, 1.5, 1.0]), (1, 1.5)),
        (np.array([True, False, True, True]), (False, True)),
        (np.array(["b", "a", "b", "a"]), ("a", "b")),
    ],
)
def test_labels_of_any_kind_become_classes(labels, classes):
    table = as_table({"x": np.arange(4.0), "y": labels}, "t")
    aim = Preprocessor.fit(table, "y", "classification").aim
    assert aim.classes == classes
    assert aim.labels(aim.indices(table)).tolist() == labels.tolist()


def test_regression_targets_are_standardised_and_turned_back():
    table = as_table({"x": np.arange(50.0), "y": np.linspace(100, 900, 50)}, "t")
    preprocessor = Preprocessor.fit(table, "y")
    y = preprocessor.targets(table, np.float64)
    assert (y.mean(), y.std()) == pytest.approx((0, 1))
    np.testing.assert_allclose(preprocessor.units(y[:, None]), values(table, "y"))


def test_the_table_is_left_as_it_was(table):
    before = {name: values(table, name).copy() for name in table}
    preprocessor = Preprocessor.fit(table, "label")
    preprocessor.features(table)[...] = 7
    preprocessor.targets(table)[...] = 7
    for name, old in before.items():
        np.testing.assert_array_equal(values(table, name), old)


@pytest.mark.parametrize("target", ["label", "age"])
def test_preprocessing_survives_json(table, target):
    preprocessor = Preprocessor.fit(table, target)
    assert Preprocessor.from_dict(json.loads(json.dumps(preprocessor.to_dict()))) == preprocessor


def damaged(data, path, value):
    """The data with another value at a path of keys."""
    if not path:
        return value
    copy = data.copy()
    copy[path[0]] = damaged(data[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["target", "task"], "poetry"),
        (["target", "name"], 3),
        (["target", "classes"], ["a", 1]),
        (["target", "classes"], [[]]),
        (["target"], 3),
        (["target_scale"], -1.0),
        (["encoder", "columns"], []),
        (["encoder", "columns"], 3),
        (["encoder", "columns", 0], 3),
        (["encoder", "columns", 0, "name"], "b"),
        (["encoder", "columns", 0, "kind"], "poetry"),
        (["encoder", "columns", 0, "kind"], "category"),
        (["encoder", "columns", 0, "indicates"], 1),
        (["encoder", "columns", 0, "scaled", "scale"], -1.0),
        (["encoder", "columns", 0, "scaled", "scale"], "0"),
        (["encoder", "columns", 0, "scaled", "center"], 1e999),
        (["encoder", "columns", 0, "scaled", "edges"], [1.0, 2.0]),
        (["encoder", "columns", 0, "scaled", "edges"], [1.0, 2.0, 2.0]),
        (["encoder", "columns", 1, "texts"], "ab"),
        (["encoder", "columns", 1, "texts"], ["a", "a"]),
        (["encoder", "columns", 1, "texts"], [1, 2]),
        (["encoder", "decisions"], []),
        (["encoder", "decisions", 0, "role"], "poetry"),
        ([], 3),
        (["columns"], [3]),
    ],
)
def test_a_damaged_description_is_refused(table, path, value):
    data = Preprocessor.fit(table, "label").to_dict() | {"columns": []}
    if path != ["columns"]:
        del data["columns"]
    with pytest.raises(ValueError, match="not a preprocessing"):
        Preprocessor.from_dict(damaged(data, path, value))


# ----------------------------------------------------------------------- refusals


def test_rare_levels_of_many_share_no_input():
    names = [f"name {i}" for i in range(MAX_LEVELS + 1)] * 2 + ["name 0"]
    table = as_table({"name": names, "y": np.arange(len(names)) % 2}, "t")
    preprocessor = Preprocessor.fit(table, "y", columns={"name": "category"})
    assert preprocessor.width == MAX_LEVELS


@pytest.mark.parametrize(("label", "shown"), [("b", "'b'"), (1, "1"), (1.0, "1"), (True, "True")])
def test_a_target_of_one_class_is_refused(label, shown):
    table = as_table({"a": np.arange(3.0), "y": np.array([label] * 3)}, "t")
    with pytest.raises(DataError, match=f"one class only, {shown}$"):
        Preprocessor.fit(table, "y")


def test_text_is_no_target_of_regression(table):
    with pytest.raises(DataError, match=r"column 'label': '(yes|no)', expected a number"):
        Preprocessor.fit(table, "label", "regression")


def test_a_class_for_each_row_is_refused():
    table = as_table({"a": np.arange(300.0), "y": np.array([f"id{i}" for i in range(300)])}, "t")
    with pytest.raises(DataError, match="300 classes in 300 rows"):
        Preprocessor.fit(table, "y")


def test_a_target_alone_is_refused():
    with pytest.raises(DataError, match="no column besides the target"):
        Preprocessor.fit(as_table({"y": np.arange(3.0)}, "t"), "y")


def test_numbers_too_large_to_scale_are_refused():
    table = as_table({"a": np.array([1e308, -1e308] * 3), "y": np.array(list("ababab"))}, "t")
    with pytest.raises(DataError, match="column 'a': the numbers are too large to scale"):
        Preprocessor.fit(table, "y")


def test_missing_columns_are_named(table):
    with pytest.raises(DataError, match="lacks 1 of the 3 columns that are expected: income"):
        Preprocessor.fit(table, "label").features(table.without("income"))


def with_column(table, name, values):
    return as_table({**table.columns, name: np.asarray(values)}, "other.csv")


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


def test_numbers_where_names_of_classes_were_are_refused(table):
    preprocessor = Preprocessor.fit(table, "label")
    with pytest.raises(
        DataError, match="row 1, column 'label': unknown class 0; the model knows no, yes"
    ):
        preprocessor.targets(with_column(table, "label", np.arange(60.0)))


@pytest.mark.parametrize(("argument", "value"), [("task", "poetry"), ("scaling", "log")])
def test_an_unknown_choice_is_refused(table, argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be one of"):
        Preprocessor.fit(table, "label", **{argument: value})


def test_a_transformation_describes_itself():
    assert Scaled(1.5, 2.0, False).describe() == "(x - 1.5) / 2"
