"""The role of each column, and columns as the kind that their role takes."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest

from fastnn.tabular import DataError, Decisions, MixedColumnError, Table, as_table, decide
from fastnn.tabular.frames import as_column
from fastnn.tabular.table import Texts

RNG = np.random.default_rng(0)


def cells(values):
    column = as_column(values, "x")
    return Texts(column.codes, column.levels, "cells")


def role(values, name="x"):
    column = cells(values[1:]) if values[0] == "CELLS" else as_column(values, name)
    return decide(Table("t", {name: column}))[name].role


WORDS = [f"w{i}" for i in range(30)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.5, 2.5, None], "number"),
        (RNG.integers(0, 3, 50), "number"),
        (np.arange(1, 31), "number"),
        ([True, False, None], "boolean"),
        (["a", "b", "a"], "category"),
        (["1", "2", "1"], "category"),
        (["2024-01-01", "2024-01-02", None], "date"),
        (["2024-01-01T10:00", "2024-01-02 10:00:01Z"[:16]], "date"),
        (["2024-01-01", "b"], "category"),
        ([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)], "date"),
        (WORDS, "identifier"),
        ([f"{word} is a word" for word in WORDS], "text"),
        (WORDS[:15] * 2, "category"),
        (WORDS[:15], "category"),
        (pd.Series(WORDS, dtype="category"), "category"),
        ([1.0, 1.0, 1.0], "constant"),
        ([1.0, 1.0, None], "number"),
        (["a", "a"], "constant"),
        (["a", None], "category"),
        ([True, True], "constant"),
        ([None, None], "constant"),
        ([datetime.date(2024, 1, 1)] * 2, "constant"),
        ([3.0], "constant"),
        (["CELLS", *["0", "1", "2", "3+"] * 5], "category"),
        (["CELLS", "1", "a"], "category"),
        (["CELLS", "1_11", "11_1"], "category"),
    ],
    ids=str,
)
def test_roles_follow_the_rules(values, expected):
    assert role(values) == expected


@pytest.mark.parametrize("name", ["id", "ID", "user_id", "userId", "rownames"])
def test_different_whole_numbers_with_the_name_of_an_identifier(name):
    values = RNG.permutation(1000)[:50]
    assert role(values, name) == "identifier"
    assert role(values + 0.5, name) == "number"
    assert role(values, "valid") == "number"


@pytest.mark.parametrize("name", ["column_1", "Unnamed: 0"])
def test_a_count_of_rows_in_a_column_without_a_name(name):
    assert role(np.arange(30), name) == role(np.arange(1, 31), name) == "identifier"
    assert role(np.arange(2, 32), name) == role(np.arange(9), name) == "number"


def test_a_slip_among_numbers_is_refused_with_its_cell():
    table = Table("t", {"age": cells([*map(str, range(40)), "4o"])})
    with pytest.raises(MixedColumnError, match=r"t, row 41, column 'age': '4o', expected a numb"):
        decide(table)


def test_the_choice_of_a_user_comes_first():
    table = as_table({"zip": [10115, 80331, 10115], "id": [1.5, 2.5, 3.5], "a": ["1", "2", "3"]})
    decisions = decide(table, {"zip": "category", "id": "drop", "a": "number"})
    assert [row.role for row in decisions] == ["category", "drop", "number"]
    assert decisions.names == ["zip", "a"]
    assert decisions["zip"].convert(table).to_numpy().tolist() == ["10115", "80331", "10115"]
    assert decisions["a"].convert(table).values.tolist() == [1, 2, 3]


def test_a_slip_may_be_chosen_to_be_a_category():
    table = Table("t", {"age": cells([*map(str, range(40)), "4o"])})
    assert decide(table, {"age": "category"})["age"].role == "category"


@pytest.mark.parametrize("pattern", ["%d.%m.%Y", "%d.%m.%Y %z"])
def test_dates_take_a_pattern(pattern):
    day = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC).strftime(pattern)
    table = as_table({"day": [day, None]})
    decision = decide(table, {"day": f"date:{pattern}"})["day"]
    assert decision.convert(table).values[0] == np.datetime64("2024-05-01")


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"b": "drop"}, DataError, "has no column 'b'; it has a"),
        ({"a": "poetry"}, ValueError, r"columns\['a'\] must be one of number, boolean"),
        ({"a": "number:%d"}, ValueError, r"columns\['a'\] must be one of"),
        ({"a": 3}, TypeError, r"columns\['a'\] must be a string"),
        ({"a": "number"}, DataError, "row 1, column 'a': 'x', expected a number"),
        ({"a": "date"}, DataError, "row 1, column 'a': 'x', expected a date of ISO 8601"),
        ({"a": "date:%d.%m.%Y"}, DataError, "row 1, column 'a': 'x', expected a date such as"),
        ({"a": "boolean"}, DataError, "row 1, column 'a': 'x', expected a truth value"),
    ],
)
def test_unfit_choices_are_refused(columns, error, message):
    with pytest.raises(error, match=message):
        decide(as_table({"a": ["x", "y"]}), columns)


@pytest.mark.parametrize(
    ("first", "later", "expected"),
    [
        ([1.5, 2.5], ["1.5", " NA "], [1.5, None]),
        ([1.5, 2.5], [True, None], [1.0, None]),
        (["a", "b"], [1.0, 2.5], ["1", "2.5"]),
        (["a", "b"], [True, None], ["True", None]),
        ([True, False], ["yes", "N"], [True, False]),
        ([True, False], [1, 0], [True, False]),
        ([True, False], [1.0, None], [True, None]),
    ],
)
def test_later_values_are_converted_to_the_role(first, later, expected):
    decision = decide(as_table({"x": first}))["x"]
    values = decision.convert(as_table({"x": later})).to_numpy().tolist()
    assert [None if value != value else value for value in values] == expected


@pytest.mark.parametrize(
    ("first", "later", "message"),
    [
        ([1.5, 2.5], ["1.5", "1_11"], "row 2, column 'x': '1_11', expected a number"),
        ([1.5, 2.5], ["1.5", "3,5"], "'3,5', expected a number with a decimal point, not a comma"),
        ([1.5, 2.5], [datetime.date(2024, 1, 1)], "column 'x' has dates, expected numbers"),
        ([True, False], [2, 1], "row 1, column 'x': 2.0, expected a truth value"),
        ([True, False], [-1, 1], "row 1, column 'x': -1.0, expected a truth value"),
        ([True, False], ["maybe"], "row 1, column 'x': 'maybe', expected a truth value"),
        (["2024-01-01", "2024-01-02"], ["today"], "row 1, column 'x': 'today', expected a date"),
        (["2024-01-01", "2024-01-02"], [3.0], "column 'x' has numbers, expected dates"),
    ],
)
def test_other_later_values_are_refused(first, later, message):
    decision = decide(as_table({"x": first}))["x"]
    with pytest.raises(DataError, match=message):
        decision.convert(as_table({"x": later}))


def test_levels_that_occur_in_no_row_are_no_slip():
    column = as_column(["1", "two", "3"], "x").take(np.array([0, 2]))
    table = Table("t", {"x": column})
    assert decide(table, {"x": "number"})["x"].convert(table).values.tolist() == [1, 3]


def test_text_with_some_zones_is_refused_with_its_row():
    table = as_table({"x": ["2024-01-01T10:00Z", "2024-01-01T10:00"]})
    with pytest.raises(DataError, match="row 2, column 'x': '2024-01-01T10:00' has no time zone"):
        decide(table)["x"].convert(table)


def test_text_of_several_zones_is_in_utc():
    table = as_table({"x": ["2024-01-01T10:00Z", "2024-01-01T10:00-05:00"]})
    hours = decide(table)["x"].convert(table).values.astype("datetime64[h]").astype(str)
    assert hours.tolist() == ["2024-01-01T10", "2024-01-01T15"]


def test_decisions_are_a_table_to_read():
    text = str(decide(as_table({"age": [1.5, None], "city": ["a", "a"]})))
    assert text.splitlines() == [
        "column  role                 why",
        "------------------------------------------------------------",
        "age     number               numbers, 1 missing",
        "city    constant (left out)  the same value in all rows, 'a'",
    ]


def test_columns_of_one_role_share_a_line():
    lines = str(decide(as_table(np.zeros((2, 1000))))).splitlines()
    assert lines[2].split()[:4] == ["x_1", "...", "x_1000", "(1,000)"]
    assert len(lines) == 3


def test_decisions_of_many_kinds_are_cut():
    columns = {f"x{i}": [1.0, 2.0] if i % 2 else ["a", "b"] for i in range(100)}
    assert str(decide(as_table(columns))).splitlines()[-1] == "... and 60 columns more"


def test_decisions_survive_json():
    decisions = decide(
        as_table({"a": [1.5, None], "b": ["a", "a"], "c": ["x", "y"]}), {"c": "drop"}
    )
    assert Decisions.from_state(json.loads(json.dumps(decisions.to_state()))) == decisions


@pytest.mark.parametrize("damage", [3, [3], [{}], [{"column": 3, "role": "number"}]])
def test_damaged_decisions_are_refused(damage):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Decisions.from_state(damage)
