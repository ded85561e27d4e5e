"""The records that a trace is made of: calls of layers, parameters and losses."""

from __future__ import annotations

from collections.abc import ItemsView, Mapping, ValuesView
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class CallTrace:
    """The arrays of one call of a layer, or of one input of the network, in a training step.

    The arrays are read-only views of the engine's buffers, with one row for each sample.

    Attributes
    ----------
    name : str
        Name of the call: ``"dense_1"``; for the second call of a layer ``"dense_1:2"``.
    layer : str
        The layer as text, such as ``"Dense(2, 2, activation='sigmoid')"``, or ``"Input"``.
    inputs : tuple of str
        Names of the calls whose outputs are the inputs of this call.
    Z : (N, n) array or None
        Pre-activation of a dense layer; None for other layers.
    A : (N, n) array
        Output: f(Z), or Z itself without an activation.
    dZ, dA : (N, n) array
        Gradients of the cost with respect to Z and A.  dA is the sensitivity of the units.
    gradients : dict of array
        Contribution of this call to the gradient of each trainable parameter of the layer, by
        the name in the layer: ``"weight"``, ``"bias"``.  For a layer that is called once, it is
        the gradient of the cost, including the L2 penalty.  For a shared layer, the engine adds
        the contributions in one chain, call after call; their sum may differ from the
        parameter's gradient in the last bits.
    """

    name: str
    layer: str
    inputs: tuple[str, ...]
    Z: Array | None
    A: Array
    dZ: Array | None
    dA: Array
    gradients: Mapping[str, Array]

    @property
    def dW(self) -> Array | None:
        """Contribution of this call to the gradient of the weight; None if it is not trained."""
        return self.gradients.get("weight")

    @property
    def db(self) -> Array | None:
        """Contribution of this call to the gradient of the bias; None if it is not trained."""
        return self.gradients.get("bias")


@dataclass(frozen=True, eq=False)
class ParameterTrace:
    """One parameter before and after the step.

    Attributes
    ----------
    before, after : array
        Values before and after the step.
    gradient : array or None
        Gradient of the cost, summed over all calls of the layer, including the L2 penalty,
        before clipping; None for a frozen parameter.
    """

    before: Array
    gradient: Array | None
    after: Array

    @property
    def update(self) -> Array:
        """The change by the optimizer: after - before."""
        return self.after - self.before


@dataclass(frozen=True, eq=False)
class HeadTrace:
    """One loss of the step.

    Attributes
    ----------
    name : str
        Name of the output.
    kind : str
        Name of the loss.
    weight : float
        Factor of the loss in the cost.
    loss : float
        Loss of the batch, without this factor.
    losses : (N,) float64 array or None
        Loss of each sample, including sample and class weights.  `loss` is their mean, or
        their sum if the reduction of the loss is a sum.  None for a custom loss, which is
        computed for the whole batch.
    targets : array
    probabilities : array or None
        Softmax or sigmoid of the output for a classification loss; None for other losses.
    """

    name: str
    kind: str
    weight: float
    loss: float
    losses: Array | None
    targets: Array
    probabilities: Array | None


class StepRecord(Protocol):
    """A training step as a mapping from names of calls to their arrays; `Trace` is one."""

    parameters: dict[str, ParameterTrace]
    heads: dict[str, HeadTrace]
    loss: float
    step: int
    learning_rate: float | None
    optimizer: str

    @property
    def n_samples(self) -> int:
        """Number of samples of the batch."""

    @property
    def is_finite(self) -> bool:
        """Whether the loss is finite."""

    def values(self) -> ValuesView[CallTrace]:
        """The calls, in the order of the step."""

    def items(self) -> ItemsView[str, CallTrace]:
        """The calls with their names."""
