"""Prediction of the response at new rows, with intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastnn._shared.frames import local
from fastnn._shared.numbers import check_choice
from fastnn._shared.warnings import warn
from fastnn.stats.linalg.design import Design
from fastnn.stats.linalg.solvers import RankDeficiencyWarning
from fastnn.stats.regression.estimates import check_level
from fastnn.stats.regression.influence import Influence
from fastnn.stats.regression.inputs import (
    check_alignment,
    checked_weights,
    index_of,
    is_table,
    read_matrix,
    refuse_bad_values,
)
from fastnn.stats.regression.labels import framed
from fastnn.stats.regression.tails import t_quantile

INTERVALS = ("confidence", "prediction")
_SATISFIED = 1e-7  # relative tolerance of a dependence: new rows are rounded differently


class Prediction(NamedTuple):
    """Predicted means and intervals: (n,) arrays, (n, m) for several responses, or Series."""

    mean: Any
    lower: Any
    upper: Any
    standard_error: Any


def predict(
    result: Influence, X: object, interval: object, level: object, weights: object = None
) -> Any:
    """Compute `RegressionResult.predict`."""
    if interval is not None:
        check_choice(interval, "interval", INTERVALS)
    level = check_level(level)
    X, weights = local(X), local(weights)
    design = new_design(result, X)
    scale = _new_weights(result, X, weights, design.shape[0], interval)
    _warn_not_estimable(result, design)
    mean = design.times(result.problem.solution.coefficients)
    if interval is None:
        return labelled(result, X, mean)
    variances = _variances(design, result.problem.solution.root, result.law.middles)
    if result.law.is_robust:
        for place, block in design.blocks():
            variances[place][result.law.is_unknown(block @ result.problem.solution.root)] = np.nan
    errors = np.sqrt(variances)
    if interval == "prediction":
        variances = variances + result.law.residual_variances / scale
    margin = t_quantile(level, _df(result, design)) * np.sqrt(variances)
    parts = (mean, mean - margin, mean + margin, errors)
    return Prediction(*(labelled(result, X, part) for part in parts))


def _new_weights(
    result: Influence, X: object, weights: object, n: int, interval: object
) -> np.ndarray:
    """(n, 1) weights of the new rows, 1 where there are none."""
    if weights is None:
        return np.ones((n, 1))
    if not result.is_weighted or interval != "prediction":
        raise ValueError(
            "weights belong to interval='prediction' of a weighted fit, got "
            f"interval={interval!r} of {'a ' if result.is_weighted else 'an un'}weighted fit"
        )
    check_alignment(index_of(X), weights, "weights")
    return checked_weights(weights, n)[:, None]


def _df(result: Influence, design: Design) -> Any:
    """Degrees of freedom of the intervals: a number, or (n, 1)."""
    root = result.problem.solution.root
    if result.law.clusters is None:
        return result.df_residual
    return np.concatenate([result.law.df_of(block @ root) for _, block in design.blocks()])


def new_design(result: Influence, X: Any) -> Design:
    """Design of the new rows; columns are selected by name where both have names."""
    if result.problem.labels.formula is not None:
        matrix = result.problem.labels.formula.new_columns(X)
        refuse_bad_values(matrix, "X")
        return Design(matrix, result.problem.intercept, copy=False)
    columns = list(result.names[result.problem.intercept :])
    if is_table(X) and result.problem.labels.named:
        labels = {str(label): label for label in X.columns}
        missing = [name for name in columns if name not in labels]
        if missing:
            raise ValueError(f"X must have the columns of the fit, but lacks {', '.join(missing)}")
        X = X[[labels[name] for name in columns]]
    _, matrix = read_matrix(X, "X")
    if matrix.shape[1] != len(columns):
        hint = " (use X[None, :] for a single row)" if np.ndim(X) == 1 else ""
        raise ValueError(
            f"X must have the {len(columns)} columns of the fit, got {matrix.shape[1]}{hint}"
        )
    refuse_bad_values(matrix, "X")
    return Design(matrix, result.problem.intercept, copy=False)


def _warn_not_estimable(result: Influence, design: Design) -> None:
    """Warn of rows that violate a linear dependence of the columns of the fit."""
    broken = np.zeros(design.shape[0], bool)
    for dependency in result.problem.solution.dependencies:
        others = list(dependency.combination)
        shares = np.array(list(dependency.combination.values()))
        for place, block in design.blocks():
            terms = block[:, others] * shares
            off = np.abs(block[:, dependency.column] - terms.sum(axis=1))
            size = np.abs(terms).sum(axis=1) + np.abs(block[:, dependency.column])
            broken[place] |= off > _SATISFIED * size
    if broken.any():
        warn(
            f"{broken.sum()} of {len(broken)} rows break the linear dependence of the columns of "
            "the fit; their predictions depend on an arbitrary choice of coefficients",
            RankDeficiencyWarning,
        )


def _variances(design: Design, root: np.ndarray, middles: np.ndarray) -> np.ndarray:
    """(n, m) variances x'T M T'x of the predicted means.

    The rows are multiplied by T first: products with the covariance itself would cancel where a
    column is far from its origin.
    """
    variances = np.empty((design.shape[0], len(middles)))
    for place, block in design.blocks():
        rows = block @ root
        for j, middle in enumerate(middles):
            variances[place, j] = np.einsum("ij,ij->i", rows @ middle, rows)
    return np.maximum(variances, 0.0, out=variances)


def labelled(result: Influence, X: Any, values: np.ndarray) -> Any:
    """Values in the form of X: pandas objects for a DataFrame."""
    labels = result.problem.labels
    pandas = labels.pandas and is_table(X) and index_of(X) is not None
    if labels.single:
        values = values[:, 0]
        return framed(values, X.index, name=labels.responses[0]) if pandas else values
    return framed(values, X.index, labels.responses) if pandas else values
