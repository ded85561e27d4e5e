"""The multi-layer perceptrons of scikit-learn and of fastnn: the same numbers, in less time.

    python -m benchmarks.perceptrons [--repeats N] [--quick] [--figure FILE]

Both train by Adam from the same initial values in the same batches, so that their losses agree.
The two take turns, and each time is the least of its repeats.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier as Theirs
from threadpoolctl import threadpool_limits

import fastnn as fnn
from fastnn.estimators import MLPClassifier as Ours

DTYPES = ("float64", "float32")
COLOURS = {"scikit-learn": "#b8b8b8", "fastnn": "#2f7fb8"}
CLOSE = 1e-3  # of the losses: float32 sums in another order


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.perceptrons", description=__doc__[:88])
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--quick", action="store_true", help="600 rows instead of 60,000")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="picture of the ratios")
    options = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # neither converges in so few epochs
        rows = list(measure(options.repeats, 600 if options.quick else 60_000))
    print("\n".join(markdown(rows)))
    print(f"\n{_processor()}, {os.cpu_count()} processors, NumPy {np.__version__}")
    if options.figure is not None:
        draw(rows, options.figure)
    return 0


def data_sets(n: int) -> Iterator[tuple[str, np.ndarray, np.ndarray, int]]:
    """Name, X, y and the number of epochs of each data set."""
    digits = load_digits()
    yield "digits, 1,797 x 64", digits.data / 16, digits.target, 10
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, n)
    X = np.maximum(rng.normal(size=(n, 784)) + rng.normal(size=(10, 784))[y], 0)
    yield f"synthetic, {n:,} x 784", X, y, 1


def measure(repeats: int, n: int) -> Iterator[dict[str, Any]]:
    """One row for each work, dtype and number of threads: seconds of both."""
    for name, X, y, epochs in data_sets(n):
        for dtype in DTYPES:
            inputs = X.astype(dtype)
            for threads in (1, 2):
                fitting, predicting = _turns(inputs, y, epochs, threads, repeats)
                common = {"data": name, "dtype": dtype, "threads": threads}
                yield common | {"work": f"fit, {epochs} epoch{'s' * (epochs > 1)}"} | fitting
                yield common | {"work": "predict_proba"} | predicting


def _turns(
    X: np.ndarray, y: np.ndarray, epochs: int, threads: int, repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """The least seconds of fit and of predict_proba, by library."""
    options = {"max_iter": epochs, "tol": 0.0, "n_iter_no_change": np.inf, "random_state": 0}
    fit, predict = ({name: math.inf for name in COLOURS} for _ in range(2))
    losses = {}
    before = fnn.get_num_threads()
    fnn.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            for _ in range(repeats):
                for name, cls in (("scikit-learn", Theirs), ("fastnn", Ours)):
                    model = cls((100,), **options)
                    fit[name] = min(fit[name], _seconds(lambda m=model: m.fit(X, y)))
                    losses[name] = model.loss_
                    predict[name] = min(predict[name], _seconds(lambda m=model: m.predict_proba(X)))
    finally:
        fnn.set_num_threads(before)
    if not math.isclose(*losses.values(), rel_tol=CLOSE):
        raise AssertionError(f"the losses differ: {losses}")
    return fit, predict


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def markdown(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table of the page."""
    lines = ["| data | work | dtype | threads | scikit-learn, ms | fastnn, ms | ratio |",
             "|---|---|---|---:|---:|---:|---:|"]  # fmt: skip
    for row in rows:
        theirs, ours = (1e3 * row[name] for name in COLOURS)
        lines.append(
            f"| {row['data']} | {row['work']} | {row['dtype']} | {row['threads']} | {theirs:.3g} | "
            f"{ours:.3g} | {theirs / ours:.1f} |"
        )
    return lines


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """How many times as fast as scikit-learn; on a light card, for light and dark pages."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["data"] for row in rows))
    figure = Figure(figsize=(8, 3.4), layout="constrained", facecolor="#fbfbfb")
    for axes, name in zip(figure.subplots(1, len(names)), names, strict=True):
        own = [row for row in rows if row["data"] == name][::-1]
        ratios = [row["scikit-learn"] / row["fastnn"] for row in own]
        labels = [
            f"{row['work'].partition(',')[0]}, {row['dtype']}, "
            f"{row['threads']} thread{'s' * (row['threads'] > 1)}"
            for row in own
        ]
        bars = axes.barh(labels, ratios, color=COLOURS["fastnn"], height=0.7)
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
        axes.axvline(1, color="#606060", linewidth=1)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("times as fast as scikit-learn", fontsize=9)
        axes.set_xlim(0, 1.18 * max(ratios))
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_facecolor("#fbfbfb")
    figure.savefig(path, dpi=150)


def _processor() -> str:
    """The model of the processor, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


if __name__ == "__main__":
    raise SystemExit(main())
