"""The result of a regression."""

from __future__ import annotations

from typing import Any

from fastnn.stats._covariance import CovarianceType
from fastnn.stats._influence import Influence


class RegressionResult(Influence):
    """A fitted linear regression, as `linear_regression` returns it.

    Where the response is a vector, arrays have the shapes given here and scalars are floats;
    with m responses, (p,) becomes (p, m), (n,) becomes (n, m), a scalar (m,), and the
    covariance (m, p, p).  Where X was a pandas DataFrame, coefficients and what belongs to
    them are Series with the names of columns, and residuals and what belongs to rows are
    Series with the index of X; `design`, `weights` and `names` never are.

    Attributes
    ----------
    coefficients : (p,) array or Series
        The intercept first; nan where a column is a combination of others (see
        `dependencies`).
    standard_errors, tvalues, pvalues : (p,) array or Series
        The p-values are two-sided, of Student's t with `df_residual` degrees of freedom,
        for every `cov_type`.
    covariance : (p, p) array or DataFrame
    residuals, fitted, response : (n,) array or Series
        Not weighted.
    design : (n, p) array or None
        What was fitted, in float64, the intercept first; None where rows were streamed.
    weights : (n,) array or None
    has_intercept : bool
        Whether a constant is among the columns or a combination of them.
    names, response_names : tuple of str
    n_observations, n_parameters, rank : int
        `n_parameters` counts the columns of the design.
    df_model, df_residual : int
        rank less the constant, and n less the rank.
    residual_sum_of_squares, total_sum_of_squares : float
        Weighted; the total is about the mean where there is a constant, else about zero.
    """

    def __init__(self, fit: Any, cov: CovarianceType) -> None:
        super().__init__(fit, cov)
