"""Tables and columns of other libraries than NumPy, read through narwhals.

`wrapped` takes frames of any library, `local` those of others than pandas.  Libraries are
recognised by the names of their modules, so that none is imported before the caller imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

_LIBRARIES = frozenset({"polars", "pyarrow", "modin", "cudf", "narwhals"})


class Column:
    """A column as an array; missing numbers and truth values are nan.

    Parameters
    ----------
    values : (n,) array
    name : str or None
    kind : str
        Name of the type in the library of the caller.
    levels : sequence of str or None
        Levels of an enumeration in order; None for other types.
    """

    def __init__(self, values: np.ndarray, name: str | None, kind: str, levels: Any = None) -> None:
        self.values, self.name, self.kind, self.levels = values, name, kind, levels

    @property
    def dtype(self) -> np.dtype:
        """Type of the array."""
        return self.values.dtype

    def to_numpy(self) -> np.ndarray:
        """The array itself."""
        return self.values

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype) if copy else np.asarray(self.values, dtype)


class Table:
    """Named columns of equal length."""

    def __init__(self, columns: Sequence[Column], length: int) -> None:
        self._columns = {str(column.name): column for column in columns}
        self._length = length

    @property
    def columns(self) -> list[str]:
        """The names."""
        return list(self._columns)

    def items(self) -> Iterator[tuple[str, Column]]:
        """Names and columns."""
        return iter(self._columns.items())

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, names: Any) -> Any:
        if isinstance(names, list):
            return Table([self._columns[name] for name in names], self._length)
        return self._columns[names]

    def to_numpy(self) -> np.ndarray:
        """The columns as a matrix."""
        columns = [column.values for column in self._columns.values()]
        return np.column_stack(columns) if columns else np.empty((self._length, 0))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.to_numpy() if dtype is None else self.to_numpy().astype(dtype)


def is_foreign(values: object) -> bool:
    """Whether `values` comes from another library of tables than pandas."""
    return any(cls.__module__.partition(".")[0] in _LIBRARIES for cls in type(values).__mro__)


def local(values: Any) -> Any:
    """A `Table` or a `Column` of another library's table or column; other values unchanged.

    Tables that behave like those of pandas, such as modin's, become pandas objects, which keep
    the index.

    Raises
    ------
    ImportError
        If narwhals is not installed.
    TypeError
        For a table whose rows are not in memory.
    """
    if type(values) is np.ndarray or not is_foreign(values):
        return values
    item = wrapped(values)
    if item is None:
        return values
    if item.implementation.is_pandas_like():
        return item.to_pandas()
    if hasattr(item, "columns"):
        return Table([_column(column) for column in item.iter_columns()], len(item))
    return _column(item)


def wrapped(values: Any, name: str = "a table") -> Any:
    """The narwhals DataFrame or Series of a frame or a series; None for other values.

    Parameters
    ----------
    values : object
        Also a record batch or an array of pyarrow.
    name : str, default "a table"
        What error messages call it.

    Raises
    ------
    ImportError
        If narwhals is not installed.
    TypeError
        For a frame whose rows are not in memory.
    """
    try:
        import narwhals
    except ImportError as error:
        library = type(values).__module__.partition(".")[0]
        raise ImportError(
            f"tables of {library} need narwhals: pip install 'fastnn[frames]'"
        ) from error
    item = narwhals.from_native(_arrow_table(values), pass_through=True, allow_series=True)
    if isinstance(item, narwhals.LazyFrame):
        method = "compute" if hasattr(values, "compute") else "collect"
        raise TypeError(
            f"{name} must have its rows in memory, got a {type(values).__name__}; "
            f"call .{method}() first"
        )
    return item if isinstance(item, narwhals.DataFrame | narwhals.Series) else None


def _arrow_table(values: Any) -> Any:
    """The table or chunked column of pyarrow that holds a batch or an array."""
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(values, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([values])
    if pyarrow is not None and isinstance(values, pyarrow.Array):
        return pyarrow.chunked_array([values])
    return values


def _column(series: Any) -> Column:
    import narwhals

    dtype = series.dtype
    is_number = dtype.is_numeric() or dtype == narwhals.Boolean
    if dtype.is_decimal() or (is_number and series.null_count()):
        series = series.cast(narwhals.Float64)
    levels = list(dtype.categories) if isinstance(dtype, narwhals.Enum) else None
    return Column(series.to_numpy(), series.name or None, str(dtype), levels)
