"""Tables from frames, arrays and dicts.

Frames of pandas, polars and modin are read through narwhals, tables of pyarrow directly; each is
imported inside the function that needs it.  The index of a frame is ignored.
"""

from __future__ import annotations

import datetime
import decimal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import util
from numbers import Real
from typing import Any

import numpy as np

from fastnn._shared.exchange import to_numpy
from fastnn._shared.frames import wrapped
from fastnn.tabular.cells import PLAIN, Notation
from fastnn.tabular.table import (
    Booleans,
    Column,
    DataError,
    Numbers,
    Table,
    Texts,
    Times,
    listing,
)

__all__ = ["as_column", "as_table", "from_arrow", "unique_names"]

_LARGEST_EXACT = 2**53  # integers up to here are exact in float64


def as_table(data: Any, name: str = "table", names: Sequence[str] | None = None) -> Table:
    """`data` as a table; a `Table` is returned as it is.

    Parameters
    ----------
    data : Table, frame, array, or mapping of str to (N,) array_like
        A frame of pandas, polars, modin or pyarrow, whose index is ignored; an array or tensor of
        shape (N, d), an array of records or of objects; a mapping of names to columns.
    name : str, default "table"
        Name of the new table in error messages.
    names : sequence of d str, optional
        Names of the columns of an array; by default x_1, x_2...

    Raises
    ------
    TypeError
        If `data` is none of these.
    DataError
        If there are no rows, two columns have one name, or a column cannot be read; the message
        names it.
    ImportError
        If `data` is a frame and narwhals is not installed.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, Mapping):
        columns = {
            key: as_column(values, f"{name}, column {key!r}") for key, values in data.items()
        }
        table = Table(name, _named(columns.items(), name))
    elif isinstance(data, np.ndarray | list | tuple):
        table = Table(name, _of_array(data, name, names))
    elif type(data).__module__.partition(".")[0] == "pyarrow":
        table = from_arrow(data, name)
    elif hasattr(type(data), "columns"):
        table = Table(name, _of_frame(data, name))
    elif hasattr(data, "__dlpack__"):
        table = Table(name, _of_array(to_numpy(data, name), name, names))
    else:
        hint = "; convert a sparse matrix with .toarray()" if hasattr(data, "toarray") else ""
        raise TypeError(
            f"{name} must be a table: a frame, an array of shape (N, d), or a mapping of names to "
            f"columns, got {type(data).__name__}{hint}"
        )
    if not len(table):
        raise DataError(f"{name} has no rows" if table.columns else f"{name} has no columns")
    return table


def unique_names(names: Iterable[object], table: str) -> list[str]:
    """Names of columns as text.

    Raises
    ------
    DataError
        If two are equal.
    """
    result = [str(name) for name in names]
    if len(set(result)) < len(result):
        raise DataError(_repeated(result, table))
    return result


def _repeated(names: Iterable[str], table: str) -> str:
    name, count = Counter(names).most_common(1)[0]
    return f"{table} has {count} columns called {name!r}"


def _named(items: Iterable[tuple[object, Column]], table: str) -> dict[str, Column]:
    pairs = list(items)
    names = unique_names((name for name, _ in pairs), table)
    return dict(zip(names, (column for _, column in pairs), strict=True))


# ----------------------------------------------------------------------- arrays


def _of_array(data: Any, table: str, names: Sequence[str] | None) -> dict[str, Column]:
    array = data if isinstance(data, np.ndarray) else _of_rows(data, table)
    if array.dtype.names is not None:
        return {key: as_column(array[key], f"{table}, column {key!r}") for key in array.dtype.names}
    if array.ndim != 2:
        raise DataError(f"{table} must have shape (rows, columns), got {array.shape}")
    if names is None:
        names = [f"x_{j}" for j in range(1, array.shape[1] + 1)]
    elif len(names) != array.shape[1]:
        raise DataError(f"{table} has {array.shape[1]} columns, but there are {len(names)} names")
    return {
        key: as_column(array[:, j], f"{table}, column {key!r}")
        for j, key in enumerate(unique_names(names, table))
    }


def _of_rows(rows: Sequence[Any], table: str) -> np.ndarray:
    try:
        array = np.asarray(rows)
    except ValueError:
        lengths = {len(row) if hasattr(row, "__len__") else 0 for row in rows}
        raise DataError(
            f"{table} must have rows of one length, got {listing(sorted(lengths))}"
        ) from None
    # NumPy makes text of a row with a text and a number
    return np.asarray(rows, dtype=object) if array.dtype.kind not in "biuf" else array


def as_column(values: Any, where: str) -> Column:
    """A column from an array, a series or a sequence.

    Parameters
    ----------
    values : (N,) array_like
        Real numbers, truth values, text, dates or times; nan, None and NaT are missing values.
    where : str
        The place of the column, with which error messages begin.

    Raises
    ------
    DataError
        If it has another shape or other values.
    """
    if isinstance(values, Numbers | Booleans | Texts | Times):
        return values
    if type(values).__module__.partition(".")[0] == "pyarrow":
        return _of_arrow(values, where)
    if hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray):
        values = to_numpy(values, where)
    elif hasattr(values, "dtype") and not isinstance(values, np.ndarray | np.generic):
        series = wrapped(values)
        if series is not None:
            return _of_series(series, where)
    if not isinstance(values, np.ndarray):
        values = _of_sequence(values, where)
    if values.ndim != 1:
        raise DataError(f"{where} must have shape (N,), got {values.shape}")
    if isinstance(values, np.ma.MaskedArray):
        values = np.array(values.tolist(), dtype=object)  # None where an element is masked
    return _of_ndarray(values, where)


def _of_sequence(values: Any, where: str) -> np.ndarray:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise DataError(f"{where} must have one value for each row, got {type(values).__name__}")
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _of_ndarray(values: np.ndarray, where: str) -> Column:
    kind = values.dtype.kind
    if kind == "f":
        return Numbers(values.astype(np.float64, copy=False))
    if kind in "iu":
        return _of_integers(values)
    if kind == "b":
        return Booleans(values.astype(np.int8))
    if kind == "M":
        return Times(values.astype("datetime64[us]"))
    if kind == "m":
        return Numbers(_seconds(values))
    if kind == "S":
        values = np.char.decode(values, "utf-8")
    if kind in "SU":
        return _texts(values.tolist())
    if kind in "OT":
        return _of_objects(values.tolist(), where)
    raise DataError(
        f"{where} has dtype {values.dtype}, expected real numbers, truth values, text or dates"
    )


def _of_integers(values: np.ndarray) -> Column:
    """Numbers; text where an integer is not exact in float64, as in an identifier."""
    if values.dtype.itemsize == 8 and len(values):
        low, high = int(values.min()), int(values.max())
        if max(-low, high) > _LARGEST_EXACT:
            return _texts(list(map(str, values.tolist())))
    return Numbers(values.astype(np.float64))


def _seconds(values: np.ndarray) -> np.ndarray:
    seconds: np.ndarray = values / np.timedelta64(1, "s")  # NaT becomes nan
    return seconds


# ---------------------------------------------------------------------- objects


def _texts(values: Sequence[str | None], origin: Any = "text") -> Texts:
    """Levels in the order of their first rows."""
    index: dict[str | None, int] = {None: -1}
    codes = np.fromiter(
        (index.setdefault(value, len(index) - 1) for value in values), np.int32, len(values)
    )
    del index[None]
    return Texts(codes, _objects(index), origin)


def _objects(values: Iterable[object]) -> np.ndarray:
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


_MISSING_TYPES = {"NoneType", "NAType", "NaTType"}


def _is_missing(value: Any) -> bool:
    return type(value).__name__ in _MISSING_TYPES or (
        isinstance(value, Real | decimal.Decimal | np.datetime64) and value != value
    )


def _of_objects(values: list[Any], where: str) -> Column:
    """A column of Python objects, by their types."""
    kinds = {kind: _kind_of(kind) for kind in set(map(type, values))}
    names = set(kinds.values()) - {"missing"}
    unknown = next((kind for kind, name in kinds.items() if name is None), None)
    if unknown is not None:
        row = next(i for i, value in enumerate(values) if type(value) is unknown)
        raise DataError(
            f"{where}, row {row + 1}: a value of type {unknown.__name__}, expected a number, a "
            "truth value, text or a date"
        )
    if "number" in names and len(names) > 1:  # nan beside text or dates is a missing value
        values = [None if _is_missing(value) else value for value in values]
        kinds = {kind: _kind_of(kind) for kind in set(map(type, values))}
        names = set(kinds.values()) - {"missing"}
    if names <= {"number"} or names == {"number", "boolean"}:
        return Numbers(
            np.array([np.nan if _is_missing(value) else float(value) for value in values])
        )
    if names == {"boolean"}:
        return Booleans(
            np.array([-1 if _is_missing(value) else int(value) for value in values], np.int8)
        )
    if names == {"time"}:
        return Times(_times(values, where))
    is_text = names == {"text"}
    texts = [None if _is_missing(value) else _text(value) for value in values]
    return _texts(texts, "text" if is_text else "cells")


def _kind_of(kind: type) -> str | None:
    if kind.__name__ in _MISSING_TYPES:
        return "missing"
    if issubclass(kind, bool | np.bool_):
        return "boolean"
    if issubclass(kind, Real | decimal.Decimal):
        return "number"
    if issubclass(kind, str | bytes):
        return "text"
    if issubclass(kind, datetime.date | np.datetime64):
        return "time"
    return None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _times(values: list[Any], where: str) -> np.ndarray:
    """Dates and times in UTC; all have a zone, or none has."""
    result = np.full(len(values), np.datetime64("NaT", "us"), "datetime64[us]")
    zones: dict[bool, int] = {}
    for i, value in enumerate(values):
        if _is_missing(value):
            continue
        zone = getattr(value, "tzinfo", None)
        zones.setdefault(zone is not None, i)
        if len(zones) > 1:
            raise DataError(
                f"{where}, row {i + 1}: {value!s:.40} {'has a' if zone else 'has no'} time zone, "
                f"unlike the value in row {zones[zone is None] + 1}"
            )
        if zone is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        if hasattr(value, "to_datetime64"):  # a Timestamp of pandas has nanoseconds
            value = value.to_datetime64()
        result[i] = value
    return result


# ----------------------------------------------------------------------- frames


def _of_frame(data: Any, table: str) -> dict[str, Column]:
    try:
        frame = wrapped(data, table)
    except ValueError:  # of narwhals, for names that are not unique
        raise DataError(_repeated(map(str, data.columns), table)) from None
    if frame is None:
        raise TypeError(f"{table} must be a frame, got {type(data).__name__}")
    return {
        name: _of_series(series, f"{table}, column {name!r}")
        for name, series in zip(
            unique_names(frame.columns, table), frame.iter_columns(), strict=True
        )
    }


def _of_series(series: Any, where: str) -> Column:
    nw = sys.modules["narwhals"]
    dtype = series.dtype
    if dtype.is_integer() and series.null_count() == 0:
        return _of_ndarray(series.to_numpy(), where)
    if dtype.is_decimal() or (dtype.is_integer() and not _is_exact(series)):
        return _of_objects(series.to_list(), where)
    if dtype.is_numeric():
        return Numbers(np.asarray(series.cast(nw.Float64).to_numpy(), np.float64))
    if dtype == nw.Boolean:
        return Booleans(np.asarray(series.cast(nw.Int8).fill_null(-1).to_numpy(), np.int8))
    if dtype in (nw.Categorical, nw.Enum, nw.String):
        return _of_text_series(series, where)
    if isinstance(dtype, nw.Datetime):
        if dtype.time_zone is not None:
            series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return Times(np.asarray(series.to_numpy()).astype("datetime64[us]"))
    if dtype == nw.Date:
        return Times(np.asarray(series.cast(nw.Datetime("us")).to_numpy(), "datetime64[us]"))
    if dtype == nw.Duration:
        return Numbers(_seconds(np.asarray(series.to_numpy())))
    if dtype == nw.Object or dtype == nw.Unknown:
        return _of_objects(series.to_list(), where)
    raise DataError(f"{where} has type {dtype}, expected real numbers, truth values, text or dates")


def _is_exact(series: Any) -> bool:
    """Whether float64 holds all integers of a series."""
    low, high = series.min(), series.max()
    return low is None or max(-low, high) <= _LARGEST_EXACT


def _of_text_series(series: Any, where: str) -> Column:
    """Text or categories, by the codes that the library of the series has for them."""
    nw = sys.modules["narwhals"]
    is_text = series.dtype == nw.String
    if series.implementation.is_pandas() or series.implementation.is_modin():
        native = series.to_native()
        if is_text:
            codes, levels = native.factorize()
            levels = levels.tolist()
            if not all(isinstance(level, str) for level in levels):
                return _of_objects(series.to_list(), where)
        else:
            codes, levels = native.cat.codes, native.cat.categories.astype(str).tolist()
        return merged(np.asarray(codes).astype(np.int32), levels, _origin(is_text))
    if util.find_spec("pyarrow") is not None:
        return _of_arrow(series.to_arrow(), where)
    return _texts(series.cast(nw.String).to_list(), _origin(is_text))


def _origin(is_text: bool) -> str:
    return "text" if is_text else "categories"


# ---------------------------------------------------------------------- pyarrow


def from_arrow(data: Any, name: str, line: Callable[[int], int | None] | None = None) -> Table:
    """A table from a `pyarrow.Table` or a record batch; `line` is that of `Table`.

    Raises
    ------
    TypeError
        If `data` is another object of pyarrow.
    DataError
        If a column cannot be read, or two have one name.
    """
    if not hasattr(data, "column_names"):
        raise TypeError(f"{name} must be a pyarrow.Table, got {type(data).__name__}")
    names = unique_names(data.column_names, name)
    columns = {
        key: _of_arrow(values, f"{name}, column {key!r}")
        for key, values in zip(names, data.columns, strict=True)
    }
    return Table(name, columns, line)


def _of_arrow(values: Any, where: str) -> Column:
    import pyarrow as pa

    types = pa.types
    if isinstance(values, pa.ChunkedArray):
        values = _joined(values)
    kind = values.type
    if types.is_null(kind):
        return Numbers(np.full(len(values), np.nan))
    if types.is_integer(kind) and values.null_count == 0:
        return _of_integers(values.to_numpy(zero_copy_only=False))
    if types.is_integer(kind) or types.is_decimal(kind):
        return _of_objects(values.to_pylist(), where)
    if types.is_floating(kind):
        return Numbers(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
    if types.is_boolean(kind):
        codes = values.cast(pa.int8()).fill_null(-1)
        return Booleans(codes.to_numpy(zero_copy_only=False))
    if types.is_timestamp(kind) or types.is_date(kind):
        if types.is_date(kind) or kind.unit != "us":
            values = values.cast(pa.timestamp("us"), safe=False)
        return Times(values.to_numpy(zero_copy_only=False).astype("datetime64[us]"))
    if types.is_time(kind):
        days = values.cast(pa.time64("us"), safe=False).cast(pa.int64())
        return Times(days.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False))
    if types.is_duration(kind):
        return Numbers(_seconds(values.to_numpy(zero_copy_only=False)))
    return _of_arrow_text(values, where)


def _joined(values: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        values = values.unify_dictionaries()
    return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)


def _of_arrow_text(values: Any, where: str) -> Column:
    import pyarrow as pa

    types = pa.types
    origin = "text"
    if isinstance(values, pa.ChunkedArray):  # of no chunk
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if types.is_dictionary(values.type):
        origin = "categories"
    else:
        is_text = (types.is_string, types.is_large_string, types.is_string_view)
        if not any(check(values.type) for check in is_text):
            raise DataError(
                f"{where} has type {values.type}, expected real numbers, truth values, text or "
                "dates"
            )
        values = values.dictionary_encode()
    codes = values.indices.cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False)
    return merged(codes, [_level(x) for x in values.dictionary.to_pylist()], origin)


def _level(value: object) -> str | None:
    return None if value is None else str(value)


def merged(
    codes: np.ndarray, levels: Sequence[str | None], origin: Any, notation: Notation = PLAIN
) -> Texts:
    """A column of codes whose levels may be equal, or missing."""
    index: dict[str, int] = {}
    new = [-1 if level is None else index.setdefault(level, len(index)) for level in levels]
    if new != list(range(len(new))):
        codes = np.array([*new, -1], np.int32)[codes]
    return Texts(codes, _objects(index), origin, notation)
