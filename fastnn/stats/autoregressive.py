"""Regression with autoregressive errors of any order, by exact maximum likelihood.

The Cholesky factor of the inverse covariance of an autoregression has one band per order: it turns
u_t into u_t - sum phi_j u_{t-j}, and each of the first rows into the error of its prediction from
the rows before, by the recursion of Durbin and Levinson.  Stationary autoregressions are those
whose partial autocorrelations are between -1 and 1, so that these are the parameters.

References
----------
Barndorff-Nielsen & Schou (1973), "On the parametrization of autoregressive models by partial
autocorrelations", J. Multivariate Analysis 3.
Brockwell & Davis (1991), Time Series: Theory and Methods, 2nd ed., sections 5.2 and 8.6-8.8.
Burg (1975), Maximum Entropy Spectral Analysis: the starting values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special

from fastnn._shared.numbers import check_integer, check_number
from fastnn._shared.warnings import warn
from fastnn.stats.diagnostics.residuals import residual_series
from fastnn.stats.forecasts import ErrorModel
from fastnn.stats.regression.clustered import orthonormal_rows
from fastnn.stats.regression.estimates import check_level
from fastnn.stats.regression.influence import Influence
from fastnn.stats.regression.labels import framed
from fastnn.stats.remedies import ordinary_regression
from fastnn.stats.result import ConfidenceIntervals
from fastnn.stats.tables.cells import number_text, p_text
from fastnn.stats.tables.frames import table
from fastnn.stats.tables.sheet import Grid, Sheet
from fastnn.stats.tables.shown import Shown

_COMPLEX_STEP = 1e-30
_STEP = 1e-5  # of central differences of gradients
_NEAR = 1e-4  # steps below this, in standard errors, change the likelihood by rounding errors
_LARGEST = 12.0  # size of a parameter whose partial autocorrelation is 1 to rounding


@dataclass(frozen=True)
class AutoregressiveRegression(Shown):
    """A regression ``y = X b + u``, ``u_t = sum_j ar[j] u_{t-1-j} + innovation_t``.

    p-values and intervals use the normal distribution.

    Attributes
    ----------
    model : ErrorModel
        Estimates that predictions need.
    ar_covariance : (order, order) array
        Covariance matrix of the autoregressive coefficients: a block of the inverse of the
        observed information of these and the coefficients of the regression.
    log_likelihood : float
    innovations : (n,) array or Series
        Estimates of the innovations; the first `order` of them are errors of predictions from
        fewer rows, scaled to the same variance.
    iterations : int
    converged : bool
        Whether the last Newton step was at most the tolerance, in standard errors.
    """

    model: ErrorModel
    ar_covariance: np.ndarray
    log_likelihood: float
    innovations: Any
    iterations: int
    converged: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return self.model.ordinary.names

    @property
    def n_observations(self) -> int:
        """Number of rows."""
        return self.model.ordinary.n_observations

    @property
    def ar(self) -> np.ndarray:
        """Autoregressive coefficients."""
        return self.model.ar

    @property
    def ar_standard_errors(self) -> np.ndarray:
        """Standard errors of the autoregressive coefficients."""
        return np.sqrt(np.diag(self.ar_covariance))

    @property
    def innovation_variance(self) -> float:
        """Maximum likelihood estimate: the sum of squares of the innovations divided by n."""
        return self.model.variance

    def _by_column(self, values: np.ndarray) -> Any:
        return self.model.ordinary.problem.labels.by_column(values[:, None])

    @property
    def _covariance(self) -> np.ndarray:
        return self.model.root @ self.model.middle @ self.model.root.T

    @cached_property
    def coefficients(self) -> Any:
        """Coefficients of the regression."""
        return self._by_column(self.model.coefficients)

    @cached_property
    def covariance(self) -> Any:
        """Covariance matrix of the coefficients."""
        return self.model.ordinary.problem.labels.square(self._covariance[None])

    @cached_property
    def standard_errors(self) -> Any:
        """Standard errors of the coefficients."""
        return self._by_column(np.sqrt(np.diag(self._covariance)))

    @property
    def tvalues(self) -> Any:
        """Coefficients divided by their standard errors."""
        return self.coefficients / self.standard_errors

    @property
    def pvalues(self) -> Any:
        """Two-sided p-values of the coefficients, of the normal distribution."""
        return self._by_column(_normal_pvalue(np.asarray(self.tvalues)))

    @property
    def residuals(self) -> Any:
        """Responses less X b, the estimates of the errors."""
        return self.model.ordinary.problem.labels.by_row(self.model.residuals[:, None])

    @property
    def _n_parameters(self) -> int:
        return len(self.names) + len(self.ar) + 1

    @property
    def aic(self) -> float:
        """Akaike's information criterion; counts the variance as a parameter, as R does."""
        return -2 * self.log_likelihood + 2 * self._n_parameters

    @property
    def bic(self) -> float:
        """Bayesian information criterion; counts the variance as a parameter, as R does."""
        return -2 * self.log_likelihood + float(np.log(self.n_observations)) * self._n_parameters

    def confidence_intervals(self, level: float = 0.95) -> ConfidenceIntervals:
        """Confidence intervals of the coefficients, by the normal distribution.

        Parameters
        ----------
        level : float, default 0.95

        Returns
        -------
        ConfidenceIntervals
        """
        margin = _normal_quantile(check_level(level)) * self.standard_errors
        return ConfidenceIntervals(self.coefficients - margin, self.coefficients + margin)

    def predict(
        self,
        X: object,
        interval: str | None = None,
        level: float = 0.95,
        *,
        following: bool = False,
    ) -> Any:
        """Predict the response at new rows.

        Parameters
        ----------
        X : (h, k) array_like or DataFrame
            As in `RegressionResult.predict`.
        interval : None, "confidence" or "prediction"
            Without `following`, an interval of the mean or of an observation at any other time.
        level : float, default 0.95
        following : bool, default False
            Whether the rows are the h times after the sample, in order.  The mean then contains
            the forecast of the error, and the interval its growing variance.

        Returns
        -------
        (h,) array or Series, or Prediction
            Intervals account for the estimation of the coefficients, not for that of the
            autoregression.
        """
        return self.model.predict(X, interval, level, following, _normal_quantile)

    def rows(self) -> tuple[list[str], np.ndarray]:
        """Names of the terms, and their estimates, standard errors, z and p-values.

        Returns
        -------
        list of str
            The columns `names`, and ``ar1``, ``ar2``, ...
        (p + order, 4) array
        """
        lags = [f"ar{lag}" for lag in range(1, len(self.ar) + 1)]
        estimates = np.concatenate([np.asarray(self.coefficients), self.ar])
        errors = np.concatenate([np.asarray(self.standard_errors), self.ar_standard_errors])
        z = estimates / errors
        return [*self.names, *lags], np.stack([estimates, errors, z, _normal_pvalue(z)], axis=1)

    def _sheets(self) -> tuple[Sheet, ...]:
        state = "" if self.converged else ", NOT converged"
        names, figures = self.rows()
        rows = [
            (name, number_text(b), number_text(error), f"{z:.3f}", p_text(p))
            for name, (b, error, z, p) in zip(names, figures, strict=True)
        ]
        grid = Grid(("", "coef", "std err", "z", "P>|z|"), tuple(rows), least=(12, 13, 13, 11, 11))
        lead = (
            *self.model.ordinary.problem.labels.lead,
            f"Regression with errors of an autoregression of order {len(self.ar)}, exact maximum "
            "likelihood",
            f"{self.n_observations} observations, {self.iterations} iterations{state}",
            f"log-likelihood {number_text(self.log_likelihood)}, AIC {number_text(self.aic)}, "
            f"innovation variance {number_text(self.innovation_variance)}",
        )
        return (Sheet(((grid,),), lead=lead),)

    def to_frame(self, level: float = 0.95) -> Any:
        """Coefficients and autoregression as a pandas DataFrame with one row for each term.

        Parameters
        ----------
        level : float, default 0.95
            Level of the confidence intervals.

        Returns
        -------
        DataFrame
            Columns ``term``, ``estimate``, ``std_error``, ``statistic``, ``p_value``, ``lower``
            and ``upper``.  Terms of the autoregression are ``ar1``, ``ar2``, ...
        """
        names, figures = self.rows()
        estimates, errors, z, p = figures.T
        margin = _normal_quantile(check_level(level)) * errors
        return table({
            "term": names, "estimate": estimates, "std_error": errors, "statistic": z,
            "p_value": p, "lower": estimates - margin, "upper": estimates + margin,
        })  # fmt: skip

    def glance(self) -> Any:
        """Measures of the fit as a pandas DataFrame with one row.

        Returns
        -------
        DataFrame
            The columns are attributes of the result, such as ``log_likelihood`` and ``aic``.
        """
        names = (
            "innovation_variance", "log_likelihood", "aic", "bic", "n_observations", "iterations",
            "converged",
        )  # fmt: skip
        return table({name: [getattr(self, name)] for name in names})


