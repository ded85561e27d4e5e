"""Linear regression on blocks of rows, for data larger than memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fastnn._shared.numbers import check_choice, check_flag, check_number
from fastnn.stats.regression.covariance import CovarianceType
from fastnn.stats.regression.fit import Accumulator, solved, warn_if_deficient
from fastnn.stats.regression.inputs import Data, checked_formula, read_data, refuse_not_finite
from fastnn.stats.result import RegressionResult


def linear_regression_blocks(
    blocks: Iterable[object],
    *,
    formula: str | None = None,
    weights: str | None = None,
    add_intercept: bool = True,
    method: str = "qr",
    names: Sequence[str] | None = None,
    ridge: float = 0.0,
) -> RegressionResult:
    """Fit y = X b to blocks of rows, each of which is read once and not stored.

    Coefficients, classical standard errors and all statistics of sums of squares are those of
    `linear_regression` on all rows.  Statistics that need the rows a second time are not
    available: residuals, leverage, robust covariances.

    Parameters
    ----------
    blocks : iterable of (X, y) or (X, y, weights), or of tables
        Arrays or tables as in `linear_regression`, of any number of rows; tables alone with a
        formula.
    formula : str, optional
        Formula about the columns of each table, as in `linear_regression`.  Levels, knots and
        other properties of transformations are those of the first block; a later block with
        another level is refused, so that ``C(group, levels=[...])`` should list all of them.
    weights : str, optional
        Column of weights, with a formula.
    method : {"qr", "svd"}
        As in `linear_regression`.  The normal equations are not available: their sums of
        squares need the rows a second time.
    add_intercept, names, ridge
        As in `linear_regression`.

    Returns
    -------
    RegressionResult
        Its ``design`` is None.

    Raises
    ------
    ValueError, TypeError
        As `linear_regression`, with the number of the block in the message; if there is no
        block; or if the columns of the blocks differ.

    References
    ----------
    Demmel, Grigori, Hoemmen & Langou (2012), "Communication-optimal parallel and sequential
    QR and LU factorizations", SIAM J. Sci. Comput. 34(1).
    """
    method = check_choice(method, "method", ("qr", "svd"))
    ridge = check_number(ridge, "ridge", low=0.0)
    add_intercept = check_flag(add_intercept, "add_intercept")
    _check_options(formula, weights, names, add_intercept)
    first: Data | None = None
    total = missing = 0
    accumulator: Accumulator | None = None
    for i, block in enumerate(blocks):
        try:
            if formula is None:
                data = _read(block, names, add_intercept)
            else:
                data = _read_by_formula(formula, block, weights, first)
                total += data.labels.formula.total
                missing += data.labels.formula.missing
            if first is None or accumulator is None:
                p, m = data.design.shape[1], data.response.shape[1]
                first, accumulator = data, Accumulator(p, m, method)
            _check_alike(first, data)
            accumulator.add_data(data)
            if not accumulator.is_finite():
                refuse_not_finite(data)
        except (TypeError, ValueError) as error:
            raise type(error)(f"block {i}: {error}") from error
    if first is None or accumulator is None:
        raise ValueError("blocks must have at least one block, got none")
    labels = first.labels.without_rows()
    if formula is not None:
        labels = replace(labels, formula=labels.formula.of_blocks(total, missing))
    fit = solved(accumulator, method, ridge, first.design.intercept, labels)
    warn_if_deficient(fit)
    return RegressionResult(fit, CovarianceType("classical"))


def _read(block: object, names: Sequence[str] | None, add_intercept: bool) -> Data:
    if not isinstance(block, (tuple, list)) or len(block) not in (2, 3):
        raise TypeError(f"must be (X, y) or (X, y, weights), got {type(block).__name__}")
    X, y, weights = block if len(block) == 3 else (*block, None)
    return read_data(X, y, names=names, weights=weights, add_intercept=add_intercept, copy=False)


def _check_options(formula: object, weights: object, names: object, add_intercept: bool) -> None:
    """Raise TypeError for options of formulas and of arrays together."""
    for name, text in (("formula", formula), ("weights", weights)):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"{name} must be a str, got {type(text).__name__}")
    if formula is not None:
        checked_formula(formula, None, (), names, add_intercept)
    elif weights is not None:
        raise TypeError("weights names a column of a formula's tables; use (X, y, weights) instead")


def _read_by_formula(formula: str, block: object, weights: str | None, first: Data | None) -> Data:
    """Data of a table, encoded as the first block was."""
    from fastnn.stats.regression.formula import read_formula

    encoding = None if first is None else first.labels.formula.encoding
    return read_formula(formula, block, {"weights": weights}, encoding)[0]


def _check_alike(first: Data, data: Data) -> None:
    if first.labels.columns != data.labels.columns:
        raise ValueError(
            f"must have the columns of the first block, {', '.join(first.labels.columns)}; "
            f"got {', '.join(data.labels.columns)}"
        )
    if first.response.shape[1] != data.response.shape[1]:
        raise ValueError(
            f"must have the {first.response.shape[1]} responses of the first block, "
            f"got {data.response.shape[1]}"
        )
    if (first.weights is None) != (data.weights is None):
        raise ValueError("must have weights if the first block has, and else none")
