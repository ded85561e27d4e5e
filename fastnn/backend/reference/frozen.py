"""Predictions of a frozen program, in plain NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.backend.reference.engine import engine_for_any_rows
from fastnn.program import Program

if TYPE_CHECKING:
    from fastnn.backend.protocol import Array


class Frozen:
    """Executes one program on parameters that do not change; several threads may call at once.

    Parameters
    ----------
    program : Program
        Without heads.
    storage : (program.storage_size,) array of program.dtype
        Not copied; it must not change afterwards.
    """

    def __init__(self, program: Program, storage: Array) -> None:
        self._program = program
        self._storage = storage

    def one(self, X: object, out: Array | None = None) -> Array:
        """The output for (N, n_in) or (n_in,); of a program with one input and one output."""
        return self._run([X], None if out is None else [out], ["X"], ["out"])[0]

    def several(
        self, inputs: Sequence[object], outs: Sequence[object] | None, names: Sequence[str]
    ) -> list[Array]:
        """The outputs for a list of inputs, into a list of arrays where `outs` is one."""
        places = [f"out[{i}]" for i in range(len(self._program.outputs))]
        return self._run(inputs, outs, names, places)

    def _run(
        self,
        inputs: Sequence[Any],
        outs: Sequence[Any] | None,
        names: Sequence[str],
        places: Sequence[str],
    ) -> list[Array]:
        matrices, single = self._matrices(inputs, names)
        n = len(matrices[0])
        widths = [int(self._program.buffers[i].width) for i in self._program.outputs]
        shapes = [(n, width)[single:] for width in widths]
        for out, shape, place in zip(outs or (), shapes, places, strict=outs is not None):
            self._check_output(out, shape, place)
        self._check_apart(list(outs or ()), places, inputs, names)
        results = engine_for_any_rows(self._program, self._storage).forward(matrices)
        if single:
            results = [result[0] for result in results]
        if outs is None:
            return results
        for out, result in zip(outs, results, strict=True):
            out[...] = result
        return list(outs)

    def _matrices(self, inputs: Sequence[Any], names: Sequence[str]) -> tuple[list[Array], bool]:
        """Checked inputs as (N, width) arrays, and whether they are single rows."""
        widths = [int(self._program.buffers[i].width) for i in self._program.inputs]
        for x, width, name in zip(inputs, widths, names, strict=True):
            self._check_dtype(x, name)
            if x.ndim not in (1, 2) or x.shape[-1] != width or not len(x):
                raise ValueError(
                    f"{name} must have shape (N, {width}) or ({width},), got {x.shape}"
                )
        single = inputs[0].ndim == 1
        if any((x.ndim == 1) != single for x in inputs):
            raise ValueError("some inputs are single rows, others are not")
        matrices = [x[None, :] if single else x for x in inputs]
        for x, name in zip(matrices, names, strict=True):
            if len(x) != len(matrices[0]):
                raise ValueError(
                    f"{name} must have {len(matrices[0])} rows as {names[0]} has, got {len(x)}"
                )
        return matrices, single

    def _check_dtype(self, x: object, name: str) -> None:
        dtype = self._program.dtype
        if not isinstance(x, np.ndarray) or x.dtype != dtype or not x.flags.aligned:
            came = str(x.dtype) if isinstance(x, np.ndarray) else type(x).__name__
            if came == dtype:
                came += " that is not aligned"
            raise TypeError(f"{name} must be an array of {dtype}, got {came}")

    def _check_output(self, out: Any, shape: tuple[int, ...], name: str) -> None:
        self._check_dtype(out, name)
        if out.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {out.shape}")
        if not out.flags.carray:
            raise ValueError(f"{name} must be writable, C-contiguous and aligned")

    def _check_apart(
        self,
        outs: Sequence[Array],
        places: Sequence[str],
        inputs: Sequence[Array],
        names: Sequence[str],
    ) -> None:
        """Refuse to write over what is still to be read, or over another result."""
        others = [*zip(inputs, names, strict=True)]
        for out, place in zip(outs, places, strict=False):
            for other, name in others:
                if np.may_share_memory(out, other) and np.shares_memory(out, other):
                    raise ValueError(f"{place} must share no memory with {name}, got an overlap")
            others.append((out, place))
