"""Costs and gradients of a training step that must be finite, also those of users' code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fastnn.program import CUSTOM_LOSS, Operation, Program

Array = np.ndarray


class NotFiniteError(FloatingPointError):
    """An optimizer step was not taken, because its cost or a gradient is not finite.

    Attributes
    ----------
    loss : float
        The cost of the batch.
    """

    def __init__(self, message: str, loss: float) -> None:
        super().__init__(message)
        self.loss = loss


class GradientError(NotFiniteError):
    """A custom loss or layer returned a gradient that is nan, infinite or too large.

    The cost of the batch is finite.
    """


class FinitenessCheck:
    """Checks the gradients of custom losses and layers that a trainable parameter depends on.

    The gradients of a built-in loss are finite where the loss is; those of a user's function
    need not be.

    Parameters
    ----------
    program : Program
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._trained = trained_buffers(program)

    def all(
        self, gradient: Callable[[int], Array], gradients: Callable[[int], Array], cost: float
    ) -> None:
        """Raise GradientError unless all of them are finite, once a backward pass is over.

        Parameters
        ----------
        gradient, gradients : callable
            The gradient with respect to a buffer, and to a parameter, by its index.
        cost : float
            Of the batch.
        """
        self.losses(gradient, cost)
        for operation in reversed(self._program.operations):
            if operation.kind == "python":
                self.layer(operation, gradient, list(map(gradients, operation.parameters)), cost)

    def losses(self, gradient: Callable[[int], Array], cost: float) -> None:
        """Raise GradientError unless custom losses left finite gradients of their outputs.

        Parameters
        ----------
        gradient : callable
            The gradient (N, width) with respect to a buffer, by its index.
        cost : float
            Of the batch.
        """
        for head in self._program.heads:
            if head.loss == CUSTOM_LOSS and head.output in self._trained:
                name = head.attributes["loss"].name
                _check(gradient(head.output), f"the gradient of loss {name}", cost)

    def layer(
        self,
        operation: Operation,
        gradient: Callable[[int], Array],
        gradients: Sequence[Array],
        cost: float,
    ) -> None:
        """Raise GradientError unless a custom layer left finite gradients.

        Parameters
        ----------
        operation : Operation
            The layer's call.
        gradient : callable
            The gradient (N, width) with respect to a buffer, by its index.
        gradients : sequence of array
            Those of the operation's parameters.
        cost : float
            Of the batch.
        """
        layer = operation.attributes["layer"]
        for j, i in enumerate(operation.inputs):
            if i in self._trained:
                name = "dx" if len(operation.inputs) == 1 else f"dx[{j}]"
                _check(gradient(i), f"{name} of layer {layer.label}", cost)
        for key, i, array in zip(layer.shapes, operation.parameters, gradients, strict=True):
            if self._program.parameters[i].trainable:
                _check(array, f"the gradient of {key!r} of layer {layer.label}", cost)


def trained_buffers(program: Program) -> set[int]:
    """The buffers that depend on a trainable parameter."""
    trained: set[int] = set()
    for operation in program.operations:
        if not trained.isdisjoint(operation.inputs) or any(
            program.parameters[i].trainable for i in operation.parameters
        ):
            trained.add(operation.output)
    return trained


def _check(array: Array, what: str, cost: float) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        element = f"{array[place]} at [{', '.join(map(str, place))}]"
        raise GradientError(f"{what} is {element}", cost)
