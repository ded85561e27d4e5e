"""Learning-rate schedules against their formulas."""

import json
import math

import numpy as np
import pytest

from fastnn import schedules
from fastnn.schedules import (
    BiasCorrection,
    Constant,
    Cosine,
    CosineLog,
    Exponential,
    FlatCosine,
    Step,
    WarmUp,
    rates,
)

EVERY = [
    Constant(0.1),
    Step(0.1, 0.5, every=10),
    Exponential(0.1, 0.9, every=3),
    Cosine(0.1, steps=20, final=0.01),
    FlatCosine(0.1, steps=20, final=0.01, flat=0.25),
    CosineLog(0.1, steps=20, cycles=3),
    WarmUp(5, Cosine(0.1, steps=20)),
    WarmUp(5, 0.1),
    BiasCorrection(0.1),
    BiasCorrection(Cosine(0.1, steps=20), 0.8, 0.99),
]
each_schedule = pytest.mark.parametrize("schedule", EVERY, ids=repr)


# -------------------------------------------------------------------- formulas


def test_constant_is_the_same_at_every_step():
    np.testing.assert_array_equal(Constant(0.3)(np.arange(1, 5)), [0.3] * 4)


def test_step_falls_after_every_full_stair():
    schedule = Step(1.0, 0.5, every=2)
    np.testing.assert_array_equal(schedule(np.arange(1, 7)), [1, 1, 0.5, 0.5, 0.25, 0.25])


def test_exponential_multiplies_by_factor_over_every_steps():
    schedule = Exponential(0.8, 0.25, every=4)
    np.testing.assert_allclose(schedule(np.array([1, 3, 5, 9])), [0.8, 0.4, 0.2, 0.05], rtol=1e-15)


def test_exponential_meets_step_at_the_start_of_each_stair():
    stairs = np.arange(1, 100, 7)
    np.testing.assert_allclose(
        Exponential(0.3, 0.7, 7)(stairs), Step(0.3, 0.7, 7)(stairs), rtol=1e-13
    )


def test_bias_correction_is_that_of_adams_averages():
    steps = np.array([1, 2, 10, 10**6])
    expected = 0.3 * np.sqrt(1 - 0.99**steps) / (1 - 0.8**steps)
    np.testing.assert_allclose(BiasCorrection(0.3, 0.8, 0.99)(steps), expected, rtol=1e-13)


def test_bias_correction_multiplies_another_schedule():
    steps, falling = np.arange(1, 30), Cosine(0.3, steps=20)
    expected = falling(steps) * BiasCorrection(1.0)(steps)
    np.testing.assert_allclose(BiasCorrection(falling)(steps), expected, rtol=1e-15)


def test_cosine_starts_at_initial_and_ends_at_final_exactly():
    schedule = Cosine(0.3, steps=10, final=0.07)
    np.testing.assert_array_equal(schedule(np.array([1, 11, 12, 10**12])), [0.3, 0.07, 0.07, 0.07])


def test_cosine_is_halfway_in_the_middle_and_symmetric_about_it():
    schedule = Cosine(1.0, steps=10, final=0.2)
    assert schedule(6) == pytest.approx(0.6, abs=1e-15)
    values = schedule(np.arange(1, 12))
    np.testing.assert_allclose(values + values[::-1], 1.2, atol=1e-15)


def test_cosine_agrees_with_its_formula():
    schedule = Cosine(0.5, steps=7, final=0.1)
    expected = [0.1 + 0.2 * (1 + math.cos(math.pi * i / 7)) for i in range(8)]
    np.testing.assert_allclose(schedule(np.arange(1, 9)), expected, rtol=1e-14)


def test_flat_cosine_is_constant_and_then_a_cosine():
    schedule = FlatCosine(0.3, steps=20, final=0.1, flat=0.6)
    values = schedule(np.arange(1, 30))
    np.testing.assert_array_equal(values[:13], 0.3)
    np.testing.assert_allclose(values[12:], Cosine(0.3, 8, 0.1)(np.arange(1, 18)), rtol=1e-13)


