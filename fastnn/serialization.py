"""The file format of fastnn: named arrays and a JSON structure in one safetensors file.

The safetensors library reads the file; its format stores numbers and text but no
code.  The metadata has four entries:

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

import errno
import json
import math
import os
import secrets
import shutil
import stat
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["FormatError", "load", "save"]

FORMAT = "fastnn"
VERSION = 1

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_MAX_DEPTH = 64  # nesting of the structure
_MAX_TEXT = 1 << 25  # characters of the structure as JSON: a limit of the memory for its parts


class FormatError(ValueError):
    """A file is not a fastnn file, is damaged, or was written by a newer fastnn."""


def save(
    path: str | os.PathLike[str], structure: Mapping[str, object], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write a structure and arrays to one file.

    The file is complete or does not exist: the data are written to a temporary file in the same
    folder, which then replaces the destination.

    Parameters
    ----------
    path : str or path-like
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
        the folder does not exist, IsADirectoryError if `path` is a folder.
    """
    from safetensors.numpy import save as serialize

    path = _text(path)
    _check_destination(path)
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
    try:
        _write(os.path.realpath(path), serialize(stored, metadata=metadata))
    except OSError as error:
        if error.filename is None:
            raise
        # Name the caller's path, not the temporary file.
        raise OSError(error.errno, error.strerror, path) from None


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read the structure and the arrays that `save` wrote.

    The file is not trusted: its declarations are checked before memory is allocated for
    them, and its bytes are compared with the checksum.

    Parameters
    ----------
    path : str or path-like

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
        If `path` is not a path.
    OSError
        If the file cannot be read; FileNotFoundError if it does not exist.
    """
    path = _text(path)
    try:
        return _read(path)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error.__cause__


def _text(path: object) -> str:
    """A path as text."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"path must be a str or path-like, got {type(path).__name__}")
    return os.fsdecode(path)


def _check_destination(path: str) -> None:
    """Raise OSError if `path` is a folder, or if its folder does not exist."""
    real = os.path.realpath(path)
    if os.path.isdir(real):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not os.path.isdir(os.path.dirname(real)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _read(path: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    if not stat.S_ISREG(os.stat(path).st_mode):
        raise FormatError("not a regular file")
    with open(path, "rb"):
        pass  # Python's OSError for an unreadable file names the file
    try:
        with safe_open(path, framework="numpy") as file:
            text, checksum = _check_metadata(file.metadata())
            structure = _parse(text)
            arrays = {name: _array(file, name) for name in sorted(file.keys())}
    except SafetensorError as error:
        raise FormatError(f"not a fastnn file, or damaged: {error}") from error
    if _checksum(text, arrays) != checksum:
        raise FormatError("damaged: the contents do not match the checksum")
    return structure, arrays


def _check_metadata(metadata: Mapping[str, str] | None) -> tuple[str, str]:
    """The text of the structure and the checksum."""
    metadata = metadata or {}
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


def _array(file: Any, name: str) -> np.ndarray:
    """One array of an open file, after a check of its declared dtype and shape."""
    declared = file.get_slice(name)
    dtype, shape = declared.get_dtype(), declared.get_shape()
    if dtype not in _DTYPES:
        raise FormatError(f"array {name!r:.60} has dtype {dtype}, which fastnn never writes")
    try:
        return np.array(file.get_tensor(name), _DTYPES[dtype], order="C", copy=None)
    except (ValueError, OverflowError, MemoryError) as error:
        # The library has checked that the file contains the bytes of this shape.  An empty
        # array has no bytes, even if its other dimensions are huge.
        raise FormatError(f"array {name!r:.60} of shape {shape!s:.60}: {error}") from error


def _checksum(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """CRC-32 of the structure and of the arrays, as the module describes it."""
    crc = zlib.crc32(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        declaration = json.dumps([name, array.dtype.str, array.shape])
        crc = zlib.crc32(declaration.encode(), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"


def _write(path: str, data: bytes) -> None:
    """Write `data` to a temporary file in the folder of `path`, then replace `path` by it."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name[:40]}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
