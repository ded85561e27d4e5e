"""The file format of fastnn: named arrays and a JSON structure in one safetensors file.

The format of safetensors stores numbers and text but no code: the length of a JSON header, the
header with the dtype, shape and place of each array, and the bytes of the arrays.  This module
reads and writes it itself, since the safetensors library maps files into memory, where a change
of the file ends the process, and aborts where memory runs out.  Files go to and from the arrays
without a copy.  The metadata of the header has four entries:

``format``
    "fastnn".
``version``
    Version of this layout, "1".
``structure``
    A JSON object that describes the arrays.
``checksum``
    CRC-32, in 8 hexadecimal digits, of the structure and of every array (name,
    dtype, shape and bytes, in the order of the names).

This module knows no network.
"""

from __future__ import annotations

import io
import json
import math
import os
import stat
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from fastnn._shared.text import printable
from fastnn._shared.writing import check_destination, is_file_object, write_file

__all__ = ["FormatError", "load", "save"]

FORMAT = "fastnn"
VERSION = 1

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_MAX_DIMENSIONS = 64  # of a NumPy array
_MAX_HEADER = 100_000_000  # bytes, as in the safetensors library
_MAX_DEPTH = 64  # nesting of the structure
_MAX_TEXT = 1 << 25  # characters of the structure as JSON: a limit of the memory for its parts


class FormatError(ValueError):
    """A file is not a fastnn file, is damaged, or was written by a newer fastnn."""

    def __str__(self) -> str:
        return printable(super().__str__())


File = str | os.PathLike[str] | BinaryIO
"""What users give as a file: a path, or a file that is open in binary mode."""