def test_flat_cosine_ends_at_final_exactly():
    np.testing.assert_array_equal(
        FlatCosine(0.3, 10, 0.07)(np.array([6, 11, 99])), [0.3, 0.07, 0.07]
    )


def test_flat_cosine_without_a_flat_part_is_a_cosine():
    steps = np.arange(1, 40)
    np.testing.assert_array_equal(
        FlatCosine(0.3, 30, 0.1, flat=0)(steps), Cosine(0.3, 30, 0.1)(steps)
    )


@pytest.mark.parametrize("cycles", [1, 2, 4])
def test_cosine_log_agrees_with_its_formula(cycles):
    schedule = CosineLog(0.5, steps=9, cycles=cycles)
    t = [(step - 0.5) / 9 for step in range(1, 10)]
    expected = [0.25 * (1 - math.cos(2 * math.pi * math.log2(1 + (2**cycles - 1) * p))) for p in t]
    np.testing.assert_allclose(schedule(np.arange(1, 10)), expected, rtol=1e-12)


def test_cosine_log_has_a_wave_for_each_cycle():
    values = CosineLog(0.5, steps=10_000)(np.arange(1, 10_001))
    assert values.max() == pytest.approx(0.5, abs=1e-6)
    peaks = 1 + np.flatnonzero((values[1:-1] > values[:-2]) & (values[1:-1] >= values[2:]))
    ends = (2.0 ** (np.arange(4) + 0.5) - 1) / 15  # of log2(1 + 15 t) = 1/2, 3/2...
    np.testing.assert_allclose(peaks, 10_000 * ends, atol=1)
    assert 0 < values[0] < 1e-4
    assert 0 < values[-1] < 1e-4


def test_cosine_log_is_zero_after_its_steps():
    np.testing.assert_allclose(CosineLog(0.5, 10)(np.array([11, 10**12])), 0, atol=1e-15)


def test_warm_up_rises_linearly_to_the_rate_that_follows():
    np.testing.assert_allclose(
        WarmUp(4, 0.8)(np.arange(1, 7)), [0.2, 0.4, 0.6, 0.8, 0.8, 0.8], rtol=1e-15
    )


def test_warm_up_starts_what_follows_at_its_own_first_step():
    after = Step(0.8, 0.5, every=2)
    np.testing.assert_array_equal(WarmUp(4, after)(np.arange(4, 8)), after(np.arange(1, 5)))


def test_warm_up_of_one_step_changes_nothing():
    after = Cosine(0.8, steps=9)
    steps = np.arange(1, 12)
    np.testing.assert_array_equal(WarmUp(1, after)(steps), after(steps))


def test_warm_up_takes_a_function_of_the_step():
    np.testing.assert_array_equal(
        WarmUp(2, lambda step: 1.0 / step)(np.arange(1, 5)), [0.5, 1, 0.5, 1 / 3]
    )


# --------------------------------------------------------------- how they are called


@each_schedule
def test_array_call_equals_calls_step_by_step(schedule):
    steps = np.arange(1, 40)
    np.testing.assert_array_equal(schedule(steps), [schedule(int(step)) for step in steps])


@each_schedule
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.uint64])
def test_any_integer_dtype_gives_the_same_float64(schedule, dtype):
    steps = np.arange(1, 40)
    values = schedule(steps.astype(dtype))
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, schedule(steps))


@each_schedule
def test_result_has_the_shape_of_the_steps(schedule):
    assert schedule(np.ones((2, 3), int)).shape == (2, 3)
    assert np.ndim(schedule(3)) == 0


@each_schedule
def test_step_zero_is_refused(schedule):
    with pytest.raises(ValueError, match="steps count from 1, got 0"):
        schedule(np.array([1, 0]))


def test_fractional_steps_are_refused():
    with pytest.raises(TypeError, match="integers"):
        Constant(0.1)(1.5)


# ------------------------------------------------------------------------- rates


def test_rates_of_a_number():
    np.testing.assert_array_equal(rates(0.25, np.arange(1, 4)), [0.25] * 3)


