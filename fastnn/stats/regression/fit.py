"""The fit of a least-squares problem: blocks of rows are factorised, the factor is solved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastnn._shared.warnings import warn
from fastnn.stats.linalg.blocks import BlockGram, BlockQR, Factor
from fastnn.stats.linalg.design import Design
from fastnn.stats.linalg.refine import refined
from fastnn.stats.linalg.solvers import Dependency, RankDeficiencyWarning, Solution, solve
from fastnn.stats.regression.inputs import Data, refuse_not_finite
from fastnn.stats.regression.labels import Labels
from fastnn.stats.regression.stored import StoredRows

_REFINED_WORK = 1 << 20  # products in X'X up to which refinement takes a few milliseconds
_LARGEST = 1e140  # size of numbers whose squares are divided or summed
_USUAL = 1e70  # sizes below this need no further check of ratios
_CONSTANT_REST = 1e-24  # share of a squared length that rounding of a constant may leave
_CONSTANT_ROWS = 1e-29  # the same for rows less their mean
_CANCELLED = 1e-12  # share below which a sum of squares is computed from the rows


@dataclass(frozen=True)
class Fit:
    """A solved problem with all quantities that the statistics use; arrays have m columns.

    Attributes
    ----------
    design : Design or None
        None where rows were streamed.
    response, residuals : (n, m) array or None
    weights : (n,) array or None
    log_weights : float
        Sum of the logarithms of the weights.
    residual_squares, total_squares : (m,) array
        Weighted sums of squares.  The total is about the mean where there is a constant.
    is_weighted : bool
        Whether the rows had weights, which streamed rows do not store.
    intercept : bool
        Whether a column of ones was added, as the first column.
    constant : (p,) array or None
        Coefficients of the columns whose linear combination is the constant 1.
    n : int
    solution : Solution
    method : str
    ridge : float
    labels : Labels
    """

    design: Design | None
    response: np.ndarray | None
    residuals: np.ndarray | None
    weights: np.ndarray | None
    log_weights: float
    residual_squares: np.ndarray
    total_squares: np.ndarray
    is_weighted: bool
    intercept: bool
    constant: np.ndarray | None
    n: int
    solution: Solution
    method: str
    ridge: float
    labels: Labels

    @property
    def rows(self) -> StoredRows:
        """The rows; AttributeError where they were streamed."""
        if self.design is None or self.response is None or self.residuals is None:
            raise AttributeError(
                "the rows were streamed and are not stored, so statistics of single rows are not "
                "available; use linear_regression"
            )
        return StoredRows(self.design, self.response, self.residuals, self.weights)

    def select(self, response: int) -> Fit:
        """The fit of one response alone; arrays are views."""
        one = slice(response, response + 1)
        solution = replace(self.solution, coefficients=self.solution.coefficients[:, one])
        return replace(
            self,
            response=None if self.response is None else self.response[:, one],
            residuals=None if self.residuals is None else self.residuals[:, one],
            residual_squares=self.residual_squares[one],
            total_squares=self.total_squares[one],
            solution=solution,
            labels=self.labels.select(response),
        )


class Accumulator:
    """Accumulates the factor of the weighted rows [design, responses, 1], and their number."""

    def __init__(self, p: int, m: int, method: str) -> None:
        self.n = 0
        self.log_weights = 0.0
        self.is_weighted = False
        self._p, self._m = p, m
        self._blocks = (BlockGram if method == "cholesky" else BlockQR)(p, m + 1)

    def add_data(self, data: Data) -> None:
        """Add all rows of the data, in blocks that fit in the cache."""
        for place, block in data.design.blocks():
            weights = None if data.weights is None else data.weights[place]
            self._add(block, data.response[place], weights)

    def _add(self, design: np.ndarray, response: np.ndarray, weights: np.ndarray | None) -> None:
        p, m = self._p, self._m
        rows = np.empty((len(design), p + m + 1), order="F")
        rows[:, :p] = design
        rows[:, p : p + m] = response
        rows[:, p + m] = 1.0
        if weights is not None:
            rows *= np.sqrt(weights)[:, None]
            self.is_weighted = True
            self.log_weights += float(np.log(weights).sum())
        self.n += len(rows)
        self._blocks.add(rows)

    def is_finite(self) -> bool:
        """Whether all numbers so far are finite."""
        return self._blocks.is_finite()

    def factor(self) -> Factor:
        """The factor; its last response is the constant 1."""
        return self._blocks.factor()


def fit_data(data: Data, method: str, ridge: float, refine: bool | None) -> Fit:
    """Fit all responses by weighted least squares; a second pass computes the residuals.

    With `refine` None, the solution is refined where that takes a few milliseconds.
    """
    n, p = data.design.shape
    m = data.response.shape[1]
    accumulator = Accumulator(p, m, method)
    accumulator.add_data(data)
    if not accumulator.is_finite():
        refuse_not_finite(data)
    if refine is None:
        refine = method != "cholesky" and not ridge and n * (p + m) ** 2 <= _REFINED_WORK
    return solved(accumulator, method, ridge, data.design.intercept, data.labels, data, refine)


def solved(
    accumulator: Accumulator,
    method: str,
    ridge: float,
    intercept: bool,
    labels: Labels,
    data: Data | None = None,
    refine: bool = False,
) -> Fit:
    """The fit from a factor; with data also residuals and, on request, refinement."""
    factor = accumulator.factor()
    p, n = len(factor.R), accumulator.n
    _check_rows(n, p, method, ridge)
    _check_sizes(factor, labels)
    constant = _constant(factor, n, intercept)
    own = Factor(factor.R, factor.Z[:, :-1], factor.rest[:-1])
    penalty = None
    if ridge:
        penalty = np.full(p, ridge)
        penalty[:intercept] = 0.0
    solution = solve(own, n, method, penalty)
    # A solution of least norm among many is not refined.
    if data is not None and refine and (solution.rank == p or solution.left_out):
        solution = refined(solution, data.design, data.response, data.weights)
    squares = solution.residual_squares
    if squares is None:
        within = own.Z - own.R @ solution.coefficients
        squares = own.rest + np.einsum("ij,ij->j", within, within)
    total = _total(own, _explained(factor, intercept, constant), data, constant is not None)
    residuals = None
    if data is not None:
        residuals = data.design.times(solution.coefficients)
        np.subtract(data.response, residuals, out=residuals)
        if method == "cholesky":
            own_squares, total = _squares_of_rows(data, residuals, constant is not None)
            squares = own_squares if solution.residual_squares is None else squares
    return Fit(
        design=None if data is None else data.design,
        response=None if data is None else data.response,
        residuals=residuals,
        weights=None if data is None else data.weights,
        log_weights=accumulator.log_weights,
        is_weighted=accumulator.is_weighted,
        residual_squares=squares,
        total_squares=total,
        intercept=intercept,
        constant=constant,
        n=n,
        solution=solution,
        method=method,
        ridge=ridge,
        labels=labels,
    )


def _squares_of_rows(
    data: Data, residuals: np.ndarray, has_constant: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Residual and total sums of squares from the rows; their difference from X'X cancels."""
    weights = np.ones(len(residuals)) if data.weights is None else data.weights
    mean = weights @ data.response / weights.sum() if has_constant else 0.0
    total = weights @ (data.response - mean) ** 2
    rounding = _CONSTANT_ROWS * (weights @ data.response**2)
    return weights @ residuals**2, np.where(total > rounding, total, 0.0)


