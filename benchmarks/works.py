"""The work that is compared: the same data, the same weights, and how much arithmetic it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

ELEMENTWISE_SIZES = (1_000, 100_000, 1_000_000)
ROW_SHAPES = ((128, 10), (4096, 10), (1024, 1000), (64, 50_000))
REGRESSION_SHAPES = ((1000, 5), (10_000, 10), (100_000, 10), (1_000_000, 20))
RESIDUAL_SHAPES = ((1000, 1), (1_000_000, 1), (100_000, 10))
REGRESSIONS = ("least_squares", "linear_regression")
SMOOTH = ("sigmoid", "tanh", "swish")
PIECEWISE = ("relu", "leaky_relu", "hard_swish")
SLOPE = 0.01  # of leaky_relu
CHECK_STEPS = 3
CHECK_ROWS = 1300  # of a fit that is compared: several batches, the last one short
CHECK_RATE = 1e-3
CHECK_EPSILON = 1e-20
"""Adam's epsilon where results are compared: scikit-learn corrects it for bias, others do not."""

TIMED_RATE = 1e-6
"""Learning rate under the clock: so small that no number of steps leaves the first weights.

A converged network has subnormal gradients, which some libraries compute with at a hundredth
of their speed; that is not what is compared here.
"""


@dataclass(frozen=True)
class Work:
    """One row of the comparison.

    Attributes
    ----------
    kind : str
        The method of a contender that does it: step, predict, predictor, fit, cross_entropy,
        logsumexp, function, derivative, least_squares (coefficients), linear_regression
        (coefficients and their standard errors) or durbin_watson (the statistic).
    dtype : str
    widths : tuple of int
        Of the network's layers; else the shape of the array.
    rows : int
        Of a batch.
    activation : str
        Of hidden layers, or the function itself.
    data : str
        Of a fit: normal or digits.
    samples : int
        Of a fit of normal data.
    precision : str
        bfloat16 or int8 where products multiply narrower numbers, else "": the method of a
        contender is then called after it as well, such as predictor_int8.
    """

    kind: str
    dtype: str
    widths: tuple[int, ...]
    rows: int = 0
    activation: str = "relu"
    data: str = "normal"
    samples: int = 0
    precision: str = ""
    learning_rate: float = TIMED_RATE
    epsilon: float = 1e-8
    shuffle: bool = True

    @property
    def name(self) -> str:
        """What the table calls it."""
        network = "-".join(map(str, self.widths))
        ending = f", {self.precision}" if self.precision else ""
        if self.kind == "step":
            return f"step {network} {self.activation}, batch {self.rows}{ending}"
        if self.kind in ("predict", "predictor"):
            return f"{self.kind} {network} {self.activation}, batch {self.rows}{ending}"
        if self.kind == "fit":
            source = "digits" if self.data == "digits" else f"{self.samples:,} x {self.widths[0]}"
            return f"fit {network} relu, an epoch of {source}, batch {self.rows}"
        if self.kind in ("function", "derivative"):
            suffix = " derivative" if self.kind == "derivative" else ""
            return f"{self.activation}{suffix}, {self.widths[0]:,} elements"
        if self.kind == "linear_regression":
            rows, columns = self.widths
            return f"{self.kind} with standard errors, {rows:,} x {columns}"
        name = "cross_entropy with gradient" if self.kind == "cross_entropy" else self.kind
        return f"{name}, {self.widths[0]:,} x {self.widths[1]:,}"

    @property
    def is_latency(self) -> bool:
        """Whether the time of single calls, not only the least, is of interest."""
        return self.kind in ("predict", "predictor") and self.rows == 1

    @property
    def is_short(self) -> bool:
        """Whether it takes no more than about a millisecond."""
        return self.flops <= 1e8 and self.least_bytes <= 1e6

    def to_check(self) -> Work:
        """The same work, as results are compared: visible updates, rows in order."""
        return replace(self, learning_rate=CHECK_RATE, epsilon=CHECK_EPSILON, shuffle=False)

    @property
    def flops(self) -> float:
        """Additions and multiplications of the matrix products; 0 for work that is none.

        A step has three products for each layer, less the gradient of the input.  A regression
        has those of Householder's QR factorisation of [1 X y].
        """
        if self.kind in REGRESSIONS:
            n, k = self.widths
            return 2.0 * n * (k + 2) ** 2
        if self.kind not in ("step", "predict", "predictor", "fit"):
            return 0.0
        layers = [2.0 * n_in * n_out for n_in, n_out in pairwise(self.widths)]
        rows = self.rows
        if self.kind == "fit":
            rows = 1797 if self.data == "digits" else self.samples
        passes = 1 if self.kind in ("predict", "predictor") else 3
        return rows * (passes * sum(layers) - (layers[0] if passes == 3 else 0.0))

    @property
    def least_bytes(self) -> float:
        """What must be read and written at least once; 0 for work on networks."""
        size = float(np.prod(self.widths)) * np.dtype(self.dtype).itemsize
        if self.kind in ("function", "derivative", "cross_entropy"):
            return 2 * size
        return size if self.kind in ("logsumexp", "durbin_watson", *REGRESSIONS) else 0.0


