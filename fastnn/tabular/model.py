"""Models: what has been learnt from a table, with everything that rows of a user need."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import serialization
from fastnn._shared.fields import entry
from fastnn._shared.warnings import warn
from fastnn.backend.choice import use_where_installed
from fastnn.network import Network
from fastnn.network._load import TABULAR_MODEL, from_file
from fastnn.serialization import File, FormatError, name_of
from fastnn.tabular import dense
from fastnn.tabular.dense import DenseLearner
from fastnn.tabular.frames import as_table
from fastnn.tabular.learner import Learner
from fastnn.tabular.objectives import Classification
from fastnn.tabular.pictures import draw_embedding
from fastnn.tabular.roles import Decisions
from fastnn.tabular.splitting import Task
from fastnn.tabular.table import DataError, Table, listing
from fastnn.tabular.targets import Label, Target, with_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastnn.formats._fitted import Fitted

__all__ = ["Model", "Outputs", "Tally", "load", "load_any", "remarks"]

_KEY = "model"
"""Key of the model in the metadata of a network."""


@dataclass(frozen=True, eq=False)
class Model:
    """What has been learnt from a table, for rows as a user has them.

    `fastnn.tabular.fit` and `fastnn.tabular.load` return models.

    Parameters
    ----------
    aim : Target
        The target column.
    learner : DenseLearner or Learner
        Encoders and networks.
    facts : dict
        Facts about the training as data for JSON: ``data``, the name of the table, and
        ``results``, the measures of each part of the table.
    """

    aim: Target
    learner: DenseLearner | Learner
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """``"classification"`` or ``"regression"``."""
        return self.aim.task

    @property
    def loss(self) -> str:
        """Name of the loss: ``"cross_entropy"``, or that of a regression; see `fit`."""
        return self.learner.objective.name

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The levels of the columns of `predict` with the loss "quantile"; otherwise empty."""
        return getattr(self.learner.objective, "quantiles", ())

    @property
    def target(self) -> str:
        """Name of the target column."""
        return self.aim.name

    @property
    def classes(self) -> tuple[Label, ...]:
        """The classes in the order of `predict_proba`; empty for regression."""
        return self.aim.classes

    @property
    def decisions(self) -> Decisions:
        """The role of each column; ``print(model.decisions)`` shows it."""
        return self.learner.encoder.decisions

    @property
    def network(self) -> Network:
        """The network of a model that has one.

        Raises
        ------
        ValueError
            If the model has several networks.
        """
        networks = self.learner.networks
        if len(networks) > 1:
            raise ValueError(f"the model has {len(networks)} networks: see model.learner.networks")
        return networks[0]

    @property
    def results(self) -> dict[str, Any]:
        """The measures of each part of the table, as `evaluate` returns them, and ``rows``."""
        results: dict[str, Any] = self.facts.get("results", {})
        return results

    def predict(self, data: Any) -> np.ndarray:
        """The predicted target of each row.

        Parameters
        ----------
        data : Table, frame, array, or mapping of str to (N,) array_like
            All columns of the training except the target, in any order.  Other columns are
            ignored with a warning.

        Returns
        -------
        (N,) array
            For classification, the names of classes; for regression, float64 in the unit of the
            target.  With several quantiles (N, Q), in the order of `quantiles`; they ascend in
            each row.

        Raises
        ------
        TypeError
            If `data` is no table.
        DataError
            If a column is absent, or does not fit its role.
        """
        return self.outputs(data).predictions()

    def predict_proba(self, data: Any) -> np.ndarray:
        """The probability of each class for each row.

        Parameters
        ----------
        data : Table, frame, array, or mapping of str to (N,) array_like
            As in `predict`.

        Returns
        -------
        (N, K) array
            Probabilities in the order of `classes`.

        Raises
        ------
        TypeError, DataError
            As in `predict`.
        ValueError
            If the model is for regression.
        """
        return self.outputs(data).probabilities()

    def predict_interval(self, data: Any, coverage: float = 0.9) -> np.ndarray:
        """Intervals that hold the targets of new rows with a chosen probability.

        Conformal intervals; see `TabularRegressor.predict_interval`.

        Parameters
        ----------
        data : Table, frame, array, or mapping of str to (N,) array_like
            As in `predict`.
        coverage : float, default 0.9
            In (0, 1).

        Returns
        -------
        (N, 2) array
            Lower and upper ends, in the unit of the target.

        Raises
        ------
        TypeError, DataError
            As in `predict`.
        ValueError
            If the model is for classification or has no calibration, such as one dense network.
        """
        return self._remarked(data, lambda table: self.conformal.intervals(table, coverage))

    def predict_set(self, data: Any, coverage: float = 0.9) -> np.ndarray:
        """Sets of classes that hold the class of new rows with a chosen probability.

        Conformal sets; see `TabularClassifier.predict_set`.

        Parameters
        ----------
        data : Table, frame, array, or mapping of str to (N,) array_like
            As in `predict`.
        coverage : float, default 0.9
            In (0, 1).

        Returns
        -------
        (N, K) array of bool
            Whether the set has the class, in the order of `classes`.

        Raises
        ------
        TypeError, DataError
            As in `predict`.
        ValueError
            If the model is for regression or has no calibration, such as one dense network.
        """
        return self._remarked(data, lambda table: self.conformal.sets(table, coverage))

    def calibrated(self, data: Any) -> Model:
        """The same model, with intervals or sets by rows that it was not trained on.

        Parameters
        ----------
        data : Table, frame, array, or mapping of str to (N,) array_like
            As in `evaluate`.

        Raises
        ------
        TypeError, DataError
            As in `evaluate`.
        ValueError
            If the model is one dense network.
        """
        learner = self.conformal
        table, _ = with_target(as_table(data, "data"), self.target)
        return replace(self, learner=learner.calibrated(table, self.aim.encode(table)))

    @property
    def conformal(self) -> Learner:
        """The learner that intervals, sets, importances and pictures come from.

        Raises
        ------
        ValueError
            If the model is one dense network.
        """
        if not isinstance(self.learner, Learner):
            raise ValueError(
                "intervals, sets, importances and pictures need a preset of networks, not "
                "preset='network'"
            )
        return self.learner

    def _remarked(
        self, data: Any, function: Callable[[Table], tuple[np.ndarray, Mapping[str, int]]]
    ) -> np.ndarray:
        """The values of a function of the rows, with warnings about what the model ignores."""
        table = as_table(data, "data")
        values, unseen = function(table)
        for remark in remarks(table.name, self.unknown_columns(table), unseen):
            warn(remark)
        return values

    def importances(self) -> dict[str, float]:
        """For each column the mean rise of the loss when it is permuted, by held-out rows.

        See `TabularClassifier.feature_importances_`.

        Raises
        ------
        ValueError
            If the model comes from a file, or is one dense network.
        """
        return dict(self.conformal.importances)

    def plot_embedding(
        self, column: str, path: str | os.PathLike[str] | None = None, ax: Axes | None = None
    ) -> Figure:
        """Draw what the first layer of the networks has learnt of one column.

        The vectors that a value adds to the first pre-activations, of all networks together, are
        shown by their principal components: for a number as curves over its range, with the edges
        of its bins, and for a category as the positions of its levels.  Levels that the networks
        treat alike lie together.

        Parameters
        ----------
        column : str
            Name of a column that the model uses.
        path : str, path-like or file object, optional
            Where the figure is saved.
        ax : Axes, optional
            Axes of matplotlib to draw on; by default those of a new figure.

        Raises
        ------
        ValueError
            If the model does not use the column, or it has dates.
        ImportError
            If matplotlib is not installed.
        """
        learner = self.conformal
        return draw_embedding(learner.encoder, learner.blend, column, path, ax)

    def evaluate(self, data: Any) -> dict[str, float]:
        """The measures of the model for data that have the target column.

        Parameters
        ----------
        data : Table, frame, array, or mapping of str to (N,) array_like
            All columns of the training, with the target.  Rows without a target are ignored.

        Returns
        -------
        dict of str to float
            ``loss``, the cost; that of one dense network with its L2 penalty.  For classification
            ``accuracy``.  For regression ``mse`` of the standardised target, ``rmse`` in the unit
            of the target, and ``r2``; with the loss "absolute_error" ``mae``, in this unit, and
            with "poisson" ``deviance`` and ``d2``, the share of it that is explained.  For
            quantiles ``pinball``, their mean loss in the unit of the target, ``d2``, and
            ``coverage``, the share of the rows between the lowest and the highest of several.

        Raises
        ------
        TypeError, DataError
            As in `predict`, and if the target column is absent or has an unknown class.
        """
        tally = Tally(self)
        tally.add(self.outputs(data))
        return tally.measures()

    def outputs(self, data: Any) -> Outputs:
        """The outputs of the networks, from which predictions and measures follow.

        Parameters
        ----------
        data : Table, frame, array, or mapping of str to (N,) array_like
            As in `predict`.

        Raises
        ------
        TypeError, DataError
            As in `predict`.
        """
        table = as_table(data, "data")
        outputs = self.outputs_of(table)
        for remark in remarks(table.name, self.unknown_columns(table), outputs.unseen):
            warn(remark)
        return outputs

    def outputs_of(self, table: Table) -> Outputs:
        """`outputs` without warnings about columns and categories that are unknown."""
        return Outputs(self, table, *self.learner.apply(table))

    def unknown_columns(self, names: Iterable[str]) -> list[str]:
        """Those of some columns that the training did not have, so that they are ignored."""
        expected = {decision.column for decision in self.decisions} | {self.target}
        return [name for name in names if name not in expected]

    def __getstate__(self) -> dict[str, Any]:
        """The bytes of a file, and the held-out predictions, which files do not have."""
        file = io.BytesIO()
        self.save(file)
        held_out = self.learner.held_out if isinstance(self.learner, Learner) else None
        backend = self.learner.networks[0].backend
        return {"backend": backend, "file": file.getvalue(), "held_out": held_out}

    def __setstate__(self, state: object) -> None:
        """Become the model of a state.

        Raises
        ------
        FormatError, ValueError
            If it describes none.
        """
        what = "the state of a model"
        file, kinds = entry(state, "file", bytes, what), (np.ndarray, type(None))
        held_out = entry(state, "held_out", kinds, what)
        with use_where_installed(entry(state, "backend", str, what)):
            model = load(io.BytesIO(file))
        learner = model.learner
        if isinstance(learner, Learner) and held_out is not None:
            learner = replace(learner, held_out=held_out)
        vars(self).update(vars(model), learner=learner)

    def _fitted_model(self) -> Fitted:
        """What `fastnn.formats` writes."""
        from fastnn.tabular.description import describe

        names = [decision.column for decision in self.decisions.used]
        labels = np.array(self.classes) if self.classes else None
        return describe(self.learner, names, labels)

    def save(self, path: File) -> None:
        """Write the model to a file, which `fastnn.tabular.load` and the command line read.

        `fastnn.load` reads the network of a model that has one dense network.

        Parameters
        ----------
        path : str, path-like or binary file object

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        if isinstance(self.learner, DenseLearner):
            described = {"preprocessing": self.learner.preprocessor.to_dict(), **self.facts}
            network = self.learner.network
            network.save(path, {**network.metadata, _KEY: described})
        else:
            state, arrays = self.learner.to_state()
            model = {"target": self.aim.to_state(), "learner": state, "facts": self.facts}
            serialization.save(path, {"class": TABULAR_MODEL, _KEY: model}, arrays)


@dataclass(frozen=True, eq=False)
class Outputs:
    """The outputs of a model for the rows of a table; none of its methods runs a network.

    Attributes
    ----------
    model : Model
    table : Table
    values : array of N rows
        What the learner of the model gives.
    unseen : dict of str to int
        For each category with such rows, the number of rows whose level the training did not have.
    """

    model: Model
    table: Table
    values: np.ndarray
    unseen: dict[str, int]

    def predictions(self) -> np.ndarray:
        """The predicted targets (N,); see `Model.predict`."""
        if self.model.task == "regression":
            return self.model.learner.numbers(self.values)
        return self.model.aim.labels(self.class_indices())

    def class_indices(self) -> np.ndarray:
        """The indices (N,) of the predicted classes.

        Raises
        ------
        ValueError
            If the model is for regression.
        """
        self._check_classes("classes")
        return self.model.learner.class_indices(self.values)

    def probabilities(self) -> np.ndarray:
        """The probabilities of the classes (N, K); see `Model.predict_proba`."""
        self._check_classes("probabilities")
        return self.model.learner.probabilities(self.values)

    def _check_classes(self, what: str) -> None:
        if self.model.task == "regression":
            raise ValueError(f"{what} need a model for classification, this one is for regression")


class Tally:
    """The measures of a model for a table that comes in parts."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._values: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []

    @property
    def rows(self) -> int:
        """Number of rows that have a target."""
        return sum(map(len, self._targets))

    def add(self, outputs: Outputs) -> None:
        """Add a part; rows without a target are ignored.

        Raises
        ------
        DataError
            If the target column is absent or has an unknown class.
        """
        aim = self._model.aim
        present = ~outputs.table.column(aim.name).missing()
        if present.any():
            self._targets.append(aim.encode(outputs.table.take(present)))
            self._values.append(outputs.values[present])

    def measures(self) -> dict[str, float]:
        """The measures of all parts; see `Model.evaluate`.

        Raises
        ------
        DataError
            If no row has a target.
        """
        if not self._targets:
            name = self._model.target
            raise DataError(f"no row has a target, expected values in column {name!r}")
        values, targets = np.concatenate(self._values), np.concatenate(self._targets)
        return self._model.learner.measures(values, targets)


