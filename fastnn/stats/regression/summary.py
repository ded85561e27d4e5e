"""The sheet of a regression."""

from __future__ import annotations

import numpy as np

from fastnn.stats.regression.influence import Influence
from fastnn.stats.regression.tails import t_pvalue
from fastnn.stats.tables.cells import count_text, number_text, p_text
from fastnn.stats.tables.sheet import Entries, Grid, Pairs, Part, Sheet, Strip

_ILL_CONDITIONED = 1e8  # of columns of unit length: above it half of the digits may be lost
_WIDTHS = (12, 12, 12, 11, 10, 12, 12)  # smallest widths of the columns of coefficients
_LARGE_T = 1e7  # above it t has four significant digits
_METHODS = {"qr": "QR", "svd": "SVD, least norm", "cholesky": "normal equations"}


def sheet(result: Influence, level: float, diagnostics: Entries) -> Sheet:
    """The sheet of a regression of one response.

    Parameters
    ----------
    result : Influence
    level : float
        Of the confidence intervals.
    diagnostics : sequence of (name, value)
        Tests of the residuals; empty where rows were streamed.
    """
    sections: list[tuple[Part, ...]] = [(_head(result),), (_coefficients(result, level),)]
    if result.design is not None:
        sections.append((_quartiles(result), Pairs.in_turn(diagnostics)))
    notes = tuple(_notes(result))
    return Sheet(tuple(sections), "Linear regression", result.problem.labels.lead, notes)


def _head(result: Influence) -> Pairs:
    """Entries of the problem and of the goodness of fit, in turn."""
    kind = "Ridge" if result.ridge else "Weighted" if result.is_weighted else "Ordinary"
    method = f"{kind} least squares ({_METHODS[result.method]})"
    rest = count_text(result.df_residual)
    left = [
        ("Response", result.response_names[0]),
        ("Method", method),
        ("Covariance", result.law.cov.described(result.n_observations, result.bandwidth)),
        ("Observations", f"{result.n_observations:,}"),
        ("Degrees of freedom", f"{count_text(result.df_model)}, residual {rest}"),
        ("Residual std deviation", number_text(result.residual_standard_deviation)),
    ]
    r_squared = "R-squared" if result.has_intercept else "R-squared (uncentred)"
    test = f"F({count_text(result.df_f[0])}, {count_text(result.df_f[1])})"
    outcome = f"{number_text(result.fvalue)}, p = {p_text(result.f_pvalue)}"
    right = [
        (r_squared, f"{result.r_squared:.4f}"),
        (f"Adjusted {r_squared}", f"{result.adjusted_r_squared:.4f}"),
        (test, outcome if np.isfinite(result.f_pvalue) else "undefined"),
        ("Log-likelihood", number_text(result.log_likelihood)),
        ("AIC", number_text(result.aic)),
        ("BIC", number_text(result.bic)),
    ]
    return Pairs(left, right)


def _coefficients(result: Influence, level: float) -> Grid:
    """A row for each coefficient."""
    lower, upper = result.law.interval(level)
    tail = f"{(1 - level) / 2:.4g}", f"{(1 + level) / 2:.4g}"
    titles = ("", "coef", "std err", "t", "P>|t|", f"[{tail[0]}", f"{tail[1]}]")
    law = result.law
    pvalues = t_pvalue(law.t, law.df_of_columns)
    table = np.column_stack([law.coefficients, law.errors, law.t, pvalues, lower, upper])
    rows = [
        (name, number_text(b), number_text(error), f"{t:.3f}" if abs(t) < _LARGE_T else f"{t:.4g}",
         p_text(p), number_text(low), number_text(high))
        if not np.isnan(b) else (name, "not determined", *[""] * 5)
        for name, (b, error, t, p, low, high) in zip(result.names, table, strict=True)
    ]  # fmt: skip
    return Grid(titles, tuple(rows), least=_WIDTHS)


def _quartiles(result: Influence) -> Strip:
    """Quartiles of the residuals."""
    e = result.problem.rows.weighted_residuals[:, 0]
    quartiles = np.quantile(e, [0, 0.25, 0.5, 0.75, 1])
    names = ("min", "1Q", "median", "3Q", "max")
    return Strip("Residuals", [*zip(names, map(number_text, quartiles), strict=True)])


def _notes(result: Influence) -> list[str]:
    """The condition number, and warnings about the numbers above."""
    notes = [
        f"Condition number {result.condition_number:.3g}; "
        f"{result.scaled_condition_number:.3g} with columns of unit length."
    ]
    if result.is_perfect:
        notes.append(
            "The fit is essentially perfect: residuals are rounding errors, and so are standard "
            "errors,\nt and p-values."
        )
    if result.dependencies:
        notes.append(f"Rank {result.rank} of {result.n_parameters}: some columns depend on others.")
        notes += [f"    {dependency}" for dependency in result.dependencies]
    elif result.scaled_condition_number > _ILL_CONDITIONED:
        notes.append("Columns are nearly dependent: coefficients react strongly to rounded data.")
    if result.ridge:
        notes.append(
            f"Ridge penalty {result.ridge:g}: coefficients are biased towards zero. Standard "
            "errors measure\ntheir spread, not their bias, so intervals may miss the true values."
        )
    if result.design is None:
        notes.append("Rows were streamed: statistics of single residuals are not available.")
    return notes
