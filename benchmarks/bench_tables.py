"""Predictions of models for tables, from rows as a user has them; and their encoding alone."""

import numpy as np

from .common import OnBackend, normal

ROWS = 100_000


def mixed(n):
    """Six columns of numbers, three categories, truth values and whole numbers."""
    import pandas as pd

    rng = np.random.default_rng(0)
    columns = {f"number_{i}": rng.normal(size=n) for i in range(6)}
    for i, levels in enumerate((3, 8, 50)):
        columns[f"category_{i}"] = pd.Categorical.from_codes(
            rng.integers(0, levels, n), [f"level {k}" for k in range(levels)]
        )
    columns["flag"] = rng.random(n) < 0.3
    columns["count"] = rng.integers(0, 100, n)
    return pd.DataFrame(columns)


class Tables(OnBackend):
    params = (*OnBackend.params, ("mixed", "numbers"), ("fast", "balanced"))
    param_names = ("backend", "table", "preset")

    def prepare(self, table, preset):
        from fastnn.tabular import PRESETS, TabularClassifier, as_table

        make = mixed if table == "mixed" else lambda n: normal(n, 20, dtype="float64")
        X, self.X = make(2000), make(ROWS)
        recipe = dict(vars(PRESETS[preset]), epochs=1, refit=False)
        self.model = TabularClassifier(type(PRESETS[preset])(**recipe), random_state=0)
        self.model.fit(X, np.asarray(X)[:, 0].astype(float) > 0)
        self.table = as_table(self.X)

    def time_predict_proba(self, name, table, preset):
        self.model.predict_proba(self.X)

    def time_encode(self, name, table, preset):
        self.model.learner_.encoder.transform(self.table)

    def peakmem_predict_proba(self, name, table, preset):
        self.model.predict_proba(self.X)
