"""The Durbin-Watson statistic, and its test with exact p-values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import check_finite, real_array
from fastnn._shared.numbers import (
    FLOAT32,
    FLOAT64,
    check_choice,
    check_flag,
    check_integer,
    check_number,
)
from fastnn.stats.diagnostics.durbin_watson.ordered import basis_of_data, ordered_rows
from fastnn.stats.diagnostics.durbin_watson.quadratic_forms import EigenvalueLaw, ResidualLaw
from fastnn.stats.diagnostics.durbin_watson.tail import Tail, tail
from fastnn.stats.diagnostics.residuals import ALTERNATIVES
from fastnn.stats.linalg.basis import has_constant

_MOST_EIGENVALUES = 2000
_SMALLEST_SUM = 1e-280  # of squares: below it they may have lost digits to underflow


# ----------------------------------------------------------------------------- statistic


def durbin_watson(residuals: Any, axis: int = 0, lag: int = 1) -> Any:
    """The Durbin-Watson statistic of residuals, sum (e[t] - e[t - lag])^2 / sum e[t]^2.

    It is about 2 (1 - r), with r the autocorrelation at that lag: 2 where there is none,
    towards 0 where it is positive, towards 4 where it is negative.

    Parameters
    ----------
    residuals : array_like
        Real numbers in the order of the observations, at least ``lag + 1`` along `axis`.
        Arrays of float32 and float64 are read as they are, whatever their strides; sums are
        float64 in both cases.
    axis : int
        Along which the observations follow each other.
    lag : int
        Distance of the residuals compared; 1 is Durbin and Watson's, more is Vinod's
        generalisation (4 for quarterly data).

    Returns
    -------
    float or array of float64
        The shape of `residuals` without `axis`.

    Raises
    ------
    ValueError
        If residuals are all zero, not finite, or too few.

    References
    ----------
    Durbin & Watson (1950), "Testing for serial correlation in least squares regression I",
    Biometrika 37.  Vinod (1973), "Generalization of the Durbin-Watson statistic for higher
    order autoregressive processes", Communications in Statistics 2.

    Examples
    --------
    >>> durbin_watson([1.0, -1.0, 1.0, -1.0])
    3.0
    """
    array = _readable(real_array(residuals, "residuals"))
    if array.ndim == 0:
        raise ValueError("residuals must have at least 1 dimension, got a scalar")
    axis = check_integer(axis, "axis", -array.ndim, array.ndim - 1)
    n = array.shape[axis]
    lag = check_integer(lag, "lag", 1)
    if n <= lag:
        raise ValueError(
            f"residuals must have more than lag = {lag} elements along axis {axis}, got {n}"
        )
    if array.ndim == 1:
        return _of_vector(array, lag)
    differences, squares = _sums(array, axis, lag)
    if not ((squares > _SMALLEST_SUM) & (squares < np.inf)).all():
        differences, squares = _sums(_rescaled(array, axis), axis, lag)
    return differences / squares


def _of_vector(array: np.ndarray, lag: int) -> float:
    """The statistic of one series; a microsecond counts here."""
    sums = np.empty((2, 1, 1))
    kernel = backend.kernels(array.dtype.type).squared_differences
    kernel(array[np.newaxis, :, np.newaxis], lag, sums)
    differences, squares = sums.item(0), sums.item(1)
    if not _SMALLEST_SUM < squares < math.inf:
        kernel = backend.kernels(np.float64).squared_differences
        kernel(_rescaled(array, 0)[np.newaxis, :, np.newaxis], lag, sums)
        differences, squares = sums.item(0), sums.item(1)
    return differences / squares


def _readable(array: np.ndarray) -> np.ndarray:
    """The array itself where the kernel can read it, else as contiguous float64."""
    native = array.dtype is FLOAT64 or array.dtype is FLOAT32
    if native and (array.flags.carray or _has_whole_steps(array)):
        return array
    return np.array(array, np.float64, order="C")


def _has_whole_steps(array: np.ndarray) -> bool:
    """Whether elements are aligned and whole elements apart (a field of records need not be)."""
    return array.flags.aligned and not any(step % array.itemsize for step in array.strides)


def _sums(array: np.ndarray, axis: int, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squared differences and of squares along an axis, by views of the array."""
    kernel = backend.kernels(array.dtype.type).squared_differences
    if array.ndim == 2:
        columns = array if axis in (0, -2) else array.T
        sums = np.empty((2, 1, columns.shape[1]))
        kernel(columns[np.newaxis], lag, sums)
        return sums[0, 0], sums[1, 0]
    view = np.moveaxis(array, axis, -2)
    sums = np.empty((2, *view.shape[:-2], view.shape[-1]))
    for outer in np.ndindex(*view.shape[:-3]):
        part = np.empty((2, view.shape[-3], view.shape[-1]))
        kernel(view[outer], lag, part)
        sums[:, *outer] = part
    return sums[0], sums[1]