def autoregressive_regression(
    X: object,
    y: object = None,
    order: int = 1,
    *,
    data: object = None,
    add_intercept: bool = True,
    names: object = None,
    tolerance: float = 1e-6,
    max_iterations: int = 100,
) -> AutoregressiveRegression:
    """Regression with autoregressive errors, by exact Gaussian maximum likelihood.

    Parameters
    ----------
    X : (n, k) array_like, table, RegressionResult or str
        Regressors without a column of ones, in the order of time and evenly spaced; or a fitted
        regression, which provides the data (`y`, `names` and `add_intercept` must then be
        omitted); or a formula about the columns of `data`.
    y : (n,) array_like
        Response.
    order : int, default 1
        Order of the autoregression.
    data : table or mapping of columns, optional
        Data of a formula, as in `cochrane_orcutt`.
    add_intercept : bool, default True
        Whether a column of ones is added.
    names : sequence of str, optional
        Names of the columns of X.
    tolerance : float, default 1e-6
        Newton's iteration ends when a step is at most this number of standard errors.
    max_iterations : int, default 100
        Largest number of steps; without convergence, a warning is issued.

    Returns
    -------
    AutoregressiveRegression

    Raises
    ------
    TypeError, ValueError
        If shapes do not match; if there are too few rows; or if the regression has weights, a
        penalty, streamed rows, dependent columns or a perfect fit.

    Notes
    -----
    R's ``arima(y, order = c(p, 0, 0), xreg = X)`` and statsmodels' ``SARIMAX`` maximise the same
    function.  The autoregression is stationary by its parametrisation.  Standard errors are those
    of the observed information of coefficients and autoregression jointly.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.stats import autoregressive_regression
    >>> rng = np.random.default_rng(0)
    >>> trend = np.arange(60.0)
    >>> noise = np.convolve(rng.normal(size=80), 0.7 ** np.arange(20), mode="valid")[:60]
    >>> fit = autoregressive_regression(trend, 3 + 0.5 * trend + noise)
    >>> fit.converged
    True
    """
    order = check_integer(order, "order", 1)
    tolerance = check_number(tolerance, "tolerance", 0.0)
    max_iterations = check_integer(max_iterations, "max_iterations", 1)
    ordinary = ordinary_regression(X, y, data, add_intercept, names)
    errors = residual_series(ordinary)  # refuses a perfect fit
    if len(errors) < ordinary.n_parameters + 2 * order + 1:
        raise ValueError(
            f"order={order} with {ordinary.n_parameters} coefficients needs at least "
            f"{ordinary.n_parameters + 2 * order + 1} rows, got {len(errors)}"
        )
    scale = float(np.abs(errors).max())
    likelihood = _Likelihood(orthonormal_rows(ordinary.problem), errors / scale)
    z, iterations, converged = _maximum(likelihood, order, tolerance, max_iterations)
    if not converged:
        warn(f"the likelihood has no maximum to the tolerance after {iterations} iterations")
    return _result(ordinary, likelihood, z, scale, iterations, converged)


