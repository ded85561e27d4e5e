"""Learners: the encoders of a table and the networks that are trained on what they give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from fastnn import serialization
from fastnn._shared.fields import entry
from fastnn._shared.numbers import check_number
from fastnn.backend import get_num_threads
from fastnn.backend.choice import use_where_installed
from fastnn.network import Network
from fastnn.serialization import FormatError
from fastnn.tabular import blends, scores
from fastnn.tabular.bags import Problem, Setting
from fastnn.tabular.blends import Blend
from fastnn.tabular.columns import Unseen
from fastnn.tabular.conformal import Calibration
from fastnn.tabular.construction import Shape
from fastnn.tabular.encoders import Encoded, TableEncoder
from fastnn.tabular.importance import permutation_importances, places_of
from fastnn.tabular.objectives import Objective, Regression
from fastnn.tabular.recipe import Recipe
from fastnn.tabular.roles import decide
from fastnn.tabular.table import DataError, Table

__all__ = ["Examples", "Learner"]

_ROWS_AT_ONCE = 1 << 14
_NUMBERS_AT_ONCE = 1 << 20
_REPEATS = 3
_STATE = "the state of a learner"
_ARRAYS = ("numbers", "positions", "codes")


class Sample(NamedTuple):
    """Inputs of held-out rows, their targets as networks learn them, and who predicts them."""

    inputs: dict[str, np.ndarray]
    y: np.ndarray
    calibration: Calibration


@dataclass(frozen=True, eq=False)
class Examples:
    """What a learner is trained on: rows of a table, and their targets.

    Attributes
    ----------
    table : Table
        All of its columns are features.
    y : (n,) array
        Indices of classes, or standardised targets.
    weights : (n,) array, optional
        Weights; examples of weight 0 are left out.
    rows : (n,) array of int, optional
        The rows of the table; by default all.
    """

    table: Table
    y: np.ndarray
    weights: np.ndarray | None = None
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    def weighed(self) -> tuple[Examples, Any]:
        """The examples that have a weight, and their indices or a slice."""
        if self.weights is None or self.weights.all():
            return self, slice(None)
        used = np.flatnonzero(self.weights)
        table = self.table.take(used if self.rows is None else self.rows[used])
        return Examples(table, self.y[used], self.weights[used]), used


@dataclass(frozen=True, eq=False)
class Learner:
    """What a model has learnt from a table: encoders, and a blend of networks.

    Attributes
    ----------
    encoder : TableEncoder
    blend : Blend
    held_out : (N,) array, or (N, K)
        Predictions of the rows of the training by networks that have not seen them; nan for
        rows that all networks have seen, or that weigh nothing.  Files do not have them.
    calibration : Calibration or None
        What intervals and sets of classes follow from.
    sample : Sample or None
        Held-out rows by which the importances of columns follow.  Files and pickles do not have
        them.
    """

    encoder: TableEncoder
    blend: Blend
    held_out: np.ndarray
    calibration: Calibration | None = None
    sample: Sample | None = None

    @classmethod
    def fit(
        cls,
        examples: Examples,
        objective: Objective,
        recipe: Recipe,
        setting: Setting,
        columns: Mapping[str, str] | None = None,
    ) -> Learner:
        """Learn from the columns of a table.

        Parameters
        ----------
        examples : Examples
        objective : Objective
        recipe : Recipe
        setting : Setting
        columns : mapping of str to str, optional
            Roles that the user chooses, as in `fastnn.tabular.decide`.

        Raises
        ------
        DataError
            If a column does not fit its role, no column is left, or only one row.
        KeyboardInterrupt
            After Ctrl-C before any network has finished an epoch.
        TrainingError
            If the loss is not finite.
        """
        n = len(examples)
        examples, used = examples.weighed()
        table, y, rows = examples.table, examples.y, examples.rows
        if len(y) < 2:
            raise DataError(f"{table.name} has one row to train on (1 sample), expected at least 2")
        decisions = decide(table, columns, rows)
        if not decisions.used:
            raise DataError(f"{table.name} has no column to learn from:\n{decisions}")
        n_numbers = sum(decision.role in ("number", "date") for decision in decisions.used)
        bins = recipe.bins_of_number(len(y), n_numbers)
        whole = recipe.values_of_number(len(y), n_numbers)
        encoder = TableEncoder(decisions, bins=bins, whole=whole).fit(table, rows)
        shape = Shape(len(encoder.number_names), encoder.bins, encoder.levels, objective.n_outputs)
        inputs = _inputs(encoder.transform(table, setting.dtype, rows))
        problem = Problem(inputs, shape, objective, y, examples.weights)
        blend = blends.train(problem, recipe, setting)
        seen = blend.held_out()
        held_out = seen
        if len(seen) < n:
            held_out = np.full((n, *seen.shape[1:]), np.nan)
            held_out[used] = seen
        targets = objective.decode(y) if isinstance(objective, Regression) else y
        calibration = Calibration.of_held_out(objective, seen, targets, blend.folds())
        sample = None
        if calibration is not None:
            drawn = {name: array[calibration.rows] for name, array in inputs.items()}
            sample = Sample(drawn, y[calibration.rows], calibration)
        return cls(encoder, blend, held_out, calibration, sample)

    def predictions(self, table: Table) -> np.ndarray:
        """Probabilities (N, K), or numbers in the unit of the target, as `outputs` has them.

        Raises
        ------
        DataError
            If a column is absent or does not fit its role.
        """
        return self.apply(table)[0]

    def __getstate__(self) -> dict[str, Any]:
        """What a file has, as data and arrays, and the held-out predictions, which it has not."""
        described, arrays = self.to_state()
        return {
            "backend": self.networks[0].backend,
            "structure": described,
            "arrays": arrays,
            "held_out": self.held_out,
        }

    def __setstate__(self, state: object) -> None:
        """Become the learner of a state.

        Raises
        ------
        FormatError, ValueError
            If it describes none.
        """
        held_out = entry(state, "held_out", np.ndarray, _STATE)
        try:
            described, arrays = serialization.checked(state, _STATE)
            with use_where_installed(entry(state, "backend", str, _STATE)):
                learner = Learner.from_state(described, arrays)
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise FormatError(f"{_STATE} is damaged: {error!r}") from error
        vars(self).update(vars(learner), held_out=held_out)

    @property
    def objective(self) -> Objective:
        """What the networks learn."""
        return self.blend.objective

    @property
    def networks(self) -> list[Network]:
        """The networks of the blend."""
        return self.blend.networks

    def apply(self, table: Table) -> tuple[np.ndarray, Unseen]:
        """`predictions`, from which the other methods of a learner follow, and unseen levels."""
        return self._by_block(table, _ROWS_AT_ONCE, self.blend.predictions)

    def _by_block(
        self, table: Table, size: int, function: Callable[[dict[str, np.ndarray]], np.ndarray]
    ) -> tuple[np.ndarray, Unseen]:
        """What a function of prepared inputs returns for the rows, and unseen levels."""
        dtype = self.blend.networks[0].dtype
        bound = self.encoder.bind(table)
        n, parts = len(table), []
        for start in range(0, n, size):
            encoded = bound.encode(start, min(start + size, n), dtype)
            parts.append(function(_inputs(encoded)))
        return np.concatenate(parts), bound.unseen

    # -------------------------------------------------------------- uncertainty

    def intervals(self, table: Table, coverage: float) -> tuple[np.ndarray, Unseen]:
        """Conformal intervals (N, 2) of the targets of a regression, and unseen levels.

        Raises
        ------
        ValueError
            If the learner has no calibration or is for classification, or the coverage is wrong.
        """
        objective, calibration = self.objective, self._calibration(coverage)
        if not isinstance(objective, Regression):
            raise ValueError("intervals need a regression; classification has sets of classes")
        return self._by_block(
            table,
            self._rows_of_parts(calibration),
            lambda inputs: calibration.intervals(
                objective, self.blend.parts(inputs, calibration.predictors), coverage
            ),
        )

    def sets(self, table: Table, coverage: float) -> tuple[np.ndarray, Unseen]:
        """Which classes the conformal sets of the rows have, (N, K) bool, and unseen levels.

        Raises
        ------
        ValueError
            If the learner has no calibration or is for regression, or the coverage is wrong.
        """
        calibration = self._calibration(coverage)
        if isinstance(self.objective, Regression):
            raise ValueError("sets of classes need a classification; regression has intervals")
        return self._by_block(
            table,
            self._rows_of_parts(calibration),
            lambda inputs: calibration.sets(
                self.blend.parts(inputs, calibration.predictors), coverage
            ),
        )

    def _rows_of_parts(self, calibration: Calibration) -> int:
        """Rows whose predictions by all predictors of a calibration fit into little memory."""
        of_row = len(calibration.predictors) * self.objective.n_outputs
        return max(64, min(_ROWS_AT_ONCE, _NUMBERS_AT_ONCE // of_row))

    @cached_property
    def importances(self) -> dict[str, float]:
        """The rise of the loss when a column of the held-out rows is permuted, for each column.

        Columns that are left out have 0.

        Raises
        ------
        ValueError
            If there are no held-out rows, as in a learner from a file.
        """
        if self.sample is None:
            raise ValueError(
                "importances need the rows that the training held out, which a file or a pickle "
                "does not have: use sklearn.inspection.permutation_importance"
            )
        places = places_of(self.encoder)
        inputs = self.sample.inputs
        rises = permutation_importances(
            self._loss_of_sample, inputs, list(places.values()), _REPEATS, get_num_threads()
        )
        by_name = dict(zip(places, rises.tolist(), strict=True))
        columns = [decision.column for decision in self.encoder.decisions]
        return {column: by_name.get(column, 0.0) for column in columns}

    def _loss_of_sample(self, inputs: Mapping[str, np.ndarray]) -> float:
        """The mean loss of the rows of the sample, predicted by networks that have not seen them.

        `inputs` are those of the sample, with a column permuted.
        """
        assert self.sample is not None
        _, y, calibration = self.sample
        size = self._rows_of_parts(calibration)
        total = 0.0
        for start in range(0, len(y), size):
            rows = slice(start, start + size)
            block = {name: array[rows] for name, array in inputs.items()}
            parts = self.blend.parts(block, calibration.predictors)
            own = parts[calibration.groups[rows], np.arange(parts.shape[1])]
            total += float(self.objective.losses(own, y[rows]).sum())
        return total / len(y)

    def _calibration(self, coverage: float) -> Calibration:
        check_number(coverage, "coverage", above=0.0, below=1.0)
        if self.calibration is None:
            raise ValueError(
                "the model has no calibration: call calibrate with rows that it was not trained on"
            )
        return self.calibration

    def calibrated(self, table: Table, y: np.ndarray) -> Learner:
        """The learner with the calibration by rows that it was not trained on.

        Parameters
        ----------
        table : Table
        y : (N,) array
            Indices of classes, or numbers in their unit.
        """
        values = self.predictions(table)
        return replace(self, calibration=Calibration.of_predictions(self.objective, values, y))

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """The predictions of a regression: (N,), or (N, Q) for several quantiles."""
        return values

    def class_indices(self, values: np.ndarray) -> np.ndarray:
        """The indices (N,) of the most probable classes."""
        return values.argmax(axis=1)

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """The probabilities of the classes (N, K)."""
        return values

    def measures(self, values: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """The measures of predictions for indices of classes, or numbers in their unit."""
        return scores.of_predictions(self.objective, values, y)

    def held_out_measures(self, y: np.ndarray) -> dict[str, float] | None:
        """The measures of the held-out predictions, and ``rows``; None if there are none.

        Parameters
        ----------
        y : (N,) array
            Indices of classes, or numbers in their unit, of all rows of the training.
        """
        first = self.held_out.reshape(len(self.held_out), -1)[:, :1]
        rows = np.flatnonzero(~np.isnan(first))
        if not len(rows):
            return None
        return {"rows": len(rows), **self.measures(self.held_out[rows], y[rows])}

    def describe(self) -> Iterator[str]:
        """The networks of each bag, as text."""
        for bag, weight in zip(self.blend.bags, self.blend.weights, strict=True):
            n = len(bag.networks)
            total = sum(network.n_parameters for network in bag.networks)
            kind = bag.kind if bag.kind == "network" else f"{bag.kind} model"
            size = f"{total:,} parameters" if n == 1 else f"{total // n:,} parameters each"
            share = "" if len(self.blend.bags) == 1 else f", weight {weight:.2f}"
            yield f"{n} {kind}{'s' * (n > 1)} of {size}{share}"

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The learner as data for JSON, and the arrays of its networks by name."""
        blend, arrays = self.blend.to_state()
        state = {"encoder": self.encoder.to_state(), "blend": blend}
        if self.calibration is not None:
            state["calibration"] = self.calibration.to_state()
        return state, arrays

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Learner:
        """A learner from what `to_state` has returned.

        Raises
        ------
        KeyError, TypeError, ValueError, OverflowError
            If the data do not describe a learner.
        """
        encoder = TableEncoder.from_state(state["encoder"])
        blend = Blend.from_state(state["blend"], arrays)
        columns = (encoder.number_names, encoder.bins, encoder.levels)
        widths = dict(zip(_ARRAYS, map(len, columns), strict=True))
        for network in blend.networks:
            if any(
                widths.get(tensor.name or "") != tensor.width for tensor in network.graph.inputs
            ):
                raise ValueError("the networks do not fit the encoders")
            if network.graph.outputs[0].width != blend.objective.n_outputs:
                raise ValueError("the networks do not fit the objective")
        calibration = None
        if "calibration" in state:
            calibration = Calibration.from_state(state["calibration"], blend.objective)
            blend.check_predictors(calibration.predictors)
        return cls(encoder, blend, np.empty(0), calibration)


def _inputs(encoded: Encoded) -> dict[str, np.ndarray]:
    """The arrays that have columns, by name."""
    arrays = {name: getattr(encoded, name) for name in _ARRAYS}
    return {name: array for name, array in arrays.items() if array.shape[1]}
