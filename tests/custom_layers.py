"""Custom layers that several tests use; pickles find them by this module."""

from __future__ import annotations

import numpy as np

import fastnn as fnn


class Centering(fnn.CustomLayer):
    """x - mean(x), over each row."""

    def forward_pass(self, x, parameters, training):
        return x - x.mean(axis=1, keepdims=True)

    def backward_pass(self, dy, x, y, parameters):
        return dy - dy.mean(axis=1, keepdims=True), {}


class RadialBasis(fnn.CustomLayer):
    """exp(-rate_k |x - centre_k|^2), with trainable centres and rates."""

    def __init__(self, n_in, n_centres, centres="glorot_normal", **options):
        super().__init__(**options)
        self.n_in, self.n_centres = n_in, n_centres
        self.add_parameter("centres", (n_centres, n_in), centres, penalized=True)
        self.add_parameter("rate", (n_centres,), "ones")

    def output_width(self, widths, labels):
        if widths[0] != self.n_in:
            raise ValueError(f"{self.label} takes width {self.n_in}, {labels[0]} has {widths[0]}")
        return self.n_centres

    def forward_pass(self, x, parameters, training):
        difference = x[:, None, :] - parameters["centres"]
        return np.exp(-parameters["rate"] * (difference**2).sum(axis=2))

    def backward_pass(self, dy, x, y, parameters):
        difference = x[:, None, :] - parameters["centres"]
        g = dy * y
        pull = 2 * (g * parameters["rate"])[:, :, None] * difference
        rate = -(g * (difference**2).sum(axis=2)).sum(axis=0)
        return -pull.sum(axis=1), {"centres": pull.sum(axis=0), "rate": rate}


class Bilinear(fnn.CustomLayer):
    """The product of two inputs, each column times a trainable scale."""

    n_inputs = 2

    def __init__(self, width):
        super().__init__()
        self.add_parameter("scale", (width,), "ones")

    def forward_pass(self, x, parameters, training):
        return x[0] * x[1] * parameters["scale"]

    def backward_pass(self, dy, x, y, parameters):
        g = dy * parameters["scale"]
        return (g * x[1], g * x[0]), {"scale": (dy * x[0] * x[1]).sum(axis=0)}