@dataclass(frozen=True)
class _Likelihood:
    """The likelihood, with residuals of the ordinary regression as response.

    Attributes
    ----------
    basis : (n, r) array
        Basis of the columns of the design.
    errors : (n,) array
        Residuals of the ordinary regression.
    """

    basis: np.ndarray
    errors: np.ndarray

    def solved(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        """Log-likelihood less its constant, and the coefficients of the basis."""
        r = np.tanh(z)
        gamma = np.linalg.lstsq(
            whitened(r, self.basis), whitened(r, self.errors[:, None])[:, 0], rcond=None
        )[0]
        return float(self.value(z, gamma).real), gamma

    def value(self, z: np.ndarray, gamma: np.ndarray) -> Any:
        """Log-likelihood less its constant, for real or complex parameters."""
        r = np.tanh(z)
        e = whitened(r, (self.errors - self.basis @ gamma)[:, None])[:, 0]
        orders = np.arange(1, len(r) + 1)
        return -len(e) / 2 * np.log(e @ e) + orders @ np.log((1 - r) * (1 + r)) / 2

    def gradient(self, z: np.ndarray, gamma: np.ndarray) -> np.ndarray:
        """Derivatives by z and gamma: complex steps, which do not cancel."""
        slopes = [
            self.value(z + 1j * _COMPLEX_STEP * unit, gamma).imag / _COMPLEX_STEP
            for unit in np.eye(len(z))
        ]
        r = np.tanh(z)
        e = whitened(r, (self.errors - self.basis @ gamma)[:, None])[:, 0]
        return np.append(slopes, len(e) * (whitened(r, self.basis).T @ e) / (e @ e))

    def profile_gradient(self, z: np.ndarray) -> np.ndarray:
        """Derivatives by z of the likelihood that is maximised over gamma."""
        return self.gradient(z, self.solved(z)[1])[: len(z)]

    def information(self, z: np.ndarray, gamma: np.ndarray) -> np.ndarray:
        """Observed information of z and gamma, where the variance is at its maximum."""
        rows = whitened(np.tanh(z), self.basis)
        e = whitened(np.tanh(z), (self.errors - self.basis @ gamma)[:, None])[:, 0]
        whole = np.zeros((len(z) + len(gamma),) * 2)
        whole[: len(z)] = -_differences(lambda at: self.gradient(at, gamma), z)
        whole[:, : len(z)] = whole[: len(z)].T
        whole[: len(z), : len(z)] = (whole[: len(z), : len(z)] + whole[: len(z), : len(z)].T) / 2
        whole[len(z) :, len(z) :] = len(e) * (rows.T @ rows) / (e @ e)
        return whole


def _differences(function: Callable[[np.ndarray], np.ndarray], at: np.ndarray) -> np.ndarray:
    """(k, m) central differences of a function of (k,) arguments."""
    return np.array([
        (function(at + _STEP * unit) - function(at - _STEP * unit)) / (2 * _STEP)
        for unit in np.eye(len(at))
    ])  # fmt: skip


def _maximum(
    likelihood: _Likelihood, order: int, tolerance: float, max_iterations: int
) -> tuple[np.ndarray, int, bool]:
    """Newton's iteration with halved steps, from Burg's autoregression of the residuals."""
    z = np.arctanh(_burg(likelihood.errors, order))
    value = likelihood.solved(z)[0]
    for iteration in range(1, max_iterations + 1):
        gradient = likelihood.profile_gradient(z)
        hessian = -_differences(likelihood.profile_gradient, z)
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
        curvature = np.maximum(np.abs(values), 1e-6 * np.abs(values).max())
        step = vectors @ (vectors.T @ gradient / curvature)
        decrement = float(np.sqrt(abs(gradient @ step)))
        if decrement <= tolerance and values.min() > 0:
            return z, iteration, True
        for _ in range(40):
            trial = np.clip(z + step, -_LARGEST, _LARGEST)
            trial_value = likelihood.solved(trial)[0]
            if trial_value > value or decrement <= _NEAR:
                break
            step = step / 2
        else:
            return z, iteration, False
        z, value = trial, trial_value
    return z, max_iterations, False


def _result(
    ordinary: Influence, likelihood: _Likelihood, z: np.ndarray, scale: float,
    iterations: int, converged: bool,
) -> AutoregressiveRegression:  # fmt: skip
    """Estimates and their covariances in the units of the data."""
    value, gamma = likelihood.solved(z)
    r, n, order = np.tanh(z), len(likelihood.errors), len(z)
    covariance = np.linalg.inv(likelihood.information(z, gamma))
    jacobian = np.array([
        stages(np.tanh(z + 1j * _COMPLEX_STEP * unit))[-1].imag / _COMPLEX_STEP
        for unit in np.eye(order)
    ]).T  # fmt: skip
    own = likelihood.errors - likelihood.basis @ gamma
    innovations = scale * whitened(r, own[:, None])[:, 0]
    variance = float(innovations @ innovations) / n
    root = ordinary.problem.solution.root
    labels = ordinary.problem.labels
    model = ErrorModel(
        ordinary=ordinary,
        coefficients=ordinary.problem.solution.coefficients[:, 0] + scale * (root @ gamma),
        root=root,
        middle=scale**2 * covariance[order:, order:],
        ar=stages(r)[-1],
        variance=variance,
        residuals=scale * own,
    )
    return AutoregressiveRegression(
        model,
        jacobian @ covariance[:order, :order] @ jacobian.T,
        value - n / 2 * (np.log(2 * np.pi * scale**2 / n) + 1),
        framed(innovations, labels.rows, name=labels.responses[0])
        if labels.pandas
        else innovations,
        iterations,
        converged,
    )


def stages(r: np.ndarray) -> list[np.ndarray]:
    """Coefficients of the autoregressions of order 0, 1, ... with partial autocorrelations r."""
    phi = np.zeros(0, r.dtype)
    steps = [phi]
    for last in r:
        phi = np.append(phi - last * phi[::-1], last)
        steps.append(phi)
    return steps


def whitened(r: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n, k) rows multiplied by the banded factor of the inverse covariance.

    Parameters
    ----------
    r : (p,) array
        Partial autocorrelations; complex numbers are allowed.
    rows : (n, k) array
    """
    p, phis = len(r), stages(r)
    white = rows.astype(np.result_type(r, rows))
    for lag, phi in enumerate(phis[-1], 1):
        white[p:] -= phi * rows[p - lag : len(rows) - lag]
    shares = np.sqrt(np.cumprod(((1 - r) * (1 + r))[::-1])[::-1])
    for t in range(p):
        white[t] = shares[t] * (rows[t] - phis[t] @ rows[:t][::-1])
    return white


def _burg(series: np.ndarray, order: int) -> np.ndarray:
    """Partial autocorrelations by Burg's method, between -1 and 1."""
    ahead, behind = series[1:], series[:-1]
    r = np.zeros(order)
    for k in range(order):
        size = ahead @ ahead + behind @ behind
        r[k] = 2 * (ahead @ behind) / size if size > 0 else 0.0
        ahead, behind = (ahead - r[k] * behind)[1:], (behind - r[k] * ahead)[:-1]
    return np.clip(r, -0.99, 0.99)


def _normal_quantile(level: float) -> float:
    return float(special.ndtri(0.5 + level / 2))


def _normal_pvalue(z: np.ndarray) -> np.ndarray:
    """Two-sided p-values of the normal distribution."""
    return np.asarray(2 * special.ndtr(-np.abs(z)))
