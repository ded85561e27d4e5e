"""statsmodels: ordinary least squares, by its pseudo-inverse and by QR, and Durbin-Watson."""

from __future__ import annotations

from benchmarks.works import Work, array, regression

from ._base import Contender, Job, Setting


class Statsmodels(Contender):
    def __init__(self, setting: Setting) -> None:
        import statsmodels
        import statsmodels.api

        self.api = statsmodels.api
        self.version = statsmodels.__version__

    def least_squares(self, work: Work):
        return self._jobs(work, lambda result: result.params)

    def linear_regression(self, work: Work):
        return self._jobs(work, lambda result: (result.params, result.bse))

    def durbin_watson(self, work: Work):
        """The statistic alone; it has no p-value."""
        from statsmodels.stats.stattools import durbin_watson

        e = array(work)
        return [Job("durbin_watson", lambda: durbin_watson(e))]

    def _jobs(self, work: Work, outcome):
        """The column of ones is made outside the clock."""
        x, y = regression(work)
        x = self.api.add_constant(x)

        def fit(method):
            return outcome(self.api.OLS(y, x).fit(method=method))

        return [Job("pinv", lambda: fit("pinv")), Job("qr", lambda: fit("qr"))]


contender = Statsmodels
