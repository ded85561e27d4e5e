"""Tables from frames, arrays and dicts: the same columns whatever they come from."""

import datetime
import decimal
import sys

import narwhals
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fastnn.tabular import Booleans, DataError, Numbers, Table, Texts, Times, as_table
from fastnn.tabular.frames import as_column

UTC = datetime.UTC

COLUMNS = {
    "float": [1.5, float("nan"), -2.0],
    "int": [3, 1, 2],
    "bool": [True, False, True],
    "text": ["b", "a", "b"],
    "day": [datetime.date(2024, 5, 1), datetime.date(1500, 1, 2), datetime.date(1970, 1, 1)],
    "time": [datetime.datetime(2024, 5, 1, 12, 30), datetime.datetime(1969, 1, 1), None],
}


def pandas_nullable(columns):
    return pd.DataFrame(columns).convert_dtypes()


def pandas_arrow(columns):
    return pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow")


FRAMES = [
    dict,
    pd.DataFrame,
    pandas_nullable,
    pandas_arrow,
    pl.DataFrame,
    pa.table,
    lambda columns: narwhals.from_native(pl.DataFrame(columns)),
]


def values(column):
    return column.to_numpy().tolist()


@pytest.mark.parametrize("frame", FRAMES)
def test_every_frame_gives_the_same_columns(frame):
    table = as_table(frame(COLUMNS))
    kinds = [type(column) for column in table.columns.values()]
    assert kinds == [Numbers, Numbers, Booleans, Texts, Times, Times]
    np.testing.assert_array_equal(table.column("float").values, COLUMNS["float"])
    assert table.column("int").values.dtype == np.float64
    assert values(table.column("int")) == COLUMNS["int"]
    assert values(table.column("bool")) == COLUMNS["bool"]
    assert values(table.column("text")) == COLUMNS["text"]
    day = np.array(COLUMNS["day"], "datetime64[us]")
    np.testing.assert_array_equal(table.column("day").values, day)
    time = np.array(COLUMNS["time"], "datetime64[us]")
    np.testing.assert_array_equal(table.column("time").values, time)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("value", [1, 1.5, True, "a", datetime.datetime(2000, 1, 1)])
def test_none_is_a_missing_value(frame, value):
    column = as_table(frame({"x": [value, None, value]})).column("x")
    assert column.missing().tolist() == [False, True, False]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_column_without_values_is_missing_throughout(frame):
    assert as_table(frame({"x": [None, None]})).column("x").missing().all()


@pytest.mark.parametrize(
    "categories",
    [
        pd.Series(["b", "a", "b"], dtype="category"),
        pl.Series(["b", "a", "b"], dtype=pl.Categorical),
        pl.Series(["b", "a", "b"], dtype=pl.Enum(["a", "b", "c"])),
        pa.array(["b", "a", "b"]).dictionary_encode(),
        pa.chunked_array([pa.array(part).dictionary_encode() for part in (["b"], ["a", "b"])]),
    ],
)
def test_categories_are_text_with_that_origin(categories):
    column = as_column(categories, "x")
    assert column.origin == "categories"
    assert values(column) == ["b", "a", "b"]


def test_categories_of_numbers_are_written_as_text():
    column = as_column(pd.Series([3, 1, 3], dtype="category"), "x")
    assert values(column) == ["3", "1", "3"]


def test_times_of_a_zone_are_in_utc():
    times = pd.to_datetime(["2024-05-01T12:00+02:00"])
    expected = np.array(["2024-05-01T10:00"], "datetime64[us]")
    for series in (times.to_series(), pl.Series(times), pa.array(times), list(times)):
        np.testing.assert_array_equal(as_column(series, "x").values, expected)


def test_mixed_time_zones_are_in_utc():
    zones = [datetime.timezone(datetime.timedelta(hours=h)) for h in (1, -5)]
    column = as_column([datetime.datetime(2024, 1, 1, tzinfo=zone) for zone in zones], "x")
    assert column.values.astype(str).tolist() == [
        "2023-12-31T23:00:00.000000", "2024-01-01T05:00:00.000000"
    ]  # fmt: skip


def test_times_with_and_without_a_zone_are_refused_with_the_row():
    times = [datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 1, tzinfo=UTC)]
    with pytest.raises(DataError, match=r"x, row 2: .* has a time zone, unlike the value in row 1"):
        as_column(times, "x")


def test_dates_before_1678_are_dates():
    column = as_column(["0001-01-01", "9999-12-31"], "x")
    assert isinstance(column, Texts)
    column = as_column([datetime.date(1, 1, 1), datetime.datetime(9999, 12, 31)], "x")
    assert column.values.astype("datetime64[D]").astype(str).tolist() == [
        "0001-01-01", "9999-12-31"
    ]  # fmt: skip


def test_integers_beyond_float64_are_text():
    large = 2**53 + 1
    for series in (np.array([1, large]), pd.Series([1, large]), pa.array([1, large])):
        assert values(as_column(series, "x")) == ["1", str(large)]


