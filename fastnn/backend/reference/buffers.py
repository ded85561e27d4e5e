"""What the operations of a pass read and write: values, gradients and parameters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastnn.backend.finite import FinitenessCheck
from fastnn.program import Operation, Program

Array = np.ndarray


class UserCode:
    """Marks the calls of custom losses and layers, in which the engine must not be called.

    Attributes
    ----------
    failed : bool
        Whether the last call raised an exception.
    """

    def __init__(self) -> None:
        self.failed = False
        self._thread: int | None = None  # in which user code runs

    @contextmanager
    def running(self) -> Iterator[None]:
        """The time in which user code runs: the buffers belong to the call under way."""
        self._thread, self.failed = threading.get_ident(), True
        try:
            yield
            self.failed = False
        finally:
            self._thread = None

    def refuse_call(self) -> None:
        """Raise RuntimeError if user code runs."""
        if self._thread is not None:
            raise RuntimeError("a custom loss or layer called the network that is calling it")

    def begin_child(self) -> None:
        """In a forked child, forget the calls of threads that were not forked."""
        if self._thread != threading.get_ident():
            self._thread = None


class Buffers:
    """The buffers of one program, its parameters and the gradients of both.

    Parameters
    ----------
    program : Program
    storage, gradients : (program.storage_size,) array
        The parameters and their gradients; the buffers keep views of both.

    Attributes
    ----------
    program : Program
    parameters, parameter_gradients : list of array
        A view for each parameter.
    training : bool
        Whether dropout is active in the present pass.
    step : int
        Number of the training step, on which the masks of dropout depend.
    first_row : int
        Place in the batch of the first row, on which they depend too.
    narrow : bool
        Whether the present call has rows enough for the precision of the program.
    user_code : UserCode
    step_cost : float or None
        The cost of the batch in a training step, if it is finite: gradients that custom losses
        and layers return in such a step must be finite.
    """

    def __init__(self, program: Program, storage: Array, gradients: Array) -> None:
        self.program = program
        self.parameters = [p.view(storage) for p in program.parameters]
        self.parameter_gradients = [p.view(gradients) for p in program.parameters]
        self.training = False
        self.step = 0
        self.first_row = 0
        self.narrow = False
        self.user_code = UserCode()
        self.step_cost: float | None = None
        self._values: list[Any] = [None] * len(program.buffers)
        self._gradients: list[Array | None] = [None] * len(program.buffers)
        self._finiteness = FinitenessCheck(program)
        self._narrow_outputs = {program.operations[i].output for i in program.narrow_products}

    def width(self, i: int) -> int:
        """Columns of buffer i."""
        return self.program.buffers[i].width

    def value(self, i: int) -> Any:
        """The value of buffer i, as the last forward pass left it; of SciPy where it is sparse."""
        value = self._values[i]
        if value is None:
            raise RuntimeError(f"buffer {self.program.buffers[i].name!r} has not been computed")
        return value

    def set_value(self, i: int, value: Any) -> None:
        """Store the value of buffer i: an array, or for inputs a sparse array of SciPy."""
        self._values[i] = value

    def is_sparse(self, i: int) -> bool:
        """Whether buffer i is an input with sparse rows."""
        return self._values[i] is not None and not isinstance(self._values[i], np.ndarray)

    def refuse_sparse(self, i: int) -> None:
        """Raise ValueError if buffer i is an input with sparse rows."""
        if self.is_sparse(i):
            name = self.program.buffers[i].name
            raise ValueError(f"input {name!r} is sparse: the engine has no array of it")

    def gradient(self, i: int) -> Array:
        """The gradient of the cost with respect to buffer i; zeros if nothing was added."""
        gradient = self._gradients[i]
        return np.zeros_like(self.value(i)) if gradient is None else gradient

    def has_gradient(self, i: int) -> bool:
        """Whether anything was added to the gradient of buffer i."""
        return self._gradients[i] is not None

    def has_halves(self, operation: Operation) -> bool:
        """Whether the products of a dense operation are made in bfloat16 in the present pass."""
        return (
            self.narrow
            and operation.output in self._narrow_outputs
            and not self.is_sparse(operation.inputs[0])
        )

    def add_gradient(self, i: int, gradient: Array) -> None:
        """Add to the gradient of buffer i: a buffer that is used twice receives both."""
        present = self._gradients[i]
        self._gradients[i] = gradient if present is None else present + gradient

    def add_parameter_gradient(self, i: int, gradient: Array) -> None:
        """Add to the gradient of parameter i, if it is trainable."""
        if self.program.parameters[i].trainable:
            self.parameter_gradients[i] += gradient

    def clear_gradients(self) -> None:
        """Forget the gradients of the buffers."""
        self._gradients = [None] * len(self.program.buffers)

    def check_losses(self) -> None:
        """Raise GradientError if a custom loss returned a bad gradient in a training step."""
        if self.step_cost is not None:
            self._finiteness.losses(self.gradient, self.step_cost)

    def check_layer(self, operation: Operation) -> None:
        """Raise GradientError if a custom layer returned bad gradients in a training step."""
        if self.step_cost is not None:
            summed = [self.parameter_gradients[i] for i in operation.parameters]
            self._finiteness.layer(operation, self.gradient, summed, self.step_cost)
