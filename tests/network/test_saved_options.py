"""Every option that is accepted can be saved, and loads equal: also NumPy scalars."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn as fnn
from fastnn import initializers, losses, optimizers, schedules


def through_a_file(net):
    file = io.BytesIO()
    net.save(file)
    file.seek(0)
    return fnn.load(file)


def network(width=3, **options):
    return fnn.Sequential([fnn.Dense(2, width)], **options)


KINDS = st.sampled_from([float, np.float32, np.float64, np.float16])
WHOLE = st.sampled_from([int, np.int64, np.int8, np.uint16, lambda x: np.array(x)])
SHARE = st.builds(lambda kind, x: kind(x), KINDS, st.sampled_from([0.0, 0.25, 0.5]))
NUMBER = st.builds(lambda kind, x: kind(x), KINDS, st.sampled_from([0.25, 1.0, 3.0]))
COUNT = st.builds(lambda kind, x: kind(x), WHOLE, st.integers(1, 100))
FLAG = st.sampled_from([True, False, np.True_, np.False_])

WEIGHTS = st.lists(NUMBER, min_size=3, max_size=3)
NAN = KINDS.map(lambda kind: kind(math.nan))

LOSSES = st.one_of(
    st.builds(losses.CrossEntropy, label_smoothing=SHARE, ignore_index=st.none() | COUNT),
    st.builds(
        losses.CrossEntropy, ignore_nan=FLAG, class_weight=st.lists(NUMBER, min_size=3, max_size=3)
    ),
    st.builds(losses.BinaryCrossEntropy, label_smoothing=SHARE, ignore_value=st.none() | NUMBER),
    st.builds(
        losses.MeanSquaredError, ignore_value=NUMBER | KINDS.map(lambda kind: kind(math.nan))
    ),
    st.builds(losses.Huber, delta=NUMBER, ignore_value=NUMBER),
)
RATES = st.one_of(
    SHARE,
    st.builds(schedules.Step, NUMBER, SHARE, COUNT),
    st.builds(schedules.Cosine, NUMBER, COUNT),
    st.builds(schedules.FlatCosine, NUMBER, COUNT, NUMBER, SHARE),
    st.builds(schedules.CosineLog, NUMBER, COUNT),
    st.builds(schedules.BiasCorrection, SHARE, SHARE, SHARE),
)
OPTIMIZERS = st.one_of(
    st.builds(optimizers.GradientDescent, RATES),
    st.builds(optimizers.Momentum, RATES, momentum=SHARE, nesterov=FLAG),
    st.builds(optimizers.Adam, RATES, beta1=SHARE, epsilon=NUMBER, clip_norm=NUMBER),
    st.builds(optimizers.Momentum, RATES, momentum=SHARE, dampening=SHARE),
    st.builds(optimizers.RMSprop, RATES, epsilon=NUMBER),
    st.builds(optimizers.CenteredRMSprop, RATES, rho=SHARE, epsilon=NUMBER),
    st.builds(optimizers.AMSGrad, RATES, beta2=SHARE, weight_decay=SHARE),
)


@settings(max_examples=40, deadline=None)
@given(loss=LOSSES, optimizer=OPTIMIZERS, weight=NUMBER, l2=SHARE, alpha=NUMBER, rate=SHARE)
def test_what_is_accepted_is_saved_and_loads_equal(loss, optimizer, weight, l2, alpha, rate):
    layers = [
        fnn.Dense(2, 4, activation="leaky_relu", alpha=alpha),
        fnn.Dropout(rate),
        fnn.Dense(4, 3, trainable=np.True_),
    ]
    net = fnn.Sequential(layers, seed=np.uint64(3))
    net.compile(loss, optimizer, loss_weights={"dense_2": weight}, l2=l2)
    loaded = through_a_file(net)
    assert repr(list(loaded.losses.values())) == repr(list(net.losses.values()))
    assert loaded.optimizer == net.optimizer
    assert [layer.config for layer in loaded.layers] == [layer.config for layer in net.layers]


@settings(max_examples=20, deadline=None)
@given(value=NUMBER)
def test_options_of_initializers_are_plain_numbers(value):
    for initializer in (initializers.Constant(value), initializers.HeNormal(value)):
        assert all(type(v) in (str, float) for v in initializer.config.values())


@pytest.mark.parametrize("dtype", ["bfloat16", "nonsense", None, object, "complex64", ">f4"])
def test_other_dtypes_are_refused_on_entry(dtype):
    with pytest.raises(TypeError, match="dtype must be float32 or float64"):
        network(dtype=dtype)


@pytest.mark.parametrize("seed", [0, 2**64 - 1, np.uint64(2**64 - 1)])
def test_seeds_of_64_bits_are_saved(seed):
    assert through_a_file(network(seed=seed)).seed == int(seed)


@pytest.mark.parametrize(
    "build",
    [
        lambda seed: network(seed=seed),
        lambda seed: fnn.Dropout(0.5, seed=seed),
        lambda seed: fnn.Dense(2, 2, seed=seed),
    ],
)
def test_larger_seeds_are_refused_on_entry(build):
    with pytest.raises(ValueError, match=r"seed must be an integer below 2\*\*64"):
        build(2**64)
