"""Costs, gradients and updates of a training step that must be finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
    """A gradient is nan, infinite or too large, or the update would make parameters so.

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


def update_carefully(
    program: Program,
    gradients: Array,
    parameters: Array,
    slots: Mapping[str, Array],
    update: Callable[[], None],
    cost: float,
) -> None:
    """Make an update, and undo it unless every number stays finite.

    Parameters
    ----------
    program : Program
    gradients, parameters : (program.storage_size,) array
    slots : mapping of str to array
        The optimizer's state by name, each laid out like the parameters.
    update : callable
        Changes the parameters and the slots in place.
    cost : float
        Of the batch.

    Raises
    ------
    GradientError
        If a gradient of a trainable parameter is not finite, or a number that was finite would not
        be after the update.  Parameters and slots are then what they were.
    """
    check_gradients(program, gradients, cost)
    arrays = {"": parameters, **slots}
    before = {name: array.copy() for name, array in arrays.items()}
    try:
        update()
        for name, array in arrays.items():
            _check_updated(program, before[name], array, name, cost)
    except BaseException:  # Ctrl-C as well: a step is taken as a whole
        for name, array in arrays.items():
            array[...] = before[name]
        raise


def check_gradients(program: Program, gradients: Array, cost: float) -> None:
    """Raise GradientError unless the gradient of every trainable parameter is finite."""
    for parameter in program.parameters:
        if parameter.trainable:
            _check(parameter.view(gradients), f"the gradient of {parameter.name!r}", cost)


def _check_updated(program: Program, before: Array, after: Array, slot: str, cost: float) -> None:
    if np.isfinite(after).all():  # nothing is lost: one pass over large networks
        return
    of = f"{slot!r} of the optimizer for " if slot else "parameter "
    for parameter in program.parameters:
        old, new = parameter.view(before), parameter.view(after)
        lost = np.isfinite(old) & ~np.isfinite(new)
        if parameter.trainable and lost.any():
            raise GradientError(
                f"the update of {of}{parameter.name!r} is {_first(new, lost)}", cost
            )


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
        raise GradientError(f"{what} is {_first(array, ~finite)}", cost)


def _first(array: Array, wrong: Array) -> str:
    """The first of the wrong numbers and its place."""
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{array[place]} at [{', '.join(map(str, place))}]"