def _explained(factor: Factor, intercept: bool, constant: np.ndarray | None) -> np.ndarray:
    """Q'y without the component along the constant, which the mean explains."""
    Z = factor.Z[:, :-1]
    if intercept:
        return Z[1:]
    if constant is None:
        return Z
    direction = factor.Z[:, -1] / np.linalg.norm(factor.Z[:, -1])
    return Z - np.outer(direction, direction @ Z)


def _total(
    own: Factor, explained: np.ndarray, data: Data | None, has_constant: bool
) -> np.ndarray:  # fmt: skip
    """Total sums of squares; 0 for a response that is constant to rounding."""
    total: np.ndarray = own.rest + np.einsum("ij,ij->j", explained, explained)
    about_zero = own.rest + np.einsum("ij,ij->j", own.Z, own.Z)
    if (total > _CANCELLED * about_zero).all():
        return total
    if data is not None:  # the rows less their mean lose no digits
        return _squares_of_rows(data, data.response, has_constant)[1]
    return np.where(total > _CONSTANT_REST * about_zero, total, 0.0)


def _check_rows(n: int, p: int, method: str, ridge: float) -> None:
    if n < p and method != "svd" and not ridge:
        raise ValueError(
            f"X must have at least as many rows as coefficients, got {n} rows and {p} "
            "coefficients; use method='svd' for the solution of least norm, or ridge"
        )