def works(dtype: str, only: str = "", quick: bool = False) -> Iterator[Work]:
    """All rows, or those whose names contain the regular expression `only`; `quick`: short ones."""
    small, digits, medium = (4, 64, 64, 2), (64, 100, 10), (784, 256, 10)
    deep, wide = (784, 512, 512, 10), (1024, 1024, 1024, 1024)
    rows = [
        Work("step", dtype, small, 1, "tanh"),
        Work("step", dtype, small, 32, "tanh"),
        Work("step", dtype, digits, 64),
        Work("step", dtype, medium, 1),
        Work("step", dtype, medium, 128),
        Work("step", dtype, deep, 128),
        Work("step", dtype, wide, 512),
    ]
    for kind in ("predict", "predictor"):
        rows += [
            Work(kind, dtype, small, 1, "tanh"),
            Work(kind, dtype, medium, 1),
            Work(kind, dtype, medium, 128),
            Work(kind, dtype, wide, 512),
        ]
    if dtype == "float32":
        rows.append(Work("predictor", dtype, deep, 128))
        for network, n in ((deep, 128), (wide, 512)):
            rows.append(Work("step", dtype, network, n, precision="bfloat16"))
            for precision in ("bfloat16", "int8"):
                rows.append(Work("predictor", dtype, network, n, precision=precision))
    rows += [
        Work("fit", dtype, medium, 128, samples=60_000),
        Work("fit", dtype, digits, 200, data="digits"),
    ]
    for kind in ("cross_entropy", "logsumexp"):
        rows += [Work(kind, dtype, shape) for shape in ROW_SHAPES]
    for function in (*SMOOTH, *PIECEWISE):
        for kind in ("function", "derivative"):
            rows += [Work(kind, dtype, (n,), activation=function) for n in ELEMENTWISE_SIZES]
    rows += [Work("function", dtype, (n,), activation="exp") for n in ELEMENTWISE_SIZES]
    if dtype == "float64":  # everybody computes regressions in it
        rows += [Work(kind, dtype, shape) for kind in REGRESSIONS for shape in REGRESSION_SHAPES]
        rows += [Work("durbin_watson", dtype, shape) for shape in RESIDUAL_SHAPES]
    return (w for w in rows if re.search(only, w.name) and (w.is_short or not quick))


def weights(work: Work) -> list[tuple[np.ndarray, np.ndarray]]:
    """Initial (weight, bias) of each layer, the same for everybody (Glorot & Bengio 2010)."""
    rng = np.random.default_rng(7)
    layers = []
    for n_in, n_out in pairwise(work.widths):
        limit = np.sqrt(6 / (n_in + n_out))
        weight = rng.uniform(-limit, limit, (n_in, n_out)).astype(work.dtype)
        layers.append((weight, rng.uniform(-0.1, 0.1, n_out).astype(work.dtype)))
    return layers


def batch(work: Work) -> tuple[np.ndarray, np.ndarray]:
    """The rows and labels of one step or prediction."""
    rng = np.random.default_rng(8)
    x = rng.standard_normal((work.rows, work.widths[0])).astype(work.dtype)
    return x, rng.integers(0, work.widths[-1], work.rows)


def samples(work: Work) -> tuple[np.ndarray, np.ndarray]:
    """The data of a fit; a part of them where results are compared."""
    if work.data == "digits":
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        x, y = (x / 16).astype(work.dtype), y.astype(np.int64)
    else:
        rng = np.random.default_rng(9)
        x = rng.standard_normal((work.samples, work.widths[0]), np.float32).astype(work.dtype)
        y = rng.integers(0, work.widths[-1], work.samples)
    return (x, y) if work.shuffle else (x[:CHECK_ROWS].copy(), y[:CHECK_ROWS].copy())


def array(work: Work) -> np.ndarray:
    """The argument of a function: logits, or numbers on both sides of all thresholds."""
    return 3 * np.random.default_rng(10).standard_normal(work.widths).astype(work.dtype)


def labels(work: Work) -> np.ndarray:
    """The labels of logits."""
    return np.random.default_rng(11).integers(0, work.widths[1], work.widths[0])


def regression(work: Work) -> tuple[np.ndarray, np.ndarray]:
    """X without a column of ones, and y."""
    rng = np.random.default_rng(12)
    x = rng.standard_normal(work.widths) + 1.0
    return x, x @ rng.standard_normal(work.widths[1]) + rng.standard_normal(work.widths[0]) - 2.0


def tolerance(work: Work) -> float:
    """Largest relative difference in norm between results that agree.

    A step of Adam divides by the root of the squared gradient, so that an element whose
    gradient is rounding error alone moves as far as any other: updates are compared less
    strictly than outputs.
    """
    if work.kind in REGRESSIONS:
        return 1e-12  # 1,000,000 rows, in any order of summation
    if work.precision:  # each library rounds where it likes
        return 0.5 if work.kind == "step" else 0.1
    if work.kind in ("step", "fit"):
        return 1e-2 if work.dtype == "float32" else 1e-6
    return 2e-6 if work.dtype == "float32" else 1e-13


def difference(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest relative difference in norm of two results; inf where they do not fit."""
    if [np.shape(a) for a in actual] != [np.shape(e) for e in expected]:
        return np.inf
    differences = []
    for a, e in zip(actual, expected, strict=True):
        a, e = np.asarray(a, np.float64).ravel(), np.asarray(e, np.float64).ravel()
        difference = np.linalg.norm(a - e) / max(np.linalg.norm(e), 1e-300)
        differences.append(difference if np.isfinite(difference) else np.inf)
    return float(max(differences))
