"""The container of files of safetensors: named arrays and named texts, and no code.

A file has the length of a JSON header, the header with the dtype, shape and place of each array,
and the bytes of the arrays.  This module reads and writes it itself, since the safetensors library
maps files into memory, where a change of the file ends the process, and aborts where memory runs
out.  Files go to and from the arrays without a copy.

A file is not trusted: its declarations are compared with its size before memory is allocated.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from fastnn._shared.text import printable
from fastnn._shared.writing import is_file_object, write_file

__all__ = [
    "File", "FormatError", "header_of", "in_file_order", "is_unicode", "name_of", "opened",
    "path_of", "read_arrays", "read_header", "storable", "write",
]  # fmt: skip

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_MAX_DIMENSIONS = 64  # of a NumPy array
_MAX_HEADER = 100_000_000  # bytes, as in the safetensors library


class FormatError(ValueError):
    """A file is of another kind, is damaged, or was written by a newer fastnn."""

    def __str__(self) -> str:
        return printable(super().__str__())


File = str | os.PathLike[str] | BinaryIO
"""What users give as a file: a path, or a file that is open in binary mode."""


def name_of(file: Any) -> str:
    """What error messages call a file: its path, or the type of a file object without one."""
    if isinstance(file, (str, bytes, os.PathLike)):
        return os.fsdecode(file)
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else f"<{type(file).__name__}>"


def path_of(path: object) -> str:
    """A path as text."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(
            f"path must be a str or path-like, got {type(path).__name__}; "
            "a binary file object is possible too"
        )
    return os.fsdecode(path)


@contextlib.contextmanager
def opened(file: File) -> Iterator[tuple[BinaryIO, int]]:
    """A file to read, and its number of bytes; a FormatError gets the name of the file.

    Parameters
    ----------
    file : str, path-like or binary file object
        A file object is read from its position to its end.

    Raises
    ------
    FormatError
        If it is not a regular file.
    TypeError
        If `file` is neither a path nor a file object.
    OSError
        If the file cannot be read.
    """
    try:
        if is_file_object(file):
            yield _whole(file)
            return
        path = path_of(file)
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FormatError("not a regular file")
        with open(path, "rb") as data:
            yield data, os.fstat(data.fileno()).st_size
    except FormatError as error:
        raise FormatError(f"{name_of(file)}: {error}") from error.__cause__


def _whole(file: Any) -> tuple[BinaryIO, int]:
    """The rest of a file object."""
    if not hasattr(file, "read"):
        raise TypeError(f"path is a {type(file).__name__}, which cannot be read")
    data = file.read()
    if not isinstance(data, bytes):
        raise TypeError(f"path must be a binary file, but it read {type(data).__name__}")
    return io.BytesIO(data), len(data)


Declared = dict[str, tuple[str, tuple[int, ...]]]
"""The dtype and the shape of each array of a file, in the order of their bytes."""


class _Unlike(ValueError):
    """Bytes that are no header."""


def read_header(file: BinaryIO, size: int, kind: str) -> tuple[dict[str, str], Declared]:
    """The metadata of a file, and what it says of its arrays.

    Parameters
    ----------
    file : binary file object
        At its beginning.
    size : int
        Its number of bytes, which the arrays must fill.
    kind : str
        What error messages call such a file.

    Raises
    ------
    FormatError
        If the file is none, or its declarations do not fit each other and its size.
    """
    try:
        length = int.from_bytes(_exactly(file, 8), "little")
        if not 2 <= length <= min(size - 8, _MAX_HEADER):
            raise _Unlike(f"a header of {length} bytes")
        entries = _entries(_exactly(file, length))
    except _Unlike as error:
        raise FormatError(f"not a {kind} file, or damaged: {error}") from error.__cause__
    return _checked(entries, size - 8 - length)


def read_arrays(file: BinaryIO, declared: Declared) -> dict[str, np.ndarray]:
    """The arrays after the header, which the file must end with.

    Returns
    -------
    dict of str to array
        New, writable arrays in C order, in the order of their names.
    """
    arrays = {name: _array(file, name, *declared[name]) for name in declared}
    if file.read(1):
        raise FormatError("damaged: bytes follow the last array")
    return {name: arrays[name] for name in sorted(arrays)}


def _exactly(file: BinaryIO, n: int) -> bytes:
    data = file.read(n)
    if len(data) != n:
        raise _Unlike("it is cut off")
    return data


