"""Numbers that lose their meaning in the dtype of a network are refused, whatever the option."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn as fnn
from fastnn import layers, losses, optimizers, schedules
from fastnn.facts.activations import ROWS
from fastnn.facts.updates import UPDATES

DTYPES = ["float32", "float64"]


def compiled(dtype, optimizer="adam", loss="mean_squared_error", layer=None, **options):
    middle = [] if layer is None else [layer]
    net = fnn.Sequential([fnn.Dense(2, 3), *middle, fnn.Dense(3, 2)], dtype=dtype)
    net.compile(loss, optimizer, **options)
    return net


def optimizer_options():
    """Each number of each optimizer: how to compile with it, and its bounds."""
    for name in optimizers.names():
        cls = type(optimizers.get(name))
        numbers = {n.name: n for n in UPDATES[cls.kind].numbers}
        for field in dataclasses.fields(cls):
            number = numbers.get(field.name)
            if number is not None and (number.is_flag or number.in_double):
                continue
            below = 1.0 if number is not None and number.below == 1 else math.inf

            def build(value, dtype, cls=cls, key=field.name):
                return compiled(dtype, cls(**{key: value}))

            yield pytest.param(field.name, build, below, id=f"{name} {field.name}")


def rate_options():
    """Each learning rate of each schedule."""
    made = {
        "value of learning_rate": lambda v: schedules.Constant(v),
        "initial of learning_rate": lambda v: schedules.Exponential(v, 0.5),
        "final of learning_rate": lambda v: schedules.Cosine(0.1, 10, v),
        "peak of learning_rate": lambda v: schedules.CosineLog(v, 10),
        "then of learning_rate": lambda v: schedules.WarmUp(5, v),
        "rate of learning_rate": lambda v: schedules.BiasCorrection(v),
        "initial of then of learning_rate": lambda v: schedules.WarmUp(
            5, schedules.Step(v, 0.5, 3)
        ),
    }
    for name, make in made.items():

        def build(value, dtype, make=make):
            return compiled(dtype, fnn.GradientDescent(make(value)))

        yield pytest.param(name, build, math.inf, id=name)


def loss_options():
    made = {
        "delta of loss huber": (lambda v: losses.Huber(delta=v), math.inf),
        "label_smoothing of loss cross_entropy": (
            lambda v: losses.CrossEntropy(label_smoothing=v),
            1.0,
        ),
        "label_smoothing of loss binary_cross_entropy": (
            lambda v: losses.BinaryCrossEntropy(label_smoothing=v),
            1.0,
        ),
        "class_weight of loss cross_entropy": (
            lambda v: losses.CrossEntropy(class_weight=[1, v]),
            math.inf,
        ),
        "class_weight of loss binary_cross_entropy": (
            lambda v: losses.BinaryCrossEntropy(class_weight={1: v}, reduction="sum"),
            math.inf,
        ),
        "pos_weight of loss binary_cross_entropy": (
            lambda v: losses.BinaryCrossEntropy(pos_weight=[1, v]),
            math.inf,
        ),
        "quantiles of loss quantile": (lambda v: losses.Quantile(quantiles=[0.25, v]), 1.0),
        "ignore_value of loss mean_squared_error": (
            lambda v: losses.MeanSquaredError(ignore_value=v),
            math.inf,
        ),
    }
    for name, (make, below) in made.items():

        def build(value, dtype, make=make):
            return compiled(dtype, loss=make(value))

        yield pytest.param(name, build, below, id=name)


def layer_options():
    for row in ROWS:
        if row.default_alpha is not None:

            def build(value, dtype, name=row.name):
                return compiled(
                    dtype, layer=fnn.Dense(3, 3, activation=name, alpha=value, name="a")
                )

            yield pytest.param("alpha of layer 'a'", build, math.inf, id=f"alpha of {row.name}")

    def normalised(value, dtype):
        return compiled(dtype, layer=fnn.LayerNorm(3, epsilon=value, name="n"))

    yield pytest.param("epsilon of layer 'n'", normalised, math.inf, id="epsilon of LayerNorm")


def other_options():
    yield pytest.param("l2", lambda v, dtype: compiled(dtype, l2=v), math.inf, id="l2")

    def weighed(value, dtype):
        return compiled(dtype, loss_weights=value)

    yield pytest.param(r"loss_weights\['dense_2'\]", weighed, math.inf, id="loss_weights")


OPTIONS = [
    *optimizer_options(),
    *rate_options(),
    *loss_options(),
    *layer_options(),
    *other_options(),
]
VALUES = st.one_of(
    st.floats(min_value=0, allow_nan=False, allow_infinity=False, width=64),
    st.floats(min_value=0, max_value=1, exclude_max=True),
    st.sampled_from([0.0, 5e-324, 1e-310, 1e-46, 1e-40, 1.17e-38, 1.2e-38, 0.5, 3.4e38, 1e39]),
    st.sampled_from([1 - 2.0**-53, 1 - 2.0**-30, 1 - 2.0**-25, 1 - 2.0**-24]),
)


def keeps_its_meaning(value, dtype, below):
    with np.errstate(all="ignore"):
        rounded = np.dtype(dtype).type(value)
    if value and float(rounded) < float(np.finfo(dtype).tiny):
        return False
    return bool(np.isfinite(rounded)) and (value < below) == (float(rounded) < below)


def test_weights_of_a_mean_are_refused_by_their_ratio():
    loss = losses.BinaryCrossEntropy(class_weight={0: 1e30, 1: 1e-20})
    with pytest.raises(ValueError, match="divided by about the largest of them"):
        compiled("float32", loss=loss)
    compiled("float64", loss=loss)
    compiled("float32", loss=losses.BinaryCrossEntropy(class_weight={0: 1e60, 1: 1e50}))


@pytest.mark.parametrize(("name", "build", "below"), OPTIONS)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(value=VALUES, dtype=st.sampled_from(DTYPES))
def test_an_option_is_refused_just_where_it_loses_its_meaning(name, build, below, value, dtype):
    try:
        build(0.5, dtype)
        build(value, "float64" if keeps_its_meaning(value, "float64", below) else dtype)
        in_interval = True
    except ValueError as error:
        in_interval = "which becomes" in str(error)
    if not in_interval:  # 0 for an epsilon, 1 and more for a share
        return
    if keeps_its_meaning(value, dtype, below):
        build(value, dtype)
        return
    with pytest.raises(ValueError, match=rf"^{name} is .* in {dtype}, whose") as error:
        build(value, dtype)
    assert repr(value) in str(error.value)


def test_every_number_of_a_loss_or_a_schedule_has_its_test():
    tested = {parameter.id for parameter in [*loss_options(), *rate_options()]}
    for name in losses.__all__:
        loss = getattr(losses, name)
        if dataclasses.is_dataclass(loss):
            for field in dataclasses.fields(loss):
                if field.name in (
                    "delta",
                    "label_smoothing",
                    "class_weight",
                    "pos_weight",
                    "quantiles",
                ):
                    assert f"{field.name} of loss {loss.name}" in tested
                else:
                    assert field.name in ("reduction", "ignore_value", "ignore_index", "ignore_nan")
    for name in schedules.__all__:
        schedule = getattr(schedules, name)
        if schedule is not schedules.Schedule:
            floats = {f.name for f in dataclasses.fields(schedule) if f.type != "int"}
            in_double = {"factor", "flat", "beta1", "beta2"}  # which stay in float64
            assert floats - set(schedule.rate_fields) <= in_double


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (
            1e-46,
            "float32",
            "epsilon is 1e-46, which becomes 0 in float32, whose smallest number is",
        ),
        (1e-40, "float32", "epsilon is 1e-40, which becomes 0"),
        (1e39, "float32", "epsilon is 1e[+]39, which becomes inf in float32, whose largest number"),
        (1e-310, "float64", "epsilon is 1e-310, which becomes 0 in float64"),
    ],
)
def test_the_error_has_the_option_its_value_and_the_limit(value, dtype, message):
    with pytest.raises(ValueError, match=message):
        compiled(dtype, fnn.Adam(epsilon=value))


def test_a_share_near_1_says_what_is_possible():
    with pytest.raises(ValueError, match=r"becomes 1 in float32, .* number below is 0\.9999999"):
        compiled("float32", fnn.Momentum(momentum=1 - 1e-9))


def test_the_dampening_and_the_factor_of_a_schedule_stay_in_float64():
    compiled("float32", fnn.Momentum(dampening=1 - 1e-9))
    compiled("float32", fnn.GradientDescent(schedules.Exponential(0.1, 1 - 1e-12)))


def test_a_rate_of_dropout_below_its_unit_is_refused(dtype):
    with pytest.raises(ValueError, match=r"rate of layer 'd' is 1e-10, .* units of 2\*\*-32"):
        compiled(dtype, layer=layers.Dropout(1e-10, name="d"))


def test_initial_values_that_overflow_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"initial value of 'd.weight' .* float32"):
            fnn.Sequential([fnn.Dense(2, 1, weight=np.full((2, 1), 1e39), name="d")])


def test_minimize_refuses_them_too():
    with pytest.raises(ValueError, match="epsilon is 1e-46, which becomes 0 in float32"):
        optimizers.minimize(lambda x: (0.0, x), np.ones(2, np.float32), fnn.Adam(epsilon=1e-46), 1)
