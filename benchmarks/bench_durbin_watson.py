"""The Durbin-Watson statistic, its exact p-value and its bounds."""

import numpy as np

from .common import BACKENDS, DTYPES, OnBackend, normal


class Statistic(OnBackend):
    """Of one series, and of columns in one call."""

    param_names = ("backend", "shape", "dtype")
    params = (BACKENDS, ((100, 1), (10_000, 1), (1_000_000, 1), (100_000, 10)), DTYPES)

    def prepare(self, shape, dtype):
        from fastnn import stats

        self.statistic = stats.durbin_watson
        self.residuals = normal(*shape, dtype=dtype)

    def time_statistic(self, *parameters):
        self.statistic(self.residuals)


class ExactPvalue(OnBackend):
    """Orthonormal basis, saddle point and integral; the fit is not part of it."""

    param_names = ("backend", "observations and regressors", "lag")
    params = (BACKENDS, ((10, 1), (100, 3), (1000, 5), (10_000, 5)), (1, 4))

    def prepare(self, shape, lag):
        from fastnn import stats

        self.pvalue = stats.durbin_watson_pvalue
        self.x = normal(*shape, dtype="float64")
        self.statistic = 2 - 2 / np.sqrt(shape[0])

    def time_pvalue(self, backend, shape, lag):
        self.pvalue(self.statistic, self.x, lag=lag)


class Million:
    """What the NumPy backend takes too long for."""

    def setup(self):
        from fastnn import stats

        self.test = stats.durbin_watson_test
        self.x, self.y = normal(1_000_000, 5, dtype="float64"), normal(1_000_000, dtype="float64")

    def time_test(self):
        self.test(self.x, self.y)

    def peakmem_test(self):
        self.test(self.x, self.y)


class Bounds:
    """Both bounds, of a level that no call before had."""

    params = (10, 100, 10_000, 1_000_000)
    param_names = ("observations",)

    def setup(self, n):
        from fastnn import stats

        self.bounds = stats.durbin_watson_bounds
        self.level = 0.05

    def time_bounds(self, n):
        self.level += 1e-9
        self.bounds(n, 5 if n > 10 else 1, self.level)
