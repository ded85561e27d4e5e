"""Several regressions side by side in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_choice, check_flag
from fastnn.stats.autoregressive import AutoregressiveRegression
from fastnn.stats.diagnostics.durbin_watson.statistic_and_test import durbin_watson
from fastnn.stats.diagnostics.residuals import weighted_residuals
from fastnn.stats.remedies import AutoregressiveResult
from fastnn.stats.result import RegressionResult
from fastnn.stats.tables.cells import count_text, number_text
from fastnn.stats.tables.frames import table
from fastnn.stats.tables.sheet import Grid, Sheet
from fastnn.stats.tables.shown import Shown

_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
_LEGEND = "* p < 0.05, ** p < 0.01, *** p < 0.001"
_FIGURES = {
    "Observations": "n_observations",
    "R-squared": "r_squared",
    "Adjusted R-squared": "adjusted_r_squared",
    "Residual std deviation": "residual_standard_deviation",
    "Durbin-Watson": "durbin_watson",
    "rho": "rho",
}
"""Rows below the coefficients, and the attributes of a column that they show."""


@dataclass(frozen=True)
class ModelColumn:
    """What a comparison shows of one model.

    Attributes
    ----------
    name, response, method, covariance : str
    terms : tuple of str
    estimates, standard_errors, tvalues, pvalues : (t,) array
        nan where the data do not determine a coefficient.
    n_observations : int
    residual_standard_deviation : float
        Of the innovations where errors are autoregressive.
    durbin_watson : float
        The statistic of the residuals, or of the innovations; nan where rows are not stored or the
        fit is perfect.
    r_squared, adjusted_r_squared : float
        nan for autoregressive errors.
    is_centred : bool
        Whether R-squared is about the mean.
    rho : float
        Correlation of successive errors; nan for models without it.
    """

    name: str
    response: str
    method: str
    covariance: str
    terms: tuple[str, ...]
    estimates: np.ndarray
    standard_errors: np.ndarray
    tvalues: np.ndarray
    pvalues: np.ndarray
    n_observations: int
    residual_standard_deviation: float
    durbin_watson: float
    r_squared: float = float("nan")
    adjusted_r_squared: float = float("nan")
    is_centred: bool = True
    rho: float = float("nan")


@dataclass(frozen=True)
class Comparison(Shown):
    """Several regressions side by side, as `compare` returns them; `print` shows a table.

    Attributes
    ----------
    columns : tuple of ModelColumn
        The models, in the order of the arguments.
    errors : str
        Place of the standard errors: ``"below"`` or ``"beside"`` the coefficients.
    stars : bool
        Whether stars mark p-values.
    """

    columns: tuple[ModelColumn, ...]
    errors: str
    stars: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(column.name for column in self.columns)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of all coefficients, in the order in which the models have them."""
        return tuple(dict.fromkeys(term for column in self.columns for term in column.terms))

    def to_frame(self) -> Any:
        """The coefficients as a pandas DataFrame with a row for each term of each model.

        Returns
        -------
        DataFrame
            Columns ``model``, ``term``, ``estimate``, ``std_error``, ``statistic`` and
            ``p_value``.
        """
        columns = self.columns
        return table({
            "model": [column.name for column in columns for _ in column.terms],
            "term": [term for column in columns for term in column.terms],
            "estimate": np.concatenate([column.estimates for column in columns]),
            "std_error": np.concatenate([column.standard_errors for column in columns]),
            "statistic": np.concatenate([column.tvalues for column in columns]),
            "p_value": np.concatenate([column.pvalues for column in columns]),
        })  # fmt: skip

    def glance(self) -> Any:
        """Measures of the fits as a pandas DataFrame with a row for each model.

        Returns
        -------
        DataFrame
            Columns ``response``, ``method``, ``covariance``, ``n_observations``, ``r_squared``,
            ``adjusted_r_squared``, ``residual_standard_deviation``, ``durbin_watson`` and ``rho``.
        """
        keys = ("response", "method", "covariance", *_FIGURES.values())
        values = {key: [getattr(column, key) for column in self.columns] for key in keys}
        return table(values, list(self.names))

    def _sheets(self) -> tuple[Sheet, ...]:
        is_beside = self.errors == "beside"
        titles = [""]
        for name in self.names:
            titles += [name, "std err"] if is_beside else [name]
        coefficients = [row for term in self.terms for row in self._rows_of(term)]
        rows = [self._spread("Response", [column.response for column in self.columns])]
        rows += coefficients
        rows += self._figures()
        rules = frozenset({1, 1 + len(coefficients)})
        grid = Grid(tuple(titles), tuple(rows), least=(12, *[0] * (len(titles) - 1)), rules=rules)
        return (Sheet(((grid,),), notes=tuple(self._notes())),)

    def _spread(self, label: str, cells: Sequence[str]) -> tuple[str, ...]:
        """A row with one cell for each model."""
        if self.errors == "beside":
            return (label, *(part for cell in cells for part in (cell, "")))
        return (label, *cells)

    def _rows_of(self, term: str) -> list[tuple[str, ...]]:
        """The coefficient of each model, with its standard error below or beside."""
        pairs = [self._cells(column, term) for column in self.columns]
        if self.errors == "beside":
            return [(term, *(cell for pair in pairs for cell in pair))]
        below = (f"({error})" if error else "" for _, error in pairs)
        return [(term, *(estimate for estimate, _ in pairs)), ("", *below)]

    def _cells(self, column: ModelColumn, term: str) -> tuple[str, str]:
        """Estimate and standard error of a term as text; empty where the model lacks it."""
        if term not in column.terms:
            return "", ""
        place = column.terms.index(term)
        estimate, error = column.estimates[place], column.standard_errors[place]
        if np.isnan(estimate):
            return "not determined", ""
        stars = ""
        if self.stars:
            p = column.pvalues[place]
            stars = next((text for level, text in _STARS if p < level), "")
        return number_text(estimate) + stars, "" if np.isnan(error) else number_text(error)

    def _figures(self) -> list[tuple[str, ...]]:
        rows = []
        for label, key in _FIGURES.items():
            values = [getattr(column, key) for column in self.columns]
            if key == "rho" and np.isnan(values).all():
                continue
            written = count_text if key == "n_observations" else _figure(key)
            rows.append(self._spread(label, ["" if np.isnan(x) else written(x) for x in values]))
        for label, key, usual in (
            ("Method", "method", "least squares"),
            ("Covariance", "covariance", "classical"),
        ):
            texts = [getattr(column, key) for column in self.columns]
            if set(texts) != {usual}:
                rows.append(self._spread(label, texts))
        return rows

    def _notes(self) -> list[str]:
        place = "beside the coefficients" if self.errors == "beside" else "in parentheses"
        notes = [f"Standard errors {place}."]
        if self.stars:
            notes.append(_LEGEND)
        uncentred = [column.name for column in self.columns if not column.is_centred]
        if uncentred:
            notes.append(f"R-squared without a constant is uncentred: {', '.join(uncentred)}.")
        return notes