def remarks(name: str, extra: Sequence[str], unseen: Mapping[str, int]) -> list[str]:
    """Sentences about columns that a model ignores, and categories that it does not know.

    Parameters
    ----------
    name : str
        Name of the table.
    extra : sequence of str
        Columns that are ignored.
    unseen : mapping of str to int
        As in `Outputs`.
    """
    sentences = []
    if extra:
        sentences.append(f"{name}: the model does not know {listing(map(repr, extra), 6)}, ignored")
    for column, count in unseen.items():
        sentences.append(
            f"{name}, column {column!r}: {count:,} row{'s' * (count > 1)} with a category that the "
            "training did not have"
        )
    return sentences


# ------------------------------------------------------------------------- files


def load(path: File) -> Model:
    """Read a model that `Model.save` or ``fastnn train`` has written.

    Parameters
    ----------
    path : str, path-like or binary file object

    Raises
    ------
    FormatError
        If the file has any defect, or a network only.
    OSError
        If the file cannot be read.
    """
    model = load_any(path)
    if isinstance(model, Network):
        raise FormatError(
            f"{name_of(path)} has no preprocessing; use fastnn.load to read a network"
        )
    return model


def load_any(path: File) -> Model | Network:
    """Read a model, or a network that was saved without a preprocessing.

    Raises
    ------
    FormatError
        If the file has any defect.
    OSError
        If the file cannot be read.
    """
    described, arrays = serialization.load(path)
    if described.get("class") == TABULAR_MODEL:
        return _of_blend(described, arrays, path)
    network = from_file(described, arrays, path)
    facts = network.metadata.pop(_KEY, None)
    if facts is None:
        return network
    name = name_of(path)
    if not isinstance(facts, dict):
        raise FormatError(f"{name}: damaged: the description of the model is not an object")
    try:
        learner = dense.from_network(network, facts.pop("preprocessing", None))
    except ValueError as error:
        raise FormatError(f"{name}: damaged: {error}") from error
    return Model(learner.aim, learner, facts)


def _of_blend(described: Mapping[str, Any], arrays: Mapping[str, np.ndarray], path: File) -> Model:
    """The model of a blend from the contents of a file."""
    try:
        model = described[_KEY]
        facts = entry(model, "facts", dict, "a model")
        aim = Target.from_state(model["target"])
        learner = Learner.from_state(model["learner"], arrays)
        objective = learner.objective
        n_classes = objective.n_outputs if isinstance(objective, Classification) else 0
        if n_classes != len(aim.classes):
            raise ValueError("the networks do not fit the classes")
        return Model(aim, learner, facts)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{name_of(path)}: damaged: {error!r}") from error
