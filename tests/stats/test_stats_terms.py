"""Analysis of variance by terms: printed values of R, values of statsmodels, units, errors."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import stats

pd = pytest.importorskip("pandas")
pytest.importorskip("formulaic")

# Moore & Krupat (1971), the data `Moore` of R's carData: conformity and authoritarianism.
LOW = "8l 4h 8h 7l 10l 6l 12m 4m 13l 12l 4m 13h 7l 9m 9h 24h 6l 7h 23h 13h 8l 12l"
HIGH = "19h 12m 21l 9h 23l 7h 17m 14m 11h 16m 15l 20m 8m 12l 14h 14m 17m 7m 17m 13h 16l 10h 15m"
MOORE = pd.DataFrame(
    [
        (status, int(cell[:-1]), {"l": "low", "m": "medium", "h": "high"}[cell[-1]])
        for status, cells in (("low", LOW), ("high", HIGH))
        for cell in cells.split()
    ],
    columns=["partner_status", "conformity", "fcategory"],
)
MODEL = "conformity ~ C(fcategory, contr.sum) * C(partner_status, contr.sum)"

# The data `mtcars` of R, from Motor Trend (1974): cylinders, horsepower, weight, transmission.
CARS = """6 110 2.620 1 6 110 2.875 1 4 93 2.320 1 6 110 3.215 0 8 175 3.440 0 6 105 3.460 0
8 245 3.570 0 4 62 3.190 0 4 95 3.150 0 6 123 3.440 0 6 123 3.440 0 8 180 4.070 0 8 180 3.730 0
8 180 3.780 0 8 205 5.250 0 8 215 5.424 0 8 230 5.345 0 4 66 2.200 1 4 52 1.615 1 4 65 1.835 1
4 97 2.465 0 8 150 3.520 0 8 150 3.435 0 8 245 3.840 0 8 175 3.845 0 4 66 1.935 1 4 91 2.140 1
4 113 1.513 1 8 264 3.170 1 6 175 2.770 1 8 335 3.570 1 4 109 2.780 1"""
MTCARS = pd.DataFrame(
    np.array(CARS.split(), float).reshape(32, 4), columns=["cyl", "hp", "wt", "am"]
)

N = 60
RNG = np.random.default_rng(11)
DATA = pd.DataFrame(
    {
        "x": RNG.normal(size=N),
        "z": RNG.normal(size=N),
        "g": RNG.choice(["a", "b", "c"], N),
        "h": RNG.choice(["u", "v"], N),
        "w": RNG.uniform(0.5, 2, N),
        "firm": np.arange(N) % 12,
    }
)
DATA["y"] = DATA.x + (DATA.g == "b") + RNG.normal(size=N) * (1 + DATA.z**2)


def fit(formula, data=DATA, **options):
    return stats.linear_regression(formula, data=data, **options)


def check(table, squares, df, f, p):
    """A table against printed digits."""
    np.testing.assert_allclose(table.sums_of_squares, squares, rtol=2e-3)
    assert table.df.tolist() == df
    np.testing.assert_allclose(table.fvalues, f, rtol=2e-4)
    np.testing.assert_allclose(table.pvalues, p, rtol=4e-4)


def test_type_ii_of_the_example_of_car():
    # Anova(lm(conformity ~ fcategory*partner.status, data=Moore, contrasts=...)): help page of
    # car::Anova, and Fox (2016), table 8.8.
    table = fit(MODEL, MOORE).anova()
    assert table.type == "II"
    check(table, [11.61, 212.21, 175.49], [2, 1, 2], [0.2770, 10.1207, 4.1846],
          [0.759564, 0.002874, 0.022572])  # fmt: skip
    assert table.residual_sum_of_squares == pytest.approx(817.76, rel=1e-5)
    assert table.df_residual == 39


def test_type_iii_of_the_example_of_car():
    table = fit(MODEL, MOORE).anova(3)
    assert table.terms[0] == "Intercept"
    check(table, [5752.8, 36.0, 239.6, 175.5], [1, 2, 1, 2], [274.3592, 0.8589, 11.4250, 4.1846],
          [table.pvalues[0], 0.431492, 0.001657, 0.022572])  # fmt: skip
    assert table.pvalues[0] < 2.2e-16


@pytest.mark.filterwarnings("ignore:type III tests")
def test_tables_of_mtcars_by_car():
    # Anova(lm(wt ~ factor(cyl)*factor(am), data=mtcars), type=2) and type=3 with the default
    # contrasts of R: riptutorial.com/r/example/12989/basic-usage-of-anova--
    result = fit("wt ~ C(cyl) * C(am)", MTCARS)
    check(result.anova("II"), [7.2278, 3.2845, 0.0668], [2, 1, 2], [11.5266, 10.4758, 0.1065],
          [0.0002606, 0.0032895, 0.8993714])  # fmt: skip
    check(result.anova("III"), [25.8427, 4.0124, 1.7389, 0.0668], [1, 2, 1, 2],
          [82.4254, 6.3988, 5.5463, 0.1065], [1.524e-09, 0.005498, 0.026346, 0.899371])  # fmt: skip
    # aovtype2(aov(hp ~ cyl*am, mtcars)) with factors: reference page of CGPfunctions.
    check(fit("hp ~ C(cyl) * C(am)", MTCARS).anova(), [102729, 7318, 12181], [2, 1, 2],
          [60.1644, 8.5716, 7.1341], [1.759e-10, 0.007009, 0.003390])  # fmt: skip


FORMULAS = {
    "y ~ x + z": "y ~ x + z",
    "y ~ C(g, contr.sum) * C(h, contr.sum)": "y ~ C(g, Sum) * C(h, Sum)",
    "y ~ x * C(g, contr.sum) + z": "y ~ x * C(g, Sum) + z",
    "y ~ x * z * C(h, contr.sum)": "y ~ x * z * C(h, Sum)",
    "y ~ bs(z, 4) + C(g, contr.sum)": "y ~ bs(z, 4) + C(g, Sum)",
}


# Type I depends on the order of the terms, in which patsy has categories before numbers.  Of
# weighted fits, statsmodels 0.15 takes the unweighted sums of squares.
CASES = [
    *(
        (formula, kind, weights)
        for formula in FORMULAS
        for kind in (2, 3)
        for weights in (None, "w")
    ),
    *((formula, 1, None) for formula in [*FORMULAS][:2]),
]


@pytest.mark.parametrize(("formula", "kind", "weights"), CASES)
def test_tables_are_those_of_statsmodels(formula, kind, weights):
    smf = pytest.importorskip("statsmodels.formula.api")
    from statsmodels.stats.anova import anova_lm

    w = 1.0 if weights is None else DATA[weights]
    expected = anova_lm(smf.wls(FORMULAS[formula], data=DATA, weights=w).fit(), typ=kind)
    expected.index = expected.index.str.replace("Sum", "contr.sum")
    table = fit(formula, weights=weights).anova(kind)
    assert {*table.terms, "Residual"} == set(expected.index)
    expected = expected.loc[list(table.terms)]
    np.testing.assert_allclose(table.sums_of_squares, expected["sum_sq"], rtol=1e-7)
    np.testing.assert_allclose(table.df, expected["df"])
    np.testing.assert_allclose(table.fvalues, expected["F"], rtol=1e-7)
    np.testing.assert_allclose(table.pvalues, expected["PR(>F)"], rtol=1e-6)


@pytest.mark.parametrize("kind", [2, 3])
@pytest.mark.parametrize("cov_type", ["HC0", "HC1", "HC2", "HC3"])
def test_robust_tables_are_those_of_statsmodels(kind, cov_type):
    smf = pytest.importorskip("statsmodels.formula.api")
    from statsmodels.stats.anova import anova_lm

    expected = anova_lm(
        smf.ols("y ~ C(g, Sum) * C(h, Sum)", data=DATA).fit(), typ=kind, robust=cov_type.lower()
    )
    table = fit("y ~ C(g, contr.sum) * C(h, contr.sum)", cov_type=cov_type).anova(kind)
    np.testing.assert_allclose(table.fvalues, expected["F"][:-1], rtol=1e-7)
    np.testing.assert_allclose(table.pvalues, expected["PR(>F)"][:-1], rtol=1e-6)
    assert np.isnan(table.sums_of_squares).all()
    assert "sum of squares" not in str(table)


def test_a_term_that_none_contains_has_the_test_of_its_hypotheses():
    for options in ({}, {"cov_type": "HC3"}, {"cov_type": "CR2", "groups": "firm"}):
        result = fit("y ~ x + C(g) + z", **options)
        table, test = result.anova(), result.test("C(g)[T.b], C(g)[T.c]")
        place = table.terms.index("C(g)")
        assert table.fvalues[place] == pytest.approx(test.fvalue, rel=1e-10)
        assert table.pvalues[place] == pytest.approx(test.f_pvalue, rel=1e-9)
        assert table.df_denominator[place] == pytest.approx(test.df_f[1], rel=1e-10)


@pytest.mark.parametrize("weights", [None, "w"])
def test_type_i_adds_up_and_is_that_of_nested_models(weights):
    result = fit("y ~ x + C(g) + z + x:C(g)", weights=weights)
    table = result.anova(1)
    explained = result.total_sum_of_squares - result.residual_sum_of_squares
    assert table.sums_of_squares.sum() == pytest.approx(explained, rel=1e-12)
    steps = ["1", "x", "x + C(g)", "x + C(g) + z", "x + C(g) + z + x:C(g)"]
    nested = stats.anova(*(fit(f"y ~ {step}", weights=weights) for step in steps))
    np.testing.assert_allclose(table.sums_of_squares, nested.sums_of_squares[1:], rtol=1e-9)
    np.testing.assert_allclose(table.pvalues, nested.pvalues[1:], rtol=1e-9)


@pytest.mark.parametrize("cov_type", ["classical", "HC3"])
def test_type_ii_depends_neither_on_contrasts_nor_on_units_and_origins(cov_type):
    expected = fit("y ~ x * C(g) + z", cov_type=cov_type).anova()
    moved = DATA.assign(x=3e4 + 7 * DATA.x, y=1e-6 * DATA.y)
    for formula, data in (
        ("y ~ x * C(g, contr.sum) + z", DATA),
        ("y ~ x * C(g, contr.treatment('c')) + z", DATA),
        ("y ~ x * C(g) + z", moved),
    ):
        table = fit(formula, data, cov_type=cov_type).anova()
        np.testing.assert_allclose(table.fvalues, expected.fvalues, rtol=1e-6)


def test_cells_without_rows_take_degrees_of_freedom():
    data = DATA[(DATA.g != "c") | (DATA.h != "v")]
    with pytest.warns(stats.RankDeficiencyWarning):
        result = fit("y ~ C(g) * C(h)", data)
    nested = [fit(f"y ~ {terms}", data) for terms in ("1", "C(g)", "C(g) + C(h)")]
    table = result.anova(1)
    assert table.df.tolist() == [2, 1, 1]
    squares = [model.residual_sum_of_squares for model in (*nested, result)]
    np.testing.assert_allclose(table.sums_of_squares, -np.diff(squares), rtol=1e-9)
    assert result.anova(2).df.tolist() == [2, 1, 1]


# ------------------------------------------------------------- columns of a matrix


def test_columns_of_a_matrix_are_terms():
    result = stats.linear_regression(DATA[["x", "z"]], DATA.y)
    for kind, terms in ((1, ("x", "z")), (2, ("x", "z")), (3, ("intercept", "x", "z"))):
        assert result.anova(kind).terms == terms
    np.testing.assert_allclose(result.anova().pvalues, result.pvalues.iloc[1:], rtol=1e-9)
    np.testing.assert_allclose(result.anova(3).pvalues, result.pvalues, rtol=1e-9)


def test_groups_of_columns_are_terms():
    X = RNG.normal(size=(N, 4))
    result = stats.linear_regression(X, DATA.y.to_numpy())
    table = result.anova(terms={"pair": ["x1", "x3"], "last": "x4"})
    assert table.terms == ("pair", "last")
    assert table.df.tolist() == [2, 1]
    assert table.fvalues[0] == pytest.approx(result.test("x1, x3").fvalue, rel=1e-10)
    first = result.anova(1, terms={"pair": ["x1", "x3"], "last": "x4"})
    small = stats.linear_regression(X[:, 1], DATA.y.to_numpy())
    large = stats.linear_regression(X[:, :3], DATA.y.to_numpy())
    explained = small.residual_sum_of_squares - large.residual_sum_of_squares
    assert first.sums_of_squares[0] == pytest.approx(explained, rel=1e-9)


def test_a_model_without_a_constant():
    result = fit("y ~ 0 + x + z")
    assert result.anova(3).terms == ("x", "z")
    np.testing.assert_allclose(result.anova(3).pvalues, result.pvalues, rtol=1e-9)


def test_streamed_rows_have_the_table():
    blocks = [DATA.iloc[:30], DATA.iloc[30:]]
    streamed = stats.linear_regression_blocks(blocks, formula="y ~ x * C(g)")
    whole = fit("y ~ x * C(g)")
    for kind in (1, 2):
        np.testing.assert_allclose(
            streamed.anova(kind).fvalues, whole.anova(kind).fvalues, rtol=1e-8
        )


# --------------------------------------------------------------- text and errors


def test_the_table_is_text_and_a_frame():
    table = fit("y ~ x + C(g)").anova()
    lines = str(table).splitlines()
    assert lines[0] == "Analysis of variance, type II"
    assert [line.split()[0] for line in lines[3:5]] == ["x", "C(g)"]
    assert lines[-1].startswith("residual")
    frame = table.to_frame()
    assert list(frame["term"]) == ["x", "C(g)", "residual"]
    assert frame["df"].tolist() == [1, 2, 56]


def test_type_iii_warns_of_contrasts_with_a_base():
    result = fit("y ~ C(g) * C(h, contr.sum)")
    with pytest.warns(UserWarning, match=r"depend on the coding of C\(g\), whose contrasts"):
        result.anova(3)
    fit("y ~ C(g) + C(h)").anova(3)  # no interaction, no warning


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: fit("y ~ x").anova(4), ValueError, "type must be 1, 2, 3"),
        (lambda: fit("y ~ x").anova(True), ValueError, "type must be 1, 2, 3"),
        (lambda: fit("y ~ x", cov_type="HC1").anova(1), ValueError, "classical covariance"),
        (lambda: fit("y ~ x", ridge=1.0).anova(), ValueError, "got a ridge penalty"),
        (lambda: fit("y + z ~ x").anova(), ValueError, "anova takes one response"),
        (lambda: fit("y ~ x").anova(terms=["x"]), TypeError, "terms must be a mapping"),
        (lambda: fit("y ~ x").anova(terms={"a": "k"}), ValueError, "among Intercept, x, got 'k'"),
        (lambda: fit("y ~ x").anova(terms={"a": []}), ValueError, "got none in 'a'"),
        (lambda: fit("y ~ x").anova(terms={"a": "x", "b": "x"}), ValueError, "'b' twice"),
        (lambda: stats.anova(fit("y ~ x")), ValueError, r"result\.anova\(\) has the table"),
    ],
)
def test_what_has_no_table_is_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