def _check_sizes(factor: Factor, labels: Labels) -> None:
    """Raise ValueError if squares of columns or coefficients would overflow or underflow."""
    columns = np.abs(factor.R).max(axis=0, initial=0.0)
    responses = np.abs(factor.Z[:, :-1]).max(axis=0, initial=0.0)
    nonzero = [size for size in (*columns.tolist(), *responses.tolist()) if size]
    if not nonzero or (min(nonzero) > _USUAL**-1 and max(nonzero) < _USUAL):
        return
    sizes = list(zip(labels.columns, columns, strict=True))
    sizes += zip(labels.responses, responses, strict=True)
    columns, responses = columns[columns > 0], responses[responses > 0]
    if len(columns) and len(responses):
        with np.errstate(over="ignore"):  # infinite is too large as well
            least, largest = responses.min() / columns.max(), responses.max() / columns.min()
        sizes += [("the smallest coefficient", least), ("the largest coefficient", largest)]
    for name, size in sizes:
        if size and not 1 / _LARGEST < size < _LARGEST:
            raise ValueError(
                f"columns and coefficients must have sizes between {1 / _LARGEST:.0e} and "
                f"{_LARGEST:.0e}, because they are squared; got about {size:.0e} for {name}; "
                "choose other units"
            )


def _constant(factor: Factor, n: int, intercept: bool) -> np.ndarray | None:
    """Coefficients of the columns that give the constant 1; None if it is not in their span."""
    p = len(factor.R)
    if intercept:
        constant = np.zeros(p)
        constant[0] = 1.0
        return constant
    ones = factor.Z[:, -1:]
    if factor.rest[-1] > _CONSTANT_REST * (factor.rest[-1] + float(np.sum(ones**2))):
        return None
    return solve(Factor(factor.R, ones, factor.rest[-1:]), n, "qr", None).coefficients[:, 0]


def warn_if_deficient(fit: Fit) -> None:
    """Warn of linearly dependent columns, by name."""
    solution = fit.solution
    if not solution.dependencies:
        return
    what = (
        "the coefficients are those of least norm"
        if not solution.left_out
        else "their coefficients are nan, as if they were left out"
    )
    lines = "; ".join(described(d, fit.labels) for d in solution.dependencies)
    warn(
        f"X has rank {solution.rank} of {len(fit.labels.columns)}: {lines}; {what}",
        RankDeficiencyWarning,
    )


def described(dependency: Dependency, labels: Labels) -> str:
    """A dependency as an equation: ``x3 = 2*x1 - intercept``."""
    terms = ""
    for k, share in dependency.combination.items():
        size = f"{abs(share):.6g}"
        term = labels.columns[k] if size == "1" else f"{size}*{labels.columns[k]}"
        sign = ("-" if share < 0 else "") if not terms else (" - " if share < 0 else " + ")
        terms += sign + term
    return f"{labels.columns[dependency.column]} = {terms or 0}"
