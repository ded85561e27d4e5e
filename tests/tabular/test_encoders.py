"""From tables to numbers, positions and codes: against NumPy's quantiles and the formulas."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn.tabular import DataError, TableEncoder, as_table, decide
from fastnn.tabular.quantiles import Bins, edges_of, median_and_scale


def encode(columns, roles=None, **options):
    table = as_table(columns)
    encoder = TableEncoder(decide(table, roles), **options).fit(table)
    return encoder, encoder.transform(table, np.float64)


# Between subnormal numbers slopes overflow in `numpy.interp`, which tests compare with.
FLOATS = st.floats(-1e6, 1e6, allow_subnormal=False)
NUMBERS = st.lists(st.one_of(st.integers(-3, 3).map(float), FLOATS), min_size=1)

# -------------------------------------------------------------------- quantiles


@settings(max_examples=200, deadline=None)
@given(values=NUMBERS)
def test_median_and_scale_are_those_of_numpy(values):
    first, median, third = np.quantile(values, [0.25, 0.5, 0.75])
    center, scale = median_and_scale(np.sort(values))
    assert center == pytest.approx(median, rel=1e-12, abs=1e-9)
    if scale != pytest.approx(third - first, rel=1e-9, abs=1e-9):
        assert third - first == pytest.approx(0, abs=1e-9)
        assert scale == 0.5 * (max(values) - min(values))


@settings(max_examples=300, deadline=None)
@given(values=NUMBERS, bins=st.integers(2, 48))
def test_edges_ascend_within_the_numbers_and_are_few(values, bins):
    edges = edges_of(np.sort(values), bins)
    assert len(edges) == 0 or 3 <= len(edges) <= bins + 1
    assert list(edges) == sorted(set(edges))
    if edges:
        assert (edges[0], edges[-1]) == (min(values), max(values))
    if len(set(values)) <= 2:
        assert not edges


@settings(max_examples=100, deadline=None)
@given(values=NUMBERS, bins=st.integers(2, 16))
def test_edges_hold_the_quantiles_of_the_rows(values, bins):
    edges = edges_of(np.sort(values), bins)
    for quantile in np.quantile(values, np.linspace(0, 1, bins + 1)) if edges else ():
        assert np.min(np.abs(np.array(edges) - quantile)) <= 1e-9 * max(1, abs(quantile))


def test_bins_that_ties_free_are_spent_on_the_other_rows():
    values = np.sort(np.r_[np.zeros(900), np.linspace(1, 2, 100)])
    edges = np.array(edges_of(values, 16))
    assert np.sum(edges >= 1) >= 14  # quantiles of the rows alone: 2


def test_few_values_have_an_edge_each():
    values = np.sort(np.repeat([0.0, 1.0, 2.0, 7.0], [50, 30, 15, 5]))
    assert {0, 1, 2, 7} <= set(edges_of(values, 16))


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.integers(-50, 50), min_size=1), whole=st.integers(0, 30))
def test_few_whole_numbers_have_an_edge_each(values, whole):
    ordered = np.sort(np.array(values, float))
    different = sorted(set(values))
    edges = edges_of(ordered, 4, whole)
    if 3 <= len(different) <= whole:
        assert list(edges) == different
    else:
        assert edges == edges_of(ordered, 4)
        assert edges_of(ordered + 0.5, 4, whole) == edges_of(ordered + 0.5, 4)


@settings(max_examples=200, deadline=None)
@given(values=NUMBERS, x=st.floats(-2e6, 2e6))
def test_a_position_is_the_bin_plus_the_fraction_in_it(values, x):
    edges = np.array(edges_of(np.sort(values), 8))
    if not len(edges):
        return
    (u,) = Bins(edges, 0.0, 1).positions(np.array([x]))
    assert u == pytest.approx(np.interp(x, edges, np.arange(len(edges))), abs=1e-6)


def test_positions_are_monotone_from_0_to_bins():
    values = np.sort(np.random.default_rng(0).normal(size=1000))
    u = Bins(np.array(edges_of(values, 16)), 0.0, len(values)).positions(values)
    assert (np.diff(u) >= 0).all()
    assert (u[0], u[-1]) == (0, 16)


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.floats(-1e300, 1e300), min_size=3, unique=True),
    bins=st.integers(2, 48),
)
def test_positions_of_many_numbers_are_those_of_single_ones(values, bins):
    edges = np.array(edges_of(np.sort(values), bins))
    if not len(edges):
        return
    between = np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf), edges
    x = np.r_[values, np.concatenate(between), np.nan]
    many, one = Bins(edges, edges[1], 1 << 20), Bins(edges, edges[1], 1)
    np.testing.assert_array_equal(many.positions(x), one.positions(x))


@pytest.mark.parametrize("draw", ["normal", "lognormal", "standard_cauchy"])
def test_positions_in_blocks_are_those_of_the_whole(draw):
    x = getattr(np.random.default_rng(0), draw)(size=20_000)
    edges = np.array(edges_of(np.sort(x), 48))
    u = Bins(edges, 0.0, len(x)).positions(x)
    np.testing.assert_allclose(u, np.interp(x, edges, np.arange(49)), atol=1e-9)


def test_rows_encoded_in_blocks_are_those_of_the_whole():
    n = 9000
    rng = np.random.default_rng(0)
    columns = {"x": rng.normal(size=n), "c": rng.choice(list("abc"), n), "b": rng.random(n) < 0.5}
    columns["t"] = np.datetime64("2020-01-01") + rng.integers(0, 900, n)
    encoder, whole = encode(columns)
    bound = encoder.bind(as_table(columns))
    for name in ("numbers", "positions", "codes"):
        parts = [getattr(bound.encode(i, i + 3000, np.float64), name) for i in range(0, n, 3000)]
        np.testing.assert_array_equal(np.concatenate(parts), getattr(whole, name))


def test_an_infinite_number_behind_the_first_block_is_named():
    x = np.arange(9000.0)
    encoder, _ = encode({"x": x})
    x[8000] = np.inf
    with pytest.raises(DataError, match="row 8001, column 'x'"):
        encoder.transform(as_table({"x": x}))


# ---------------------------------------------------------------------- numbers


def test_numbers_are_scaled_by_quartiles_and_clipped():
    x = np.random.default_rng(0).normal(5, 3, 500)
    encoder, encoded = encode({"x": x})
    first, median, third = np.quantile(x, [0.25, 0.5, 0.75])
    t = (x - median) / (third - first)
    np.testing.assert_allclose(encoded.numbers[:, 0], t / np.sqrt(1 + (t / 3) ** 2), rtol=1e-12)
    assert encoder.number_names == encoder.position_names == ["x"]
    assert encoder.bins == (16,)


def test_without_quartiles_half_of_the_range_is_the_scale():
    x = np.r_[np.zeros(9), 4.0]
    t = x / 2
    np.testing.assert_allclose(encode({"x": x})[1].numbers[:, 0], t / np.sqrt(1 + (t / 3) ** 2))


@pytest.mark.parametrize("x", [1e12, -1e300, 1e308])
def test_far_numbers_are_clipped_at_3(x):
    table = as_table({"x": [1.0, 2.0, 3.0, 4.0]})
    encoder = TableEncoder(decide(table)).fit(table)
    encoded = encoder.transform(as_table({"x": [x]}), np.float64)
    assert encoded.numbers[0, 0] == pytest.approx(3 * np.sign(x))
    assert encoded.positions[0, 0] == (encoder.bins[0] if x > 0 else 0)


def test_missing_numbers_are_the_median_with_an_indicator():
    x = np.r_[np.arange(9.0), np.nan, np.nan]
    encoder, encoded = encode({"x": x})
    assert encoder.number_names == ["x", "x is missing"]
    np.testing.assert_array_equal(encoded.numbers[9:], [[0, 1], [0, 1]])
    median = encoder.transform(as_table({"x": [4.0]}), np.float64)
    assert encoded.positions[9, 0] == median.positions[0, 0]
    assert median.numbers.tolist() == [[0, 0]]


def test_columns_that_are_missing_together_have_one_indicator():
    x = np.r_[np.arange(9.0), np.nan, np.nan]
    encoder, _ = encode({"x": x, "y": 2 * x, "z": np.where(np.arange(11) < 3, np.nan, x)})
    assert encoder.number_names == ["x", "x is missing", "y", "z", "z is missing"]


def test_one_missing_number_has_no_indicator():
    encoder, encoded = encode({"x": [1.0, 2.0, 3.0, None]})
    assert encoder.number_names == ["x"]
    assert encoded.numbers[3, 0] == 0


def test_numbers_missing_at_prediction_alone_are_the_median():
    table = as_table({"x": [1.0, 2.0, 3.0, 4.0]})
    encoder = TableEncoder(decide(table)).fit(table)
    assert encoder.transform(as_table({"x": [None]})).numbers.tolist() == [[0]]


def test_numbers_that_are_constant_in_the_training_rows_are_0():
    table = as_table({"x": [1.0, 1.0, 3.0]})
    encoder = TableEncoder(decide(table)).fit(table.take(np.arange(2)))
    assert not encoder.transform(table).numbers.any()


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_numbers_are_refused_with_their_cell(value):
    good, bad = as_table({"a": [1.0, 2.0]}), as_table({"a": [1.0, value]})
    encoder = TableEncoder(decide(good)).fit(good)
    for method in (encoder.transform, encoder.fit):
        with pytest.raises(DataError, match=f"table, row 2, column 'a': {value}, expected a fin"):
            method(bad)


def test_infinite_numbers_of_a_column_left_out_do_no_harm():
    encode({"a": [1.0, 2.0], "b": [np.inf, 1.0]}, {"b": "drop"})


def test_numbers_too_large_to_scale_are_refused():
    with pytest.raises(DataError, match="column 'a': the numbers are too large to scale"):
        encode({"a": [-1.7e308, 1.7e308, 0.0]})


# ----------------------------------------------------------- signs and categories


@pytest.mark.parametrize(
    ("column", "name", "texts"),
    [([False, True, None], "x", ()), (["b", "a", None], "x is b", ("a", "b"))],
)
def test_two_levels_are_a_sign(column, name, texts):
    encoder, encoded = encode({"x": column * 3}, min_rows=1)
    signs = [-1, 1, 0] if not texts else [1, -1, 0]
    assert encoder.number_names == [name, "x is missing"]
    assert encoded.numbers[:3, 0].tolist() == signs
    assert encoded.numbers[:3, 1].tolist() == [0, 0, 1]
    assert encoded.codes.shape == (9, 0)


def test_an_unseen_level_of_two_is_0_and_counted():
    table = as_table({"x": ["a", "b"] * 3})
    encoder = TableEncoder(decide(table)).fit(table)
    encoded = encoder.transform(as_table({"x": ["c", "a"]}))
    assert encoded.numbers.tolist() == [[0], [-1]]
    assert encoded.unseen == {"x": 1}


def test_levels_missing_values_and_others_have_codes_in_this_order():
    column = ["b", "a", "c", None] * 2 + ["rare"]
    encoder, encoded = encode({"x": column})
    assert (encoder.code_names, encoder.levels) == (["x"], (5,))
    assert encoded.codes[:4, 0].tolist() == [1, 0, 2, 3]
    assert encoded.codes[8, 0] == 4
    assert encoded.unseen == {"x": 1}
    assert encoded.codes.dtype == np.int32


def test_the_order_of_rows_does_not_change_the_codes():
    column = np.random.default_rng(0).choice(["a", "b", "c", "d"], 40)
    one, _ = encode({"x": column})
    other, _ = encode({"x": column[::-1]})
    assert one.columns == other.columns


def test_of_many_levels_the_frequent_ones_are_kept():
    encoder, _ = encode({"x": ["a"] * 4 + ["b"] * 3 + ["c"] * 2 + ["d"] * 3}, max_levels=2)
    assert encoder.columns[0].texts == ("a", "b")


def test_ten_thousand_levels_are_a_category():
    column = np.repeat([f"level {i}" for i in range(10_000)], 2)
    encoder, encoded = encode({"x": column})
    assert encoder.levels == (10_002,)
    assert len(np.unique(encoded.codes)) == 10_000


# ------------------------------------------------------------------------- dates


def test_dates_have_a_linear_part_and_the_cycles_that_vary():
    days = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")
    encoder, encoded = encode({"t": days})
    assert encoder.number_names == [
        "t in days", "sin of t month", "cos of t month", "sin of t weekday", "cos of t weekday"
    ]  # fmt: skip
    assert encoder.position_names == ["t in days"]
    assert (np.diff(encoded.numbers[:, 0]) > 0).all()
    monday = encoded.numbers[0]  # the first of January 2024
    np.testing.assert_allclose(monday[1:], [0, 1, 0, 1], atol=1e-12)
    np.testing.assert_allclose(encoded.numbers[31, 1:3], [0.5, np.sqrt(3) / 2])  # February
    np.testing.assert_allclose(encoded.numbers[7], [*encoded.numbers[7, :1], 0, 1, 0, 1], atol=1e-9)


def test_hours_are_cyclic():
    hours = np.datetime64("2024-01-01T00:30") + np.arange(24).astype("timedelta64[h]")
    encoder, encoded = encode({"t": hours})
    assert encoder.number_names == ["t in days", "sin of t hour", "cos of t hour"]
    turn = 2 * np.pi * (np.arange(24) + 0.5) / 24
    np.testing.assert_allclose(encoded.numbers[:, 1:], np.c_[np.sin(turn), np.cos(turn)])


def test_dates_before_1970_have_cycles_as_well():
    days = np.datetime64("1969-12-22") + np.arange(14).astype("timedelta64[D]")  # a Monday
    encoded = encode({"t": days})[1]
    np.testing.assert_allclose(encoded.numbers[:7, 3:5], encoded.numbers[7:, 3:5], atol=1e-12)
    np.testing.assert_allclose(encoded.numbers[0, 3:5], [0, 1], atol=1e-12)


def test_missing_dates_are_0_with_an_indicator():
    days = np.array(["2024-01-01", "2024-02-02", "NaT", "NaT"], "datetime64[D]")
    encoded = encode({"t": days})[1]
    assert encoded.numbers[2].tolist() == [0, 0, 0, 0, 0, 1]


# ------------------------------------------------------------------------ tables

MIXED = {
    "age": [31.0, None, 44.0, 18.0, None, 90.0],
    "city": ["Rom", "Ulm", "Bonn", None, "Rom", "Ulm"],
    "member": [True, False, None, True, True, False],
    "since": np.array(["2020-01-01", "2021-05-03", "NaT", "2022-01-01", "2020-07-01", "2020-02-02"],
                      "datetime64[D]"),
}  # fmt: skip


def test_columns_are_found_by_name_and_extra_ones_ignored():
    encoder, encoded = encode(MIXED, min_rows=1)
    turned = as_table({"new": ["x"] * 6, **dict(reversed(MIXED.items()))})
    again = encoder.transform(turned, np.float64)
    np.testing.assert_array_equal(again.numbers, encoded.numbers)
    np.testing.assert_array_equal(again.positions, encoded.positions)
    np.testing.assert_array_equal(again.codes, encoded.codes)


def test_absent_columns_are_named():
    encoder, _ = encode(MIXED)
    with pytest.raises(DataError, match="lacks 2 of the 4 columns that are expected: city, since"):
        encoder.transform(as_table({"age": [1.0], "member": [True]}))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_that_of_the_caller(dtype):
    table = as_table(MIXED)
    encoded = TableEncoder(decide(table)).fit(table).transform(table, dtype)
    assert encoded.numbers.dtype == encoded.positions.dtype == dtype


def test_a_row_alone_is_encoded_as_in_the_table():
    encoder, encoded = encode(MIXED)
    for i in range(6):
        row = encoder.transform(as_table(MIXED).take(np.array([i])), np.float64)
        np.testing.assert_array_equal(row.numbers[0], encoded.numbers[i])
        np.testing.assert_array_equal(row.codes[0], encoded.codes[i])


def test_encoders_survive_json():
    encoder, encoded = encode(MIXED)
    again = TableEncoder.from_state(json.loads(json.dumps(encoder.to_state())))
    assert again.columns == encoder.columns
    np.testing.assert_array_equal(
        again.transform(as_table(MIXED), np.float64).numbers, encoded.numbers
    )


@pytest.mark.parametrize(
    "option", [{"bins": -1}, {"scaling": "log"}, {"min_rows": 0}, {"max_levels": 0}]
)
def test_unfit_settings_are_refused(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"{name} must be"):
        TableEncoder(decide(as_table(MIXED)), **option)


def test_no_bins_give_no_positions():
    encoder, encoded = encode(MIXED, bins=0)
    assert encoder.bins == ()
    assert encoded.positions.shape == (6, 0)


def test_every_encoder_describes_its_column():
    encoder, _ = encode(MIXED, min_rows=1)
    described = dict(encoder.describe())
    assert "bins" in described["age"]
    assert "'Bonn', 'Rom', 'Ulm', missing" in described["city"]
    assert described["member"] == "-1 for false, 1 for true, and whether it is missing"
    assert "month, weekday as sine and cosine" in described["since"]