def _figure(key: str) -> Any:
    """How a figure is written."""
    if key == "residual_standard_deviation":
        return number_text
    return "{:.3f}".format if key == "durbin_watson" else "{:.4f}".format


def compare(
    *models: RegressionResult | AutoregressiveResult | AutoregressiveRegression,
    names: Sequence[str] | None = None,
    errors: str = "below",
    stars: bool = False,
) -> Comparison:
    """A table of several regressions side by side.

    Parameters
    ----------
    *models : RegressionResult, AutoregressiveResult or AutoregressiveRegression
        Regressions of one response each; the responses, rows and covariances may differ.
    names : sequence of str, optional
        A different name for each model; by default ``(1)``, ``(2)``, ...
    errors : {"below", "beside"}
        Place of the standard errors: in parentheses below the coefficients, or beside them.
    stars : bool, default False
        Whether stars mark coefficients with p-values below 0.05, 0.01 and 0.001.

    Returns
    -------
    Comparison
        Prints as text, shows as HTML in Jupyter, and has `to_latex`, `to_frame` and `glance`.

    Raises
    ------
    TypeError, ValueError
        For no models, other objects, several responses, or names that are not one for each model.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.stats import linear_regression
    >>> x = np.arange(10.0)
    >>> y = x + np.sin(x)
    >>> line = linear_regression(x, y)
    >>> curve = linear_regression(np.stack([x, np.sin(x)], axis=1), y + 0.1 * np.cos(3 * x))
    >>> compare(line, curve).glance()["n_observations"].tolist()
    [10, 10]
    """
    if not models:
        raise ValueError("compare needs at least one model, got none")
    if names is None:
        names = [f"({place})" for place in range(1, len(models) + 1)]
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"names must be a sequence of str, got {names!r}")
    if len(names) != len(models) or len(set(names)) != len(names):
        raise ValueError(f"names must be {len(models)} different names, got {list(names)}")
    errors = check_choice(errors, "errors", ("below", "beside"))
    columns = tuple(_column(model, name) for model, name in zip(models, names, strict=True))
    return Comparison(columns, errors, check_flag(stars, "stars"))


