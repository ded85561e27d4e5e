"""Formulas such as ``y ~ x + C(group)``, which formulaic turns into a design and responses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn._shared.frames import Column, local
from fastnn.stats.regression.inputs import Data, check_alignment, index_of, is_table, read_data
from fastnn.stats.regression.labels import are_names

CONSTANT = "Intercept"
_NULLABLE = "biuf"


@dataclass(frozen=True)
class ModelFormula:
    """A formula that was fitted, with what new rows need.

    Attributes
    ----------
    text : str
    encoding : formulaic.ModelSpecs
        Encoding of the response, `lhs`, and of the regressors, `rhs`.
    table : pandas.DataFrame or Table
        The data, of which columns are read by name.
    rows : (n,) array of int
        Rows of the table in the fit: those without missing values.
    total, missing : int
        Number of rows of the data, and of those that were left out.
    """

    text: str
    encoding: Any
    table: Any
    rows: np.ndarray
    total: int
    missing: int

    @classmethod
    def of_table(cls, text: str, encoding: Any, table: Any, rows: np.ndarray) -> ModelFormula:
        """From a table, of which these rows are in the fit."""
        return cls(text, encoding, table, rows, len(table), len(table) - len(rows))

    def shown(self) -> tuple[str, ...]:
        """The formula, and the number of rows that were left out, as lines of text."""
        lines = [f"Formula: {self.text}"]
        if self.missing:
            lines.append(f"{self.missing} of {self.total} rows had missing values: left out.")
        return tuple(lines)

    @property
    def spec(self) -> Any:
        """Encoding of the regressors."""
        return self.encoding.rhs

    def of_blocks(self, total: int, missing: int) -> ModelFormula:
        """The same without the data, for all blocks of rows."""
        return replace(self, table=(), rows=np.zeros(0, int), total=total, missing=missing)

    @property
    def terms(self) -> dict[str, tuple[list[int], frozenset[str]]]:
        """Columns of the design, the constant included, and factors of each term."""
        return {
            str(term): (columns, frozenset(factor.expr for factor in term.factors))
            for term, columns in self.spec.term_indices.items()
        }

    def column(self, name: str, argument: str) -> Any:
        """A column of the data in the rows of the fit; pandas Series keep their index."""
        columns = _columns_by_name(self.table)
        if name not in columns:
            raise ValueError(
                f"{argument} must be an array or the name of a column of the data, "
                f"{', '.join(columns)}; got {name!r}"
            )
        values = self.table[columns[name]]
        return values.iloc[self.rows] if hasattr(values, "iloc") else values.values[self.rows]

    def refuse_gaps(self, function: str) -> None:
        """Raise ValueError if rows between others were left out: times have gaps then."""
        if (np.diff(self.rows) != 1).any():
            raise ValueError(
                f"{function} takes successive times, but {self.missing} rows with missing values "
                "are left out, some of them between other rows; fill these values first"
            )

    def new_columns(self, data: Any) -> np.ndarray:
        """(n, k) columns of the design for new data, without the constant.

        Raises
        ------
        TypeError, ValueError
            If columns are missing, values are missing, or levels are unknown to the fit.
        """
        data = _table(data, "X")
        needed = sorted(map(str, self.spec.required_variables))
        columns = _columns_by_name(data)
        absent = [name for name in needed if name not in columns]
        if absent:
            raise ValueError(
                f"X must have the columns of the formula {self.text!r}, but lacks "
                f"{', '.join(absent)}"
            )
        frame = _frame(data, [columns[name] for name in needed])
        counts = frame.isna().sum()
        if counts.any():
            named = ", ".join(f"{name} ({count})" for name, count in counts.items() if count)
            raise ValueError(f"X must have no missing values, got some in the columns {named}")
        _refuse_unknown_levels(self.spec, frame)
        matrix, _ = _materialised(self.text, frame, self.spec, set())
        return _numbers(matrix)[0][:, int(CONSTANT in matrix.columns) :]


def read_formula(
    text: str, data: Any, arguments: Mapping[str, Any], spec: Any = None
) -> tuple[Data, dict[str, Any]]:
    """Data of a regression from a formula, and other arguments for the same rows.

    Parameters
    ----------
    text : str
    data : table or mapping of columns
    arguments : mapping
        Weights and groups by the name of the argument: names of columns, arrays, or None.
    spec : formulaic.ModelSpecs, optional
        Encoding of earlier data, which new data must follow.

    Returns
    -------
    Data
        Its labels hold the `ModelFormula`.
    dict
        The arguments as arrays, without the rows that have missing values.
    """
    table = _table(data, "data")
    if hasattr(table, "copy"):
        table = table.copy(deep=False)  # later assignments by the caller do not change the fit
    columns = _columns_by_name(table)
    others = {name: _argument(values, table, columns, name) for name, values in arguments.items()}
    dropped = _missing_rows(others)
    parsed = _parsed(text, columns) if spec is None else spec
    used_names = {str(name) for name in parsed.required_variables} if spec is None else set()
    chosen = [label for name, label in columns.items() if name in text or name in used_names]
    frame = _frame(table, chosen)
    if spec is not None:
        _refuse_unknown_levels(spec.rhs, frame.dropna())
    matrices, dropped = _materialised(text, frame, parsed, dropped)
    rows = np.delete(np.arange(len(frame)), sorted(dropped))
    if not len(rows):
        raise ValueError(
            f"formula {text!r} leaves no row without missing values; transformations such as "
            "scale() return missing values only where one value is missing"
        )
    _refuse_categories(matrices.lhs)
    design, names = _numbers(matrices.rhs)
    response, response_names = _numbers(matrices.lhs)
    if not response_names:
        raise ValueError(f"formula {text!r} must have a response, as 'y ~ x' has, got none")
    has_constant = bool(names) and names[0] == CONSTANT
    used = {name: _selected(values, rows) for name, values in others.items()}
    read = read_data(
        design[:, has_constant:],
        response[:, 0] if len(response_names) == 1 else response,
        names=names[has_constant:],
        weights=used.get("weights"),
        add_intercept=has_constant,
        copy=False,
    )
    index = index_of(table)
    labels = replace(
        read.labels,
        columns=tuple(names),
        responses=tuple(response_names),
        rows=None if index is None else index[rows],
        named=True,
        pandas=index is not None,
        formula=ModelFormula.of_table(text, matrices.model_spec, table, rows),
    )
    return replace(read, labels=labels), used


# ------------------------------------------------------------------------------ data


def _table(data: Any, name: str) -> Any:
    """A pandas DataFrame or a Table."""
    data = local(data)
    if isinstance(data, Mapping):
        pandas = _pandas()
        data = pandas.DataFrame({key: local(values) for key, values in data.items()})
    if not is_table(data):
        raise TypeError(
            f"{name} must be a table with the columns of the formula, got {type(data).__name__}"
        )
    return data


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("formulas need formulaic: pip install 'fastnn[formula]'") from error
    return pandas


def _columns_by_name(table: Any) -> dict[str, Any]:
    """Labels of the columns by their text."""
    return {str(label): label for label in table.columns}


def _frame(table: Any, labels: Sequence[Any]) -> Any:
    """A pandas DataFrame of these columns, in types that formulaic reads, with rows 0, 1, ..."""
    pandas = _pandas()
    columns = {}
    for label in labels:
        column = table[label]
        if isinstance(column, Column):
            values = column.values
            if column.levels is not None:
                values = pandas.Categorical(values, categories=column.levels)
            column = pandas.Series(values)
        column = column.reset_index(drop=True)
        dtype = column.dtype
        if isinstance(dtype, pandas.CategoricalDtype):
            column = column.cat.remove_unused_categories()
        elif isinstance(dtype, np.dtype):
            pass
        elif dtype.kind in _NULLABLE:
            column = pandas.Series(column.to_numpy(dtype=np.float64, na_value=np.nan))
        elif pandas.api.types.is_string_dtype(dtype):
            column = column.astype(object)
        columns[str(label)] = column
    return pandas.DataFrame(columns, index=range(len(table)), copy=False)


def _argument(values: Any, table: Any, columns: Mapping[str, Any], name: str) -> Any:
    """An array with a row for each row of the table, or a tuple of them; None for None."""
    if values is None:
        return None
    n = len(table)
    if isinstance(values, str) or (are_names(values) and len(values) != n):
        chosen = [values] if isinstance(values, str) else values
        whole = ModelFormula.of_table("", None, table, np.arange(n))
        arrays = [np.asarray(whole.column(one, name)) for one in chosen]
        return arrays[0] if isinstance(values, str) else tuple(arrays)
    if isinstance(values, tuple):
        return tuple(_argument(one, table, columns, name) for one in values)
    values = local(values)
    check_alignment(index_of(table), values, name)
    array = np.asarray(values)
    if array.ndim == 2:
        return tuple(array.T)
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), as data has rows, got {array.shape}")
    return array


def _missing_rows(arguments: Mapping[str, Any]) -> set[int]:
    """Rows in which an argument is missing."""
    pandas = _pandas()
    rows: set[int] = set()
    for values in arguments.values():
        if values is None:
            continue
        for array in values if isinstance(values, tuple) else (values,):
            rows.update(np.flatnonzero(pandas.isna(array)).tolist())
    return rows


def _selected(values: Any, rows: np.ndarray) -> Any:
    if values is None:
        return None
    return tuple(one[rows] for one in values) if isinstance(values, tuple) else values[rows]


# ------------------------------------------------------------------------- formulaic


def _parsed(text: str, columns: Mapping[str, Any]) -> Any:
    """The formula with one response side and one side of regressors."""
    try:
        import formulaic
        from formulaic.errors import FormulaicError
    except ImportError as error:
        raise ImportError("formulas need formulaic: pip install 'fastnn[formula]'") from error
    try:
        formula = formulaic.Formula(
            text, _context={"__formulaic_variables_available__": list(columns)}
        )
    except FormulaicError as error:
        raise ValueError(f"formula {text!r} cannot be read: {_first_line(error)}") from error
    sides = {key: getattr(formula, key, None) for key in ("lhs", "rhs")}
    if any(not isinstance(side, formulaic.SimpleFormula) for side in sides.values()):
        raise ValueError(f"formula must be one response and one sum, as 'y ~ x', got {text!r}")
    absent = sorted(str(name) for name in formula.required_variables if str(name) not in columns)
    if absent:
        raise ValueError(
            f"data must have the columns of the formula {text!r}, but lacks {', '.join(absent)}; "
            "functions other than those of formulaic and NumPy (np) are not available"
        )
    return formula


def _materialised(text: str, frame: Any, formula: Any, dropped: set[int]) -> tuple[Any, set[int]]:
    """Model matrices, and the rows that were dropped, those of `dropped` included."""
    import warnings

    from formulaic.errors import DataMismatchWarning, FormulaicError
    from formulaic.materializers import PandasMaterializer

    dropped = set(dropped)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DataMismatchWarning)
            matrices = PandasMaterializer(frame).get_model_matrix(
                formula, drop_rows=dropped, output="pandas"
            )
    except (FormulaicError, DataMismatchWarning, TypeError) as error:
        raise ValueError(f"formula {text!r} has no columns: {_first_line(error)}") from error
    return matrices, dropped


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _numbers(matrix: Any) -> tuple[np.ndarray, list[str]]:
    """The columns in float64, and their names."""
    return matrix.to_numpy(dtype=np.float64), [str(name) for name in matrix.columns]


def _refuse_categories(response: Any) -> None:
    """Raise TypeError for a response that is not a number."""
    kinds = response.model_spec.encoder_state.items()
    names = [expression for expression, (kind, _) in kinds if kind.value == "categorical"]
    if names:
        raise TypeError(f"the response must hold real numbers, got categories in {names[0]}")


def _refuse_unknown_levels(spec: Any, frame: Any) -> None:
    """Raise ValueError for levels of a column that the fit has not seen."""
    for expression, (kind, state) in spec.encoder_state.items():
        levels = state.get("categories")
        if kind.value != "categorical" or levels is None:
            continue
        bare = re.match(r"^C\(\s*`?(.*?)`?\s*[,)]", expression)
        name = expression if expression in frame else bare[1] if bare else None
        if name not in frame:
            continue
        unknown = [one for one in frame[name].dropna().unique() if one not in set(levels)]
        if unknown:
            raise ValueError(
                f"column {name!r} must have levels of the fit, {', '.join(map(str, levels))}; "
                f"got {', '.join(map(repr, unknown))}"
            )
