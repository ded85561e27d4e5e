"""Stateless operations of fastnn.functional: overhead at 1 element, throughput at many."""

import numpy as np

import fastnn.functional as F

from .common import BACKENDS, DTYPES, OnBackend, labels, normal

SHAPES = ((1, 10), (128, 10), (1024, 1000))


class Elementwise(OnBackend):
    """Functions of one element, and their derivatives, into an array that exists."""

    names = ("exp", "log1p", "tanh", "sigmoid", "relu", "gelu", "softplus", "tanh_derivative")
    param_names = ("backend", "function", "size", "dtype")
    params = (BACKENDS, names, (1, 1000, 1_000_000), DTYPES)

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

    param_names = ("backend", "rows", "width", "dtype")
    params = (BACKENDS, (1, 32, 512), (16, 256, 1024), DTYPES)

    def prepare(self, rows, width, dtype):
        self.x = normal(rows, width, dtype=dtype)
        self.weight = normal(width, width, dtype=dtype, seed=1)
        self.bias = normal(width, dtype=dtype, seed=2)
        self.z = np.empty_like(self.x)
        self.out = F.dense(self.x, self.weight, self.bias, "relu", z=self.z)

    def time_forward(self, *parameters):
        F.dense(self.x, self.weight, self.bias, "relu", out=self.out)

    def time_backward(self, *parameters):
        F.dense_backward(self.x, self.weight, self.z, self.out, "relu")


class AdamUpdate(OnBackend):
    """One Adam step on a vector of parameters."""

    param_names = ("backend", "size", "dtype")
    params = (BACKENDS, (1, 1000, 1_000_000), DTYPES)

    def prepare(self, size, dtype):
        self.parameter, self.gradient = normal(2, size, dtype=dtype)
        self.first, self.second = np.zeros((2, size), dtype)

    def time_update(self, *parameters):
        F.adam_update(self.parameter, self.gradient, self.first, self.second, step=1)
