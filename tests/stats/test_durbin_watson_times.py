"""The argument `time` of the Durbin-Watson statistic and test: numbers, periods, dates."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from fastnn import stats

pd = pytest.importorskip("pandas")

N = 40
E = np.random.default_rng(6).normal(size=N)
GAPS = np.delete(np.arange(N + 4), [5, 6, 20, 33])  # the number of the period of each residual


def expected(lag=1, periods=GAPS):
    """The statistic by its definition."""
    later, earlier = np.nonzero(periods[:, None] - periods == lag)
    return np.sum((E[later] - E[earlier]) ** 2) / np.sum(E**2)


RANGES = {
    "days": pd.date_range("2019-12-20", periods=N + 4, freq="D"),
    "weeks": pd.date_range("2019-12-20", periods=N + 4, freq="W"),
    "business days": pd.date_range("2019-12-20", periods=N + 4, freq="B"),
    "month ends": pd.date_range("2019-01-31", periods=N + 4, freq="ME"),
    "month starts": pd.date_range("2019-01-01", periods=N + 4, freq="MS"),
    "last business days": pd.date_range("2019-01-31", periods=N + 4, freq="BME"),
    "first business days": pd.date_range("2019-01-01", periods=N + 4, freq="BMS"),
    "quarters": pd.date_range("2001-03-31", periods=N + 4, freq="QE"),
    "years": pd.date_range("1960-12-31", periods=N + 4, freq="YE"),
    "thirtieth days": pd.DatetimeIndex(
        [pd.Timestamp(2019, 1, 30) + pd.DateOffset(months=i) for i in range(N + 4)]
    ),
    "hours": pd.date_range("2020-03-28", periods=N + 4, freq="h"),
    "hours of summer time": pd.date_range(
        "2020-03-28 12:00", periods=N + 4, freq="h", tz="Europe/Berlin"
    ),
    "days of summer time": pd.date_range("2020-03-20", periods=N + 4, tz="Europe/Berlin"),
    "milliseconds": pd.date_range("2020-01-01", periods=N + 4, freq="5ms"),
    "periods of months": pd.period_range("2019-01", periods=N + 4, freq="M"),
    "periods of quarters": pd.period_range("2019Q1", periods=N + 4, freq="Q"),
    "durations": pd.timedelta_range("0s", periods=N + 4, freq="90s"),
    "numbers": pd.Index(1990 + np.arange(N + 4) / 4),
}
"""A time for each period; the residuals leave four of them out."""

every_range = pytest.mark.parametrize("name", RANGES)


@every_range
@pytest.mark.parametrize("lag", [1, 4])
def test_differences_are_between_successive_times(name, lag):
    d = stats.durbin_watson(E, lag=lag, time=RANGES[name][GAPS])
    assert d == pytest.approx(expected(lag), rel=1e-12)


@every_range
def test_the_order_of_the_rows_does_not_matter(name):
    order = np.random.default_rng(0).permutation(N)
    d = stats.durbin_watson(E[order], time=RANGES[name][GAPS[order]])
    assert d == pytest.approx(expected(), rel=1e-12)


@every_range
def test_the_test_has_the_statistic_and_law_of_the_numbers(name):
    X = np.arange(N) ** 0.5
    found = stats.durbin_watson_test(X, E, time=RANGES[name][GAPS])
    plain = stats.durbin_watson_test(X, E, time=GAPS)
    assert [*found] == pytest.approx([*plain], rel=1e-12)
    assert found.differences == plain.differences == N - 1 - 3


@every_range
def test_groups_have_times_of_their_own(name):
    groups = np.arange(N) % 2
    place = np.arange(N) // 2
    d = stats.durbin_watson(E, groups=groups, time=RANGES[name][place])
    pairs = [(i, i + 2) for i in range(N - 2)]
    assert d == pytest.approx(sum((E[j] - E[i]) ** 2 for i, j in pairs) / np.sum(E**2), rel=1e-12)


FORMS = {
    "Series": pd.Series,
    "datetime64[ns]": np.asarray,
    "datetime64[s]": lambda index: np.asarray(index).astype("datetime64[s]"),
    "datetime64[D]": lambda index: np.asarray(index).astype("datetime64[D]"),
    "datetime64[M]": lambda index: np.asarray(index).astype("datetime64[M]"),
    "timestamps": list,
    "datetimes": lambda index: list(index.to_pydatetime()),
    "dates": lambda index: [stamp.date() for stamp in index],
    "objects": lambda index: np.array([stamp.date() for stamp in index], object),
    "periods": lambda index: index.to_period("Q"),
    "Series of periods": lambda index: pd.Series(index.to_period("Q")),
    "list of periods": lambda index: list(index.to_period("Q")),
    "Series of any index": lambda index: pd.Series(index, index=range(100, 100 + N)),
}


@pytest.mark.parametrize("form", FORMS)
def test_dates_may_have_any_form(form):
    time = FORMS[form](RANGES["quarters"][GAPS])
    assert stats.durbin_watson(E, time=time) == pytest.approx(expected(), rel=1e-12)


def test_dates_of_polars_are_read():
    polars = pytest.importorskip("polars")
    dates = [stamp.date() for stamp in RANGES["quarters"][GAPS]]
    for time in (polars.Series(dates), polars.Series(dates).cast(polars.Datetime("us"))):
        assert stats.durbin_watson(E, time=time) == pytest.approx(expected(), rel=1e-12)
        found = stats.durbin_watson_test(np.arange(N), E, time=time)
        assert [*found] == pytest.approx([*stats.durbin_watson_test(np.arange(N), E, time=GAPS)])


def test_dates_of_pyarrow_are_read():
    pyarrow = pytest.importorskip("pyarrow")
    dates = pyarrow.array([stamp.date() for stamp in RANGES["quarters"][GAPS]])
    assert stats.durbin_watson(E, time=dates) == pytest.approx(expected(), rel=1e-12)


def test_groups_without_times_are_in_the_order_of_the_rows():
    groups = np.repeat(["a", "b"], N // 2)
    parts = sum(np.sum(np.diff(E[groups == g]) ** 2) for g in "ab")
    assert stats.durbin_watson(E, groups=groups) == pytest.approx(parts / np.sum(E**2), rel=1e-12)


def test_the_statistic_is_that_of_the_test_of_a_panel():
    groups = np.repeat([0, 1, 2, 3], N // 4)
    result = stats.linear_regression(np.arange(N), E)
    test = stats.durbin_watson_test(result, groups=groups)
    assert stats.durbin_watson(result.residuals, groups=groups) == pytest.approx(test.statistic)


def test_without_gaps_the_statistic_is_the_plain_one():
    assert stats.durbin_watson(E, time=np.arange(N)) == pytest.approx(stats.durbin_watson(E))


def test_series_of_another_index_are_refused():
    series = pd.Series(E)
    with pytest.raises(ValueError, match="same index"):
        stats.durbin_watson(series, time=pd.Series(GAPS, index=GAPS))
    with pytest.raises(ValueError, match="same index"):
        stats.durbin_watson(series, groups=pd.Series(GAPS % 2, index=GAPS))


BAD = {
    "time must not hold missing values": pd.Series(RANGES["days"][GAPS]).where(np.arange(N) > 0),
    "time must not hold missing values ": np.where(np.arange(N) > 0, GAPS, np.nan),
    "time must not hold missing values  ": pd.Series(RANGES["quarters"][GAPS].to_period("Q")).where(
        np.arange(N) > 0
    ),
    "time must have shape": RANGES["days"],
    "equal values within a group": RANGES["days"][np.zeros(N, int)],
    "whole multiples of its smallest difference": pd.Timestamp(2020, 1, 1)
    + pd.to_timedelta(np.r_[0, 1, 2.3, 3 + np.arange(N - 3)], unit="h"),
    "real numbers": np.array(["a"] * N),
    "one kind of values": [datetime.datetime(2020, 1, 1), *range(N - 1)],
}


@pytest.mark.parametrize("message", BAD)
def test_other_times_are_refused(message):
    with pytest.raises((TypeError, ValueError), match=message.strip()):
        stats.durbin_watson(E, time=BAD[message])


def test_residuals_of_a_panel_are_one_series():
    with pytest.raises(ValueError, match=r"must have shape \(n,\)"):
        stats.durbin_watson(np.ones((N, 2)), time=GAPS)
    with pytest.raises(ValueError, match="all zero"):
        stats.durbin_watson(np.zeros(N), time=GAPS)
    with pytest.raises(ValueError, match="residuals"):
        stats.durbin_watson(np.full(N, np.nan), time=GAPS)
