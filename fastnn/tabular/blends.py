"""Blends: bags of different recipes, weighted by their predictions of rows they have not seen."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn._shared.numbers import check_choice
from fastnn.network import Network
from fastnn.network._network import rebuild
from fastnn.network._save import snapshot
from fastnn.tabular import bags, objectives, stored
from fastnn.tabular.bags import Bag, Problem, Setting
from fastnn.tabular.objectives import Objective
from fastnn.tabular.recipe import KINDS, Recipe

__all__ = ["Blend", "Trial", "train"]

_ROUNDS = 30
"""Number of bags, with repetition, that a blend consists of."""

_MOST_CANDIDATES = 200
_SHARE_OF_FIRST_BAG = {True: 0.4, False: 0.7}
"""Share of the time, by whether other candidates follow."""

_LEAST_EPOCHS = 6


@dataclass(frozen=True)
class Trial:
    """One candidate of a training.

    Attributes
    ----------
    recipe : Recipe
    loss : float
        Mean loss of its held-out rows; nan if none of them has a weight.
    weight : float
        Its weight in the blend; 0 for a candidate that is left out.
    seconds : float
        Time of its training.
    """

    recipe: Recipe
    loss: float
    weight: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Blend:
    """Bags and their weights.

    Attributes
    ----------
    objective : Objective
    bags : tuple of Bag
    weights : tuple of float
        Positive, with the sum 1.
    trials : tuple of Trial
        All candidates, in the order of their training; files do not have them.
    is_interrupted : bool
        Whether Ctrl-C has ended the training of a candidate that the blend does not have.
    """

    objective: Objective
    bags: tuple[Bag, ...]
    weights: tuple[float, ...]
    trials: tuple[Trial, ...] = ()
    is_interrupted: bool = False

    @property
    def networks(self) -> list[Network]:
        """The networks of all bags."""
        return [network for bag in self.bags for network in bag.networks]

    @property
    def is_partial(self) -> bool:
        """Whether Ctrl-C has ended the training."""
        return self.is_interrupted or any(bag.is_partial for bag in self.bags)

    def predictions(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The weighted mean of the predictions of the bags.

        Parameters
        ----------
        inputs : mapping of str to (N, width) array
            As in `Problem`.

        Returns
        -------
        (N, K) array of probabilities, or (N,) array of numbers in the unit of the target
        """
        combine = self.objective.combine
        parts = [combine(bag.outputs(inputs), bag.factor) for bag in self.bags]
        return self._mean(parts)

    def parts(
        self, inputs: Mapping[str, np.ndarray], predictors: Sequence[Sequence[int]]
    ) -> np.ndarray:
        """Predictions by one network of each bag, for several choices of the networks.

        Parameters
        ----------
        inputs : mapping of str to (N, width) array
            As in `Problem`.
        predictors : sequence of G sequences of int
            Positions of the networks, one for each bag; none for all networks.

        Returns
        -------
        (G, N) or (G, N, K) array
        """
        if not any(predictors):
            return self.predictions(inputs)[np.newaxis]
        single = [
            [self.objective.combine([outputs], bag.factor) for outputs in bag.outputs(inputs)]
            for bag in self.bags
        ]
        return np.stack([
            self._mean([of_bag[i] for of_bag, i in zip(single, choice, strict=True)])
            for choice in predictors
        ])  # fmt: skip

    def check_predictors(self, predictors: Sequence[Sequence[int]]) -> None:
        """Raise ValueError unless `predictors` are positions of networks, one for each bag."""
        sizes = [len(bag.networks) for bag in self.bags]
        for choice in predictors:
            fits = len(choice) == len(sizes) and all(map(operator.lt, choice, sizes))
            if choice and not fits:
                raise ValueError("the calibration does not fit the bags")

    def folds(self) -> np.ndarray:
        """For each row of the training the network of each bag that has not seen it, or -1."""
        return np.stack([bag.folds for bag in self.bags], axis=1)

    def held_out(self) -> np.ndarray:
        """Predictions of the rows of the training by networks that have not seen them.

        They are nan for rows that all networks of a bag have seen.
        """
        return self._mean(bag.held_out for bag in self.bags)

    def _mean(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        total: np.ndarray | None = None
        for weight, part in zip(self.weights, parts, strict=True):
            if len(self.weights) == 1:
                return part
            total = np.zeros_like(part) if total is None else total
            total += weight * part
        assert total is not None
        return total

    # ------------------------------------------------------------------- files

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The blend as data for JSON, and the arrays of its networks by name."""
        described, arrays = [], {}
        for i, bag in enumerate(self.bags):
            members = [snapshot(network) for network in bag.networks]
            for j, (_, values) in enumerate(members):
                arrays.update({f"{i}/{j}/{name}": value for name, value in values.items()})
            described.append(
                {
                    "kind": bag.kind,
                    "factor": bag.factor,
                    "epochs": list(bag.epochs),
                    "networks": [structure for structure, _ in members],
                }
            )
        state = {
            "objective": self.objective.to_state(),
            "weights": list(self.weights),
            "bags": described,
        }
        return state, arrays

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Blend:
        """A blend from what `to_state` has returned; it has no predictions of held-out rows.

        Raises
        ------
        KeyError, TypeError, ValueError, OverflowError
            If the data do not describe a blend.
        """
        objective = objectives.from_state(state["objective"])
        parts = []
        for i, entry in enumerate(state["bags"]):
            networks = []
            for j, structure in enumerate(entry["networks"]):
                start = f"{i}/{j}/"
                own = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
                networks.append(rebuild(structure, own))
            factor = stored.positive(entry["factor"])
            kind = check_choice(entry["kind"], "kind", KINDS)
            epochs = tuple(entry["epochs"])
            parts.append(Bag(tuple(networks), factor, epochs, np.empty(0), kind=kind))
        weights = tuple(stored.positive(weight) for weight in state["weights"])
        if not parts or len(weights) != len(parts) or abs(sum(weights) - 1) > 1e-9:
            raise ValueError("the weights do not fit the bags")
        outputs = {tuple(t.width for t in n.graph.outputs) for bag in parts for n in bag.networks}
        if outputs != {(objective.n_outputs,)}:
            raise ValueError("the outputs of the networks do not fit the objective")
        return cls(objective, tuple(parts), weights)


# -------------------------------------------------------------------- training


def train(problem: Problem, recipe: Recipe, setting: Setting) -> Blend:
    """Train the bags of a recipe, and weight them.

    With a deadline, the number of epochs and of bags follows the time that there is; without
    one, they are those of the recipe.  Ctrl-C ends the training: the blend has what is trained.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C before any network has finished an epoch.
    TrainingError
        If the loss is not finite.
    """
    recipe = recipe.for_rows(len(problem))
    if setting.deadline is not None:
        recipe = _fitted_to_time(problem, recipe, setting)
    trained: list[Bag] = []
    recipes: list[Recipe] = []
    seconds: list[float] = []
    is_interrupted = False
    for each, own in _trainings(problem, recipe, setting):
        if trained and 1.1 * max(seconds) >= setting.seconds_left:
            break
        start = time.monotonic()
        try:
            trained.append(bags.train(problem, each, own))
        except KeyboardInterrupt:
            if not trained:
                raise
            is_interrupted = True
            break
        recipes.append(each)
        seconds.append(time.monotonic() - start)
        if trained[-1].is_partial:
            is_interrupted = True
            break
    weights = blend_weights(problem, trained)
    used = [i for i, weight in enumerate(weights) if weight]
    losses = [_held_out_loss(problem, bag) for bag in trained]
    return Blend(
        problem.objective,
        tuple(trained[i] for i in used),
        tuple(weights[i] for i in used),
        tuple(map(Trial, recipes, losses, weights, seconds)),
        is_interrupted,
    )


def _held_out_loss(problem: Problem, bag: Bag) -> float:
    """The mean loss of the held-out rows; nan if none of them has a weight."""
    rows = _held_out_rows([bag])
    losses = problem.objective.losses(bag.held_out[rows], problem.y[rows])
    weights = np.ones(len(losses)) if problem.weights is None else problem.weights[rows]
    return float(np.average(losses, weights=weights)) if weights.any() else math.nan


def _held_out_rows(parts: Sequence[Bag]) -> Any:
    """The indices of the rows that each of some bags has held out, or a slice where it is all."""
    are_held_out = ~np.isnan(parts[0].held_out.reshape(len(parts[0].held_out), -1)[:, 0])
    for bag in parts[1:]:
        are_held_out &= ~np.isnan(bag.held_out.reshape(len(are_held_out), -1)[:, 0])
    return slice(None) if are_held_out.all() else np.flatnonzero(are_held_out)


def _trainings(
    problem: Problem, recipe: Recipe, setting: Setting
) -> Iterator[tuple[Recipe, Setting]]:
    """The recipe, the simple ones on the same folds, and variations on folds of their own."""
    yield recipe, setting
    if recipe.simple_models and recipe.kind == "network":
        for simple in recipe.simple(len(problem)):
            if simple.bins == 0 or problem.shape.bins:
                yield simple, setting
    most = recipe.candidates
    if setting.deadline is not None and most > 1:
        most = _MOST_CANDIDATES
    # Networks that hold out one part of the rows can be compared on the same rows only.
    step = 1_000_003 if recipe.networks_of_bag(len(problem)) > 1 else 0
    for i in range(1, most):
        seed = setting.seed + step * i
        yield variation(recipe, i, setting.seed), replace(setting, seed=seed)


def variation(recipe: Recipe, i: int, seed: int) -> Recipe:
    """The recipe of candidate number i, with other hyperparameters."""
    draw = np.random.default_rng([seed, i])
    width = int(draw.choice([96, 128, 192, 256]))
    depth = int(draw.choice([2, 3, 4]))
    factor = float(np.exp(draw.uniform(math.log(0.4), math.log(1.6))))
    return replace(
        recipe,
        hidden=(width,) * depth,
        activation=str(draw.choice(["selu", "mish", "relu", "swish"])),
        dropout=float(draw.choice([0.0, 0.1, 0.2, 0.3])),
        weight_decay=float(draw.choice([0.0, 0.01, 0.05])),
        rate_factor=recipe.rate_factor * factor,
    )


def blend_weights(problem: Problem, candidates: Sequence[Bag]) -> list[float]:
    """Weights that make the loss of the held-out rows small (Caruana et al. 2004).

    Bags are added one at a time, each time the one that lowers the loss most, with repetition.
    """
    if len(candidates) == 1:
        return [1.0]
    rows = _held_out_rows(candidates)
    y, objective = problem.y[rows], problem.objective
    row_weights = None if problem.weights is None else problem.weights[rows]
    predictions = [bag.held_out[rows] for bag in candidates]
    counts = np.zeros(len(candidates))
    total, mean = np.zeros_like(predictions[0]), np.empty_like(predictions[0])

    def cost(part: np.ndarray, n: int) -> float:
        """The loss of the blend of n bags that one more would give."""
        np.add(total, part, out=mean)
        np.divide(mean, n, out=mean)
        return float(np.average(objective.losses(mean, y), weights=row_weights))

    for n in range(1, _ROUNDS + 1):
        costs = [cost(part, n) for part in predictions]
        best = int(np.argmin(costs))
        counts[best] += 1
        total += predictions[best]
    return [float(count / _ROUNDS) for count in counts]


def _fitted_to_time(problem: Problem, recipe: Recipe, setting: Setting) -> Recipe:
    """The recipe with as many epochs, and as large a bag, as there is time for."""
    time_of_bag = _SHARE_OF_FIRST_BAG[recipe.candidates > 1] * setting.seconds_left
    seconds = bags.seconds_of_epoch(problem, recipe, setting)
    networks = recipe.networks_of_bag(len(problem))
    jobs = max(1, min(setting.n_jobs, networks))
    runs = networks + recipe.refits(len(problem))
    epochs = int(time_of_bag * jobs / (seconds * runs))
    if epochs >= min(recipe.epochs, _LEAST_EPOCHS):
        return replace(recipe, epochs=min(epochs, recipe.epochs))
    epochs = max(1, int(time_of_bag / seconds))
    return replace(
        recipe,
        folds=1,
        refit=False,
        epochs=min(epochs, recipe.epochs),
        candidates=1,
        simple_models=False,
    )
