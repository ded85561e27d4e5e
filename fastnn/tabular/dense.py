"""The dense network of a model with its preprocessing: one of the two kinds of learners."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._shared.fields import entry
from fastnn.network import Network
from fastnn.network._core import Core
from fastnn.tabular.columns import Unseen
from fastnn.tabular.encoders import TableEncoder
from fastnn.tabular.objectives import Classification, Objective, Regression
from fastnn.tabular.preprocessing import Preprocessor
from fastnn.tabular.scaling import Scaled
from fastnn.tabular.table import Table
from fastnn.tabular.targets import Target
from fastnn.training.data import Data

__all__ = ["DenseLearner", "from_network", "measure"]


@dataclass(frozen=True, eq=False)
class DenseLearner:
    """A network of dense layers, and the preprocessing of its data.

    Attributes
    ----------
    network : Network
    preprocessor : Preprocessor
    """

    network: Network
    preprocessor: Preprocessor

    def __getstate__(self) -> dict[str, Any]:
        return {"network": self.network, "preprocessor": self.preprocessor.to_dict()}

    def __setstate__(self, state: object) -> None:
        what = "the state of a learner"
        network = entry(state, "network", Network, what)
        learner = from_network(network, entry(state, "preprocessor", dict, what))
        vars(self).update(vars(learner))

    @property
    def encoder(self) -> TableEncoder:
        """The encoders of the columns."""
        return self.preprocessor.encoder

    @property
    def networks(self) -> list[Network]:
        """The network."""
        return [self.network]

    @property
    def objective(self) -> Objective:
        """What the network learns."""
        if self.aim.task == "classification":
            return Classification(max(len(self.aim.classes), 2))
        p = self.preprocessor
        return Regression(p.target_mean, p.target_scale, -math.inf, math.inf)

    @property
    def aim(self) -> Target:
        """The target column."""
        return self.preprocessor.aim

    def apply(self, table: Table) -> tuple[np.ndarray, Unseen]:
        """The outputs (N, n_out) of the network, and the numbers of unseen levels."""
        core = self.network.core
        bound = self.encoder.bind(table)
        X = self.preprocessor.bound_features(bound, core.dtype)
        with core.lock:
            (values,) = core.outputs([X], check=True)
        return values, bound.unseen

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """Outputs of a regression in the unit of the target: (N,) float64."""
        return self.preprocessor.units(values)

    def class_indices(self, values: np.ndarray) -> np.ndarray:
        """The indices (N,) of the predicted classes."""
        (loss,) = self.network.losses.values()
        return np.asarray(loss.classes(values))

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """The probabilities of the classes (N, K)."""
        (loss,) = self.network.losses.values()
        return np.asarray(loss.probabilities(values, self.network.core.kernels))

    def measures(self, values: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """The measures of outputs for targets as `Target.encode` returns them."""
        core = self.network.core
        if self.aim.task == "regression":
            scaled = (y - self.preprocessor.target_mean) / self.preprocessor.target_scale
            y = scaled.astype(core.dtype)[:, np.newaxis]
        return _measure(core, self.preprocessor, [values], Data([values], [(y, None)]))

    def describe(self) -> Iterator[str]:
        """The transformation of the target of a regression, as lines of text."""
        if self.aim.task == "regression":
            scaled = Scaled(self.preprocessor.target_mean, self.preprocessor.target_scale, False)
            yield f"standardised as {scaled.describe()}"


def measure(core: Core, preprocessor: Preprocessor, data: Data) -> dict[str, float]:
    """The measures of a network for checked data, from one pass; see `Model.evaluate`."""
    return _measure(core, preprocessor, core.outputs(data.inputs), data)


def _measure(
    core: Core, preprocessor: Preprocessor, outputs: Sequence[np.ndarray], data: Data
) -> dict[str, float]:
    measures = core.measure_outputs(outputs, data)
    if preprocessor.task == "regression":
        mse = measures["loss"]
        measures |= {"mse": mse, "rmse": math.sqrt(mse) * preprocessor.target_scale}
    measures["loss"] += core.program.penalty(core.storage)
    return measures


def from_network(network: Network, described: Mapping[str, Any]) -> DenseLearner:
    """The learner of a network from a file, and the description of its preprocessing.

    Raises
    ------
    ValueError
        If they do not fit together.
    """
    preprocessor = Preprocessor.from_dict(described)
    losses = [loss.activation for loss in network.losses.values()]
    widths = [tensor.width for tensor in (*network.graph.inputs, *network.graph.outputs)]
    if widths != [preprocessor.width, preprocessor.n_outputs] or losses != (
        ["softmax"] if preprocessor.classes else [None]
    ):
        raise ValueError("network and preprocessing do not fit together")
    return DenseLearner(network, preprocessor)
