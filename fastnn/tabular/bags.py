"""Bags: networks of one recipe, each trained without another part of the rows.

The rows that the networks have not seen choose the best epoch, one for the whole bag: a network
alone has few of them, and its own best epoch would flatter the predictions of these rows.  These
predictions, one for each row of the training, also choose the temperature of the probabilities and
the weights of several bags.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_integer, check_number
from fastnn.backend import get_num_threads
from fastnn.ensemble.members import AllBut, Member, Outcome
from fastnn.ensemble.training import train_members
from fastnn.ensemble.workers import Workers, workers
from fastnn.network import Network
from fastnn.network._fit import Extras
from fastnn.tabular.construction import Shape, build
from fastnn.tabular.objectives import Classification, Objective
from fastnn.tabular.recipe import Recipe
from fastnn.tabular.splitting import split_folds, split_rows
from fastnn.training.callbacks import Callback, Context, as_callbacks
from fastnn.training.data import Data
from fastnn.training.session import Plan

__all__ = ["Bag", "Limits", "Problem", "Setting", "train"]

_FACTORS = (0.1, 4.0)
"""Range of the factor of the logits."""

_TIMED_BATCHES = 20

_MOST_COPIES = 1 << 25
"""Numbers in the copies of parameters that the networks of a bag keep during the training."""

_PRIOR_ROWS = 20.0
"""What a factor of 1 weighs against the held-out rows, in rows."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be learnt.

    Attributes
    ----------
    inputs : mapping of str to (N, width) array
        The inputs of the networks by name; see `construction.build`.
    shape : Shape
    objective : Objective
    y : (N,) array
        Indices of classes, or standardised targets.
    weights : (N,) array, optional
        Weights of the rows.
    """

    inputs: Mapping[str, np.ndarray]
    shape: Shape
    objective: Objective
    y: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    def data(self, network: Network) -> Data:
        """The data as the network's core takes them."""
        y = self.y if isinstance(self.objective, Classification) else self.y[:, None]
        inputs = inputs_of(network, self.inputs)
        return network.core.feed.data(
            inputs[0] if len(inputs) == 1 else inputs, y, self.weights, False
        )


