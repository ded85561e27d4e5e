"""Every public function gives one result for arrays and for tables of pandas, polars, pyarrow."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields, is_dataclass
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import stats

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pytest.importorskip("narwhals")

FORMS = ("pandas", "polars", "pyarrow", "batch")
N = 40


def table(columns, form):
    """The columns, by name, as a table."""
    if form == "array":
        return np.column_stack(list(columns.values()))
    if form == "batch":
        return pa.record_batch(columns)
    return {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}[form](columns)


def column(values, form, name="y"):
    if form == "array":
        return np.asarray(values)
    if form == "batch":
        return pa.array(values)
    if form == "pyarrow":
        return pa.chunked_array([values[:7], values[7:]])
    return {"pandas": pd.Series, "polars": pl.Series}[form](name=name, **of(form, values))


def of(form, values):
    return {"data" if form == "pandas" else "values": values}


class Data:
    """Regressors, response and other arguments in one form."""

    def __init__(self, form, seed):
        rng = np.random.default_rng(seed)
        columns = {
            "a": rng.normal(size=N),
            "b": rng.integers(-5, 5, N),
            "c": rng.integers(0, 2, N) == 1,
            "d": rng.normal(size=N).astype(np.float32),
        }
        y = columns["a"] + 0.3 * columns["b"] + rng.normal(size=N)
        self.X = table(columns, form)
        self.y = column(y, form)
        self.e = column(rng.normal(size=N), form, "e")
        self.w = column(rng.uniform(0.5, 2, N), form, "w")
        self.group = column(np.arange(N) % 7, form, "group")
        self.label = column(np.array(list("abcdefg"))[np.arange(N) % 7].tolist(), form, "label")
        self.time = column(np.arange(N) // 7, form, "time")
        self.key = column(rng.permutation(N), form, "key")
        day = np.datetime64("2020-01-01") + rng.permutation(N)
        self.day = column(day.astype("datetime64[ns]"), form, "day")
        self.pair = table({"g": np.arange(N) % 7, "h": np.arange(N) % 5}, form)
        self.R = table({k: [float(k == "a"), float(k == "d")] for k in ("i", *"abcd")}, form)
        self.fit = stats.linear_regression(self.X, self.y)


class Sum:
    def predict(self, X):
        return np.asarray(X, float).sum(axis=1)


def blocks(d):
    return [(d.X, d.y, d.w), (d.X, d.e, d.w)]


CALLS = {
    "linear_regression": [
        lambda d: d.fit,
        lambda d: stats.linear_regression(d.X, d.y, weights=d.w),
        lambda d: stats.linear_regression(d.X, d.y, cov_type="CR1", groups=d.group),
        lambda d: stats.linear_regression(d.X, d.y, cov_type="CR1", groups=d.label),
        lambda d: stats.linear_regression(d.X, d.y, cov_type="CR1S", groups=d.pair),
        lambda d: stats.linear_regression(d.X, d.y, cov_type="CR1S", groups=(d.group, d.key)),
        lambda d: d.fit.with_covariance("CR2", groups=d.label),
        lambda d: d.fit.predict(d.X),
        lambda d: stats.linear_regression(d.X, d.y, weights=d.w).predict(
            d.X, "prediction", weights=d.w
        ),
        lambda d: d.fit.test(d.R),
        lambda d: stats.linear_regression(d.y, d.X),
    ],
    "linear_regression_blocks": [lambda d: stats.linear_regression_blocks(blocks(d))],
    "prais_winsten": [
        lambda d: stats.prais_winsten(d.X, d.y),
        lambda d: stats.prais_winsten(d.X, d.y).predict(d.X, "prediction"),
    ],
    "cochrane_orcutt": [lambda d: stats.cochrane_orcutt(d.X, d.y)],
    "autoregressive_regression": [
        lambda d: stats.autoregressive_regression(d.X, d.y),
        lambda d: stats.autoregressive_regression(d.X, d.y).predict(d.X, following=True),
    ],
    "durbin_watson": [lambda d: stats.durbin_watson(d.e), lambda d: stats.durbin_watson(d.X)],
    "durbin_watson_test": [
        lambda d: stats.durbin_watson_test(d.X, d.y),
        lambda d: stats.durbin_watson_test(d.X, d.y, order_by=d.key),
        lambda d: stats.durbin_watson_test(d.fit, order_by=d.day),
        lambda d: stats.durbin_watson_test(d.X, d.y, groups=d.group, time=d.time),
        lambda d: stats.durbin_watson_test(d.X, d.y, groups=d.label, fixed_effects=True),
        lambda d: stats.durbin_watson_test(d.X, d.y, time=d.day),
    ],
    "durbin_watson_pvalue": [lambda d: stats.durbin_watson_pvalue(1.5, d.X)],
    "residual_report": [lambda d: str(stats.residual_report(Sum(), d.X, d.y))],
    "breusch_pagan": [
        lambda d: stats.breusch_pagan(d.fit),
        lambda d: stats.breusch_pagan(d.fit, d.X),
        lambda d: stats.breusch_pagan(d.fit, d.e),
    ],
    "goldfeld_quandt": [lambda d: stats.goldfeld_quandt(d.fit, order_by=d.key)],
    "rainbow": [lambda d: stats.rainbow(d.fit, order_by=d.day)],
    "harvey_collier": [lambda d: stats.harvey_collier(d.fit, order_by=d.key)],
    "chow": [lambda d: stats.chow(d.fit, order_by=d.key)],
    "cusum": [lambda d: stats.cusum(d.fit, order_by=d.key)],
    "durbin_h": [lambda d: stats.durbin_h(lagged(d), 1)],
    **{name: [lambda d, name=name: getattr(stats, name)(d.e)] for name in (
        "anderson_darling", "arch_lm", "autocorrelation", "box_pierce", "jarque_bera", "ljung_box",
        "runs_test", "shapiro_wilk",
    )},
    **{name: [lambda d, name=name: getattr(stats, name)(d.fit)] for name in (
        "breusch_godfrey", "reset", "white",
    )},
    "plot_autocorrelation": [
        lambda d: [line.get_ydata() for line in stats.plot_autocorrelation(d.e).axes[0].lines]
    ],
}  # fmt: skip
DATA = {"X", "blocks", "residuals", "result"}  # parameters of functions that read data


def lagged(d):
    """A regression on the response of the row before, which has little autocorrelation."""
    y = np.cumsum(np.asarray(d.y))
    form = "array" if isinstance(d.y, np.ndarray) else "polars"
    return stats.linear_regression(column(y[:-1], form, "before"), column(y[1:], form))


def numbers(value):
    """The numbers in a result, whatever its form."""
    if isinstance(value, stats.RegressionResult):
        streamed = value.design is None
        rows = () if streamed else (value.residuals, value.leverage)
        return numbers((value.coefficients, value.standard_errors, value.pvalues, *rows))
    if is_dataclass(value):
        return numbers([
            getattr(value, field.name) for field in fields(value)
            if field.name not in ("model", "ordinary")
        ])  # fmt: skip
    if isinstance(value, tuple | list):
        return [number for part in value for number in numbers(part)]
    if isinstance(value, str) or value is None:
        return [value]
    return np.ravel(np.asarray(value)).tolist()


@pytest.mark.filterwarnings("ignore:the covariance of two groupings")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_function_gives_the_result_of_arrays(name, form, seed):
    arrays, tables = Data("array", seed), Data(form, seed)
    for call in CALLS[name]:
        for one, other in zip(numbers(call(arrays)), numbers(call(tables)), strict=True):
            if isinstance(one, float):
                assert other == pytest.approx(one, rel=1e-7, abs=1e-9, nan_ok=True)
            elif not isinstance(one, str) or "x1" not in one:
                assert one == other


def test_every_public_function_of_data_is_compared():
    functions = {name for name in stats.__all__ if inspect.isfunction(getattr(stats, name))}
    parameters = {
        name: set(inspect.signature(getattr(stats, name)).parameters) for name in functions
    }
    assert {name for name in functions if parameters[name] & DATA} == set(CALLS)


@pytest.mark.parametrize("form", FORMS)
def test_names_of_columns_label_the_result(form):
    data = Data(form, 1)
    result = stats.linear_regression(data.X, data.y)
    assert result.names == ("intercept", "a", "b", "c", "d")
    assert result.response_names == ("y",)
    both = stats.linear_regression(data.y, data.pair)
    assert both.response_names == ("g", "h")
    assert set(both.names) <= {"intercept", "y", "x1"}


@pytest.mark.parametrize("form", FORMS)
def test_new_rows_are_selected_by_name(form):
    data = Data(form, 1)
    result = stats.linear_regression(data.X, data.y)
    columns = {name: np.asarray(Data("pandas", 1).X[name]) for name in "dcba"}
    new = table({"other": np.zeros(N), **columns}, form)
    np.testing.assert_allclose(result.predict(new), np.asarray(result.fitted), rtol=1e-12)
    with pytest.raises(ValueError, match="lacks d"):
        result.predict(table({name: columns[name] for name in "abc"}, form))


@pytest.mark.parametrize("form", FORMS)
def test_missing_values_are_counted(form):
    X = table({"a": [1.0, 2, None, 4], "b": [True, None, False, True]}, form)
    if form == "pandas":
        X = X.astype({"a": "Float64", "b": "boolean"})
    with pytest.raises(ValueError, match=r"got 2 nan .* in 2 of 4 rows.*a \(1\), b \(1\)"):
        stats.linear_regression(X, [1.0, 2, 3, 4])


@pytest.mark.parametrize("form", FORMS)
def test_text_is_refused_by_the_name_of_the_column(form):
    X = table({"size": [1.0, 2, 3], "kind": ["a", "b", "a"]}, form)
    with pytest.raises(TypeError, match="got column 'kind' of type"):
        stats.linear_regression(X, [1.0, 2, 3])


@pytest.mark.parametrize("form", ["polars", "pyarrow"])
def test_decimals_are_numbers(form):
    cells = [Decimal("1.5"), Decimal("2.25"), Decimal(4)]
    result = stats.linear_regression(table({"a": cells}, form), [1.0, 2, 3])
    assert result.design[:, 1].tolist() == [1.5, 2.25, 4.0]


@pytest.mark.parametrize("form", ["polars", "pyarrow"])
def test_labels_of_categories_are_groups(form):
    data = Data(form, 2)
    label = data.label.cast(pl.Categorical) if form == "polars" else data.label.dictionary_encode()
    expected = stats.linear_regression(data.X, data.y, cov_type="CR1", groups=data.group)
    result = stats.linear_regression(data.X, data.y, cov_type="CR1", groups=label)
    np.testing.assert_allclose(result.standard_errors, expected.standard_errors, rtol=1e-12)


def test_times_with_a_zone_order_the_rows():
    data = Data("polars", 3)
    day = data.day.dt.replace_time_zone("Europe/Berlin")
    assert stats.durbin_watson_test(data.fit, order_by=day) == stats.durbin_watson_test(
        data.fit, order_by=data.day
    )


def test_a_lazy_table_is_refused():
    with pytest.raises(TypeError, match=r"got a LazyFrame; call .collect\(\) first"):
        stats.linear_regression(pl.LazyFrame({"a": [1.0, 2, 3]}), [1.0, 2, 3])


def test_tables_of_narwhals_are_those_that_they_wrap():
    import narwhals as nw

    data = Data("pandas", 4)
    result = stats.linear_regression(nw.from_native(data.X), data.y)
    np.testing.assert_array_equal(result.coefficients.index, ["intercept", "a", "b", "c", "d"])
    assert isinstance(result.residuals, pd.Series)


def test_columns_of_one_name_are_refused():
    columns = [pa.array([1.0, 2, 3]), pa.array([3.0, 1, 2])]
    twice = pa.Table.from_arrays(columns, names=["a", "a"])
    with pytest.raises(ValueError, match=r"\ba\b"):
        stats.linear_regression(twice, [1.0, 2, 3])


def test_the_library_that_is_absent_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ImportError, match=r"tables of polars need narwhals.*fastnn\[frames\]"):
        stats.linear_regression(pl.DataFrame({"a": [1.0, 2, 3]}), [1.0, 2, 3])


def test_arrays_and_pandas_import_no_narwhals():
    code = (
        "import sys, numpy as np, pandas as pd; from fastnn import stats\n"
        "x = pd.DataFrame({'a': [1.0, 2, 4, 3], 'b': [True, False, True, True]})\n"
        "stats.linear_regression(x, [1.0, 2, 3, 5]).predict(x)\n"
        "print('narwhals' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
