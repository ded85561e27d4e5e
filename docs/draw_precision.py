"""Draws images/precision.png: what fewer bits change in the scores of real tables.

``python docs/draw_precision.py`` from the root of the repository; it prints the table of the page
as well and takes some minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import fastnn as fnn
from benchmarks.tabular_data import SOURCES, load

SEEDS = 5
TABLES = ("digits", "breast_cancer", "cells", "credit", "churn", "concrete", "ames", "computers")
MOST_ROWS = 4000
PRECISIONS = ("float32", "bfloat16", "predictor in bfloat16", "predictor in int8")
COLOURS = ("#0072B2", "#D55E00", "#E69F00", "#009E73")


def parts(name: str, seed: int) -> list[np.ndarray]:
    """X and y to train on, X and y to test on: dummies for categories, standardised."""
    frame, y = load(name)
    X = pd.get_dummies(frame, dummy_na=False, dtype=float)
    X = X.fillna(X.median()).to_numpy()
    if SOURCES[name].task == "classification":
        y = np.unique(y, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(len(X))[:MOST_ROWS]
    train, test = order[len(order) // 4 :], order[: len(order) // 4]
    spread = X[train].std(axis=0)
    X = ((X - X[train].mean(axis=0)) / np.where(spread > 0, spread, 1)).astype(np.float32)
    if SOURCES[name].task == "regression":
        y = (y - y[train].mean()) / y[train].std()
    return [X[train], y[train], X[test], y[test]]


def trained(name: str, seed: int, precision: str, data: list[np.ndarray]) -> fnn.Sequential:
    """A network of two hidden layers of 256 after 20 epochs."""
    is_regression = SOURCES[name].task == "regression"
    n_out = 1 if is_regression else int(data[1].max()) + 1
    layers = [
        fnn.Dense(data[0].shape[1], 256, activation="relu"),
        fnn.Dropout(0.2),
        fnn.Dense(256, 256, activation="relu"),
        fnn.Dense(256, n_out),
    ]
    net = fnn.Sequential(layers, seed=seed)
    loss = "mean_squared_error" if is_regression else "cross_entropy"
    options = {} if precision == "float32" else {"precision": precision}
    net.compile(loss, fnn.AdamW(learning_rate=1e-3, weight_decay=0.01), **options)
    net.fit(data[0], data[1], epochs=20, batch_size=64, verbose=0)
    return net


def scores(name: str, seed: int, precisions: tuple[str, ...]) -> list[float]:
    """Accuracy or R squared of new rows, for each precision."""
    data = parts(name, seed)
    train, _, test, y = data
    net = trained(name, seed, "float32", data)
    found = []
    for precision in precisions:
        if precision == "float32":
            found.append(net.score(test, y))
        elif precision == "bfloat16":
            found.append(trained(name, seed, precision, data).score(test, y))
        else:
            predictor = net.predictor(precision.rpartition(" ")[2], calibrate=train)
            output = predictor(test)
            if output.shape[1] > 1:
                found.append(float(np.mean(output.argmax(axis=1) == y)))
            else:
                found.append(1 - float(np.mean((output[:, 0] - y) ** 2) / np.var(y)))
    return found


def draw(results: dict[str, np.ndarray], precisions: tuple[str, ...], path: str) -> None:
    """Differences of scores to float32, a dot for each seed, beside the spread over seeds."""
    figure = Figure(figsize=(9, 0.75 * len(results) + 1.2), layout="constrained")
    axes = figure.subplots()
    for row, found in enumerate(results.values()):
        spread = found[:, 0].std(ddof=1)
        axes.barh(row, 2 * spread, left=-spread, height=0.8, color="#bbbbbb", alpha=0.5)
        for i in range(1, len(precisions)):
            place = np.full(SEEDS, row + 0.22 * (i - len(precisions) / 2))
            label = precisions[i] if row == 0 else None
            axes.scatter(found[:, i] - found[:, 0], place, s=18, color=COLOURS[i], label=label)
    axes.axvline(0, color="#888888", linewidth=0.8)
    axes.set_yticks(range(len(results)), list(results))
    axes.invert_yaxis()
    axes.set_xlabel(
        "score minus that of float32, the same seed; grey: one standard deviation over seeds"
    )
    figure.legend(loc="outside upper center", ncols=len(precisions), frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    precisions = tuple(sys.argv[1:]) or PRECISIONS
    results = {}
    for name in TABLES:
        found = np.array([scores(name, seed, precisions) for seed in range(SEEDS)])
        results[name] = found
        differences = (found[:, 1:] - found[:, :1]).mean(axis=0)
        cells = [f"{found[:, 0].mean():.4f}", f"{found[:, 0].std(ddof=1):.4f}"]
        print("|", " | ".join([name, *cells, *(f"{d:+.4f}" for d in differences)]), "|", flush=True)
    draw(results, precisions, str(Path(__file__).parent / "images" / "precision.png"))


if __name__ == "__main__":
    main()
