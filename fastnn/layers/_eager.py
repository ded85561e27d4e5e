"""Calls of a layer on arrays: a program of one layer and its engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import check_codes
from fastnn.program import ProgramBuilder

if TYPE_CHECKING:
    from fastnn.layers._base import Layer


class OneLayer:
    """A program of one layer, for inputs of fixed widths, and its engine.

    Parameters
    ----------
    layer : Layer
    widths : tuple of int
        Widths of the inputs.
    storage : flat array
        Parameters of the layer; the dtype of the array is the dtype of the calls.
    """

    def __init__(self, layer: Layer, widths: tuple[int, ...], storage: np.ndarray) -> None:
        builder = ProgramBuilder(storage.dtype, layer.entropy)
        inputs = [builder.input(f"x{i}", width) for i, width in enumerate(widths)]
        parameters = layer.declare(builder, "layer")
        output = layer.emit(builder, "layer", inputs, parameters)
        program = builder.build([output])
        self.width = program.buffers[output].width
        self._code_sizes = program.code_sizes
        self.engine = backend.new_engine(program, storage)
        self.gradients: np.ndarray | None = None
        self._dtype = storage.dtype
        self._calls = 0
        self._rows = 0  # rows of the last training call; 0 before the first call
        self._single = False

    def forward(self, arrays: Sequence[np.ndarray], training: bool, single: bool) -> np.ndarray:
        """The output for inputs of N rows; `single` returns the only row without its first axis."""
        for x, sizes in zip(arrays, self._code_sizes, strict=True):
            if sizes is not None:
                check_codes(x, "x", sizes)
        # Copies: backward needs the values of this call.
        inputs = [np.array(x, self._dtype, order="C") for x in arrays]
        # Forget the previous call, even if this call fails.
        self._rows = 0
        self.gradients = None
        self._calls += training
        (output,) = self.engine.forward(inputs, training, self._calls)
        self._rows = len(inputs[0]) if training else 0
        self._single = single
        return output[0] if single else output

    def backward(self, dy: np.ndarray) -> list[np.ndarray]:
        """Gradients of the inputs of the last training call, from the gradient of the output."""
        if not self._rows:
            raise RuntimeError("backward needs a call with training=True before it")
        expected = (self.width,) if self._single else (self._rows, self.width)
        if dy.shape != expected:
            raise ValueError(f"dy must have shape {expected}, got {dy.shape}")
        dy = np.ascontiguousarray(dy.reshape(self._rows, self.width), self._dtype)
        gradients = self.engine.backward([dy], True)
        self.gradients = self.engine.gradients
        return [dx[0] for dx in gradients] if self._single else gradients
