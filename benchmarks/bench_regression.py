"""Linear regression, beside the same by NumPy's QR factorisation."""

import numpy as np
from threadpoolctl import threadpool_limits

from .common import normal

SHAPES = ((100, 3), (10_000, 10), (200_000, 20))


class Regression:
    """One thread for everybody."""

    params = (SHAPES,)
    param_names = ("shape",)

    def setup(self, shape):
        from fastnn import stats

        threadpool_limits(1)
        self.fit = stats.linear_regression
        self.x = normal(*shape, dtype="float64")
        self.y = self.x.sum(axis=1) + normal(shape[0], dtype="float64", seed=1)

    def time_fit(self, shape):
        self.fit(self.x, self.y)

    def time_fit_unrefined(self, shape):
        self.fit(self.x, self.y, refine=False)

    def time_cholesky(self, shape):
        self.fit(self.x, self.y, method="cholesky")

    def time_hc3(self, shape):
        self.fit(self.x, self.y, cov_type="HC3")

    def time_hac(self, shape):
        self.fit(self.x, self.y, cov_type="HAC")

    def time_influence(self, shape):
        self.fit(self.x, self.y).cooks_distance  # noqa: B018

    def time_numpy(self, shape):
        """Coefficients and standard errors as people write them."""
        A = np.column_stack([np.ones(len(self.x)), self.x])
        Q, R = np.linalg.qr(A)
        b = np.linalg.solve(R, Q.T @ self.y)
        variance = np.sum((self.y - A @ b) ** 2) / (len(A) - len(b))
        np.sqrt(variance * np.sum(np.linalg.inv(R) ** 2, axis=1))

    def peakmem_fit(self, shape):
        self.fit(self.x, self.y)

    def peakmem_fit_without_copy(self, shape):
        self.fit(self.x, self.y, copy=False)
