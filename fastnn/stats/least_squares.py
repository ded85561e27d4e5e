"""Fitting linear regressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn._shared.numbers import check_choice, check_flag, check_number
from fastnn.stats.linalg.solvers import METHODS
from fastnn.stats.regression.covariance import CovarianceType
from fastnn.stats.regression.fit import fit_data, warn_if_deficient
from fastnn.stats.regression.inputs import read_data
from fastnn.stats.result import RegressionResult


def linear_regression(
    X: Any,
    y: Any,
    *,
    add_intercept: bool = True,
    weights: Any = None,
    method: str = "qr",
    names: Sequence[str] | None = None,
    ridge: float = 0.0,
    cov_type: str = "classical",
    lags: int | None = None,
    kernel: str | None = None,
    refine: bool | None = None,
    copy: bool | None = None,
) -> RegressionResult:
    """Fit y = X b by least squares, plain, weighted or with a ridge penalty.

    Parameters
    ----------
    X : (n, k) or (n,) array_like, or DataFrame
        Real numbers of any dtype and layout; booleans and integers count as numbers.  Without
        a column of ones unless `add_intercept` is False.
    y : (n,) or (n, m) array_like, Series or DataFrame
        One response, or several that are fitted at once.
    add_intercept : bool, default True
        Put a column of ones, named "intercept", in front.
    weights : (n,) array_like, optional
        Positive; proportional to the inverse variances of the errors.
    method : {"qr", "svd", "cholesky"}
        Householder QR by blocks of rows, pivoted at the end; the singular value
        decomposition, with the coefficients of least norm where the rank is deficient; or the
        Cholesky factor of the normal equations, b = (X'X)^-1 X'y, which is refused where the
        condition number makes it wrong.
    names : sequence of str, optional
        Of the k columns of X; by default those of the DataFrame, or x1, x2...
    ridge : float, default 0
        The penalty lambda: sum w (y - X b)^2 + lambda |b|^2 is least, in the units of X and
        without the intercept.  See Notes.
    cov_type : {"classical", "HC0", "HC1", "HC2", "HC3", "HAC"}
        Covariance of the coefficients, and so of standard errors, t, p, intervals and F:
        for errors of one variance, of different variances (White; MacKinnon & White), or
        that depend on those before them as well (Newey & West).  Rows are in order of time
        for HAC.
    lags : int, optional
        Of HAC; by default the integer part of 4 (n/100)^(2/9) (Newey & West 1994).
    kernel : {"bartlett", "parzen", "uniform"}, optional
        Weights of the lags of HAC; by default "bartlett".  "uniform" may give a covariance
        that is not positive.
    refine : bool, optional
        Form the normal equations in twice the working precision and correct coefficients,
        covariance and residual sum of squares until they are exact to about 15 digits for
        the data as they are in float64.  By default where it takes a few milliseconds: where
        n (k + m + 1)^2 is at most 2^20 and the method is not "cholesky".  Without it, digits
        are lost by the condition number, as with other programs.  Where the rank is
        deficient, a solution of least norm stays as it is.
    copy : bool, optional
        Whether the result keeps a copy of X in float64.  Without one it refers to X itself,
        which must then not change, and reads it again by blocks when that is needed.  By
        default it copies, but for a memory map.

    Returns
    -------
    RegressionResult

    Raises
    ------
    ValueError
        If shapes do not fit; if X or y has nan or infinite values, which are counted; if rows
        are fewer than coefficients (allowed with "svd" or a ridge penalty); if weights are
        not positive; if names repeat or are not k; or if "cholesky" would be wrong, or is asked
        for with a ridge penalty.
    TypeError
        If what is given does not hold real numbers.

    Warns
    -----
    RankDeficiencyWarning
        If columns depend on others; the message names them, and ``result.dependencies`` too.
    UserWarning
        If the covariance is HAC and a time index of pandas is not sorted.

    Notes
    -----
    With a ridge penalty, standard errors are those of the biased estimator,
    s^2 (X'X + P)^-1 X'X (X'X + P)^-1 with s^2 the residual sum of squares over n less the
    effective parameters: they do not know the bias, nor that the penalty may have been chosen
    by looking at y.  Intervals may hold the true coefficients more rarely than they say, and
    there is no F.

    References
    ----------
    Golub & Van Loan (2013), Matrix Computations, 4th ed., chapter 5.
    Demmel, Grigori, Hoemmen & Langou (2012), "Communication-optimal parallel and sequential
    QR and LU factorizations", SIAM J. Sci. Comput. 34(1).
    MacKinnon & White (1985), "Some heteroskedasticity-consistent covariance matrix estimators
    with improved finite sample properties", J. Econometrics 29.
    Newey & West (1994), "Automatic lag selection in covariance matrix estimation", Review of
    Economic Studies 61.
    Hoerl & Kennard (1970), "Ridge regression", Technometrics 12.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.stats import linear_regression
    >>> x = np.array([48.9, 50.4, 52.9, 55, 56.8, 58.8, 61.2, 62.5, 64.7, 68])
    >>> y = np.array([40.8, 42.5, 44.9, 46.1, 47.4, 49.1, 51.5, 53.5, 54.2, 57.3])
    >>> linear_regression(x, y).coefficients.round(4)
    array([-0.7439,  0.8542])
    """
    cov = CovarianceType.checked(cov_type, lags, kernel)
    method = check_choice(method, "method", METHODS)
    ridge = check_number(ridge, "ridge", low=0.0)
    refuse_ridge_by_cholesky(ridge, method)
    if refine is not None and check_flag(refine, "refine") and ridge:
        raise ValueError(f"refine must not be True with a ridge penalty, got ridge={ridge:g}")
    data = read_data(
        X,
        y,
        names=names,
        weights=weights,
        add_intercept=check_flag(add_intercept, "add_intercept"),
        copy=None if copy is None else check_flag(copy, "copy"),
    )
    fit = fit_data(data, method, ridge, refine)
    warn_if_deficient(fit)
    return RegressionResult(fit, cov)


def refuse_ridge_by_cholesky(ridge: float, method: str) -> None:
    """The rows of a penalty go into a QR factorisation or an SVD."""
    if ridge and method == "cholesky":
        raise ValueError("ridge needs method='qr' or 'svd', got method='cholesky'")
