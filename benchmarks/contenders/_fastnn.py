"""fastnn, through its public interface with all its checks."""

from __future__ import annotations

import os
from itertools import pairwise

import numpy as np

from benchmarks.works import SLOPE, Work, array, batch, labels, regression, samples, weights

from ._base import Contender, Job, Setting


class FastNN(Contender):
    def __init__(self, setting: Setting) -> None:
        if setting.isa:
            os.environ["FASTNN_ISA"] = setting.isa
        import fastnn

        self.fnn = fastnn
        fastnn.set_num_threads(setting.threads)
        if fastnn.backend.name() != "compiled":
            raise RuntimeError("the compiled backend of fastnn is not in use here")
        self.isa = fastnn.backend.instruction_set()
        self.version = fastnn.__version__

    def _network(self, work: Work):
        fnn = self.fnn
        *hidden, (last, n_out) = pairwise(work.widths)
        layers = [fnn.Dense(n_in, n, activation=work.activation) for n_in, n in hidden]
        net = fnn.Sequential([*layers, fnn.Dense(last, n_out)], dtype=work.dtype, seed=0)
        options = {"precision": "bfloat16"} if work.precision == "bfloat16" else {}
        net.compile("cross_entropy", fnn.Adam(work.learning_rate, epsilon=work.epsilon), **options)
        net.set_flat(np.concatenate([a.ravel() for pair in weights(work) for a in pair]))
        return net

    def step(self, work: Work):
        net, (x, y) = self._network(work), batch(work)
        return [Job("train_step", lambda: net.train_step(x, y), lambda: _parameters(net))]

    def predict(self, work: Work):
        net, (x, _) = self._network(work), batch(work)
        return [Job("predict", lambda: net.predict(x))]

    def predictor(self, work: Work):
        if not hasattr(self.fnn, "Predictor"):
            return []
        predictor, (x, _) = self._network(work).predictor(), batch(work)
        return [Job("Predictor", lambda: predictor(x))]

    def predictor_int8(self, work: Work):
        x, _ = batch(work)
        predictor = self._network(work).predictor("int8", calibrate=x)
        return [Job("Predictor", lambda: predictor(x))]

    def predictor_bfloat16(self, work: Work):
        x, _ = batch(work)
        predictor = self._network(work).predictor("bfloat16", calibrate=x)
        return [Job("Predictor", lambda: predictor(x))]

    def step_bfloat16(self, work: Work):
        return self.step(work)

    def fit(self, work: Work):
        net, (x, y) = self._network(work), samples(work)

        def epoch():
            return net.fit(x, y, epochs=1, batch_size=work.rows, shuffle=work.shuffle)

        return [Job("fit", epoch, lambda: _parameters(net))]

    def cross_entropy(self, work: Work):
        F, z, y = self.fnn.functional, array(work), labels(work)
        out = np.empty_like(z)
        return [Job("cross_entropy", lambda: F.cross_entropy(z, y, gradient=True, out=out))]

    def logsumexp(self, work: Work):
        F, z = self.fnn.functional, array(work)
        out = np.empty(len(z), z.dtype)
        return [Job("logsumexp", lambda: F.logsumexp(z, out=out))]

    def function(self, work: Work):
        return self._elementwise(work, work.activation)

    def derivative(self, work: Work):
        return self._elementwise(work, work.activation + "_derivative")

    def least_squares(self, work: Work):
        """Standard errors are computed as well: there is no way without them."""
        (x, y), fit = regression(work), self.fnn.stats.linear_regression
        return [Job("linear_regression", lambda: fit(x, y).coefficients)]

    def linear_regression(self, work: Work):
        (x, y), fit = regression(work), self.fnn.stats.linear_regression

        def both():
            result = fit(x, y)
            return result.coefficients, result.standard_errors

        return [Job("linear_regression", both)]

    def durbin_watson(self, work: Work):
        e, statistic = array(work), self.fnn.stats.durbin_watson
        return [Job("durbin_watson", lambda: statistic(e))]

    def _elementwise(self, work: Work, name: str):
        f, x = getattr(self.fnn.functional, name), array(work)
        out = np.empty_like(x)
        if work.activation == "leaky_relu":
            return [Job(name, lambda: f(x, SLOPE, out=out))]
        return [Job(name, lambda: f(x, out=out))]


def _parameters(net):
    return net.get_flat().astype(np.float64)


contender = FastNN
