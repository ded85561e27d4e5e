"""Gradients of a network compared with differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import Arrays, Weights
from fastnn._shared.numbers import check_flag, check_integer, check_number
from fastnn.inspection import TOLERANCE, GradientCheck, Shadow, compare
from fastnn.network._feed import Feed, dense
from fastnn.network._network import Network
from fastnn.training.progress import new_bar

Array = np.ndarray
Indices = Sequence[tuple[int, ...]]


def check_gradients(
    net: Network,
    X: Arrays,
    y: Arrays,
    sample_weight: Weights = None,
    *,
    tolerance: float = TOLERANCE,
    dropout: bool = False,
    max_numbers: int = 10_000,
    seed: int = 0,
    verbose: int = 0,
) -> GradientCheck:
    """Compare a network's gradients with central differences of its cost.

    The comparison is made in float64, on a copy of the network with the same
    graph, parameters, losses, weights and penalty, on the same backend.
    The network itself does not change.

    Parameters
    ----------
    net : Network
        Compiled.
    X, y, sample_weight
        As in `Network.fit`; a few samples suffice.
    tolerance : float, default 1e-7
        Relative tolerance.
    dropout : bool, default False
        Whether dropout is active, always with the masks of the next step.  By default it
        passes all values, as in prediction.
    max_numbers : int, default 10000
        Largest number of parameters to compare.  Of a network with more trainable
        parameters, a share of each array is compared, at least 8 of each.
    seed : int, default 0
        Seed of that choice.
    verbose : {0, 1}, default 0
        Nothing, or a progress bar.

    Returns
    -------
    GradientCheck
        `ok`, `relative_error`, the `worst` array and place, and `kinks`;
        ``print(result)`` says it in words.

    Raises
    ------
    RuntimeError
        If the network has not been compiled.
    TypeError, ValueError
        If the data do not fit, the cost is not finite, or no parameter is trainable.
    ImportError
        If verbose is 1 and tqdm is not installed.

    Notes
    -----
    Each parameter has its own step.  The step is relative to the size of the parameter, or to
    that of its array.  It shrinks until Richardson's extrapolations agree, and until no unit
    passes a corner between the two points (a ReLU at 0, an absolute difference, the corners of
    a loss).  If a unit passes a corner at every step, and the slopes on the two sides differ,
    the cost has a kink in that parameter; `kinks` lists it, and it is not compared.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> net = fnn.Sequential([fnn.Dense(2, 3, activation="tanh"), fnn.Dense(3, 1)])
    >>> net.compile(loss="mean_squared_error")
    >>> result = fnn.check_gradients(net, [[0.0, 1.0], [1.0, 1.0]], [1.0, 0.0])
    >>> result.ok, result.n_checked
    (True, 13)
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be a Network, got {type(net).__name__}")
    tolerance = check_number(tolerance, "tolerance", above=0.0)
    max_numbers = check_integer(max_numbers, "max_numbers", 1)
    check_integer(verbose, "verbose", 0, 1)
    with net.core.lock, backend.use(net.backend):
        shadow = _shadow(net, X, y, sample_weight, check_flag(dropout, "dropout"))
        parameters = shadow.parameters
        if not parameters:
            raise ValueError("the network has no trainable parameters: there is nothing to check")
        chosen = _chosen(parameters, max_numbers, check_integer(seed, "seed", 0))
        gradients = shadow.gradients()
        cost = shadow.displacement()
        if not np.isfinite(cost.here.value):
            raise ValueError(f"the cost is {cost.here.value}: its gradients cannot be checked")
        total = sum(len(indices) for indices in chosen.values())
        with _progress(total if verbose else 0) as advance:
            comparison = compare(parameters, gradients, chosen, cost, tolerance, advance)
        error = None
        if net.dtype == np.float32:
            error = _float32_error(net, shadow, gradients)
        return GradientCheck(comparison.arrays, comparison.kinks, tolerance, error)


def _shadow(net: Network, X: object, y: object, sample_weight: object, dropout: bool) -> Shadow:
    """The network in float64, with checked data."""
    core = net.core
    core.compiled()
    step = core.state.step + 1 if dropout else None
    shadow = Shadow(core.program, core.storage, step)
    double = np.dtype(np.float64)
    feed = Feed(core.feed.inputs, core.heads, double, shadow.engine)
    data = feed.data(X, y, sample_weight, True, hint="")
    inputs = [np.ascontiguousarray(x, double) for x in dense(data.inputs, "check_gradients")]
    shadow.set_data(inputs, data.targets)
    return shadow


def _chosen(parameters: Mapping[str, Array], limit: int, seed: int) -> dict[str, Indices]:
    """Indices of the numbers to compare: all, or about `limit`, the arrays by their sizes."""
    total = sum(array.size for array in parameters.values())
    rng = np.random.default_rng(seed)
    chosen: dict[str, Indices] = {}
    for name, array in parameters.items():
        size = array.size
        count = size if total <= limit else min(size, max(8, size * limit // total))
        flat = np.arange(size)
        if count < size:
            flat = np.sort(rng.choice(size, count, replace=False))
        chosen[name] = [tuple(map(int, np.unravel_index(i, array.shape))) for i in flat]
    return chosen


def _float32_error(net: Network, shadow: Shadow, gradients: Mapping[str, Array]) -> float:
    """How far float32 gradients on the same data are from `gradients`."""
    own = shadow.in_dtype(net.program, net.core.storage)
    errors = [
        np.abs(own[name] - gradient).max() / largest
        for name, gradient in gradients.items()
        if (largest := np.abs(gradient).max()) > 0
    ]
    return float(max(errors, default=0.0))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], object]]:
    """What to call after each of `total` numbers; a bar unless that is 0."""
    if not total:
        yield lambda: None
        return
    with new_bar(total, "number") as bar:
        yield bar.update
