"""Formulas: values of statsmodels, missing rows, columns by name, new rows, blocks."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest

from fastnn import stats

pd = pytest.importorskip("pandas")
pytest.importorskip("formulaic")

N = 60
RNG = np.random.default_rng(5)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "v": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "z": RNG.uniform(1, 5, N),
        "g": np.tile(["a", "b", "c"], N // 3),
        "h": RNG.choice(["u", "v"], N),
        "b": RNG.integers(0, 2, N) == 1,
        "k": RNG.integers(1, 9, N),
        "w": RNG.uniform(0.5, 2, N),
        "firm": np.arange(N) % 7,
        "year": np.arange(N) // 7,
        "my column": RNG.normal(size=N),
    },
    index=range(100, 100 + N),
)
HOLES = DATA.copy()
HOLES.loc[[105, 111], "x"] = np.nan
HOLES.loc[120, "g"] = None
HOLES.loc[130, "w"] = np.nan
HOLES.loc[131, "firm"] = np.nan
HOLES.loc[140, "my column"] = np.nan  # used by no formula below

# Formulas that patsy and formulaic read alike.
FORMULAS = [
    "y ~ x",
    "y ~ x + z + k",
    "y ~ x + C(g)",
    "y ~ g + h",
    "y ~ g * h",
    "y ~ x * g",
    "y ~ x:z + np.log(z)",
    "y ~ bs(z, 4) + x",
    "y ~ I(x**2) + x",
    "y ~ 0 + g + x",
    "y ~ g - 1",
    "y ~ center(z) + x",
    "np.log(z) ~ x + h",
    "y ~ C(k > 4) + x",
]


def fit(formula, data=DATA, **options):
    return stats.linear_regression(formula, data=data, **options)


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_fits_are_those_of_statsmodels(formula, weights):
    smf = pytest.importorskip("statsmodels.formula.api")
    w = 1.0 if weights is None else DATA[weights]
    expected = smf.wls(formula, data=DATA, weights=w).fit()
    result = fit(formula, weights=weights)
    np.testing.assert_allclose(result.fitted, expected.fittedvalues, rtol=1e-9, atol=1e-12)
    assert result.r_squared == pytest.approx(expected.rsquared, rel=1e-9)
    assert result.fvalue == pytest.approx(expected.fvalue, rel=1e-7)
    assert result.df_residual == expected.df_resid
    np.testing.assert_allclose(np.sort(result.standard_errors), np.sort(expected.bse), rtol=1e-8)
    new = DATA.iloc[::-7]
    intervals = expected.get_prediction(new).summary_frame(alpha=0.1)
    ours = result.predict(new, "confidence", 0.9)
    np.testing.assert_allclose(ours.mean, intervals["mean"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.upper, intervals["mean_ci_upper"], rtol=1e-8, atol=1e-11)


def test_columns_have_the_names_of_formulaic():
    result = fit("y ~ x * C(g, contr.sum) + h + `my column` + b")
    assert result.names == (
        "Intercept", "x", "C(g, contr.sum)[S.a]", "C(g, contr.sum)[S.b]", "h[T.v]", "my column",
        "b", "x:C(g, contr.sum)[S.a]", "x:C(g, contr.sum)[S.b]",
    )  # fmt: skip
    assert list(result.coefficients.index) == list(result.names)
    assert result.response_names == ("y",)


def test_the_intercept_is_the_constant():
    result, plain = fit("y ~ x + z"), stats.linear_regression(DATA[["x", "z"]], DATA["y"])
    assert result.names[0] == "Intercept"
    np.testing.assert_array_equal(result.coefficients, plain.coefficients)
    assert result.fvalue == plain.fvalue
    ridge = fit("y ~ x + z", ridge=3.0)
    plain = stats.linear_regression(DATA[["x", "z"]], DATA["y"], ridge=3.0)
    np.testing.assert_array_equal(ridge.coefficients, plain.coefficients)


def test_a_constant_in_the_span_of_levels_is_recognised():
    assert fit("y ~ 0 + g").has_intercept
    assert not fit("y ~ 0 + x").has_intercept


def test_a_formula_of_the_constant_alone_is_the_mean():
    assert fit("y ~ 1").coefficients.item() == pytest.approx(DATA["y"].mean(), rel=1e-12)


def test_a_dot_stands_for_all_other_columns():
    data = DATA[["y", "x", "z"]]
    assert fit("y ~ .", data).names == ("Intercept", "x", "z")


def test_several_responses():
    result = fit("y + v ~ x + g")
    assert result.response_names == ("y", "v")
    np.testing.assert_allclose(
        result.coefficients["v"], fit("v ~ x + g").coefficients, rtol=1e-12, atol=1e-14
    )


# ---------------------------------------------------------------------------- missing


def test_rows_with_missing_values_are_left_out_and_counted():
    result = fit("y ~ x + g", HOLES)
    complete = HOLES.dropna(subset=["x", "g"])
    assert result.n_observations == N - 3
    assert list(result.residuals.index) == list(complete.index)
    np.testing.assert_allclose(result.coefficients, fit("y ~ x + g", complete).coefficients)
    assert "3 of 60 rows had missing values" in str(result)
    assert "missing" not in str(fit("y ~ x + g"))


def test_rows_with_missing_weights_and_groups_are_left_out():
    result = fit("y ~ x + g", HOLES, weights="w", cov_type="CR1", groups="firm")
    complete = HOLES.dropna(subset=["x", "g", "w", "firm"])
    expected = fit("y ~ x + g", complete, weights="w", cov_type="CR1", groups="firm")
    assert result.n_observations == N - 5
    np.testing.assert_array_equal(result.standard_errors, expected.standard_errors)
    arrays = fit(
        "y ~ x + g", HOLES, weights=HOLES["w"].to_numpy(), cov_type="CR1", groups=HOLES["firm"]
    )
    np.testing.assert_array_equal(arrays.standard_errors, expected.standard_errors)


@pytest.mark.parametrize("form", ["pandas", "Float64", "polars", "pyarrow", "dict"])
def test_every_table_gives_the_same_fit(form):
    data = HOLES.drop(columns="firm")
    if form == "Float64":
        data = data.astype({"x": "Float64", "g": "string", "b": "boolean", "k": "Int64"})
    elif form == "polars":
        pl = pytest.importorskip("polars")
        data = pl.from_pandas(data)
    elif form == "pyarrow":
        data = pytest.importorskip("pyarrow").Table.from_pandas(data, preserve_index=False)
    elif form == "dict":
        data = {name: data[name].to_numpy() for name in data}
    formula = "y ~ x + g + h + b + k + bs(z, 4)"
    expected = fit(formula, HOLES, weights="w")
    result = fit(formula, data, weights="w")
    assert result.names == expected.names
    assert result.n_observations == N - 4
    np.testing.assert_allclose(result.coefficients, expected.coefficients, rtol=1e-10)
    if form == "dict":
        data = pd.DataFrame(data)
    new = data[:5]
    np.testing.assert_allclose(result.predict(new), expected.predict(HOLES.iloc[:5]), rtol=1e-10)


def test_levels_of_an_enumeration_keep_their_order():
    pl = pytest.importorskip("polars")
    data = pl.DataFrame(
        {"y": DATA["y"].to_list(), "g": pl.Series(DATA["g"].to_list(), dtype=pl.Enum(list("cbad")))}
    )
    assert fit("y ~ g", data).names == ("Intercept", "g[T.b]", "g[T.a]")


def test_no_complete_row_is_refused():
    with pytest.raises(ValueError, match="leaves no row without missing values"):
        fit("y ~ scale(x)", HOLES)


def test_infinite_values_are_refused_by_name():
    data = DATA.assign(k=np.arange(N) + 1.0)
    data.loc[103, "k"] = np.inf
    with pytest.raises(ValueError, match=r"must be finite.*log\(k\)"):
        fit("y ~ log(k)", data)


def test_later_changes_of_the_table_do_not_change_the_fit():
    data = DATA.copy()
    result = fit("y ~ x", data)
    before = result.with_covariance("CR1", groups="firm").standard_errors.to_numpy()
    data["firm"] = 0
    after = result.with_covariance("CR1", groups="firm").standard_errors.to_numpy()
    np.testing.assert_array_equal(before, after)


# ------------------------------------------------------------------- columns by name


@pytest.mark.filterwarnings("ignore:the covariance of two groupings")
def test_columns_are_arguments_by_name():
    result = fit("y ~ x + g")
    plain = stats.linear_regression(result.design[:, 1:], DATA["y"])
    for kind, names in (("CR2", "firm"), ("CR1S", ["k", "h"])):
        ours = result.with_covariance(kind, groups=names)
        theirs = plain.with_covariance(kind, groups=DATA[names])
        np.testing.assert_allclose(ours.standard_errors, theirs.standard_errors, rtol=1e-12)
    assert stats.breusch_pagan(result, "z") == stats.breusch_pagan(plain, DATA.z)
    assert stats.breusch_pagan(result, ["z", "k"]) == stats.breusch_pagan(plain, DATA[["z", "k"]])
    for function in (stats.goldfeld_quandt, stats.rainbow, stats.harvey_collier):
        one, other = function(result, order_by="z"), function(plain, order_by=DATA.z)
        assert one.statistic == pytest.approx(other.statistic, rel=1e-10)
    assert stats.durbin_watson_test(result, order_by="z").statistic == pytest.approx(
        stats.durbin_watson_test(plain, order_by=DATA.z).statistic, rel=1e-10
    )


def test_a_name_that_is_no_column_is_refused():
    with pytest.raises(ValueError, match="groups must be an array or the name of a column"):
        fit("y ~ x", cov_type="CR1", groups="company")
    with pytest.raises(ValueError, match="order_by must be an array or the name of a column"):
        stats.durbin_watson_test(fit("y ~ x"), order_by="time")


def test_durbin_watson_by_a_formula():
    plain = stats.linear_regression(DATA[["x", "z"]], DATA["y"])
    for options, others in (
        ({}, {}),
        ({"order_by": "z"}, {"order_by": DATA.z}),
        ({"groups": "firm", "time": "year"}, {"groups": DATA.firm, "time": DATA.year}),
    ):
        test = stats.durbin_watson_test("y ~ x + z", data=DATA, **options)
        expected = stats.durbin_watson_test(plain, **others)
        assert test.statistic == pytest.approx(expected.statistic, rel=1e-10)
        assert test.pvalue == pytest.approx(expected.pvalue, rel=1e-7)


@pytest.mark.parametrize(
    "function", [stats.prais_winsten, stats.cochrane_orcutt, stats.autoregressive_regression]
)
def test_autoregressive_errors_by_a_formula(function):
    result, plain = function("y ~ x + bs(z, 4)", data=DATA), fit("y ~ x + bs(z, 4)")
    expected = function(plain)
    np.testing.assert_array_equal(result.coefficients, expected.coefficients)
    assert result.names == plain.names
    new = DATA.iloc[:4]
    np.testing.assert_allclose(
        result.predict(new, following=True), expected.predict(new, following=True)
    )
    ends = DATA.copy()
    ends.iloc[:3, ends.columns.get_loc("x")] = np.nan
    without_ends = function("y ~ x", data=ends)
    assert len(without_ends.residuals) == N - 3
    assert "Formula: y ~ x\n3 of 60 rows had missing values" in str(without_ends)
    with pytest.raises(ValueError, match="successive times, but 2 rows with missing values"):
        function("y ~ x", data=HOLES)


# -------------------------------------------------------------------------- new rows


def test_an_unknown_level_is_named():
    new = DATA.iloc[:3].assign(g=["a", "d", "e"])
    for formula in ("y ~ x + g", "y ~ C(g) + x", "y ~ C(g, contr.sum)"):
        with pytest.raises(
            ValueError, match="'g' must have levels of the fit, a, b, c; got 'd', 'e'"
        ):
            fit(formula).predict(new)
    levels = "y ~ C(g.str.upper())"
    with pytest.raises(ValueError, match="categories outside of the nominated levels"):
        fit(levels).predict(new)


def test_absent_columns_and_missing_values_are_named():
    result = fit("y ~ x + C(g) + bs(z, 4)")
    with pytest.raises(ValueError, match=r"must have the columns of the formula.*lacks g, z$"):
        result.predict(DATA[["x"]])
    with pytest.raises(
        ValueError, match=r"no missing values, got some in the columns g \(1\), x \(2\)"
    ):
        result.predict(HOLES)
    with pytest.raises(TypeError, match="X must be a table with the columns of the formula"):
        result.predict(np.ones((3, 5)))


def test_predictions_need_no_response_and_have_the_index():
    result = fit("y ~ x + poly(z, 2)")
    new = DATA.drop(columns="y").iloc[[5, 2]]
    predicted = result.predict(new)
    assert list(predicted.index) == [105, 102]
    np.testing.assert_allclose(predicted, result.fitted.loc[[105, 102]], rtol=1e-9)


def test_one_new_row_is_encoded_as_in_the_fit():
    result = fit("y ~ center(x) + bs(z, 4) + g")
    one = result.predict(DATA.iloc[[7]])
    assert one.item() == pytest.approx(result.fitted.iloc[7], rel=1e-9)


# ------------------------------------------------------------------------ hypotheses


def test_hypotheses_have_names_of_the_formula():
    result = fit("y ~ x * C(g) + bs(z, 4)")
    text = "C(g)[T.b] = C(g)[T.c], x:C(g)[T.b] - 2*bs(z, 4)[2] = 1, Intercept"
    test = result.test(text)
    names = list(result.names)
    R = np.zeros((3, len(names)))
    R[0, [names.index("C(g)[T.b]"), names.index("C(g)[T.c]")]] = 1, -1
    R[1, [names.index("x:C(g)[T.b]"), names.index("bs(z, 4)[2]")]] = 1, -2
    R[2, 0] = 1
    assert test.fvalue == pytest.approx(result.test(R, [0, 1, 0]).fvalue, rel=1e-12)
    assert test.hypotheses[0] == "C(g)[T.b] = C(g)[T.c]"


def test_names_of_columns_do_not_shadow_arithmetic():
    names = ["x", "z", "x - z"]
    result = stats.linear_regression(RNG.normal(size=(30, 3)), RNG.normal(size=30), names=names)
    difference = result.test("x - z")
    assert difference.estimates[0] == pytest.approx(result.coefficients[1] - result.coefficients[2])
    assert result.test("`x - z`").estimates[0] == result.coefficients[3]


# ---------------------------------------------------------------------------- blocks


def test_blocks_of_rows_by_a_formula():
    formula = "y ~ x + C(g) + h + I(x**2)"
    blocks = [HOLES.iloc[i : i + 20] for i in range(0, N, 20)]
    result = stats.linear_regression_blocks(blocks, formula=formula, weights="w")
    expected = fit(formula, HOLES, weights="w")
    np.testing.assert_allclose(result.coefficients, expected.coefficients, rtol=1e-10)
    np.testing.assert_allclose(result.standard_errors, expected.standard_errors, rtol=1e-10)
    assert result.names == expected.names
    assert "4 of 60 rows had missing values" in str(result)
    np.testing.assert_allclose(
        result.predict(DATA.iloc[:3]), expected.predict(DATA.iloc[:3]), rtol=1e-10
    )


def test_a_level_after_the_first_block_is_refused():
    blocks = [DATA.iloc[:20], DATA.iloc[20:40].assign(g="d")]
    with pytest.raises(ValueError, match="block 1: column 'g' must have levels of the fit"):
        stats.linear_regression_blocks(blocks, formula="y ~ g")


# ---------------------------------------------------------------------------- errors

BAD = {
    "no response": ("x + z", ValueError, "one response and one sum"),
    "two sums": ("y ~ x | z", ValueError, "one response and one sum"),
    "an empty formula": ("", ValueError, "one response and one sum"),
    "syntax": ("y ~ (x", ValueError, "cannot be read"),
    "an absent column": ("y ~ x + mass", ValueError, "lacks mass"),
    "a function of the caller": ("y ~ f(x)", ValueError, "lacks f; functions other than"),
    "a response of categories": ("g ~ x", TypeError, "categories in g"),
    "an error in a function": ("y ~ x.nosuch()", ValueError, "has no columns: .*nosuch"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_formulas_are_refused(what):
    formula, kind, message = BAD[what]
    with pytest.raises(kind, match=message):
        fit(formula)


def test_dates_as_numbers_are_refused():
    data = DATA.assign(day=pd.date_range("2020", periods=N))
    with pytest.raises(ValueError, match="has no columns"):
        fit("y ~ day", data)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stats.linear_regression("y ~ x"), "data must be the table"),
        (lambda: stats.linear_regression("y ~ x", DATA.y, data=DATA), "y must be left out"),
        (lambda: fit("y ~ x", names=["x"]), "names must be left out"),
        (lambda: fit("y ~ x", add_intercept=False), "add_intercept must be left out"),
        (lambda: stats.linear_regression(DATA.x, DATA.y, data=DATA), "data belongs to a formula"),
        (lambda: stats.linear_regression(DATA.x), "y must be given"),
        (lambda: fit("y ~ x", DATA.to_numpy()), "data must be a table"),
        (lambda: stats.linear_regression_blocks([], weights="w"), "weights names a column"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_the_library_that_is_absent_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "formulaic", None)
    with pytest.raises(ImportError, match=r"fastnn\[formula\]"):
        fit("y ~ x")


def test_results_of_formulas_can_be_pickled():
    result = fit("y ~ x + bs(z, 4) + g", HOLES)
    copy = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(copy.predict(DATA), result.predict(DATA))
    assert copy.anova().terms == result.anova().terms


def test_rows_of_one_label_are_told_apart():
    data = HOLES.set_axis([0] * N)
    result = fit("y ~ x + C(g)", data)
    np.testing.assert_array_equal(result.coefficients, fit("y ~ x + C(g)", HOLES).coefficients)


def test_the_summary_shows_the_formula():
    long = "y ~ " + " + ".join(f"I(x**{i})" for i in range(1, 12))
    for formula in ("y ~ x + g", long):
        lines = str(fit(formula)).splitlines()
        start = lines.index(next(line for line in lines if line.startswith("Formula: ")))
        text = " ".join(line.strip() for line in lines[start : start + 3])
        assert formula in text
