"""Analysis of variance of one regression, by the terms of its formula or by groups of columns.

References
----------
Fox (2016), Applied Regression Analysis and Generalized Linear Models, 3rd ed., chapter 8.
Langsrud (2003), "ANOVA for unbalanced data: use type II instead of type III sums of squares",
Statistics and Computing 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.warnings import warn
from fastnn.stats.linalg.solvers import tolerance
from fastnn.stats.regression.contrasts import HypothesisTest, tested
from fastnn.stats.regression.estimates import Estimates
from fastnn.stats.regression.tails import f_pvalue
from fastnn.stats.tables.cells import count_text, p_text
from fastnn.stats.tables.frames import table
from fastnn.stats.tables.sheet import Grid, Sheet
from fastnn.stats.tables.shown import Shown

_TYPES = {1: "I", 2: "II", 3: "III"}
_SUM_OF_CODES = 1e-9  # of a column of contrasts that sums to zero but for rounding


@dataclass(frozen=True)
class TermTable(Shown):
    """Analysis of variance of the k terms of one regression; `print` shows a table.

    Attributes
    ----------
    type : {"I", "II", "III"}
    terms : tuple of str
    df : (k,) array of int
        Number of linearly independent columns that a term adds.
    sums_of_squares : (k,) array
        nan where the covariance is robust.
    fvalues, pvalues, df_denominator : (k,) array
        F test of each term, and its denominator degrees of freedom.
    residual_sum_of_squares, df_residual : float
    """

    type: str
    terms: tuple[str, ...]
    df: np.ndarray
    sums_of_squares: np.ndarray
    fvalues: np.ndarray
    pvalues: np.ndarray
    df_denominator: np.ndarray
    residual_sum_of_squares: float
    df_residual: float

    @property
    def _has_squares(self) -> bool:
        return bool(np.isfinite(self.sums_of_squares).any())

    def _sheets(self) -> tuple[Sheet, ...]:
        rows: list[tuple[str, ...]] = []
        figures_of_terms = zip(
            self.terms, self.sums_of_squares, self.df, self.fvalues, self.pvalues, strict=True
        )
        for term, squares, df, f, p in figures_of_terms:
            cells = (f"{squares:.6g}", str(int(df)), f"{f:.5g}", p_text(p))
            rows.append((term, *("" if cell == "nan" else cell for cell in cells)))
        rest = f"{self.residual_sum_of_squares:.6g}"
        rows.append(("residual", rest, count_text(self.df_residual), "", ""))
        titles: tuple[str, ...] = ("term", "sum of squares", "df", "F", "p")
        if not self._has_squares:
            titles, rows = _without(titles, 1), [_without(row, 1) for row in rows]
        grid = Grid(titles, tuple(rows), rules=frozenset({len(rows) - 1}))
        return (Sheet(((grid,),), lead=(f"Analysis of variance, type {self.type}",)),)

    def to_frame(self) -> Any:
        """A pandas DataFrame with one row for each term, and one for the residuals.

        Returns
        -------
        DataFrame
            Columns ``term``, ``sumsq``, ``df``, ``statistic`` and ``p_value``.
        """
        columns = {
            "term": [*self.terms, "residual"],
            "sumsq": np.append(self.sums_of_squares, self.residual_sum_of_squares),
            "df": np.append(self.df, self.df_residual),
            "statistic": np.append(self.fvalues, np.nan),
            "p_value": np.append(self.pvalues, np.nan),
        }
        return table(columns)


def _without(cells: tuple[str, ...], place: int) -> tuple[str, ...]:
    return cells[:place] + cells[place + 1 :]


@dataclass(frozen=True)
class _Term:
    """A term: its columns of the design, and its factors where a formula has named them."""

    name: str
    columns: list[int]
    factors: frozenset[str] = frozenset()
    is_constant: bool = False

    def is_within(self, other: _Term) -> bool:
        """Whether the other term is an interaction that contains this one."""
        return not self.is_constant and bool(self.factors) and self.factors < other.factors


def term_table(result: Estimates, kind: object, groups: object) -> TermTable:
    """The body of `RegressionResult.anova`, which documents it."""
    name = _checked_type(kind)
    _check_result(result, name)
    terms = _terms_of(result) if groups is None else _terms_of_groups(result, groups)
    if name == "I":
        return _sequential(result, terms)
    if name == "III":
        _warn_of_contrasts(result, terms)
    else:
        terms = [term for term in terms if not term.is_constant]
    tests = [_test(result, term, terms if name == "II" else []) for term in terms]
    return _table_of(result, name, terms, tests)


def _checked_type(kind: object) -> str:
    if isinstance(kind, str) and kind in _TYPES.values():
        return kind
    if isinstance(kind, int) and not isinstance(kind, bool) and kind in _TYPES:
        return _TYPES[kind]
    raise ValueError(f"type must be 1, 2, 3, 'I', 'II' or 'III', got {kind!r}")


def _check_result(result: Estimates, name: str) -> None:
    if len(result.response_names) > 1:
        raise ValueError(
            f"anova takes one response, and there are {len(result.response_names)}; use "
            "result.for_response(name).anova()"
        )
    faults = {
        "unbiased coefficients, got a ridge penalty": bool(result.ridge),
        "residual degrees of freedom, got none": result.df_residual <= 0,
        "the classical covariance for type I; types II and III take a robust one": name == "I"
        and result.cov_type != "classical",
        "coefficients that the data determine; fit with method='qr'": name != "I"
        and bool(result.problem.solution.dependencies)
        and not result.problem.solution.left_out,
    }
    for expected, is_fault in faults.items():
        if is_fault:
            raise ValueError(f"anova needs {expected}")


# ----------------------------------------------------------------------------- terms


def _terms_of(result: Estimates) -> list[_Term]:
    """The terms of the formula, or each column; the constant is one of them."""
    formula = result.problem.labels.formula
    if formula is None:
        constants = _constant_columns(result)
        return [
            _Term(name, [place], is_constant=place in constants)
            for place, name in enumerate(result.names)
        ]
    return [
        _Term(result.names[columns[0]], columns, is_constant=True)
        if name == "1"
        else _Term(name, columns, factors)
        for name, (columns, factors) in formula.terms.items()
        if columns
    ]


def _constant_columns(result: Estimates) -> list[int]:
    """The column that is a constant, where there is one."""
    constant = result.problem.constant
    if constant is None or np.count_nonzero(constant) != 1:
        return []
    return np.flatnonzero(constant).tolist()


def _terms_of_groups(result: Estimates, groups: Any) -> list[_Term]:
    """Terms from a mapping of names to columns."""
    if not isinstance(groups, Mapping):
        raise TypeError(f"terms must be a mapping of names to columns, got {type(groups).__name__}")
    names, terms = list(result.names), []
    used: set[int] = set()
    for name, columns in groups.items():
        columns = [columns] if isinstance(columns, str) else list(columns)
        unknown = [column for column in columns if column not in names]
        if unknown or not columns:
            raise ValueError(
                f"terms must have columns among {', '.join(names)}, got "
                f"{', '.join(map(repr, unknown)) or 'none'} in {name!r}"
            )
        places = [names.index(column) for column in columns]
        if used & set(places) or len(set(places)) < len(places):
            raise ValueError(f"terms must have different columns, got one of {name!r} twice")
        used |= set(places)
        terms.append(_Term(str(name), places))
    return terms


# ------------------------------------------------------------------------- tests


def _test(result: Estimates, term: _Term, terms: list[_Term]) -> HypothesisTest | None:
    """The test of a term after the others, except those of `terms` that contain it.

    The hypothesis is that of the columns of the term, made uncorrelated with the estimates of the
    terms that contain it, as in R's ``car::Anova``.  None where the term adds no column.
    """
    left_out = set(result.problem.solution.left_out)
    own = [place for place in term.columns if place not in left_out]
    above = [
        place
        for other in terms
        if term.is_within(other)
        for place in other.columns
        if place not in left_out
    ]
    if not own:
        return None
    R = np.zeros((len(own), result.n_parameters))
    R[np.arange(len(own)), own] = 1.0
    if above:
        root, middle = result.problem.solution.root, result.law.middles[0]
        sizes = np.linalg.norm(root[above], axis=1)
        upper = root[above] / sizes[:, None]
        spread = np.linalg.pinv(upper @ middle @ upper.T, hermitian=True)
        R[:, above] = -(root[own] @ middle @ upper.T) @ spread / sizes
    return tested(result, R, np.zeros(len(R)), tuple(result.names[place] for place in own))


def _table_of(
    result: Estimates, name: str, terms: list[_Term], tests: list[HypothesisTest | None]
) -> TermTable:
    variance = float(result.law.residual_variances[0]) if result.cov_type == "classical" else np.nan

    def figures(attribute: str) -> np.ndarray:
        return np.array([np.nan if t is None else getattr(t, attribute) for t in tests], float)

    return TermTable(
        type=name,
        terms=tuple(term.name for term in terms),
        df=np.array([0 if test is None else len(test.hypotheses) for test in tests], int),
        sums_of_squares=figures("chi_squared") * variance,
        fvalues=figures("fvalue"),
        pvalues=figures("f_pvalue"),
        df_denominator=np.array([np.nan if t is None else t.df_f[1] for t in tests], float),
        residual_sum_of_squares=float(result.problem.residual_squares[0]),
        df_residual=result.df_residual,
    )


def _sequential(result: Estimates, terms: list[_Term]) -> TermTable:
    """Type I: each term after the ones before it, columns of no term first.

    In the coordinates where the rows of the design are orthonormal, a term explains the square of
    the fit along the directions that it adds.
    """
    columns = result.law.orthonormal
    lengths = np.linalg.norm(columns, axis=0)
    columns = columns / np.where(lengths > 0, lengths, 1.0)
    fit = result.law.orthonormal @ result.problem.solution.coefficients[:, 0]
    tested_terms = [term for term in terms if not term.is_constant]
    named = {place for term in tested_terms for place in term.columns}
    first = [place for place in range(result.n_parameters) if place not in named]
    basis = np.zeros((len(columns), 0))
    least = tolerance(result.n_observations, result.n_parameters)
    basis = _extended(basis, columns[:, first], least)
    df, squares = [], []
    for term in tested_terms:
        before = basis.shape[1]
        basis = _extended(basis, columns[:, term.columns], least)
        added = basis[:, before:]
        df.append(added.shape[1])
        squares.append(float(np.sum((added.T @ fit) ** 2)))
    counts, sums = np.array(df, int), np.array(squares)
    with np.errstate(divide="ignore", invalid="ignore"):
        f = sums / counts / result.law.residual_variances[0]
    df_residual = result.df_residual
    p = [float(f_pvalue(np.array(one), k, df_residual)) for one, k in zip(f, df, strict=True)]
    return TermTable(
        type="I",
        terms=tuple(term.name for term in tested_terms),
        df=counts,
        sums_of_squares=sums,
        fvalues=f,
        pvalues=np.array(p),
        df_denominator=np.full(len(f), float(df_residual)),
        residual_sum_of_squares=float(result.problem.residual_squares[0]),
        df_residual=df_residual,
    )


def _extended(basis: np.ndarray, columns: np.ndarray, least: float) -> np.ndarray:
    """The orthonormal basis with directions for unit columns that are farther than `least`."""
    for column in columns.T:
        rest = column
        for _ in range(2):  # the second projection removes the rounding of the first
            rest = rest - basis @ (basis.T @ rest)
        length = float(np.linalg.norm(rest))
        if length > least:
            basis = np.column_stack([basis, rest / length])
    return basis


def _warn_of_contrasts(result: Estimates, terms: list[_Term]) -> None:
    """Warn of type III tests that depend on a level which was chosen as the base."""
    formula = result.problem.labels.formula
    if formula is None:
        return
    codes = {
        expression: state["contrasts"].get_coding_matrix(reduced_rank=True)
        for expression, (_, state) in formula.spec.encoder_state.items()
        if "contrasts" in state
    }
    skewed = {
        expression for expression, matrix in codes.items()
        if np.abs(np.asarray(matrix, float).sum(axis=0)).max(initial=0.0) > _SUM_OF_CODES
    }  # fmt: skip
    concerned = sorted({
        factor
        for term in terms
        for other in terms
        if term.is_within(other)
        for factor in (other.factors - term.factors) & skewed
    })  # fmt: skip
    if concerned:
        warn(
            f"type III tests of terms within interactions depend on the coding of "
            f"{', '.join(concerned)}, whose contrasts do not sum to zero; use C(..., contr.sum), "
            "or type=2"
        )
