"""What the suites share."""

from itertools import pairwise

import numpy as np
from threadpoolctl import threadpool_limits

import fastnn as fnn
from fastnn import backend

BACKENDS = ("compiled", "reference")
DTYPES = ("float32", "float64")


class OnBackend:
    """A benchmark whose first parameter is the backend: `setup` enters it, `teardown` leaves it.

    It runs on one thread, NumPy's BLAS included.  A backend that is not installed skips it.
    """

    param_names = ("backend",)
    params = (BACKENDS,)

    def setup(self, name, *parameters):
        if name not in backend.available():
            raise NotImplementedError(f"no {name} backend here")
        threadpool_limits(1)
        fnn.set_num_threads(1)
        self._use = backend.use(name)
        self._use.__enter__()
        self.prepare(*parameters)

    def teardown(self, name, *parameters):
        if name in backend.available():
            self._use.__exit__(None, None, None)

    def prepare(self, *parameters):
        """Make the data, outside the clock."""


def normal(*shape, dtype="float32", seed=0):
    """Standard normal numbers, the same in every run."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=dtype)


def labels(n, n_classes, seed=0):
    """Class labels, the same in every run."""
    return np.random.default_rng(seed).integers(0, n_classes, n)


def classifier(widths, dtype="float32", activation="relu"):
    """A network of dense layers of these widths, compiled for classification with Adam."""
    layers = [
        fnn.Dense(n_in, n_out, activation=activation) for n_in, n_out in pairwise(widths[:-1])
    ]
    net = fnn.Sequential([*layers, fnn.Dense(*widths[-2:])], dtype=dtype, seed=0)
    net.compile(loss="cross_entropy", optimizer=fnn.Adam(learning_rate=1e-3))
    return net
