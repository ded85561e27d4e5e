"""Updates of parameters and state that are not finite: what counts for nothing makes no nan."""

import numpy as np
import pytest
from programs import OPTIMIZERS, chain, data_for, initial_storage, set_optimizer

from fastnn import backend as backends
from fastnn.facts.updates import UPDATES

N = 37  # whole vectors and a rest
FORGOTTEN = {
    "momentum": [({"momentum": 0.0}, "velocity")],
    "rmsprop": [({"rho": 0.0}, "square")],
    "centered_rmsprop": [({"rho": 0.0}, "square"), ({"rho": 0.0}, "mean")],
    "adam": [({"beta1": 0.0}, "first"), ({"beta2": 0.0}, "second")],
    "amsgrad": [({"beta1": 0.0}, "first"), ({"beta2": 0.0}, "second")],
    "lion": [({"beta1": 0.0, "beta2": 0.0}, "mean")],
}
"""The numbers that leave nothing of a slot, by update."""
CASES = [
    pytest.param(kind, numbers, slot, id=f"{kind} {slot}")
    for kind, cases in FORGOTTEN.items()
    for numbers, slot in cases
]


def updated(dtype, kind, numbers, *, slots=None, rate=0.01, step=3, parameters=None):
    """Parameters and slots after one update of numbers that are the same in every call."""
    rng = np.random.default_rng(5)
    row = UPDATES[kind]
    p, g = rng.normal(size=(2, N)).astype(dtype)
    if parameters is not None:
        p[...] = parameters
    state = [np.abs(rng.normal(size=N)).astype(dtype) for _ in row.slots]
    for name, value in (slots or {}).items():
        state[row.slots.index(name)][...] = value
    backends.kernels(np.dtype(dtype)).update(
        kind, p, g, state, step, rate, {**row.defaults, **numbers}, 0.0
    )
    return [p, *state]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("rate", [0.0, 0.01])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_parameter_stays_what_it_is(backend, dtype, optimizer, rate, value):
    kind, numbers = OPTIMIZERS[optimizer]
    p, *slots = updated(dtype, kind, numbers, rate=rate, parameters=value)
    np.testing.assert_array_equal(p, np.full(N, value, dtype))
    for slot in slots:
        assert np.isfinite(slot).all()


@pytest.mark.parametrize(("kind", "numbers", "slot"), CASES)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_slot_of_which_nothing_survives_counts_for_nothing(
    backend, dtype, kind, numbers, slot, value
):
    found = updated(dtype, kind, numbers, slots={slot: value})
    expected = updated(dtype, kind, numbers, slots={slot: 0})
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", UPDATES)
def test_every_share_of_a_slot_has_its_case(kind):
    shares = {n.name for n in UPDATES[kind].numbers if n.below == 1 and not n.in_double}
    tested = {name for numbers, _ in FORGOTTEN.get(kind, []) for name in numbers}
    assert tested == shares


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_of_an_engine_leaves_an_infinite_bias(backend, dtype, optimizer):
    program = chain((4, 6, 3), "sigmoid", "cross_entropy", dtype)
    engine = backends.new_engine(program, initial_storage(program))
    slots = set_optimizer(engine, optimizer)
    (bias,) = [p for p in program.parameters if p.name == "dense_1.bias"]
    bias.view(engine.storage)[2] = -np.inf  # the unit is 0, and so is its derivative
    inputs, targets = data_for(program, 20)
    losses = np.empty(2)
    assert engine.train(inputs, targets, None, 10, np.full(2, 0.01), 1, losses) == 2
    assert bias.view(engine.storage)[2] == -np.inf
    assert np.isfinite(losses).all()
    for parameter in program.parameters:
        infinite = np.argwhere(~np.isfinite(parameter.view(engine.storage)))
        assert infinite.tolist() == ([[2]] if parameter is bias else [])
    for slot in slots:
        assert np.isfinite(program.flatten(slot)).all()
