"""The rows of updates: that both engines, the classes and the functions read the same one."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from programs import chain, initial_storage

import fastnn.functional as F
from fastnn import backend as backends
from fastnn import optimizers
from fastnn.facts.updates import ROWS, known

each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
CLASSES = [
    cls
    for cls in vars(optimizers).values()
    if inspect.isclass(cls) and issubclass(cls, optimizers.Optimizer) and "name" in vars(cls)
]
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.name)


@each_row
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_every_backend_computes_the_formula(row, l2, backend, dtype):
    rng = np.random.default_rng(2)
    numbers = row.defaults | ({"weight_decay": 0.1} if row.decays else {})
    p = rng.normal(size=37).astype(dtype)
    slots = [np.zeros(37, dtype) for _ in row.slots]
    q, state = p.astype(float), [slot.astype(float) for slot in slots]
    kernels = backends.kernels(np.dtype(dtype))
    for step in (1, 2, 3):
        g = rng.normal(size=37).astype(dtype)
        kernels.update(row.name, p, g, slots, step, 0.01, numbers, l2)
        row.formula(np, q, g + l2 * q, state, 0.01, numbers, step)
    tolerance = 20 * np.finfo(dtype).eps
    for array, expected in zip([p, *slots], [q, *state], strict=True):
        np.testing.assert_allclose(array, expected, rtol=tolerance, atol=tolerance)


@each_row
def test_update_at_rate_zero_moves_nothing(row, backend, dtype):
    p, g = np.ones(5, dtype), np.ones(5, dtype)
    slots = [np.zeros(5, dtype) for _ in row.slots]
    backends.kernels(np.dtype(dtype)).update(row.name, p, g, slots, 1, 0.0, row.defaults, 0.0)
    np.testing.assert_array_equal(p, 1)


@each_row
def test_engine_refuses_other_numbers(row, backend, dtype):
    program = chain((2, 2), dtype=dtype)
    engine = backends.new_engine(program, initial_storage(program))
    slots = [program.allocate() for _ in row.slots]
    with pytest.raises(ValueError, match=f"{row.name} takes the numbers .*, got .*speed"):
        engine.set_optimizer(row.name, {**row.defaults, "speed": 1.0}, slots)
    with pytest.raises(ValueError, match=f"{row.name} has {len(row.slots)} slots, got"):
        engine.set_optimizer(row.name, row.defaults, [*slots, program.allocate()])


def test_engine_refuses_an_unknown_update(backend):
    program = chain((2, 2))
    engine = backends.new_engine(program, initial_storage(program))
    with pytest.raises(ValueError, match="unknown optimizer 'newton'; known are gradient_descent"):
        engine.set_optimizer("newton", {}, [])


def test_unknown_row_lists_the_known_ones():
    with pytest.raises(ValueError, match="unknown optimizer 'newton'; known are gradient_descent"):
        known("newton")


@each_class
def test_class_has_the_numbers_and_the_state_of_its_row(cls):
    row = known(cls.kind)
    assert cls.slot_names == row.slots
    assert {*cls().hyper} - {"clip_norm"} == {*row.defaults}


@each_class
def test_function_has_the_numbers_and_the_state_of_its_class(cls):
    function = inspect.signature(getattr(F, f"{cls.name}_update")).parameters
    fields = {*inspect.signature(cls).parameters} - {"clip_norm", "nesterov"}
    assert {*cls.slot_names} | fields <= {*function}
    for name in fields - {"learning_rate"}:
        assert function[name].default == getattr(cls(), name)


@each_row
def test_a_row_has_a_class_of_its_name(row):
    assert row.name in {cls.name for cls in CLASSES}
