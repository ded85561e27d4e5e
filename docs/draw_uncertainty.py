"""Draws images/uncertainty.png, and prints the coverage of intervals over many splits.

``python docs/draw_uncertainty.py`` from the root of the repository; about two minutes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from fastnn.tabular import TabularRegressor

SPLITS = 20
COVERAGE = 0.9


def fitted(loss: str, seed: int) -> tuple[TabularRegressor, tuple]:
    X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    parts = train_test_split(X, y, test_size=0.25, random_state=seed)
    return TabularRegressor("balanced", loss=loss, random_state=seed).fit(parts[0], parts[2]), parts


def coverage(loss: str) -> None:
    """Print the mean coverage of new rows, and the mean width of the intervals."""
    shares, widths = [], []
    for seed in range(SPLITS):
        model, (_, X, _, y) = fitted(loss, seed)
        low, high = model.predict_interval(X, COVERAGE).T
        shares.append(np.mean((low <= y) & (y <= high)))
        widths.append(np.mean(high - low))
    print(f"{loss}: coverage {np.mean(shares):.3f}, width {np.mean(widths):.0f}")


def draw() -> None:
    """Intervals of new rows, and what the networks have learnt of a number."""
    model, (_, X, _, y) = fitted("quantile", 0)
    low, high = model.predict_interval(X, COVERAGE).T
    order = np.argsort(model.predict(X)[:, 1])
    low, high, y = low[order], high[order], y.to_numpy()[order]
    inside = (low <= y) & (y <= high)
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = np.arange(len(y))
    left.vlines(rows, low, high, color="#56B4E9", linewidth=2)
    left.scatter(rows[inside], y[inside], s=9, color="#0072B2", zorder=3)
    left.scatter(rows[~inside], y[~inside], s=16, color="#D55E00", marker="x", zorder=3)
    left.set_xlabel("new rows, in the order of the median")
    left.set_ylabel("progression of diabetes")
    left.set_title(f"{inside.mean():.0%} of the targets within intervals of 90 %", fontsize=10)
    model.plot_embedding("bmi", ax=right)
    figure.savefig(Path(__file__).parent / "images" / "uncertainty.png", dpi=110)


if __name__ == "__main__":
    draw()
    for kind in ("squared_error", "quantile"):
        coverage(kind)
