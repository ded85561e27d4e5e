"""Linear regression by least squares: the function that users call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn._shared.numbers import check_choice, check_flag, check_number
from fastnn.stats.linalg.solvers import METHODS
from fastnn.stats.regression.covariance import CovarianceType
from fastnn.stats.regression.fit import fit_data, warn_if_deficient
from fastnn.stats.regression.inputs import checked_formula, read_data
from fastnn.stats.result import RegressionResult


def linear_regression(
    X: Any,
    y: object = None,
    *,
    data: object = None,
    add_intercept: bool = True,
    weights: object = None,
    method: str = "qr",
    names: Sequence[str] | None = None,
    ridge: float = 0.0,
    cov_type: str = "classical",
    lags: int | str | None = None,
    kernel: str | None = None,
    prewhiten: int = 0,
    small_sample: bool = False,
    groups: object = None,
    refine: bool | None = None,
    copy: bool | None = None,
) -> RegressionResult:
    """Fit y = X b by ordinary, weighted or ridge least squares.

    Parameters
    ----------
    X : (n, k) or (n,) array_like, table or str
        Regressors: real numbers of any dtype and memory layout, booleans and integers included.
        Without a column of ones unless `add_intercept` is False.  Tables of pandas, polars and
        pyarrow are read by column.  Or a formula about the columns of `data`, such as
        ``"y ~ x + C(group)"``: see Notes.
    y : (n,) or (n, m) array_like, Series or table
        One response, or m responses that are fitted to the same regressors.  None with a formula.
    data : table or mapping of columns, optional
        Data of a formula.
    add_intercept : bool, default True
        Whether a column of ones, named "intercept", is added in front of the columns of X.
    weights : (n,) array_like or str, optional
        Positive numbers, proportional to the inverse variances of the errors.
    method : {"qr", "svd", "cholesky"}
        "qr" is Householder QR by blocks of rows, with column pivoting of the final triangle.
        "svd" is the singular value decomposition, which gives the coefficients of least norm
        where X is rank deficient.  "cholesky" solves the normal equations, b = (X'X)^-1 X'y; it
        raises ValueError where the condition number of X is too large for it.
    names : sequence of str, optional
        Names of the k columns of X; by default those of the DataFrame, or x1, x2...
    ridge : float, default 0
        Penalty lambda: the fit minimises sum w (y - X b)^2 + lambda |b|^2, where b is in the
        units of X and excludes the intercept.  See Notes.
    cov_type : {"classical", "HC0", "HC1", "HC2", "HC3", "HAC", "CR0", "CR1", "CR1S", "CR2"}
        Estimator of the covariance of the coefficients, from which standard errors, t, p,
        intervals and F are computed.  "classical" assumes independent errors of equal variance.
        "HC0" to "HC3" allow unequal variances (White; MacKinnon & White).  "HAC" allows
        autocorrelation as well (Newey & West) and takes the rows in order of time.  "CR0" to
        "CR2" allow any dependence within the clusters of `groups`: see Notes.
    lags : int, "newey-west" or "andrews", optional
        Number of lags L of "HAC", whose bandwidth is L + 1; by default the integer part of
        4 (n/100)^(2/9) (Newey & West 1994).  The names choose the bandwidth from the data, as
        `bwNeweyWest` and `bwAndrews` of R's sandwich do; with "bartlett", "newey-west" takes
        the integer part as number of lags, as `NeweyWest` does.  These two rules depend on the
        units and origins of the columns.
    kernel : {"bartlett", "parzen", "uniform", "tukey-hanning", "quadratic-spectral"}, optional
        Weights of the lags of "HAC"; by default "bartlett".  The covariance of "uniform" and
        "tukey-hanning" may fail to be positive definite.
    prewhiten : int, default 0
        Order of the vector autoregression that "HAC" fits to the products of residuals and
        columns first (Andrews & Monahan); 0 for none.
    small_sample : bool, default False
        Whether "HAC" is multiplied by n / (n - p).
    groups : (n,) or (n, 2) array_like, table of one or two columns, str or pair, optional
        Labels of the clusters of "CR0" to "CR2"; two columns, or a pair of vectors, are two
        groupings.  pandas objects must have the index of X.  As many clusters as rows are
        allowed.
    refine : bool, optional
        Whether the normal equations are formed in twice the working precision, to correct
        coefficients, covariance and residual sum of squares to about 15 digits for the data as
        stored in float64.  The default is True where this takes a few milliseconds: where
        n (k + m + 1)^2 is at most 2^20 and the method is not "cholesky".  Without refinement,
        the error grows with the condition number, as in other programs.  A solution of least
        norm of a rank-deficient problem is not refined.
    copy : bool, optional
        Whether the result holds a copy of X in float64.  Without a copy, the result refers to
        X, which must then not change, and reads it by blocks when it is needed.  The default
        is True, except for a memory map.

    Returns
    -------
    RegressionResult

    Raises
    ------
    ValueError
        If shapes do not match; if X or y has nan or infinite values (the error counts them); if
        there are fewer rows than coefficients (allowed with "svd" or a ridge penalty); if weights
        are not positive; if names repeat or are not k names; if X is too ill-conditioned for
        "cholesky"; or if "cholesky" is combined with a ridge penalty.
    TypeError
        If X, y or weights do not hold real numbers, or arguments of formulas and of arrays are
        mixed.
    ImportError
        If X is a formula and formulaic is not installed.

    Warns
    -----
    RankDeficiencyWarning
        If columns are linearly dependent; the message and ``result.dependencies`` name them.
    UserWarning
        If the covariance is HAC and a time index of pandas is not sorted.

    Notes
    -----
    A formula is evaluated by formulaic (extra ``formula``), which documents its grammar.  It names
    the columns, such as ``C(group)[T.b]``; the constant is "Intercept".  `weights` and `groups` may
    be names of columns of `data`.  Rows with a missing value in a column that is used are left out,
    as in R; the summary counts them.  Functions are those of formulaic and of NumPy as ``np``.
    Formulas are Python expressions: evaluate no formula from a source that you do not trust.

    "CR0" sums the products of the scores of each of G clusters.  "CR1" multiplies it by G/(G - 1),
    and "CR1S" by G/(G - 1) (n - 1)/(n - p), as Stata and sandwich's `vcovCL` do.  Tests have
    G - 1 degrees of freedom.  Two groupings are added, and their intersection is subtracted, each
    with a factor of its own; G is then the smaller number of clusters (Cameron, Gelbach &
    Miller).  "CR2" is unbiased for independent errors of equal variance (of variance 1/w with
    weights), and each coefficient has the degrees of freedom of Satterthwaite; F is the
    approximation "HTZ" of clubSandwich (Bell & McCaffrey; Pustejovsky & Tipton).  A coefficient
    that one cluster alone determines has no standard error then.

    With a ridge penalty, standard errors are those of the biased estimator,
    s^2 (X'X + P)^-1 X'X (X'X + P)^-1, where s^2 is the residual sum of squares divided by n less
    the effective parameters.  They account neither for the bias nor for a penalty that was chosen
    from y.  The coverage of intervals may therefore be below their level.  F is undefined.

    References
    ----------
    Golub & Van Loan (2013), Matrix Computations, 4th ed., chapter 5.
    Demmel, Grigori, Hoemmen & Langou (2012), "Communication-optimal parallel and sequential
    QR and LU factorizations", SIAM J. Sci. Comput. 34(1).
    Cameron, Gelbach & Miller (2011), "Robust inference with multiway clustering", J. Business &
    Economic Statistics 29.
    Pustejovsky & Tipton (2018), "Small-sample methods for cluster-robust variance estimation and
    hypothesis testing in fixed effects models", J. Business & Economic Statistics 36.
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
    cov = CovarianceType.checked(cov_type, lags, kernel, prewhiten, small_sample)
    method = check_choice(method, "method", METHODS)
    ridge = check_number(ridge, "ridge", low=0.0)
    refuse_ridge_by_cholesky(ridge, method)
    if refine is not None and check_flag(refine, "refine") and ridge:
        raise ValueError(f"refine must not be True with a ridge penalty, got ridge={ridge:g}")
    add_intercept = check_flag(add_intercept, "add_intercept")
    copy = None if copy is None else check_flag(copy, "copy")
    if checked_formula(X, y, data, names, add_intercept):
        from fastnn.stats.regression.formula import read_formula

        read, arguments = read_formula(X, data, {"weights": weights, "groups": groups})
        groups = arguments["groups"]
    else:
        read = read_data(X, y, names=names, weights=weights, add_intercept=add_intercept, copy=copy)
    if groups is not None or cov.is_clustered:
        cov = cov.with_groups(groups, len(read.response), read.labels.rows)
    fit = fit_data(read, method, ridge, refine)
    warn_if_deficient(fit)
    return RegressionResult(fit, cov)


def refuse_ridge_by_cholesky(ridge: float, method: str) -> None:
    """Raise ValueError for a ridge penalty with the normal equations."""
    if ridge and method == "cholesky":
        raise ValueError("ridge needs method='qr' or 'svd', got method='cholesky'")
