"""Arrays of other libraries: the protocols by which they hand over their memory.

NumPy itself reads the buffer protocol and `__array__`.  DLPack and Arrow are read here, and memory
of other devices is refused.  No library is imported that the caller's object does not need.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

_IN_REACH = frozenset({1, 3, 11, 13})
"""DLPack's types of devices whose memory the CPU reads: CPU, pinned and managed memory."""

_DEVICES = {
    2: "CUDA", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 9: "VPI", 10: "ROCm", 14: "oneAPI",
    15: "WebGPU", 16: "Hexagon", 17: "MAIA",
}  # fmt: skip
"""Names of the other types, as in `DLDeviceType` of dlpack.h."""

_ERRORS = (TypeError, ValueError, RuntimeError, BufferError)
"""What libraries raise where an object of theirs cannot be read."""


def to_numpy(values: Any, name: str) -> np.ndarray:
    """`values` as an array of the type that it has, copied only where NumPy has to.

    Parameters
    ----------
    values : array_like
        Whatever `numpy.asarray` takes, and objects that offer their memory by DLPack.
    name : str
        Name of the argument in error messages.

    Raises
    ------
    TypeError
        For memory of another device, and for what the library of the object refuses.
    ValueError
        For rows of unequal length.
    """
    if isinstance(values, np.ndarray):
        return np.asarray(values)
    try:
        device = _other_device(values)
        if device is None:
            return np.from_dlpack(values) if _only_by(values, "__dlpack__") else np.asarray(values)
    except _ERRORS as error:
        if isinstance(error, ValueError) and isinstance(values, list | tuple):
            raise ValueError(f"{name} must be a rectangular array of numbers: {error}") from None
        hint = "; convert it to float32 first" if is_narrow_float(values) else ""
        raise TypeError(f"{name} cannot be read as an array of numbers: {error}{hint}") from None
    raise TypeError(
        f"{name} must be in the memory of the CPU, got {type(values).__name__} on {device}; "
        "copy it first, for example with .cpu()"
    )


def _other_device(values: Any) -> str | None:
    """The device whose memory holds an array, unless the CPU can read it."""
    if not hasattr(values, "__dlpack_device__"):
        return None
    kind, number = (int(part) for part in values.__dlpack_device__())
    if kind in _IN_REACH:
        return None
    return f"{_DEVICES.get(kind, f'DLPack type {kind}')} device {number}"


def _only_by(values: Any, method: str) -> bool:
    """Whether an object has this method, and nothing that NumPy reads by itself."""
    return hasattr(values, method) and not any(
        hasattr(values, other) for other in ("__array__", "__array_interface__", "__array_struct__")
    )


def is_narrow_float(values: Any) -> bool:
    """Whether the elements are of a floating type that NumPy lacks: bfloat16, float8..."""
    dtype = str(getattr(values, "dtype", ""))
    return "bfloat16" in dtype or "float8" in dtype


def from_arrow(values: Any, name: str) -> Any:
    """What NumPy can read of Arrow's objects; others are returned unchanged.

    An object of the PyCapsule interface becomes a table or a column of pyarrow, and a column of
    vectors or tensors of one size an array.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    ValueError
        If a vector is missing.
    """
    by_stream = _only_by(values, "__arrow_c_stream__")
    if by_stream or _only_by(values, "__arrow_c_array__"):
        try:
            import pyarrow
        except ImportError as error:
            raise ImportError(
                f"{name} is an array of Arrow, which needs pyarrow: pip install 'fastnn[tables]'"
            ) from error
        values = (pyarrow.chunked_array if by_stream else pyarrow.array)(values)
        if pyarrow.types.is_struct(values.type):
            return pyarrow.Table.from_struct_array(values)
    return _of_vectors(values, name)


def _of_vectors(column: Any, name: str) -> Any:
    """The array (N, ...) of a column whose elements are vectors or tensors of one size."""
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is None or not isinstance(column, pyarrow.Array | pyarrow.ChunkedArray):
        return column
    is_tensor = isinstance(column.type, pyarrow.FixedShapeTensorType)
    if not is_tensor and not pyarrow.types.is_fixed_size_list(column.type):
        return column
    if column.null_count:
        raise ValueError(f"{name} must have no missing vectors, got {column.null_count}")
    if isinstance(column, pyarrow.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if is_tensor:
        return column.to_numpy_ndarray()
    return np.asarray(column.flatten()).reshape(len(column), column.type.list_size)
