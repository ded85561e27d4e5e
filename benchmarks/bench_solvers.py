"""Second-order training of a small regression; `benchmarks.solvers` compares it with steps."""

import fastnn as fnn

from .common import BACKENDS, OnBackend
from .solvers import network, task

METHODS = ("adam", "lbfgs", "levenberg_marquardt")


class Solve(OnBackend):
    """Twenty passes over all samples: epochs of Adam in one batch, or iterations of a solver."""

    param_names = ("backend", "optimizer")
    params = (BACKENDS, METHODS)

    def prepare(self, optimizer):
        self.X, self.y = task()
        self.net = network(optimizer)
        self.start = self.net.get_flat()
        self.options = {"batch_size": len(self.X)} if optimizer == "adam" else {}
        self.net.fit(self.X, self.y, epochs=1, **self.options)  # imports SciPy

    def time_fit(self, *parameters):
        self.net.set_flat(self.start)
        self.net.fit(self.X, self.y, epochs=20, **self.options)

    def track_loss(self, *parameters):
        """Mean squared error after these passes, of targets of variance 1."""
        self.time_fit()
        return self.net.evaluate(self.X, self.y)["loss"]

    track_loss.unit = "squared error"


class Ensembles(OnBackend):
    """Training of five members, one after another, and what they predict together."""

    param_names = ("backend",)
    params = (BACKENDS,)

    def prepare(self):
        self.X, self.y = task()
        self.ensemble = fnn.Ensemble(network("adam"))

    def time_fit(self, *parameters):
        self.ensemble.fit(self.X, self.y, epochs=2)

    def time_predict(self, *parameters):
        self.ensemble.predict(self.X)
