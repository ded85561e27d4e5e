"""The file format of fastnn: named arrays and a JSON structure in one safetensors file.

The container is that of safetensors (`fastnn._shared.safetensors`), which stores numbers and text
but no code.  The metadata of its header have four entries:

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

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from fastnn._shared.fields import check_kind, entry
from fastnn._shared.safetensors import (
    File,
    FormatError,
    is_unicode,
    name_of,
    opened,
    path_of,
    read_arrays,
    read_header,
    storable,
    write,
)
from fastnn._shared.writing import check_destination, is_file_object

__all__ = ["File", "FormatError", "load", "name_of", "save"]

FORMAT = "fastnn"
VERSION = 1

_MAX_DEPTH = 64  # nesting of the structure
_MAX_TEXT = 1 << 25  # characters of the structure as JSON: a limit of the memory for its parts


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
        check_destination(path_of(file))
    check_mapping(structure, "structure")
    text = json.dumps(structure, separators=(",", ":"), allow_nan=False)
    if len(text) > _MAX_TEXT:
        raise ValueError(
            f"structure has {len(text)} characters as JSON, expected at most {_MAX_TEXT}"
        )
    stored = {name: storable(name, array) for name, array in arrays.items()}
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "structure": text,
        "checksum": _checksum(text, stored),
    }
    write(file, metadata, stored)


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
    with opened(file) as (data, size):
        return _read(data, size)


def checked(state: object, what: str) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
    """The structure and the arrays of a state: what `save` takes, as entries of a mapping.

    Raises
    ------
    TypeError, ValueError
        If an entry is missing, the structure is no JSON-able dict, or an array is none.
    """
    structure = entry(state, "structure", dict, what)
    check_mapping(structure, "structure")
    arrays = entry(state, "arrays", dict, what)
    for name, array in arrays.items():
        check_kind(array, np.ndarray, f"the array {name!r}")
    return structure, arrays


def _read(data: BinaryIO, size: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The contents of a file of `size` bytes."""
    metadata, declared = read_header(data, size, "fastnn")
    text, checksum = _check_metadata(metadata)
    structure = _parse(text)
    arrays = read_arrays(data, declared)
    if _checksum(text, arrays) != checksum:
        raise FormatError("damaged: the contents do not match the checksum")
    return structure, arrays


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
        if not is_unicode(value):
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


def _checksum(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """CRC-32 of the structure and of the arrays, as the module describes it."""
    crc = zlib.crc32(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        declaration = json.dumps([name, array.dtype.str, array.shape])
        crc = zlib.crc32(declaration.encode(), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"