def _rescaled(array: np.ndarray, axis: int) -> np.ndarray:
    """Residuals in float64, of size about 1: their squares neither over- nor underflow."""
    check_finite(array, "residuals", "drop or fill such rows first")
    largest = np.abs(array).max(axis=axis, keepdims=True).astype(np.float64)
    if not largest.all():
        which = np.argwhere(largest == 0)[0] if largest.size > 1 else None
        where = "" if which is None else f" at {tuple(map(int, which))}"
        raise ValueError(
            f"residuals are all zero{where}: the Durbin-Watson statistic, 0 / 0, is undefined"
        )
    # In two steps, for the reciprocal of a subnormal number is infinite.
    exponent = -np.frexp(largest)[1]
    return np.ldexp(array.astype(np.float64), exponent)


# ---------------------------------------------------------------------------------- test


@dataclass(frozen=True)
class DurbinWatsonResult:
    """What `durbin_watson_test` found; unpacks as ``statistic, pvalue``.

    Attributes
    ----------
    statistic : float
        d, from 0 to 4.
    pvalue : float
        Of the alternative that was asked for.
    error : float
        Bound of its absolute error: of integration and rounding.
    alternative : str
        ``"two-sided"``, ``"positive"`` or ``"negative"``.
    lag : int
    n : int
        Observations.
    k : int
        Independent regressors beside the intercept.
    has_intercept : bool
        Whether a constant is in the regressors' space.
    p_positive, p_negative : float
        P(D < d), the p-value against positive autocorrelation, and P(D > d), against
        negative.  The smaller one is exact in relation to its size, however small.
    """

    statistic: float
    pvalue: float
    error: float
    alternative: str
    lag: int
    n: int
    k: int
    has_intercept: bool
    p_positive: float
    p_negative: float

    def __iter__(self) -> Iterator[float]:
        return iter((self.statistic, self.pvalue))

    def __str__(self) -> str:
        regressors = f"{self.k} regressor{'' if self.k == 1 else 's'}"
        intercept = "and an intercept" if self.has_intercept else "and no intercept"
        order = "" if self.lag == 1 else f" at lag {self.lag}"
        sign = {"two-sided": "", "positive": "positive ", "negative": "negative "}
        certainty = f"{self.alternative}, exact, error below {_ceiling(self.error)}"
        return (
            f"Durbin-Watson test of {sign[self.alternative]}autocorrelation{order}\n"
            f"  d = {self.statistic:.5f}   (0 positive, 2 none, 4 negative)\n"
            f"  p = {self.pvalue:.6g}   ({certainty})\n"
            f"  {self.n} observations, {regressors} {intercept}"
        )


def _ceiling(error: float) -> str:
    """The power of ten above an error."""
    return f"1e{math.ceil(math.log10(max(error, 1e-300))):d}"