def _entries(header: bytes) -> dict[str, Any]:
    """The entries of a header."""
    try:
        entries = json.loads(header.decode(), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise _Unlike(f"{error!s:.200}") from error
    if not header.startswith(b"{") or not isinstance(entries, dict):
        raise _Unlike("the header is not a JSON object")
    return entries


def _checked(entries: dict[str, Any], size: int) -> tuple[dict[str, str], Declared]:
    """The metadata and the declarations of arrays that take `size` bytes."""
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FormatError("damaged: the metadata are not texts by name")
    places = [(_place(name, entry), name) for name, entry in entries.items()]
    places.sort()
    end = 0
    for (start, stop), name in places:
        if start != end:
            raise FormatError(f"damaged: array {name!r:.60} begins at {start}, expected {end}")
        end = stop
    if end != size:
        raise FormatError(f"damaged: the arrays take {end} bytes, but the file has {size}")
    return metadata, {
        name: (_DTYPES[entries[name]["dtype"]], tuple(entries[name]["shape"])) for _, name in places
    }


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names are distinct."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("a name is repeated in the header")
    return entries


def _place(name: str, entry: Any) -> tuple[int, int]:
    """Where the bytes of an array begin and end, after a check of its declaration."""
    where = f"array {name!r:.60}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"damaged: {where} is not declared by dtype, shape and data_offsets")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        hint = "; convert it to float32 first" if dtype == "BF16" else ""
        raise FormatError(f"{where} has dtype {dtype!r:.60}, which fastnn does not read{hint}")
    if not _are_sizes(shape) or not _are_sizes(place) or len(place) != 2:
        raise FormatError(f"damaged: {where} has a shape or a place that is no list of sizes")
    start, stop = place
    if stop - start != math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize:
        raise FormatError(f"damaged: {where} of shape {shape!s:.60} has {stop - start} bytes")
    return start, stop


def _are_sizes(values: Any) -> bool:
    """Whether a value is a list of integers, not negative, of at most 63 bits."""
    return (
        isinstance(values, list)
        and len(values) <= _MAX_DIMENSIONS
        and all(type(value) is int and 0 <= value < 2**63 for value in values)
    )


def _array(file: BinaryIO, name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """The next array of a file."""
    try:
        array = np.empty(shape, dtype)
    except ValueError as error:  # an empty array whose other dimensions are huge
        raise FormatError(f"array {name!r:.60} of shape {shape!s:.60}: {error}") from error
    rest = array.reshape(-1).view(np.uint8).data
    while len(rest):
        n = file.readinto(rest)  # type: ignore[attr-defined]
        if not n:
            raise FormatError("damaged: the file became shorter while it was read")
        rest = rest[n:]
    return array


def write(file: File, metadata: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays that `storable` returned, and texts.

    The file is complete or does not exist; see `fastnn._shared.writing.write_file`.
    """
    header = header_of(metadata, arrays)
    contents = [array.reshape(-1).view(np.uint8).data for array in in_file_order(arrays).values()]
    write_file(file, [len(header).to_bytes(8, "little"), header, *contents])


def header_of(metadata: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The header as the safetensors library writes it, padded to a multiple of 8 bytes."""
    entries: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in in_file_order(arrays).items():
        start, end = end, end + array.nbytes
        entries[name] = {
            "dtype": _NAMES[array.dtype.str],
            "shape": array.shape,
            "data_offsets": (start, end),
        }
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    if len(header) > _MAX_HEADER - 8:
        raise ValueError(f"the header has {len(header)} bytes, expected at most {_MAX_HEADER - 8}")
    return header + b" " * (-len(header) % 8)


def in_file_order(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of large elements first, so that every array is aligned; equal ones by name."""
    return dict(sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])))


def storable(name: str, array: np.ndarray) -> np.ndarray:
    """The array in C order and little-endian."""
    if not isinstance(name, str) or not is_unicode(name):
        raise TypeError(f"the name of an array must be text, got {name!r}")
    if name == "__metadata__":
        raise ValueError(
            "an array must not have the name '__metadata__', which the file format reserves"
        )
    array = np.asarray(array)
    dtype = array.dtype.newbyteorder("<")
    if dtype.str not in _DTYPES.values():
        raise TypeError(
            f"array {name!r} has dtype {array.dtype}, expected bool, an integer or a float type"
        )
    return np.array(array, dtype, order="C", copy=None)


def is_unicode(text: str) -> bool:
    """Whether text can be encoded: false for a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