def save(file: File, structure: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a structure and arrays to one file.

    The file is complete or does not exist; see `fastnn._shared.writing.write_file`.

    Parameters
    ----------
    file : str, path-like or binary file object
    structure : dict
        JSON-able data: text keys; values None, bool, int of 64 bits, finite float, str,
        list, tuple (which `load` returns as a list) and dict, nested at most 64 deep.
    arrays : dict of str to array
        Arrays of booleans, integers or floating-point numbers, in any memory layout.

    Raises
    ------
    TypeError, ValueError
        If the structure is not JSON-able or an array has another dtype; nothing is written.
    OSError
        If the file cannot be written; an existing file is not changed.  FileNotFoundError if
        the folder does not exist, IsADirectoryError if `file` is a folder.
    """
    if not is_file_object(file):
        check_destination(_text(file))
    check_mapping(structure, "structure")
    text = json.dumps(structure, separators=(",", ":"), allow_nan=False)
    if len(text) > _MAX_TEXT:
        raise ValueError(
            f"structure has {len(text)} characters as JSON, expected at most {_MAX_TEXT}"
        )
    stored = {name: _storable(name, array) for name, array in arrays.items()}
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "structure": text,
        "checksum": _checksum(text, stored),
    }
    header = _header(metadata, stored)
    contents = [array.reshape(-1).view(np.uint8).data for array in _in_file_order(stored).values()]
    write_file(file, [len(header).to_bytes(8, "little"), header, *contents])


def load(file: File) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read the structure and the arrays that `save` wrote.

    The file is not trusted: its declarations are compared with its size before memory is
    allocated for them, and its bytes are compared with the checksum.

    Parameters
    ----------
    file : str, path-like or binary file object
        A file object is read from its position to its end.

    Returns
    -------
    structure : dict
    arrays : dict of str to array
        New, writable arrays in C order.

    Raises
    ------
    FormatError
        If the file has any defect.
    TypeError
        If `file` is neither a path nor a file object.
    OSError
        If the file cannot be read; FileNotFoundError if it does not exist.
    MemoryError
        If the memory does not suffice for the contents.
    """
    try:
        if is_file_object(file):
            return _read_object(file)
        path = _text(file)
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FormatError("not a regular file")
        with open(path, "rb") as opened:
            return _read(opened, os.fstat(opened.fileno()).st_size)
    except FormatError as error:
        raise FormatError(f"{name_of(file)}: {error}") from error.__cause__


def to_bytes(structure: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> bytes:
    """What `save` writes."""
    file = io.BytesIO()
    save(file, structure, arrays)
    return file.getvalue()


def from_bytes(data: object, what: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `to_bytes` was given; errors call the data `what`.

    Raises
    ------
    FormatError
        If the data are not bytes or have any defect.
    """
    if not isinstance(data, bytes):
        raise FormatError(f"{what}: 'file' must be bytes, got {type(data).__name__}")
    try:
        return _read(io.BytesIO(data), len(data))
    except FormatError as error:
        raise FormatError(f"{what}: {error}") from error


def name_of(file: Any) -> str:
    """What error messages call a file: its path, or the type of a file object without one."""
    if isinstance(file, (str, bytes, os.PathLike)):
        return os.fsdecode(file)
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else f"<{type(file).__name__}>"


def _text(path: object) -> str:
    """A path as text."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(
            f"path must be a str or path-like, got {type(path).__name__}; "
            "a binary file object is possible too"
        )
    return os.fsdecode(path)


def _read_object(file: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if not hasattr(file, "read"):
        raise TypeError(f"path is a {type(file).__name__}, which cannot be read")
    data = file.read()
    if not isinstance(data, bytes):
        raise TypeError(f"path must be a binary file, but it read {type(data).__name__}")
    return _read(io.BytesIO(data), len(data))


def _read(file: BinaryIO, size: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The contents of a file of `size` bytes."""
    length = int.from_bytes(_exactly(file, 8), "little")
    if not 2 <= length <= min(size - 8, _MAX_HEADER):
        raise FormatError(f"not a fastnn file, or damaged: a header of {length} bytes")
    metadata, declared = _check_header(_exactly(file, length), size - 8 - length)
    text, checksum = _check_metadata(metadata)
    structure = _parse(text)
    arrays = {name: _array(file, name, *declared[name]) for name in declared}
    if file.read(1):
        raise FormatError("damaged: bytes follow the last array")
    arrays = {name: arrays[name] for name in sorted(arrays)}
    if _checksum(text, arrays) != checksum:
        raise FormatError("damaged: the contents do not match the checksum")
    return structure, arrays


def _exactly(file: BinaryIO, n: int) -> bytes:
    data = file.read(n)
    if len(data) != n:
        raise FormatError("not a fastnn file, or damaged: it is cut off")
    return data


def _check_header(
    header: bytes, size: int
) -> tuple[Mapping[str, Any], dict[str, tuple[str, tuple[int, ...]]]]:
    """The metadata, and the dtype and shape of each array in the order of the file.

    Parameters
    ----------
    header : bytes
        A JSON object.
    size : int
        Number of bytes after the header: the arrays must take exactly these.
    """
    try:
        entries = json.loads(header.decode(), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not a fastnn file, or damaged: {_short(error)}") from error
    if not header.startswith(b"{") or not isinstance(entries, dict):
        raise FormatError("not a fastnn file, or damaged: the header is not a JSON object")
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
        raise FormatError(f"{where} has dtype {dtype!r:.60}, which fastnn never writes")
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


def _header(metadata: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The header as the safetensors library writes it, padded to a multiple of 8 bytes."""
    entries: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in _in_file_order(arrays).items():
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


def _in_file_order(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of large elements first, so that every array is aligned; equal ones by name."""
    return dict(sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])))


def _short(error: Exception) -> str:
    return f"{error!s:.200}"


def _check_metadata(metadata: Mapping[str, str]) -> tuple[str, str]:
    """The text of the structure and the checksum."""
    if metadata.get("format") != FORMAT:
        raise FormatError("a safetensors file that fastnn did not write")
    version = metadata.get("version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 10 and int(version) > 0):
        raise FormatError(f"damaged: the format version is {version[:20]!r}")
    if int(version) > VERSION:
        raise FormatError(
            f"written by a newer fastnn (format version {version}; this one reads up to "
            f"{VERSION}): upgrade fastnn"
        )
    for key in ("structure", "checksum"):
        if key not in metadata:
            raise FormatError(f"damaged: the {key} is missing")
    return metadata["structure"], metadata["checksum"]


def _parse(text: str) -> dict[str, Any]:
    """The structure, checked."""
    if len(text) > _MAX_TEXT:
        raise FormatError(f"the structure has {len(text)} characters, expected at most {_MAX_TEXT}")
    try:
        structure = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"damaged: the structure is not JSON: {error}") from error
    if not isinstance(structure, dict):
        raise FormatError("damaged: the structure is not a JSON object")
    try:
        _check_json(structure, "structure")
    except (TypeError, ValueError) as error:
        raise FormatError(f"damaged: {error}") from error
    return structure


def check_mapping(data: object, name: str) -> None:
    """Raise TypeError or ValueError, which names the place, if `data` is no JSON-able dict."""
    if not isinstance(data, Mapping):
        raise TypeError(f"{name} must be a dict, got {type(data).__name__}")
    _check_json(data, name)


def _check_json(value: object, where: str, depth: int = 0) -> None:
    """Raise TypeError or ValueError, which names the place, if JSON would change `value`."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"{where:.60}... is nested more than {_MAX_DEPTH} deep")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not _is_unicode(value):
            raise ValueError(f"{where} is not valid Unicode text: {value!r:.60}")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"{where} is an integer of more than 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, expected a finite number")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check_json(item, f"{where}[{i}]", depth + 1)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}, expected text")
            _check_json(key, f"a key of {where}", depth + 1)
            _check_json(item, f"{where}[{key!r:.40}]", depth + 1)
    else:
        raise TypeError(
            f"{where} is {value!r:.60} of type {type(value).__name__}, which JSON does not support"
        )


def _is_unicode(text: str) -> bool:
    """Whether text can be encoded: false for a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _storable(name: str, array: np.ndarray) -> np.ndarray:
    """The array in C order and little-endian."""
    if not isinstance(name, str) or not _is_unicode(name):
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


def _checksum(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """CRC-32 of the structure and of the arrays, as the module describes it."""
    crc = zlib.crc32(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        declaration = json.dumps([name, array.dtype.str, array.shape])
        crc = zlib.crc32(declaration.encode(), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"