def durbin_watson_test(
    X: Any,
    y: Any = None,
    *,
    alternative: str = "two-sided",
    order_by: Any = None,
    lag: int = 1,
    add_intercept: bool = True,
    allow_lagged_response: bool = False,
) -> DurbinWatsonResult:
    """Test the errors of a linear regression for autocorrelation, with an exact p-value.

    The null hypothesis is that errors are independent normal with one variance.  The law of the
    statistic then depends on X alone, and is computed, not bounded or approximated, for
    any number of observations.

    Parameters
    ----------
    X : (n, k) array_like, DataFrame or RegressionResult
        Regressors without the intercept, in the order of the observations, or a fitted
        regression, weighted or not.  Dependent columns do no harm.
    y : (n,) array_like or Series, optional
        The response; left out where `X` is a fitted regression.
    alternative : {"two-sided", "positive", "negative"}
        The sign of autocorrelation tested against: "positive" takes P(D < d), "negative"
        P(D > d), and "two-sided" twice the smaller, as R's ``lmtest::dwtest`` does.
    order_by : (n,) array_like or str, optional
        Numbers or times that give the order of the observations, or the name of a regressor (or
        of another column of the table X).
        Ties are warned about.
    lag : int
        Distance of the residuals compared.
    add_intercept : bool
        Whether the regression has an intercept beside the columns of X.
    allow_lagged_response : bool
        Whether a column of X may be the response of earlier rows, where the test is biased
        and its p-value not exact.

    Returns
    -------
    DurbinWatsonResult
        With `statistic`, `pvalue`, `error` and `alternative`.

    Raises
    ------
    TypeError
        If `y` is missing, or given with a fitted regression, as `add_intercept` must not be.
    ValueError
        Where residuals are zero, X has too few rows, values are not finite, or a column is the
        lagged response: `durbin_h` is for that case.
    ArithmeticError
        Where the integral does not converge to its bound; none is known with more than 2000
        observations, below which eigenvalues are taken instead.

    Warns
    -----
    UserWarning
        For ties in `order_by`, and for a time index of pandas that is not sorted.

    Notes
    -----
    With weights, residuals and regressors are multiplied by the square roots of the weights
    first: under the null hypothesis that gives errors of one variance.

    References
    ----------
    Durbin & Watson (1950, 1951, 1971), "Testing for serial correlation in least squares
    regression I-III", Biometrika 37, 38, 58.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(10.0)
    >>> result = durbin_watson_test(x, x + np.sin(x))
    >>> print(f"{result.statistic:.4f} {result.pvalue:.4f}")
    0.9101 0.0110
    """
    alternative = check_choice(alternative, "alternative", ALTERNATIVES)
    lag = check_integer(lag, "lag", 1)
    rows = ordered_rows(
        X,
        y,
        add_intercept=check_flag(add_intercept, "add_intercept"),
        order_by=order_by,
        allow_lagged_response=check_flag(allow_lagged_response, "allow_lagged_response"),
    )
    return _tested(durbin_watson(rows.residuals, lag=lag), rows.basis, alternative, lag)


def durbin_watson_pvalue(
    statistic: float,
    X: Any,
    *,
    alternative: str = "two-sided",
    lag: int = 1,
    add_intercept: bool = True,
) -> DurbinWatsonResult:
    """The exact p-value of a Durbin-Watson statistic that is known already, as from a report.

    Parameters
    ----------
    statistic : float
        d.
    X : (n, k) array_like or DataFrame
        Regressors without the intercept, in the order of the observations.
    alternative : {"two-sided", "positive", "negative"}
        As in `durbin_watson_test`.
    lag : int
        Of the statistic.
    add_intercept : bool
        Whether the regression had an intercept beside the columns of X.

    Returns
    -------
    DurbinWatsonResult
    """
    statistic = check_number(statistic, "statistic", low=0.0, high=4.0)
    alternative = check_choice(alternative, "alternative", ALTERNATIVES)
    lag = check_integer(lag, "lag", 1)
    basis = basis_of_data(X, check_flag(add_intercept, "add_intercept"))
    return _tested(statistic, basis, alternative, lag)


def _tested(
    statistic: float, basis: np.ndarray, alternative: str, lag: int
) -> DurbinWatsonResult:  # fmt: skip
    """The test of a statistic, whose distribution follows from the basis of the regressors."""
    n, rank = basis.shape
    check_integer(lag, "lag", 1, n - 1)
    exact = _exact_tail(basis, lag, statistic)
    pvalue, error = {
        "two-sided": (min(1.0, 2 * min(exact.below, exact.above)), 2 * exact.error),
        "positive": (exact.below, exact.error),
        "negative": (exact.above, exact.error),
    }[alternative]
    has_intercept = has_constant(basis)
    return DurbinWatsonResult(
        statistic=statistic,
        pvalue=pvalue,
        error=error,
        alternative=alternative,
        lag=lag,
        n=n,
        k=rank - has_intercept,
        has_intercept=has_intercept,
        p_positive=exact.below,
        p_negative=exact.above,
    )


def _exact_tail(basis: np.ndarray, lag: int, statistic: float) -> Tail:
    """The tail at the statistic, by eigenvalues where elimination loses too many digits.

    Both ways are exact and come with the same bound of the error.
    """
    try:
        # Numbers that overflow on the way keep the two rules of the integral from agreeing.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return tail(ResidualLaw(basis, lag), statistic)
    except ArithmeticError:
        if len(basis) > _MOST_EIGENVALUES:
            raise
        return tail(EigenvalueLaw(basis, lag), statistic)