def test_function_is_called_with_python_ints():
    seen = []
    rates(lambda step: seen.append(step) or 0.1, np.array([3, 4]))
    assert seen == [3, 4]
    assert all(type(step) is int for step in seen)


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), 0.5, True + 0])
def test_function_may_return_any_number(value):
    assert rates(lambda step: value, np.array([1]))[0] == float(value)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1])
def test_bad_rate_is_named_with_its_step(bad):
    with pytest.raises(ValueError, match=f"learning rate at step 3 is {bad}"):
        rates(lambda step: bad if step == 3 else 0.1, np.arange(1, 6))


def test_function_that_returns_no_number_is_refused():
    with pytest.raises(TypeError, match="returned None for step 1"):
        rates(lambda step: None, np.array([1]))


def test_exploding_exponential_is_refused_where_it_overflows():
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="at step 2000 is inf"):
        rates(Exponential(1.0, 2.0), np.array([10, 2000]))


# ------------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    ("make", "error", "name"),
    [
        (lambda: Constant(-1), ValueError, "value"),
        (lambda: Constant(math.nan), ValueError, "value"),
        (lambda: Constant("0.1"), TypeError, "value"),
        (lambda: Constant(True), TypeError, "value"),
        (lambda: Step(math.inf, 0.5, 3), ValueError, "initial"),
        (lambda: Step(0.1, -0.5, 3), ValueError, "factor"),
        (lambda: Step(0.1, 0.5, 0), ValueError, "every"),
        (lambda: Step(0.1, 0.5, 1.5), TypeError, "every"),
        (lambda: Exponential(0.1, math.nan), ValueError, "factor"),
        (lambda: Exponential(0.1, 0.5, 2**63), ValueError, "every"),
        (lambda: Cosine(0.1, steps=0), ValueError, "steps"),
        (lambda: Cosine(0.1, steps=5, final=-1), ValueError, "final"),
        (lambda: FlatCosine(0.1, steps=5, flat=1.0), ValueError, "flat"),
        (lambda: FlatCosine(0.1, steps=0), ValueError, "steps"),
        (lambda: CosineLog(-0.1, steps=5), ValueError, "peak"),
        (lambda: CosineLog(0.1, steps=5, cycles=0), ValueError, "cycles"),
        (lambda: WarmUp(0, 0.1), ValueError, "steps"),
        (lambda: WarmUp(5, -0.1), ValueError, "then"),
        (lambda: WarmUp(5, "cosine"), TypeError, "then"),
        (lambda: WarmUp(5, Cosine), TypeError, "then is the class Cosine"),
    ],
)
def test_bad_argument_is_named(make, error, name):
    with pytest.raises(error, match=name):
        make()


def test_numpy_numbers_become_python_numbers():
    schedule = Step(np.float32(0.5), np.float64(0.5), np.int64(3))
    assert [type(v) for v in (schedule.initial, schedule.factor, schedule.every)] == [
        float,
        float,
        int,
    ]


@each_schedule
def test_schedules_are_immutable(schedule):
    name = next(iter(schedule.__dataclass_fields__))
    with pytest.raises(AttributeError):
        setattr(schedule, name, 1)


# --------------------------------------------------------------------------- config


@each_schedule
def test_config_survives_json(schedule):
    assert schedules.from_config(json.loads(json.dumps(schedule.config))) == schedule


def test_config_of_a_number_is_the_number():
    assert schedules.from_config(schedules.to_config(0.1)) == 0.1


def test_function_has_no_config():
    with pytest.raises(ValueError, match="cannot be written as data"):
        _ = WarmUp(5, lambda step: 0.1).config


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"name": "unknown"},
        {"name": ["constant"]},
        {"name": "constant", "value": 0.1, "extra": 1},
        {"name": "constant", "value": -1},
        {"name": "constant"},
        {"name": "warm_up", "steps": 3, "then": {"name": "x"}},
        "0.1",
        None,
        [0.1],
        -1,
    ],
    ids=str,
)
def test_hostile_config_raises_only_value_or_type_error(config):
    with pytest.raises((TypeError, ValueError)):
        schedules.from_config(config)
