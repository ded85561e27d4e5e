"""How soon steps and solvers reach a loss on a small regression: a table.

    python -m benchmarks.solvers

The task: 500 samples of a smooth function of two variables with values of unit variance, and a
2-10-10-1 tanh network of 151 parameters in float64.  Every method starts from the same values; rows
are medians over seeds.  A dash: not reached within the limit of seconds by most seeds.  One thread.
"""

from __future__ import annotations

import argparse
import time
import warnings
from itertools import pairwise

import numpy as np
from threadpoolctl import threadpool_limits

import fastnn as fnn

LOSSES = (1e-2, 1e-3, 1e-4, 1e-5)
WIDTHS = (2, 10, 10, 1)


def task(n=500):
    """Inputs in a square, and targets of mean 0 and variance 1."""
    X = np.random.default_rng(0).uniform(-1, 1, (n, 2))
    y = np.sin(4 * X[:, 0]) * np.cos(3 * X[:, 1]) + X[:, 0] * X[:, 1]
    return X, (y - y.mean()) / y.std()


def network(optimizer, seed=0):
    """The network, compiled."""
    layers = [
        fnn.Dense(n_in, n_out, activation="tanh" if n_out > 1 else None)
        for n_in, n_out in pairwise(WIDTHS)
    ]
    net = fnn.Sequential(layers, dtype="float64", seed=seed)
    net.compile("mean_squared_error", optimizer)
    return net


METHODS = {
    "Adam(0.01), batches of 32": (fnn.Adam(0.01), {"batch_size": 32}),
    "Adam(0.01), all samples": (fnn.Adam(0.01), {"batch_size": 500}),
    "LBFGS": (fnn.LBFGS(tolerance=1e-9, loss_tolerance=0.0), {}),
    "LevenbergMarquardt": (fnn.LevenbergMarquardt(tolerance=1e-12), {}),
    "LevenbergMarquardt, trf": (fnn.LevenbergMarquardt(tolerance=1e-12, method="trf"), {}),
}


class Stopwatch(fnn.Callback):
    """Notes when each loss of all samples is reached; its own evaluations are not counted."""

    def __init__(self, X, y, seconds):
        self.X, self.y, self.limit = X, y, seconds
        self.reached = {}
        self.seconds = 0.0

    def on_train_begin(self, context):
        self.since = time.perf_counter()

    def on_epoch_end(self, context):
        self.seconds += time.perf_counter() - self.since
        loss = context.network.evaluate(self.X, self.y)["loss"]
        for target in LOSSES:
            if loss <= target:
                self.reached.setdefault(target, self.seconds)
        self.since = time.perf_counter()
        return loss <= LOSSES[-1] or self.seconds > self.limit


def measure(optimizer, options, seeds, seconds):
    """Median seconds to each loss over the seeds; infinite where most do not reach it."""
    X, y = task()
    runs = []
    for seed in range(seeds):
        watch = Stopwatch(X, y, seconds)
        network(optimizer, seed).fit(X, y, epochs=10**6, callbacks=watch, **options)
        runs.append([watch.reached.get(target, np.inf) for target in LOSSES])
    return np.median(runs, axis=0)


def scikit_learn(seeds):
    """Median seconds of 200 iterations of L-BFGS, and losses, of MLPRegressor and of fastnn."""
    X, y = task()
    runs = []
    for seed in range(seeds):
        net = network(fnn.LBFGS(200, tolerance=0.0, loss_tolerance=0.0), seed)
        model = regressor(net, X, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged
            theirs = seconds_of(lambda model=model: model.fit(X, y))
        ours = seconds_of(lambda net=net: net.fit(X, y))
        loss = net.evaluate(X, y)["loss"]
        runs.append([theirs, np.square(model.predict(X) - y).mean(), ours, loss])
    return np.median(runs, axis=0)


def regressor(net, X, y):
    """scikit-learn's network, about to start from the values of ours."""
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(
        hidden_layer_sizes=WIDTHS[1:-1], activation="tanh", solver="lbfgs",
        alpha=0.0, max_iter=1, tol=0.0, warm_start=True,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    for i, layer in enumerate(net.layers):
        model.coefs_[i][...] = net.parameters[f"{layer.name}.weight"]
        model.intercepts_[i][...] = net.parameters[f"{layer.name}.bias"]
    return model.set_params(max_iter=200)


def seconds_of(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="benchmarks.solvers", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="limit of each training")
    options = parser.parse_args(arguments)
    fnn.set_num_threads(1)
    print("| seconds to a loss of | " + " | ".join(f"{loss:g}" for loss in LOSSES) + " |")
    print("|---" * (1 + len(LOSSES)) + "|")
    with threadpool_limits(1):
        for optimizer, settings in METHODS.values():  # SciPy is imported at the first use
            network(optimizer).fit(*task(), epochs=1, **settings)
        for name, (optimizer, settings) in METHODS.items():
            times = measure(optimizer, settings, options.seeds, options.seconds)
            cells = ["-" if np.isinf(t) else f"{t:.3f}" for t in times]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        theirs, their_loss, ours, loss = scikit_learn(options.seeds)
    print("\n| 200 iterations of L-BFGS | seconds | loss |\n|---|---|---|")
    print(f"| fastnn | {ours:.3f} | {loss:.2g} |")
    print(f"| scikit-learn MLPRegressor | {theirs:.3f} | {their_loss:.2g} |")


if __name__ == "__main__":
    main()
