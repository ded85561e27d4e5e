"""Stateless operations of fastnn.functional: overhead at 1 element, throughput at many."""

import inspect

import numpy as np

import fastnn.functional as F
from fastnn.facts.activations import ROWS
from fastnn.facts.losses import LOSSES
from fastnn.facts.updates import UPDATES

from .common import BACKENDS, DTYPES, OnBackend, labels, normal

SHAPES = ((1, 1), (1, 10), (128, 10), (4096, 10), (1024, 1000), (64, 50_000))
SIZES = (1, 1000, 1_000_000)
# Rows and widths of dense products: one row and many, from one column to thousands.
PRODUCTS = (
    *((1, width) for width in (1, 16, 65, 256, 1024, 4096)),
    *((32, width) for width in (1, 16, 65, 256, 1024)),
    *((512, width) for width in (1, 16, 256, 1024)),
    (4096, 64),
)


class Elementwise(OnBackend):
    """Functions of one element, and their derivatives, into an array that exists."""

    elementary = ("exp", "expm1", "log", "log1p")
    activations = tuple(row.name for row in ROWS if row.cost != "copy" and not row.is_step)
    names = (*elementary, *activations, *(f"{name}_derivative" for name in activations))
    param_names = ("backend", "function", "size", "dtype")
    params = (BACKENDS, names, SIZES, DTYPES)

    def prepare(self, name, size, dtype):
        self.function = getattr(F, name)
        self.x = np.abs(normal(size, dtype=dtype))
        self.out = np.empty_like(self.x)

    def time_call(self, *parameters):
        self.function(self.x, out=self.out)


class Rows(OnBackend):
    """Functions of the last axis."""

    param_names = ("backend", "function", "shape", "dtype")
    params = (BACKENDS, ("logsumexp", "softmax", "log_softmax"), SHAPES, DTYPES)

    def prepare(self, name, shape, dtype):
        self.function = getattr(F, name)
        self.z = normal(*shape, dtype=dtype)

    def time_call(self, *parameters):
        self.function(self.z)


class CrossEntropy(OnBackend):
    """Cross-entropy of labels with its gradient, in one pass."""

    param_names = ("backend", "shape", "dtype")
    params = (BACKENDS, SHAPES, DTYPES)

    def prepare(self, shape, dtype):
        self.logits = normal(*shape, dtype=dtype)
        self.labels = labels(*shape)
        self.gradient = np.empty_like(self.logits)

    def time_value_and_gradient(self, *parameters):
        F.cross_entropy(self.logits, self.labels, gradient=True, out=self.gradient)


class DenseProduct(OnBackend):
    """A dense layer with bias and activation, forward and backward."""

    param_names = ("backend", "rows and width", "dtype")
    params = (BACKENDS, PRODUCTS, DTYPES)

    def prepare(self, shape, dtype):
        rows, width = shape
        self.x = normal(rows, width, dtype=dtype)
        self.weight = normal(width, width, dtype=dtype, seed=1)
        self.bias = normal(width, dtype=dtype, seed=2)
        self.z = np.empty_like(self.x)
        self.out = F.dense(self.x, self.weight, self.bias, "relu", z=self.z)

    def time_forward(self, *parameters):
        F.dense(self.x, self.weight, self.bias, "relu", out=self.out)

    def time_backward(self, *parameters):
        F.dense_backward(self.x, self.weight, self.z, self.out, "relu")


class ElementwiseLoss(OnBackend):
    """A loss of each element with its gradient."""

    names = tuple(name for name, row in LOSSES.items() if row.is_elementwise)
    param_names = ("backend", "loss", "size", "dtype")
    params = (BACKENDS, names, SIZES, DTYPES)

    def prepare(self, name, size, dtype):
        self.function = getattr(F, name)
        self.outputs = normal(size, dtype=dtype)
        self.targets = labels(size, 2).astype(dtype)
        self.gradient = np.empty_like(self.outputs)

    def time_value_and_gradient(self, *parameters):
        self.function(self.outputs, self.targets, gradient=True, out=self.gradient)


class Update(OnBackend):
    """One optimizer step on a vector of parameters."""

    names = tuple(UPDATES)
    param_names = ("backend", "optimizer", "size", "dtype")
    params = (BACKENDS, names, SIZES, DTYPES)

    def prepare(self, name, size, dtype):
        self.parameter, self.gradient = normal(2, size, dtype=dtype)
        self.slots = list(np.zeros((len(UPDATES[name].slots), size), dtype))
        self.function = getattr(F, f"{name}_update")
        counts = "step" in inspect.signature(self.function).parameters
        self.options = {"learning_rate": 1e-3, **({"step": 1} if counts else {})}

    def time_update(self, *parameters):
        self.function(self.parameter, self.gradient, *self.slots, **self.options)
