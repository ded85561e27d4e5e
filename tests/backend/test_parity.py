"""Compiled kernels and engines have the names and signatures of the reference."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
from networks import classifier

import fastnn.functional as F
from fastnn import backend as backends
from fastnn import program
from fastnn.backend import protocol
from fastnn.backend.reference import engine as reference_engine
from fastnn.backend.reference import frozen as reference_frozen
from fastnn.backend.reference import kernels as reference_kernels

CLASSES = {
    "Engine": (protocol.Engine, reference_engine.Engine),
    "Frozen": (protocol.Frozen, reference_frozen.Frozen),
}


@pytest.fixture
def compiled(dtype):
    if "compiled" not in backends.available():
        pytest.skip("nothing compiled here")
    with backends.use("compiled"):
        return backends.kernels(np.dtype(dtype))


def parameters(function):
    """Names and defaults of the parameters, without self."""
    listed = inspect.signature(function).parameters.values()
    return [(p.name, p.default) for p in listed if p.name != "self"]


def methods(cls):
    """The parameters of each public method, by its name."""
    return {
        name: parameters(method)
        for name, method in inspect.getmembers(cls, inspect.isroutine)
        if not name.startswith("_")
    }


KERNELS = pytest.mark.parametrize("name", methods(protocol.Kernels))


def test_reference_has_exactly_the_kernels_of_the_protocol():
    assert sorted(reference_kernels.__all__) == sorted(methods(protocol.Kernels))


@KERNELS
def test_reference_kernel_has_the_parameters_of_the_protocol(name):
    expected = parameters(getattr(protocol.Kernels, name))
    assert parameters(getattr(reference_kernels, name)) == expected


@KERNELS
def test_compiled_kernel_has_the_parameters_of_the_protocol(name, compiled):
    expected = parameters(getattr(protocol.Kernels, name))
    assert parameters(getattr(compiled, name)) == expected


@pytest.mark.parametrize("name", CLASSES)
def test_reference_class_has_the_methods_of_the_protocol(name):
    contract, reference = CLASSES[name]
    own = {"begin_child"}  # what the module itself calls after a fork
    assert {k: v for k, v in methods(reference).items() if k not in own} == methods(contract)


@pytest.mark.parametrize("name", CLASSES)
def test_compiled_class_has_the_methods_of_the_protocol(name, compiled):
    assert methods(getattr(compiled, name)) == methods(CLASSES[name][0])


@pytest.mark.parametrize("name", ["max_threads", "set_max_threads", "end_idle_threads"])
def test_compiled_module_has_the_functions_for_threads(name, compiled):
    expected = parameters(getattr(protocol.CompiledModule, name))
    assert parameters(getattr(compiled, name)) == expected


@pytest.mark.parametrize("contract", [protocol.Kernels, protocol.Engine, protocol.Frozen])
def test_protocol_says_what_each_method_does(contract):
    assert all(getattr(contract, name).__doc__ for name in methods(contract))


# --------------------------------------------------------------- which programs can be run


def with_operation(kind, **attributes):
    """A program of one operation on an input of two columns."""
    builder = program.ProgramBuilder(np.float32)
    x = builder.input("x", 2)
    y = builder.add(kind, [x], "y", **attributes)
    return builder.build([y])


def test_engine_supports_what_networks_are_made_of(backend):
    net = classifier()
    assert net.core.engine.supports(net.core.program)


def test_engine_says_which_operation_it_has_not(backend):
    made = with_operation("softmax")
    unknown = dataclasses.replace(
        made, operations=(dataclasses.replace(made.operations[0], kind="convolution"),)
    )
    with pytest.raises(backends.BackendError, match="no operation convolution"):
        backends.new_engine(unknown, unknown.allocate())


def test_compiled_engine_says_which_dtype_it_has_not(compiled, dtype):
    other = np.float64 if np.dtype(dtype) == np.float32 else np.float32
    made = dataclasses.replace(with_operation("softmax"), dtype=np.dtype(other))
    answer = compiled.Engine.supports(made)
    assert not answer
    assert f"no dtype {np.dtype(other)}" in answer.reason


def test_custom_losses_need_no_support(backend):
    head = program.Head(1, program.CUSTOM_LOSS)
    made = with_operation("softmax").with_heads([head])
    engine = backends.new_engine(with_operation("softmax"), made.allocate())
    assert engine.supports(made)


# ------------------------------------------------------------------------ functional


def test_functional_reaches_every_activation():
    for name in program.ACTIVATIONS:
        assert name in F.__all__
        assert f"{name}_derivative" in F.__all__


def test_functional_reaches_every_loss():
    assert set(program.LOSSES) <= set(F.__all__)


@pytest.mark.parametrize("name", F.__all__)
def test_functional_documents_its_parameters(name):
    documentation = getattr(F, name).__doc__
    assert "Parameters\n" in documentation
    for parameter in inspect.signature(getattr(F, name)).parameters:
        assert parameter in documentation
