"""Searches of scikit-learn with one and with several processes: how much sooner are they done?

    python -m benchmarks.searches

GridSearchCV and HalvingRandomSearchCV over fastnn's MLPClassifier and over that of scikit-learn, on
digits.  Processes start before the clock does, as they stay for later searches.  The table has the
least of several times, and the threads that fastnn has in a process: its share of the cores.

One process that trains on all cores is as fast as it can be already: what several processes add is
to be read from the rows with one thread.
"""

from __future__ import annotations

import argparse
import functools
import time
import warnings

import joblib
from scipy.stats import loguniform
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import estimators

GRID = {"alpha": [1e-5, 1e-3, 1e-1], "learning_rate_init": [1e-3, 3e-3]}
SPACE = {"alpha": loguniform(1e-6, 1e-1), "learning_rate_init": loguniform(1e-4, 1e-2)}

SEARCHES = {
    "GridSearchCV": lambda model, jobs: GridSearchCV(model, GRID, cv=4, n_jobs=jobs),
    "HalvingRandomSearchCV": lambda model, jobs: HalvingRandomSearchCV(
        model, SPACE, n_candidates=18, cv=4, random_state=0, n_jobs=jobs
    ),
}
MODELS = {
    "fastnn": estimators.MLPClassifier,
    "fastnn, 1 thread": functools.partial(estimators.MLPClassifier, n_jobs=1),
    "scikit-learn": neural_network.MLPClassifier,
}


def task():
    """Digits, scaled."""
    X, y = load_digits(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def threads_of_workers(jobs):
    """The number of threads that fastnn uses in each of some processes."""
    return joblib.Parallel(jobs)(joblib.delayed(_threads)() for _ in range(jobs))


def _threads():
    return fastnn.get_num_threads()


def seconds(search, X, y, repeats):
    """The least time of a search."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        with warnings.catch_warnings(action="ignore"):  # some have not converged
            search.fit(X, y)
        times.append(time.perf_counter() - start)
    return min(times)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searches", description=__doc__)
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count(), help="processes")
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    X, y = task()
    print(f"threads of fastnn in each of {options.jobs} processes:", end=" ")
    print(*threads_of_workers(options.jobs))
    processes = f"{options.jobs} processes"
    print(f"{'search':24}{'library':18}{'1 process':>12}{processes:>14}{'ratio':>8}")
    for name, search in SEARCHES.items():
        for library, Model in MODELS.items():
            model = Model((128,), max_iter=options.epochs, random_state=0)
            one, several = (
                seconds(search(model, jobs), X, y, options.repeats) for jobs in (1, options.jobs)
            )
            print(f"{name:24}{library:18}{one:10.2f} s{several:12.2f} s{one / several:8.2f}")


if __name__ == "__main__":
    main()
