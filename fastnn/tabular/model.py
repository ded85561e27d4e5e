"""Models: a network together with the preprocessing of its data, in one file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn._shared.warnings import warn
from fastnn.network import Network
from fastnn.network import load as load_network
from fastnn.network._core import Core
from fastnn.serialization import File, FormatError, name_of
from fastnn.tabular.frames import as_table
from fastnn.tabular.preprocessing import Preprocessor
from fastnn.tabular.splitting import Task
from fastnn.tabular.table import DataError, Table, listing
from fastnn.tabular.targets import Label
from fastnn.training.data import Data

__all__ = ["Model", "Outputs", "Tally", "load", "load_any", "measure", "remarks"]

_KEY = "model"
"""Key of the model in the metadata of the network."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with the preprocessing of its data.

    `fastnn.tabular.fit` and `fastnn.tabular.load` return models.

    Parameters
    ----------
    network : Network
    preprocessor : Preprocessor
    facts : dict
        Facts about the training as data for JSON: ``data``, the name of the table, and
        ``results``, the measures of each part of the table.
    """

    network: Network
    preprocessor: Preprocessor
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """``"classification"`` or ``"regression"``."""
        return self.preprocessor.task

    @property
    def target(self) -> str:
        """Name of the target column."""
        return self.preprocessor.target

    @property
    def classes(self) -> tuple[Label, ...]:
        """The classes in the order of `predict_proba`; empty for regression."""
        return self.preprocessor.classes

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
            target.

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

    def evaluate(self, data: Any) -> dict[str, float]:
        """The measures of the model for data that have the target column.

        Parameters
        ----------
        data : Table, frame, array, or mapping of str to (N,) array_like
            All columns of the training, with the target.  Rows without a target are ignored.

        Returns
        -------
        dict of str to float
            ``loss``, the cost with the L2 penalty.  For classification ``accuracy``.  For
            regression ``mse`` of the standardised target, ``rmse`` in the unit of the target, and
            ``r2``.

        Raises
        ------
        TypeError, DataError
            As in `predict`, and if the target column is absent or has an unknown class.
        """
        tally = Tally(self)
        tally.add(self.outputs(data))
        return tally.measures()

    def outputs(self, data: Any) -> Outputs:
        """The outputs of the network, from which predictions and measures follow.

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
        core = self.network.core
        encoded = self.preprocessor.encoder.transform(table, core.dtype)
        X = self.preprocessor.inputs(encoded)
        with core.lock:
            (values,) = core.outputs([X], check=True)
        return Outputs(self, table, X, values, encoded.unseen)

    def unknown_columns(self, names: Iterable[str]) -> list[str]:
        """Those of some columns that the training did not have, so that they are ignored."""
        decisions = self.preprocessor.encoder.decisions
        expected = {decision.column for decision in decisions} | {self.target}
        return [name for name in names if name not in expected]

    def save(self, path: File) -> None:
        """Write the model to a file, which `fastnn.tabular.load` and the command line read.

        `fastnn.load` reads the network of the file.

        Parameters
        ----------
        path : str, path-like or binary file object

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        description = {"preprocessing": self.preprocessor.to_dict(), **self.facts}
        self.network.save(path, {**self.network.metadata, _KEY: description})


@dataclass(frozen=True, eq=False)
class Outputs:
    """The outputs of a model for the rows of a table; none of its methods runs the network.

    Attributes
    ----------
    model : Model
    table : Table
    X : (N, n_in) array
        Inputs of the network.
    values : (N, n_out) array
        Outputs of the network.
    unseen : dict of str to int
        For each category with such rows, the number of rows whose level the training did not have.
    """

    model: Model
    table: Table
    X: np.ndarray
    values: np.ndarray
    unseen: dict[str, int]

    def predictions(self) -> np.ndarray:
        """The predicted targets (N,); see `Model.predict`."""
        preprocessor = self.model.preprocessor
        if self.model.task == "regression":
            return preprocessor.units(self.values)
        return preprocessor.aim.labels(self.class_indices())

    def class_indices(self) -> np.ndarray:
        """The indices (N,) of the predicted classes.

        Raises
        ------
        ValueError
            If the model is for regression.
        """
        indices: np.ndarray = self._loss("classes").classes(self.values)
        return indices

    def probabilities(self) -> np.ndarray:
        """The probabilities of the classes (N, K); see `Model.predict_proba`."""
        kernels = self.model.network.core.kernels
        probabilities: np.ndarray = self._loss("probabilities").probabilities(self.values, kernels)
        return probabilities

    def _loss(self, what: str) -> Any:
        """The loss of a classification, whose methods turn outputs into what is asked for."""
        if self.model.task == "regression":
            raise ValueError(f"{what} need a model for classification, this one is for regression")
        (loss,) = self.model.network.losses.values()
        return loss


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
        target = outputs.table.column(self._model.target)
        present = ~target.missing()
        if present.any():
            rows = outputs.table.take(present)
            dtype = self._model.network.core.dtype
            self._targets.append(self._model.preprocessor.targets(rows, dtype))
            self._values.append(outputs.values[present])

    def measures(self) -> dict[str, float]:
        """The measures of all parts; see `Model.evaluate`.

        Raises
        ------
        DataError
            If no row has a target.
        """
        model = self._model
        if not self._targets:
            raise DataError(f"no row has a target, expected values in column {model.target!r}")
        values, targets = np.concatenate(self._values), np.concatenate(self._targets)
        core = model.network.core
        if model.task == "regression":
            targets = targets[:, np.newaxis]
        data = Data([values], [(targets, None)])
        return measure_outputs(core, model.preprocessor, [values], data)


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


def measure(core: Core, preprocessor: Preprocessor, data: Data) -> dict[str, float]:
    """The measures of a network for checked data, from one pass; see `Model.evaluate`."""
    return measure_outputs(core, preprocessor, core.outputs(data.inputs), data)


def measure_outputs(
    core: Core, preprocessor: Preprocessor, outputs: Sequence[np.ndarray], data: Data
) -> dict[str, float]:
    """The measures of the outputs of a network for checked data.

    Parameters
    ----------
    core : Core
        Core of the network.
    preprocessor : Preprocessor
    outputs : sequence of one (N, n_out) array
    data : Data
    """
    measures = core.measure_outputs(outputs, data)
    if preprocessor.task == "regression":
        mse = measures["loss"]
        measures |= {"mse": mse, "rmse": math.sqrt(mse) * preprocessor.target_scale}
    measures["loss"] += core.program.penalty(core.storage)
    return measures


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
    network = load_network(path)
    facts = network.metadata.pop(_KEY, None)
    if facts is None:
        return network
    name = name_of(path)
    if not isinstance(facts, dict):
        raise FormatError(f"{name}: damaged: the description of the model is not an object")
    try:
        preprocessor = Preprocessor.from_dict(facts.pop("preprocessing", None))
    except ValueError as error:
        raise FormatError(f"{name}: damaged: {error}") from error
    losses = [loss.activation for loss in network.losses.values()]
    widths = [tensor.width for tensor in (*network.graph.inputs, *network.graph.outputs)]
    if widths != [preprocessor.width, preprocessor.n_outputs] or losses != (
        ["softmax"] if preprocessor.classes else [None]
    ):
        raise FormatError(f"{name}: damaged: network and preprocessing do not fit together")
    return Model(network, preprocessor, facts)
