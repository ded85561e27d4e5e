"""SciPy: the special functions that it has, and least squares."""

from __future__ import annotations

import numpy as np

from benchmarks.works import Work, array, labels, regression

from ._base import Contender, Job, Setting


class SciPy(Contender):
    def __init__(self, setting: Setting) -> None:
        import scipy
        import scipy.special

        self.special = scipy.special
        self.version = scipy.__version__

    def logsumexp(self, work: Work):
        z = array(work)
        return [Job("logsumexp", lambda: self.special.logsumexp(z, axis=1))]

    def cross_entropy(self, work: Work):
        z, y = array(work), labels(work)
        rows = np.arange(len(z))

        def softmax():
            gradient = self.special.softmax(z, axis=1)
            loss = -np.log(gradient[rows, y]).mean()
            gradient[rows, y] -= 1
            gradient /= len(z)
            return loss, gradient

        return [Job("softmax", softmax)]

    def least_squares(self, work: Work):
        from scipy.linalg import lstsq

        x, y = regression(work)

        def fit():
            return lstsq(np.column_stack([np.ones(len(x)), x]), y, check_finite=False)[0]

        return [Job("lstsq", fit)]

    def function(self, work: Work):
        if work.activation != "sigmoid":
            return []
        x = array(work)
        out = np.empty_like(x)
        return [Job("expit", lambda: self.special.expit(x, out=out))]


contender = SciPy