def inputs_of(network: Network, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The arrays that a network reads, in its order."""
    return [inputs[name] for name in network.core.input_names]


@dataclass(frozen=True)
class Setting:
    """How trainings run.

    Attributes
    ----------
    seed : int
    dtype : {"float32", "float64"}
    n_jobs : int
        Networks that are trained at the same time.
    verbose : {0, 1, 2}
    deadline : float, optional
        Time of `time.monotonic` at which training ends.
    backend : str, optional
        Where networks are trained; see `Workers`.
    """

    seed: int = 0
    dtype: str = "float32"
    n_jobs: int = 1
    verbose: int = 0
    deadline: float | None = None
    backend: str | None = None

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline."""
        return math.inf if self.deadline is None else self.deadline - time.monotonic()


@dataclass(frozen=True)
class Limits:
    """What a training may use.

    Parameters
    ----------
    time_limit : float, optional
        Seconds.
    n_jobs : int, optional
        Number of networks that are trained at the same time; by default the number of threads,
        or what a surrounding ``joblib.parallel_config`` says.
    """

    time_limit: float | None = None
    n_jobs: int | None = None

    def __post_init__(self) -> None:
        if self.time_limit is not None:
            check_number(self.time_limit, "time_limit", above=0.0)
        if self.n_jobs is not None:
            check_integer(self.n_jobs, "n_jobs", 1)

    def setting(self, seed: int, dtype: str, verbose: int) -> Setting:
        """The setting of a training that starts now."""
        deadline = None if self.time_limit is None else time.monotonic() + self.time_limit
        who = workers(self.n_jobs, None, get_num_threads())
        return Setting(seed, dtype, who.n_jobs, verbose, deadline, who.backend)


class _Deadline(Callback):
    """Ends a training at a time of `time.monotonic`."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def __getstate__(self) -> float:
        return self._deadline - time.monotonic()  # other machines have another clock

    def __setstate__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def on_epoch_end(self, context: Context) -> bool:
        return time.monotonic() >= self._deadline


class _Course(Callback):
    """The loss of the held-out rows after each epoch, and the parameters after some of them.

    Parameters
    ----------
    weight : float
        Sum of the weights of the held-out rows.
    epochs : int
        Number of epochs of the training.
    every : int
        The parameters are copied after each epoch that precedes the last by a multiple of it.

    Attributes
    ----------
    losses : list of float
        After each epoch.
    copies : dict of int to array
        Parameters by epoch, counted from 1.
    """

    is_atomic = True  # a loss and its parameters belong together
    monitor = "val_loss"

    def __init__(self, weight: float, epochs: int, every: int) -> None:
        self.weight = weight
        self.losses: list[float] = []
        self.copies: dict[int, np.ndarray] = {}
        self._phase, self._every = epochs % every, every

    def on_epoch_end(self, context: Context) -> None:
        self.losses.append(context.logs["val_loss"])
        epoch = len(self.losses)
        last = epoch - 1
        if last in self.copies and last % self._every != self._phase:
            del self.copies[last]  # of the last epoch, in case that it ends the training
        self.copies[epoch] = context.snapshot()

    def restore(self, network: Network, epoch: int) -> int:
        """Set the parameters back to an epoch, or to the last one before it; returns which."""
        epoch = max((e for e in self.copies if e <= epoch), default=min(self.copies))
        network.core.restore(self.copies[epoch])
        network.history.best_epoch = epoch
        return epoch


def _best_epoch(courses: Sequence[_Course]) -> int:
    """The epoch with the smallest mean loss of the held-out rows of all networks.

    Networks whose training has ended early do not count.  Without a weighed row among those held
    out, no epoch is better than the last.
    """
    last = max(len(course.losses) for course in courses)
    whole = [course for course in courses if len(course.losses) == last and course.weight > 0]
    if not last or not whole:
        return last
    losses = np.average(
        [course.losses for course in whole], axis=0, weights=[course.weight for course in whole]
    )
    copied = [epoch for epoch in whole[0].copies if not np.isnan(losses[epoch - 1])]
    return min(copied, key=lambda epoch: losses[epoch - 1], default=last)


@dataclass(frozen=True, eq=False)
class Bag:
    """Trained networks, whose predictions are averaged.

    Attributes
    ----------
    networks : tuple of Network
    factor : float
        Factor of the logits: the reciprocal of the temperature.
    epochs : tuple of int
        The epoch of each network's parameters: the best one for all, or an earlier one of a network
        whose training has ended before.
    predictions : (M,) array, or (M, K)
        Predictions of the M rows of the training, in their order, that a network has not seen, as
        `Objective.combine` returns them.
    is_partial : bool
        Whether Ctrl-C has ended the training.
    kind : {"network", "additive", "linear"}
        What the networks are; see `Recipe.kind`.
    folds : (N,) array of int
        The position of the network that has not seen the row, or -1.
    """

    networks: tuple[Network, ...]
    factor: float
    epochs: tuple[int, ...]
    predictions: np.ndarray
    is_partial: bool = False
    kind: str = "network"
    folds: np.ndarray = field(default_factory=lambda: np.empty(0, np.int16))

    @property
    def held_out(self) -> np.ndarray:
        """`predictions` as (N,) or (N, K), with nan for rows that all networks have seen."""
        is_held_out = self.folds >= 0
        if is_held_out.all():
            return self.predictions
        held_out = np.full((len(self.folds), *self.predictions.shape[1:]), np.nan)
        held_out[is_held_out] = self.predictions
        return held_out

    def outputs(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of each network for prepared inputs by name."""
        results = []
        for network in self.networks:
            with network.core.lock:
                results += network.core.outputs(inputs_of(network, inputs))
        return results


def train(problem: Problem, recipe: Recipe, setting: Setting) -> Bag:
    """Train the bag of a recipe, or its one network.

    Ctrl-C, like the deadline, ends the training of all networks: the bag has those that have
    finished an epoch.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C before any network has finished an epoch.
    TrainingError
        If the loss is not finite.
    """
    recipe = recipe.for_rows(len(problem))
    folds = _folds(problem, recipe, setting.seed)
    n = len(problem)
    networks = [_network(problem, recipe, setting, i, n - len(folds[0])) for i in range(len(folds))]
    epochs, is_partial = _train(problem, recipe, setting, networks, folds)
    used = [i for i, epoch in enumerate(epochs) if epoch]
    if not used:
        raise KeyboardInterrupt
    networks, folds = [networks[i] for i in used], [folds[i] for i in used]
    epochs = [epochs[i] for i in used]
    predictions, factor = _judged(problem, networks, folds)
    if recipe.refits(n) and not is_partial and setting.seconds_left > 0:
        networks = [_refitted(problem, recipe, setting, networks[0], epochs[0])]
    fold_of = np.full(n, -1, np.int16)
    for i, rows in enumerate(folds):
        fold_of[rows] = i
    return Bag(
        tuple(networks), factor, tuple(epochs), predictions, is_partial, recipe.kind, fold_of
    )


def _folds(problem: Problem, recipe: Recipe, seed: int) -> list[np.ndarray]:
    """The rows that are held out, for each network; it is trained on the others."""
    labels = problem.y if isinstance(problem.objective, Classification) else None
    n = len(problem)
    n_folds = recipe.networks_of_bag(n)
    if n_folds == 1:
        parts = [split_rows(n, recipe.validation, 0.0, seed, labels)[1]]
    else:
        parts = split_folds(n, n_folds, seed, labels)
    narrow = np.min_scalar_type(-n)  # there are as many of them as rows, for each bag
    return [part.astype(narrow) for part in parts]


def _network(problem: Problem, recipe: Recipe, setting: Setting, i: int, n_rows: int) -> Network:
    """The untrained network number i."""
    seed = int(np.random.SeedSequence([setting.seed, i]).generate_state(1)[0])
    batches = -(-n_rows // recipe.rows_of_batch(n_rows))
    return build(problem.shape, recipe, problem.objective.loss, batches, setting.dtype, seed)


def _train(
    problem: Problem,
    recipe: Recipe,
    setting: Setting,
    networks: Sequence[Network],
    folds: Sequence[np.ndarray],
) -> tuple[list[int], bool]:
    """Train networks; returns the epoch of each, 0 for none, and whether Ctrl-C ended it."""
    data = problem.data(networks[0])
    copies = recipe.epochs * sum(network.n_parameters for network in networks)
    every = max(1, -(-copies // _MOST_COPIES))
    weights = np.ones(len(problem)) if problem.weights is None else problem.weights
    courses, members = [], []
    for network, held_out in zip(networks, folds, strict=True):
        courses.append(_Course(float(weights[held_out].sum()), recipe.epochs, every))
        n_rows = len(problem) - len(held_out)
        plan = _plan(recipe, setting, recipe.epochs, n_rows, courses[-1])
        extras = Extras(check_finite=False)
        members.append(Member(network, data, AllBut(held_out), plan, extras, held_out))
    is_partial = False
    try:
        who = Workers(setting.n_jobs, setting.backend)
        outcomes = train_members(members, setting.verbose, who)
        courses = [course for outcome in outcomes for course in _courses(outcome)]
    except KeyboardInterrupt as interrupt:
        if isinstance(interrupt.__context__, KeyboardInterrupt):
            raise  # a second Ctrl-C: threads may still train the networks
        is_partial = True  # what has been trained is kept
    best = _best_epoch(courses)
    pairs = zip(courses, networks, strict=True)
    return [c.restore(network, best) if c.losses else 0 for c, network in pairs], is_partial


def _courses(outcome: Outcome) -> list[_Course]:
    """The course of a training, wherever it ran."""
    return [c for c in as_callbacks(outcome.plan.callbacks) if isinstance(c, _Course)]


def _plan(recipe: Recipe, setting: Setting, epochs: int, n_rows: int, *callbacks: Callback) -> Plan:
    ending = [] if setting.deadline is None else [_Deadline(setting.deadline)]
    return Plan(epochs, recipe.rows_of_batch(n_rows), callbacks=[*callbacks, *ending])


def _refitted(
    problem: Problem, recipe: Recipe, setting: Setting, network: Network, epochs: int
) -> Network:
    """A network of the same construction, trained on all rows for some epochs."""
    n = len(problem)
    again = _network(problem, recipe, setting, 0, n)
    history = again.core.fit(problem.data(again), _plan(recipe, setting, epochs, n), None, again)
    return network if history.interrupted or history.epochs < epochs else again


def seconds_of_epoch(problem: Problem, recipe: Recipe, setting: Setting) -> float:
    """The seconds of an epoch on all rows, from the time of some batches."""
    n = len(problem)
    size = recipe.rows_of_batch(n)
    rows = np.arange(min(n, _TIMED_BATCHES * size))
    network = _network(problem, recipe, setting, 0, n)
    data = problem.data(network).rows(rows)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        network.core.fit(data, Plan(1, size), None, network)
        times.append(time.perf_counter() - start)
    return max(min(times), 1e-6) * n / len(rows)


def _judged(
    problem: Problem,
    networks: Sequence[Network],
    folds: Sequence[np.ndarray],
) -> tuple[np.ndarray, float]:
    """Predictions of the held-out rows in order, and the factor of the logits that fits them."""
    objective = problem.objective
    outputs = [
        network.core.outputs([a[held_out] for a in inputs_of(network, problem.inputs)])[0]
        for network, held_out in zip(networks, folds, strict=True)
    ]
    rows = np.concatenate(folds)
    stacked = np.concatenate(outputs)
    factor = 1.0
    if isinstance(objective, Classification):
        weights = None if problem.weights is None else problem.weights[rows]
        factor = best_factor(objective, stacked, problem.y[rows], weights)
    combined = objective.combine([stacked], factor)
    return combined[np.argsort(rows)], factor


def best_factor(
    objective: Classification, logits: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """The factor of the logits with the smallest log loss (temperature scaling, Guo et al. 2017).

    A weak prior keeps it near 1 where there are few rows.

    Parameters
    ----------
    objective : Classification
    logits : (N, K) array
    y : (N,) array of int
    weights : (N,) array, optional
    """
    from scipy.optimize import minimize_scalar

    def cost(logarithm: float) -> float:
        losses = objective.losses(objective.combine([logits], math.exp(logarithm)), y)
        mean = float(np.average(losses, weights=weights))
        return len(y) * mean + _PRIOR_ROWS * logarithm**2

    bounds = tuple(map(math.log, _FACTORS))
    solution: Any = minimize_scalar(cost, bounds=bounds, method="bounded")
    return math.exp(float(solution.x))
