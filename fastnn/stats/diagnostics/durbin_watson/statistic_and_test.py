"""The Durbin-Watson statistic, and the test with exact p-values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import FLOAT32, FLOAT64, as_real, check_finite
from fastnn._shared.numbers import check_choice, check_flag, check_integer, check_number
from fastnn.stats.diagnostics.durbin_watson.ordered import (
    SeriesOptions,
    basis_of_data,
    ordered_rows,
    rows_in_series,
)
from fastnn.stats.diagnostics.durbin_watson.quadratic_forms import (
    EigenvalueLaw,
    ResidualLaw,
    has_one_eigenvalue,
)
from fastnn.stats.diagnostics.durbin_watson.series import Runs, RunsLaw
from fastnn.stats.diagnostics.durbin_watson.tail import Tail, tail
from fastnn.stats.diagnostics.residuals import ALTERNATIVES
from fastnn.stats.linalg.basis import has_constant
from fastnn.stats.regression.inputs import index_of
from fastnn.stats.tables.frames import table
from fastnn.stats.tables.sheet import Facts, Sheet
from fastnn.stats.tables.shown import Shown

_MOST_EIGENVALUES = 2000
_AT_THE_MEAN = 1e-8  # distance of a statistic from its mean, where it may be a constant
_SMALLEST_SUM = 1e-280  # smaller sums of squares may have lost digits by underflow


# ----------------------------------------------------------------------------- statistic


def durbin_watson(
    residuals: object,
    axis: int = 0,
    lag: int = 1,
    *,
    groups: object = None,
    time: object = None,
) -> Any:
    """The Durbin-Watson statistic of residuals, sum (e[t] - e[t - lag])^2 / sum e[t]^2.

    It is about 2 (1 - r), where r is the autocorrelation at that lag: 2 without autocorrelation,
    close to 0 for strong positive and close to 4 for strong negative autocorrelation.

    Parameters
    ----------
    residuals : array_like
        Real numbers in the order of the observations, at least ``lag + 1`` along `axis`.
        Arrays of float32 and float64 are read without a copy, for any strides; sums are
        computed in float64.
    axis : int
        Axis of the observations.
    lag : int
        Distance of the residuals in each difference: 1 for the Durbin-Watson statistic, a larger
        lag for Vinod's generalisation (4 for quarterly data).
    groups : (n,) array_like, optional
        Labels of the entities of a panel, for residuals of shape (n,): differences are taken
        within an entity only.
    time : (n,) array_like, optional
        Numbers, periods or dates, for residuals of shape (n,): differences are taken between
        successive times only, as `durbin_watson_test` describes.

    Returns
    -------
    float or array of float64
        The shape of `residuals` without `axis`.

    Raises
    ------
    ValueError
        If residuals are all zero, not finite, or too few; if groups or times do not match them.

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
    if groups is not None or time is not None:
        return _of_panel(residuals, check_integer(lag, "lag", 1), groups, time)
    array = _readable(as_real(residuals, "residuals"))
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
    """The statistic of one series, with little overhead."""
    sums = np.empty((2, 1, 1))
    kernel = backend.kernels(array.dtype.type).squared_differences
    kernel(array[np.newaxis, :, np.newaxis], lag, sums)
    differences, squares = sums.item(0), sums.item(1)
    if not _SMALLEST_SUM < squares < math.inf:
        kernel = backend.kernels(np.float64).squared_differences
        kernel(_rescaled(array, 0)[np.newaxis, :, np.newaxis], lag, sums)
        differences, squares = sums.item(0), sums.item(1)
    return differences / squares


def _of_panel(residuals: Any, lag: int, groups: Any, time: Any) -> float:
    """The statistic of one series with differences within groups and between successive times."""
    array = as_real(residuals, "residuals")
    if array.ndim != 1:
        raise ValueError(
            f"residuals must have shape (n,) where groups or times are given, got {array.shape}"
        )
    runs = Runs.read(groups, time, len(array), index_of(residuals), lag)
    return runs.statistic(_rescaled(array, 0))