def _column(model: Any, name: str) -> ModelColumn:
    """The column of a model."""
    if isinstance(model, AutoregressiveResult):
        return _of_remedy(model, name)
    if isinstance(model, AutoregressiveRegression):
        return _of_autoregression(model, name)
    if not isinstance(model, RegressionResult):
        raise TypeError(f"model {name} must be the result of a regression, got "
                        f"{type(model).__name__}")  # fmt: skip
    if len(model.response_names) > 1:
        raise ValueError(
            f"model {name} must have one response, got {len(model.response_names)}; use "
            "result.for_response(name)"
        )
    method = "ridge" if model.ridge else "weighted" if model.is_weighted else "least squares"
    return ModelColumn(
        response=model.response_names[0],
        method=method,
        covariance=model.cov_type,
        r_squared=float(np.ravel(model.r_squared)[0]),
        adjusted_r_squared=float(np.ravel(model.adjusted_r_squared)[0]),
        is_centred=model.has_intercept,
        durbin_watson=_statistic(model),
        **_estimates(model, name),
    )


def _estimates(model: RegressionResult, name: str) -> dict[str, Any]:
    """Fields of a column that are the same for remedies."""
    return {
        "name": name,
        "terms": model.names,
        "estimates": np.ravel(model.coefficients),
        "standard_errors": np.ravel(model.standard_errors),
        "tvalues": np.ravel(model.tvalues),
        "pvalues": np.ravel(model.pvalues),
        "n_observations": model.n_observations,
        "residual_standard_deviation": float(np.ravel(model.residual_standard_deviation)[0]),
    }


def _statistic(model: RegressionResult) -> float:
    """The Durbin-Watson statistic of residuals in the order of the rows."""
    if model.design is None:
        return float("nan")
    try:
        return float(durbin_watson(weighted_residuals(model)))
    except ValueError:  # they are rounding errors
        return float("nan")


def _of_remedy(model: AutoregressiveResult, name: str) -> ModelColumn:
    """R-squared of transformed data is not that of the response, and is left out."""
    fields = _estimates(model.regression, name) | {"n_observations": len(model.residuals)}
    return ModelColumn(
        response=model.ordinary.response_names[0],
        method=model.method,
        covariance=model.regression.cov_type,
        durbin_watson=float(durbin_watson(model.innovations)),
        rho=model.rho,
        **fields,
    )


def _of_autoregression(model: AutoregressiveRegression, name: str) -> ModelColumn:
    """Terms of the autoregression follow the coefficients."""
    terms, figures = model.rows()
    estimates, errors, z, p = figures.T
    return ModelColumn(
        name=name,
        response=model.model.ordinary.response_names[0],
        method=f"AR({len(model.ar)})",
        covariance="information",
        terms=tuple(terms),
        estimates=estimates,
        standard_errors=errors,
        tvalues=z,
        pvalues=p,
        n_observations=model.n_observations,
        residual_standard_deviation=model.innovation_variance**0.5,
        durbin_watson=float(durbin_watson(np.asarray(model.innovations))),
    )