@pytest.mark.parametrize(
    "numbers",
    [[1, 2.5, None], [decimal.Decimal("1"), decimal.Decimal("2.5"), None], [True, 2.5, None]],
)
def test_objects_that_are_numbers_are_numbers(numbers):
    np.testing.assert_array_equal(as_column(numbers, "x").values, [1, 2.5, np.nan])


def test_decimals_of_a_frame_are_numbers():
    decimals = [decimal.Decimal("1.50"), None]
    for series in (pl.Series(decimals), pa.array(decimals)):
        np.testing.assert_array_equal(as_column(series, "x").values, [1.5, np.nan])


def test_durations_are_seconds():
    durations = [datetime.timedelta(minutes=1), datetime.timedelta(days=1)]
    for series in (pd.Series(durations), pl.Series(durations), pa.array(durations)):
        assert values(as_column(series, "x")) == [60, 86400]


def test_text_beside_numbers_is_text_of_cells():
    column = as_column([1, "a", 2.5, None], "x")
    assert column.origin == "cells"
    assert values(column) == ["1", "a", "2.5", None]


@pytest.mark.parametrize("value", [[1], {}, 1j, object()])
def test_other_objects_are_refused_with_their_row(value):
    with pytest.raises(DataError, match="column 'x', row 2: a value of type"):
        as_table({"x": [1.0, value]})


@pytest.mark.parametrize("frame", [pl.DataFrame, pa.table])
def test_nested_columns_are_refused_by_name(frame):
    with pytest.raises(DataError, match="column 'x' has type"):
        as_table(frame({"x": [[1], [2]]}))


def test_arrays_take_names():
    table = as_table(np.eye(2), names=["a", "b"])
    assert list(table) == ["a", "b"]
    assert list(as_table(np.eye(2))) == ["x_1", "x_2"]
    with pytest.raises(DataError, match="has 2 columns, but there are 1 names"):
        as_table(np.eye(2), names=["a"])


def test_rows_of_several_types_keep_them():
    table = as_table([[1.5, "a"], [2.5, "b"]])
    assert [type(column) for column in table.columns.values()] == [Numbers, Texts]


def test_records_have_names():
    records = np.array([(1.5, b"a")], dtype=[("x", float), ("y", "S1")])
    assert values(as_table(records).column("y")) == ["a"]


def test_masked_elements_are_missing():
    masked = np.ma.array([[1.0], [2.0]], mask=[[False], [True]])
    assert as_table(masked).column("x_1").missing().tolist() == [False, True]


def test_the_index_of_a_frame_is_ignored():
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=["b", "a"])
    assert values(as_table(frame).column("x")) == [1, 2]


def test_a_table_is_returned_as_it_is():
    table = as_table({"x": [1.0]})
    assert as_table(table) is table


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"x": []}, "table has no rows"),
        ({}, "table has no columns"),
        ({"x": [1.0], "y": [1.0, 2.0]}, "must have one length, got 1, 2 rows"),
        ({"x": 3.0}, "column 'x' must have one value for each row, got float"),
        ({"x": np.eye(2)}, r"column 'x' must have shape \(N,\), got \(2, 2\)"),
        ({"x": np.ones(2, complex)}, "column 'x' has dtype complex128"),
        ({"1": [1.0], 1: [2.0]}, "has 2 columns called '1'"),
        ([[1.0], [2.0, 3.0]], "rows of one length, got 1, 2"),
        (np.ones(3), r"must have shape \(rows, columns\), got \(3,\)"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "has 2 columns called 'a'"),
    ],
)
def test_unfit_data_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        as_table(data)


@pytest.mark.parametrize("data", [3, None, "file.csv", pl.LazyFrame({"x": [1]})])
def test_what_is_no_table_is_a_type_error(data):
    with pytest.raises(TypeError, match=r"must (be a|have its rows in memory)"):
        as_table(data)


def test_sparse_matrices_are_refused_with_the_way_out():
    from scipy import sparse

    with pytest.raises(TypeError, match="toarray"):
        as_table(sparse.eye_array(3).tocsr())


def test_without_narwhals_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ImportError, match="fastnn\\[frames\\]"):
        as_table(pd.DataFrame({"x": [1]}))


def test_wide_arrays_take_linear_time():
    assert len(list(as_table(np.zeros((2, 20_000))))) == 20_000


def test_a_table_names_absent_columns():
    table = as_table({"a": [1.0], "b": [2.0]})
    assert list(table.select(["b"])) == ["b"]
    with pytest.raises(DataError, match="lacks 2 of the 3 columns that are expected: c, d"):
        table.select(["a", "c", "d"])


@pytest.mark.parametrize("rows", [np.array([2, 0]), np.array([True, False, True]), slice(0, 2)])
def test_taken_rows_keep_their_lines_and_values(rows):
    lines = np.array([2, 4, 5])
    table = Table("t", as_table({"a": [1.0, 2.0, 3.0]}).columns, lambda row: int(lines[row]))
    part = table.take(rows)
    assert [part.where(i, "a") for i in range(len(part))] == [
        f"t, line {line}, column 'a'" for line in lines[rows]
    ]
    assert values(part.column("a")) == np.array([1, 2, 3])[rows].tolist()