def _readable(array: np.ndarray) -> np.ndarray:
    """The array itself where the kernel can read it, otherwise a contiguous float64 copy."""
    native = array.dtype is FLOAT64 or array.dtype is FLOAT32
    if native and (array.flags.carray or _has_whole_steps(array)):
        return array
    return np.array(array, np.float64, order="C")


def _has_whole_steps(array: np.ndarray) -> bool:
    """Whether elements are aligned and strides are multiples of the element size."""
    return array.flags.aligned and not any(step % array.itemsize for step in array.strides)


def _sums(array: np.ndarray, axis: int, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squared differences and of squares along an axis, without a copy."""
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
    """Residuals in float64, scaled to size 1, so that squares neither over- nor underflow."""
    check_finite(array, "residuals", "drop or fill such rows first")
    largest = np.abs(array).max(axis=axis, keepdims=True).astype(np.float64)
    if not largest.all():
        which = np.argwhere(largest == 0)[0] if largest.size > 1 else None
        where = "" if which is None else f" at {tuple(map(int, which))}"
        raise ValueError(
            f"residuals are all zero{where}: the Durbin-Watson statistic, 0 / 0, is undefined"
        )
    # By an exponent, because the reciprocal of a subnormal number is infinite.
    exponent = -np.frexp(largest)[1]
    return np.ldexp(array.astype(np.float64), exponent)


# ---------------------------------------------------------------------------------- test


@dataclass(frozen=True)
class DurbinWatsonResult(Shown):
    """The result of `durbin_watson_test`; unpacks as ``statistic, pvalue``.

    Attributes
    ----------
    statistic : float
        d, from 0 to 4.
    pvalue : float
        p-value of the alternative.
    error : float
        Bound of the absolute error of the p-value, by integration and rounding.
    alternative : str
        ``"two-sided"``, ``"positive"`` or ``"negative"``.
    lag : int
    n : int
        Number of observations.
    k : int
        Number of independent regressors, the intercept excluded.
    has_intercept : bool
        Whether a constant is in the span of the regressors.
    p_positive, p_negative : float
        P(D < d), the p-value against positive autocorrelation, and P(D > d), the p-value against
        negative autocorrelation.  The smaller one has a small relative error, however small it
        is.
    differences : int or None
        Number of differences where groups or times leave some out; None for n - lag.
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
    differences: int | None = None

    def __iter__(self) -> Iterator[float]:
        return iter((self.statistic, self.pvalue))

    def _sheets(self) -> tuple[Sheet, ...]:
        regressors = f"{self.k} regressor{'' if self.k == 1 else 's'}"
        intercept = "and an intercept" if self.has_intercept else "and no intercept"
        certainty = f"{self.alternative}, exact, error below {_ceiling(self.error)}"
        facts = Facts((
            ("d", f"{self.statistic:.5f}", "0 positive, 2 none, 4 negative"),
            ("p", f"{self.pvalue:.6g}", certainty),
        ))  # fmt: skip
        note = f"{self.n} observations, {regressors} {intercept}"
        return (Sheet(((facts,),), self._title, notes=(note,)),)

    @property
    def _title(self) -> str:
        order = "" if self.lag == 1 else f" at lag {self.lag}"
        sign = {"two-sided": "", "positive": "positive ", "negative": "negative "}
        return f"Durbin-Watson test of {sign[self.alternative]}autocorrelation{order}"

    def to_frame(self) -> Any:
        """The test as a pandas DataFrame with one row.

        Returns
        -------
        DataFrame
            Columns ``statistic``, ``p_value``, ``method`` and ``alternative``, and the attributes
            ``error``, ``lag``, ``n``, ``k``, ``has_intercept``, ``p_positive``, ``p_negative`` and
            ``differences``.
        """
        columns = {
            "statistic": self.statistic,
            "p_value": self.pvalue,
            "method": "Durbin-Watson test",
            "alternative": self.alternative,
            **{name: getattr(self, name) for name in _COLUMNS},
            "differences": self.n - self.lag if self.differences is None else self.differences,
        }
        return table({name: [value] for name, value in columns.items()})

    def glance(self) -> Any:
        """The same as `to_frame`, as for tests in R's broom.

        Returns
        -------
        DataFrame
        """
        return self.to_frame()


_COLUMNS = ("error", "lag", "n", "k", "has_intercept", "p_positive", "p_negative")
"""Attributes of a result that are columns of its table."""


def _ceiling(error: float) -> str:
    """The power of ten above an error."""
    return f"1e{math.ceil(math.log10(max(error, 1e-300))):d}"


def durbin_watson_test(
    X: object,
    y: object = None,
    *,
    data: object = None,
    alternative: str = "two-sided",
    order_by: object = None,
    lag: int = 1,
    add_intercept: bool = True,
    allow_lagged_response: bool = False,
    groups: object = None,
    time: object = None,
    fixed_effects: bool = False,
) -> DurbinWatsonResult:
    """Test the errors of a linear regression for autocorrelation, with an exact p-value.

    The null hypothesis is that errors are independent and normal with equal variances.  The
    distribution of the statistic then depends on X only, and is computed exactly for any number
    of observations.

    Parameters
    ----------
    X : (n, k) array_like, table, RegressionResult or str
        Regressors without the intercept, in the order of the observations, or a fitted
        regression, weighted or not, or a formula.  Columns may be linearly dependent.
    y : (n,) array_like or Series, optional
        Response; must be omitted where `X` is a fitted regression or a formula.
    data : table or mapping of columns, optional
        Data of a formula, as in `linear_regression`; `order_by`, `groups` and `time` may name its
        columns.  Rows with missing values are left out; differences bridge them unless `time` is
        given.
    alternative : {"two-sided", "positive", "negative"}
        Sign of the autocorrelation under the alternative hypothesis.  The p-value is P(D < d)
        for "positive", P(D > d) for "negative", and twice the smaller of both for "two-sided",
        as in ``lmtest::dwtest`` of R.
    order_by : (n,) array_like or str, optional
        Numbers or times that define the order of the observations, or the name of a regressor
        or of another column of the table X.  Ties cause a warning.
    lag : int
        Distance of the residuals in each difference.
    add_intercept : bool
        Whether the regression has an intercept in addition to the columns of X.
    allow_lagged_response : bool
        Whether a column of X may hold the response of earlier rows; the test is then biased and
        its p-value not exact.
    groups : (n,) array_like, optional
        Labels of the entities of a panel: differences are taken within an entity only.
    time : (n,) array_like, optional
        Numbers of the periods, periods of pandas, or dates and times of NumPy, pandas, polars or
        Python.  Differences are taken between rows whose times differ by `lag` times the smallest
        difference; gaps are not bridged.
    fixed_effects : bool, default False
        Whether each entity has its own intercept: the modified statistic of Bhargava, Franzini and
        Narendranathan, for balanced and unbalanced panels.

    Returns
    -------
    DurbinWatsonResult
        It has `statistic`, `pvalue`, `error` and `alternative`.

    Raises
    ------
    TypeError
        If `y` is missing, or if `y` or `add_intercept` comes with a fitted regression.
    ValueError
        If residuals are zero, X has too few rows, values are not finite, the statistic is the
        same for every response, or a column holds the lagged response (use `durbin_h`).
    ArithmeticError
        If the integral does not converge, with more than 2000 observations.  With fewer
        observations, eigenvalues are used instead.  No example is known.

    Warns
    -----
    UserWarning
        If `order_by` has ties, or a time index of pandas is not sorted.

    Notes
    -----
    Dates are measured in calendar months where all of them have one place in their month: the same
    day, the last day, or the first or last business day.  Successive quarters are then three
    months apart.  Other dates are measured in days; if they are successive days without any
    Saturday and Sunday, in business days, so that Friday and Monday are successive.  Where the
    time of day varies, differences are those of time, in spite of clocks that are put forward.

    In a weighted regression, residuals and regressors are first multiplied by the square roots of
    the weights, which gives errors of equal variances under the null hypothesis.

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
    if groups is not None or time is not None or fixed_effects:
        if order_by is not None:
            raise TypeError("order_by must be left out where groups or time are given: use time")
        if fixed_effects and groups is None:
            raise TypeError("fixed_effects needs groups")
        effects = check_flag(fixed_effects, "fixed_effects")
        intercept = check_flag(add_intercept, "add_intercept")
        options = SeriesOptions(groups, time, effects, intercept, data)
        return _tested_in_series(X, y, options, alternative, lag)
    rows = ordered_rows(
        X,
        y,
        data=data,
        add_intercept=check_flag(add_intercept, "add_intercept"),
        order_by=order_by,
        allow_lagged_response=check_flag(allow_lagged_response, "allow_lagged_response"),
    )
    return _tested(durbin_watson(rows.residuals, lag=lag), rows.basis, alternative, lag)


def durbin_watson_pvalue(
    statistic: float,
    X: object,
    *,
    alternative: str = "two-sided",
    lag: int = 1,
    add_intercept: bool = True,
) -> DurbinWatsonResult:
    """The exact p-value of a given Durbin-Watson statistic, for example from a report.

    Parameters
    ----------
    statistic : float
        The statistic d.
    X : (n, k) array_like or DataFrame
        Regressors without the intercept, in the order of the observations.
    alternative : {"two-sided", "positive", "negative"}
        As in `durbin_watson_test`.
    lag : int
        Lag of the statistic.
    add_intercept : bool
        Whether the regression had an intercept in addition to the columns of X.

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
    law = ResidualLaw(basis, lag)
    if abs(law.trace / law.size - statistic) < _AT_THE_MEAN and has_one_eigenvalue(basis, lag):
        raise ValueError(
            f"the statistic is {statistic:.6g} for every response: with these regressors and "
            f"lag = {lag}, the residuals have no autocorrelation to test for"
        )
    exact = _exact_tail(law, basis, lag, statistic)
    pvalue, error = _pvalue(exact, alternative)
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


def _pvalue(exact: Tail, alternative: str) -> tuple[float, float]:
    """The p-value of an alternative, and a bound of its error."""
    return {
        "two-sided": (min(1.0, 2 * min(exact.below, exact.above)), 2 * exact.error),
        "positive": (exact.below, exact.error),
        "negative": (exact.above, exact.error),
    }[alternative]


def _tested_in_series(
    X: Any, y: Any, options: SeriesOptions, alternative: str, lag: int
) -> DurbinWatsonResult:
    """The test within groups and between successive times."""
    rows, runs, effects = rows_in_series(X, y, options, lag)
    law = RunsLaw(runs, rows.basis, effects)
    law.refuse_constant()
    statistic = runs.statistic(rows.residuals)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        exact = tail(law, statistic)
    pvalue, error = _pvalue(exact, alternative)
    has_intercept = bool(effects) or has_constant(rows.basis)
    return DurbinWatsonResult(
        statistic=statistic,
        pvalue=pvalue,
        error=error,
        alternative=alternative,
        lag=lag,
        n=len(rows.residuals),
        k=rows.basis.shape[1] - (has_intercept and not effects),
        has_intercept=has_intercept,
        p_positive=exact.below,
        p_negative=exact.above,
        differences=runs.differences,
    )


def _exact_tail(law: ResidualLaw, basis: np.ndarray, lag: int, statistic: float) -> Tail:
    """The tail at the statistic; by eigenvalues where elimination loses too many digits.

    Both methods are exact and have the same error bound.
    """
    try:
        # After an overflow the two rules of the integral disagree, which raises ArithmeticError.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return tail(law, statistic)
    except ArithmeticError:
        if len(basis) > _MOST_EIGENVALUES:
            raise
        return tail(EigenvalueLaw(basis, lag), statistic)
