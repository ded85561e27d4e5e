"""Compiled kernels and engines have the names and signatures of the reference."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import backend as backends
from fastnn import program
from fastnn.backend.reference import kernels as reference
from fastnn.backend.reference.engine import Engine
from fastnn.backend.reference.frozen import Frozen

KERNELS = pytest.mark.parametrize("name", reference.__all__)


@pytest.fixture
def compiled(dtype):
    if "compiled" not in backends.available():
        pytest.skip("nothing compiled here")
    with backends.use("compiled"):
        return backends.kernels(np.dtype(dtype))


@KERNELS
def test_compiled_kernel_has_the_parameters_of_the_reference(name, compiled):
    expected = inspect.signature(getattr(reference, name)).parameters
    actual = inspect.signature(getattr(compiled, name)).parameters
    assert list(actual) == list(expected)
    for parameter, twin in zip(actual.values(), expected.values(), strict=True):
        assert parameter.default == twin.default


def methods(cls):
    """Names, defaults and order of the parameters of each public method."""
    return {
        name: [(p.name, p.default) for p in inspect.signature(method).parameters.values()]
        for name, method in inspect.getmembers(cls, inspect.isroutine)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("cls", [Engine, Frozen])
def test_compiled_class_has_the_methods_of_the_reference(cls, compiled):
    assert methods(getattr(compiled, cls.__name__)) == methods(cls)


@pytest.mark.parametrize("cls", [Engine, Frozen])
def test_method_says_what_it_does(cls):
    assert all(getattr(cls, name).__doc__ for name in methods(cls))


@KERNELS
def test_kernel_says_what_it_computes(name):
    assert getattr(reference, name).__doc__


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
