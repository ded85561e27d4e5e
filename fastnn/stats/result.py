"""The result of a linear regression, as users see it."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn.stats.regression.covariance import CovarianceType
from fastnn.stats.regression.estimates import check_level
from fastnn.stats.regression.influence import Influence
from fastnn.stats.regression.prediction import predict
from fastnn.stats.regression.summary import sheet
from fastnn.stats.tables.sheet import Sheet
from fastnn.stats.tables.shown import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastnn.stats.regression.contrasts import HypothesisTest
    from fastnn.stats.regression.terms import TermTable


class ConfidenceIntervals(NamedTuple):
    """Lower and upper limits: (p,) arrays, (p, m) arrays for m responses, or Series."""

    lower: Any
    upper: Any


class RegressionResult(Influence, Shown):
    """A fitted linear regression, as `linear_regression` returns it; `print` shows a summary.

    The shapes below are those of one response, given as a vector: p coefficients, n rows.  With m
    responses, (p,) becomes (p, m), (n,) becomes (n, m), a float becomes (m,), and the covariance
    becomes (m, p, p).  Where X is a pandas DataFrame, attributes of coefficients are Series with
    the names of the columns, and attributes of rows are Series with the index of X; `design`,
    `weights` and `names` are arrays and tuples in every case.

    Attributes
    ----------
    coefficients : (p,) array
        The intercept comes first.  nan for a column that is a linear combination of columns to
        its left (see `dependencies`), unless ``method="svd"``, which gives the coefficients of
        least norm.
    standard_errors, tvalues, pvalues : (p,) array
        The p-values are two-sided, from Student's t distribution with `df_coefficients` degrees
        of freedom, for every `cov_type`.
    df_coefficients : (p,) array
        Degrees of freedom of the tests and intervals of the coefficients: `df_residual`, or
        those of clusters (see `linear_regression`).
    covariance : (p, p) array
        Covariance matrix of the coefficients.
    names, response_names : tuple of str
        Names of the columns of `design`, and of the responses.
    design : (n, p) array or None
        Design matrix in float64, the intercept first; None where rows were streamed.
    response, weights : (n,) array
        Response and weights of the fit; `weights` is None for an unweighted fit.
    residuals, fitted : (n,) array
        Residuals and fitted values, not multiplied by weights.
    leverage : (n,) array
        Diagonal of the hat matrix.
    standardized_residuals : (n,) array
        Internally studentised: residuals divided by their estimated standard deviation.  nan
        where the leverage is 1.
    studentized_residuals : (n,) array
        Externally studentised: the standard deviation is estimated from the other rows.
    cooks_distance : (n,) array
        Change of the coefficients when the row is deleted, relative to their covariance.
    dffits : (n,) array
        Change of the fitted value when the row is deleted, in standard errors without the row.
    dfbetas : (n, p) array, or (m, n, p) array
        Change of each coefficient when the row is deleted, in standard errors without the row.
    covariance_ratio : (n,) array
        Determinant of the covariance of the coefficients without the row, divided by that of all
        rows.  nan, like the measures above, where the leverage is 1.
    method, cov_type, ridge
        As in `linear_regression`.
    has_intercept : bool
        Whether a constant is in the span of the columns.
    n_observations, n_parameters, rank : int
        Number of rows, of columns of the design, and of linearly independent columns.
    dependencies : tuple of str
        Each dependent column as an equation, ``"x3 = 2*x1 - intercept"``.
    effective_parameters : float
        Trace of the hat matrix: the rank, or less with a ridge penalty.
    df_model, df_residual : int, or float with a ridge penalty
        Degrees of freedom: the effective parameters without the constant, and n less the
        effective parameters.
    residual_sum_of_squares, total_sum_of_squares : float
        Weighted sums.  The total is about the mean where there is a constant, about zero
        otherwise.
    residual_standard_deviation : float
        Square root of the residual sum of squares over `df_residual`.
    r_squared, adjusted_r_squared : float
    fvalue, f_pvalue : float
        F test of the hypothesis that all coefficients except the constant are zero.  It uses
        sums of squares, or is a Wald test where the covariance is robust.  nan with a ridge
        penalty.
    df_f : tuple of two numbers
        Numerator and denominator degrees of freedom of the F test.
    bandwidth : float or None
        Bandwidth of a HAC covariance that depends on the data.
    log_likelihood, aic, bic : float
        For normal errors, by the conventions of statsmodels: aic is -2 log_likelihood + 2 k with
        k effective parameters, which do not include the variance.  R counts the variance, which
        adds 2 to aic and log(n) to bic.
    condition_number, scaled_condition_number : float
        Ratio of the extreme singular values of the (weighted) design, and of the design with
        columns of unit length, which does not depend on units.
    variance_inflation : (p,) array
        1 / (1 - R^2) of the regression of each column on the others; nan for a constant.
    """

    def __repr__(self) -> str:
        return (
            f"<RegressionResult: {', '.join(self.response_names)} on {len(self.names)} columns, "
            f"{self.n_observations} observations>"
        )

    def summary(self, level: float = 0.95) -> str:
        """The result as text: coefficients, goodness of fit, residuals.

        Several responses give several tables.  Where the exact p-value of the Durbin-Watson
        statistic takes many seconds (a million rows by 10 columns), the table shows the statistic
        alone; `durbin_watson` computes the p-value.

        Parameters
        ----------
        level : float, default 0.95
            Level of the confidence intervals.

        Returns
        -------
        str
        """
        from fastnn.stats.tables.plain import as_text

        return "\n\n".join(map(as_text, self._sheets(level)))

    def to_latex(self, level: float = 0.95) -> str:
        """The summary as LaTeX, for documents that load the package booktabs.

        Parameters
        ----------
        level : float, default 0.95
            Level of the confidence intervals.

        Returns
        -------
        str
            Environments ``tabular``, without a float around them.
        """
        from fastnn.stats.tables.latex import as_latex

        return "\n\n".join(map(as_latex, self._sheets(level)))

    def _sheets(self, level: float = 0.95) -> tuple[Sheet, ...]:
        level = check_level(level)
        results = [self]
        if not self._labels.single:
            results = [self.for_response(name) for name in self.response_names]
        return tuple(sheet(one, level, one._diagnostics()) for one in results)

    def _diagnostics(self) -> list[tuple[str, str]]:
        """What the summary shows of the residuals of one response."""
        from fastnn.stats.diagnostics.summary import diagnostic_entries

        return [] if self.design is None else diagnostic_entries(self, self.durbin_watson)

    def confidence_intervals(self, level: float = 0.95) -> ConfidenceIntervals:
        """Confidence intervals of the coefficients.

        Parameters
        ----------
        level : float, default 0.95
            Probability that an interval contains the true coefficient.

        Returns
        -------
        ConfidenceIntervals
            ``lower`` and ``upper``, each (p,) or (p, m).
        """
        ends = (
            self._labels.by_column(self.law.shown(end))
            for end in self.law.interval(check_level(level))
        )
        return ConfidenceIntervals(*ends)

    def predict(
        self,
        X: object,
        interval: str | None = None,
        level: float = 0.95,
        *,
        weights: object = None,
    ) -> Any:
        """Predict the mean of the response at new rows.

        Parameters
        ----------
        X : (n, k) array_like or table
            Regressors without the intercept column.  If the fit was to a table, the columns of
            a table are selected by name, and further columns are ignored.  If it was by a
            formula, a table of the variables, which are encoded as in the fit.
        interval : None, "confidence" or "prediction"
            Kind of interval to return: of the mean ("confidence"), or of a new observation
            ("prediction").
        level : float, default 0.95
        weights : (n,) array_like, optional
            Weights of the new observations, for the prediction interval of a weighted fit; by
            default 1.  The variance of a new observation is that of the errors divided by its
            weight.

        Returns
        -------
        (n,) or (n, m) array, or Prediction
            The means; with ``interval`` a named tuple of ``mean``, ``lower``, ``upper`` and
            ``standard_error`` of the mean.  Series or DataFrames where X is a DataFrame and the
            fit was to a DataFrame.

        Raises
        ------
        ValueError
            If the columns of X are not those of the fit, X has values that are not finite, or
            weights are not positive or have no use.

        Warns
        -----
        RankDeficiencyWarning
            If columns of the fit were linearly dependent and new rows violate the dependence.
        """
        return predict(self, X, interval, level, weights)

    def to_frame(self, level: float = 0.95) -> Any:
        """The coefficients as a pandas DataFrame with one row for each term.

        Parameters
        ----------
        level : float, default 0.95
            Level of the confidence intervals.

        Returns
        -------
        DataFrame
            Columns ``term``, ``estimate``, ``std_error``, ``statistic``, ``p_value``, ``lower``
            and ``upper``; before them ``response`` where there are several.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        from fastnn.stats.regression.tidy import coefficients_table

        return coefficients_table(self, check_level(level))

    def glance(self) -> Any:
        """Measures of the fit as a pandas DataFrame with one row for each response.

        Returns
        -------
        DataFrame
            The columns are attributes of the result, such as ``r_squared`` and ``aic``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        from fastnn.stats.regression.tidy import figures_table

        return figures_table(self)

    def test(self, hypotheses: object, values: object = None) -> HypothesisTest:
        """Test linear hypotheses about the coefficients, by the covariance of this result.

        Parameters
        ----------
        hypotheses : str or (q, p) array_like
            Equations, separated by commas: ``"x1 = x2, 2*x3 - x4 = 1"``.  They have names of
            columns, numbers, + - * / and parentheses; a sum alone is compared with 0.  Names that
            are not identifiers stand in backquotes or quotation marks: ``"`body mass` = 0"``;
            those of terms of a formula need none: ``"C(group)[T.b] = x:z"``.  Or the matrix R of
            hypotheses R b = r, with the columns of `names`.
        values : (q,) array_like, optional
            The numbers r beside a matrix; by default 0.

        Returns
        -------
        HypothesisTest
            A t test of each hypothesis; F and Wald tests of all together.

        Raises
        ------
        ValueError
            For text outside the grammar, unknown names, hypotheses that depend on each other,
            coefficients that the data do not determine, several responses, a ridge penalty.
        """
        from fastnn.stats.regression.contrasts import hypothesis_test

        return hypothesis_test(self, hypotheses, values)

    def anova(
        self, type: int | str = 2, terms: Mapping[str, str | Sequence[str]] | None = None
    ) -> TermTable:
        """Analysis of variance by terms: those of the formula, or columns and groups of columns.

        Type I tests each term after the ones before it, type II after all terms that do not contain
        it, and type III after all others.  `stats.anova` compares several models.

        Parameters
        ----------
        type : {1, 2, 3, "I", "II", "III"}, default 2
        terms : mapping of str to str or sequence of str, optional
            Columns of each term, by name.  Other columns are in the model and are not tested; for
            type I they come first.  By default the terms of the formula; without a formula, each
            column but the constant.

        Returns
        -------
        TermTable
            The F tests use the covariance of this result.  With a robust one there are no sums of
            squares.

        Raises
        ------
        ValueError
            For type I with a robust covariance, several responses, a ridge penalty, no residual
            degrees of freedom, or names that are no columns.

        Warns
        -----
        UserWarning
            If type III tests depend on the level that contrasts take as the base.

        Notes
        -----
        A term contains another one if it has all its factors: ``a:b`` contains ``a``.  Without a
        formula no term contains another, and type II has the tests of type III.  These have a row
        for the constant.  Types II and III are those of R's ``car::Anova``, and type I is that of
        its ``anova``.
        """
        from fastnn.stats.regression.terms import term_table

        return term_table(self, type, terms)

    def with_covariance(
        self,
        cov_type: str,
        *,
        lags: int | str | None = None,
        kernel: str | None = None,
        prewhiten: int = 0,
        small_sample: bool = False,
        groups: object = None,
    ) -> RegressionResult:
        """The same fit with another covariance of the coefficients.

        Parameters
        ----------
        cov_type, lags, kernel, prewhiten, small_sample, groups
            As in `linear_regression`.

        Returns
        -------
        RegressionResult
        """
        cov = CovarianceType.checked(cov_type, lags, kernel, prewhiten, small_sample)
        groups = self._labels.by_name(groups, "groups")
        cov = cov.with_groups(groups, self.n_observations, self._labels.rows)
        return RegressionResult(self._fit, cov)

    def for_response(self, response: int | str) -> RegressionResult:
        """The result of one of several responses, equal to that of a separate fit.

        Parameters
        ----------
        response : int or str
            Index or name of the response.

        Returns
        -------
        RegressionResult
        """
        names = self.response_names
        if isinstance(response, str):
            if response not in names:
                raise ValueError(f"response must be one of {', '.join(names)}, got {response!r}")
            place = names.index(response)
        else:
            place = operator.index(response)
            if not 0 <= place < len(names):
                raise IndexError(f"response must be from 0 to {len(names) - 1}, got {place}")
        return RegressionResult(self._fit.select(place), self.law.cov)

    def durbin_watson(self, alternative: str = "two-sided") -> Any:
        """The Durbin-Watson test of the residuals in the order of the rows, with exact p-value.

        `durbin_watson_test` has further options: the order of the rows and the lag.

        Parameters
        ----------
        alternative : {"two-sided", "positive", "negative"}
            Sign of the autocorrelation under the alternative hypothesis.

        Returns
        -------
        DurbinWatsonResult

        Raises
        ------
        ValueError
            Where the distribution of the statistic is not known: streamed rows, a ridge penalty,
            several responses, a lagged response among the regressors, zero residuals.
        """
        from fastnn.stats.diagnostics.durbin_watson.statistic_and_test import durbin_watson_test

        if alternative not in self._tested:
            self._tested[alternative] = durbin_watson_test(self, alternative=alternative)
        return self._tested[alternative]

    @cached_property
    def _tested(self) -> dict[str, Any]:
        return {}

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw four plots of the residuals in one figure.

        Residuals against fitted values, normal quantiles, scale against location, and
        residuals against leverage with contours of Cook's distance.  Each plot labels its three
        most extreme rows.  Of more than 5000 rows, an evenly spaced subset and the most extreme
        rows are drawn.

        Parameters
        ----------
        path : str or path-like, optional
            File to save the figure to; the suffix determines the format.

        Returns
        -------
        Figure

        Raises
        ------
        ValueError
            If there are several responses: select one with `for_response`.
        ImportError
            If matplotlib is not installed.
        """
        from fastnn.stats.regression.plots import residual_plots

        self._refuse_several("plot")
        return residual_plots(self, path)

    def plot_influence(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw studentised residuals against leverage, with circles of area Cook's distance.

        The three rows of the largest Cook's distance are labelled.  Lines show residuals of -2, 0
        and 2, and two and three times the mean leverage.

        Parameters
        ----------
        path : str or path-like, optional
            File to save the figure to; the suffix determines the format.

        Returns
        -------
        Figure

        Raises
        ------
        ValueError, ImportError
            As for `plot`.
        """
        from fastnn.stats.regression.influence_plots import influence_plot

        self._refuse_several("plot_influence")
        return influence_plot(self, path)

    def plot_added_variables(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the response against each column, both after regression on the other columns.

        The slope of the line is the coefficient of the column.  Rows are multiplied by the roots
        of their weights.

        Parameters
        ----------
        path : str or path-like, optional
            File to save the figure to; the suffix determines the format.

        Returns
        -------
        Figure

        Raises
        ------
        ValueError
            If there are several responses, a ridge penalty, or no column but the constant.
        ImportError
            If matplotlib is not installed.
        """
        from fastnn.stats.regression.influence_plots import added_variable_plots

        self._refuse_several("plot_added_variables")
        return added_variable_plots(self, path)

    def _refuse_several(self, method: str) -> None:
        """Raise an error if there are several responses, or rows that are not stored."""
        self.problem.rows  # noqa: B018 raises an error for streamed rows
        if len(self.response_names) > 1:
            raise ValueError(
                f"{method} draws one response, and there are {len(self.response_names)}; "
                f"use result.for_response(name).{method}()"
            )
