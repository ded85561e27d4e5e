"""The summary of a regression as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.stats.regression.estimates import t_pvalue
from fastnn.stats.regression.influence import Influence

_LEAST_WIDTH = 80
_ILL_CONDITIONED = 1e8  # of columns of unit length: above it half of the digits may be lost
_WIDTHS = (12, 12, 11, 10, 12, 12)  # smallest widths of the columns of coefficients
_LARGE_T = 1e7  # above it t has four significant digits
_METHODS = {"qr": "QR", "svd": "SVD, least norm", "cholesky": "normal equations"}


Entries = Sequence[tuple[str, str]]
"""Names and values that stand in two columns, row by row."""


def summary(result: Influence, level: float, diagnostics: Entries) -> str:
    """The tables of a regression of one response.

    Parameters
    ----------
    result : Influence
    level : float
        Of the confidence intervals.
    diagnostics : sequence of (name, value)
        Tests of the residuals; empty where rows were streamed.
    """
    rows, head, tests = _coefficients(result, level), _head(result), diagnostics
    sides = (head[::2], head[1::2]), (tests[::2], tests[1::2])
    width = max(_LEAST_WIDTH, len(rows[0]), *(_length(*pair) for pair in sides))
    rule, thin = "=" * width, "-" * width
    parts = ["Linear regression".center(width).rstrip(), rule, *_columns(*sides[0], width), rule]
    parts += [rows[0], thin, *rows[1:], rule]
    if result.design is not None:
        parts += [*_quartiles(result, width), *_columns(*sides[1], width), rule]
    return "\n".join([*parts, *_notes(result)])


def _head(result: Influence) -> Entries:
    """Entries of the problem and of the goodness of fit, in turn."""
    kind = "Ridge" if result.ridge else "Weighted" if result.is_weighted else "Ordinary"
    method = f"{kind} least squares ({_METHODS[result.method]})"
    left = [
        ("Response", result.response_names[0]),
        ("Method", method),
        ("Covariance", result._cov.described(result.n_observations, result.bandwidth)),
        ("Observations", f"{result.n_observations:,}"),
        ("Degrees of freedom", f"{_count(result.df_model)}, residual {_count(result.df_residual)}"),
        ("Residual std deviation", number_text(result.residual_standard_deviation)),
    ]
    r_squared = "R-squared" if result.has_intercept else "R-squared (uncentred)"
    test = f"F({_count(result.df_f[0])}, {_count(result.df_f[1])})"
    outcome = f"{number_text(result.fvalue)}, p = {p_text(result.f_pvalue)}"
    right = [
        (r_squared, f"{result.r_squared:.4f}"),
        (f"Adjusted {r_squared}", f"{result.adjusted_r_squared:.4f}"),
        (test, outcome if np.isfinite(result.f_pvalue) else "undefined"),
        ("Log-likelihood", number_text(result.log_likelihood)),
        ("AIC", number_text(result.aic)),
        ("BIC", number_text(result.bic)),
    ]
    return [entry for pair in zip(left, right, strict=True) for entry in pair]


def _length(left: Entries, right: Entries) -> int:
    """Length of lines of two entries each, of which no value is cut."""
    longest = (max((len(name) + len(value) for name, value in side), default=0)
               for side in (left, right))  # fmt: skip
    return sum(longest) + 7


def _columns(left: Entries, right: Entries, width: int) -> list[str]:
    """Lines of two entries each; values are right-aligned."""
    right_width = max(31, max((len(name) + len(value) + 3 for name, value in right), default=0))
    left_width = width - right_width - 2
    return [
        f"{_pair(*a, left_width)}  {_pair(*b, right_width)}"
        for a, b in zip(left, right, strict=True)
    ]


def _pair(name: str, value: str, width: int) -> str:
    return f"{name}:{value:>{width - len(name) - 1}}"


def _coefficients(result: Influence, level: float) -> list[str]:
    """The header and a row for each coefficient."""
    lower, upper = result._interval(level)
    tail = f"{(1 - level) / 2:.4g}", f"{(1 + level) / 2:.4g}"
    head = ("coef", "std err", "t", "P>|t|", f"[{tail[0]}", f"{tail[1]}]")
    values = (result._shown(result._fit.solution.coefficients), result._errors, result._t)
    pvalues = t_pvalue(result._t, result._df_of_columns)
    table = np.column_stack([*values, pvalues, lower, upper])
    cells = [
        (number_text(b), number_text(error), f"{t:.3f}" if abs(t) < _LARGE_T else f"{t:.4g}",
         p_text(p), number_text(low), number_text(high))
        for b, error, t, p, low, high in table
    ]  # fmt: skip
    widths = [
        max(least, *(len(row[j]) + 2 for row in cells)) for j, least in enumerate(_WIDTHS)
    ]  # fmt: skip
    width = max(12, *(len(name) for name in result.names))
    lines = [" " * width + _joined(head, widths)]
    for name, row, b in zip(result.names, cells, table[:, 0], strict=True):
        if np.isnan(b):
            lines.append(f"{name:<{width}}{'not determined':>{widths[0] + widths[1]}}")
        else:
            lines.append(f"{name:<{width}}{_joined(row, widths)}")
    return lines


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _quartiles(result: Influence, width: int) -> list[str]:
    """Quartiles of the residuals."""
    e = result._weighted_residuals[:, 0]
    quartiles = np.quantile(e, [0, 0.25, 0.5, 0.75, 1])
    names = ("min", "1Q", "median", "3Q", "max")
    cell = (width - 12) // len(names)
    rows = [f"{'Residuals':<12}", " " * 12]
    for name, quartile in zip(names, quartiles, strict=True):
        rows = [rows[0] + f"{name:>{cell}}", rows[1] + f"{number_text(quartile):>{cell}}"]
    return rows


def _notes(result: Influence) -> list[str]:
    """The condition number, and warnings about the numbers above."""
    notes = [
        f"Condition number {result.condition_number:.3g}; "
        f"{result.scaled_condition_number:.3g} with columns of unit length."
    ]
    if result._is_perfect:
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


def p_text(p: float) -> str:
    """A p-value with three decimals, or as a power of ten where they would be zeros."""
    return f"{p:.3f}" if not p < 0.0005 else f"{p:.3g}"


def number_text(value: float) -> str:
    """Five significant digits, with an exponent for very large and very small numbers."""
    size = abs(value)
    if size != 0 and not 1e-4 <= size < 1e7:
        return f"{value:.4e}"
    decimals = 4 if size < 10 else 3 if size < 1000 else 1
    if 0 < size < 0.1:
        return f"{value:.5g}"
    return f"{value:.{decimals}f}"


def _count(df: float) -> str:
    return f"{df:,}" if isinstance(df, int) else f"{df:,.4g}"
