"""Parameters under the names of PyTorch and in its layout, without PyTorch: dicts and safetensors.

A file of safetensors has no layers.  Those that `to_safetensors` writes describe the network in
their metadata, which other programs ignore.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn._shared.arrays import as_real, converted
from fastnn._shared.fields import entry
from fastnn._shared.safetensors import (
    File,
    FormatError,
    name_of,
    opened,
    read_arrays,
    read_header,
    storable,
    write,
)
from fastnn._shared.text import printable
from fastnn.formats._program import Portable, read
from fastnn.formats.torch_names import Place, places
from fastnn.graph import build_program, from_structure
from fastnn.layers._tensor import check_dtype
from fastnn.network import Network
from fastnn.network._network import rebuild
from fastnn.network._save import DEFECTS, structure
from fastnn.training.state import TrainingState

_DESCRIPTION = "fastnn.network"
"""The entry of the metadata that describes the layers, as JSON."""

_MOST_LISTED = 8
"""Names that an error message lists."""

Names = Mapping[str, str]


def to_state_dict(net: Network, names: Names | None = None) -> dict[str, np.ndarray]:
    """The parameters of a network under the names of PyTorch and in its layout.

    Parameters
    ----------
    net : Network
    names : mapping of str to str, optional
        Other names for some of the parameters, by the names that they have without it.

    Returns
    -------
    dict of str to ndarray
        Copies, in the order of the layers: what ``to_torch(net).state_dict()`` has, as arrays.
        ``0.weight`` of a dense layer is (n_out, n_in).

    Raises
    ------
    TypeError, ValueError
        If it is no network, has a custom layer, or has a parameter that is not finite; if `names`
        do not fit.

    Examples
    --------
    >>> import fastnn
    >>> net = fastnn.Sequential([fastnn.Dense(4, 8, "relu"), fastnn.Dense(8, 2)])
    >>> {k: v.shape for k, v in fastnn.formats.to_state_dict(net).items()}
    {'0.weight': (8, 4), '0.bias': (8,), '2.weight': (2, 8), '2.bias': (2,)}
    """
    portable = read(net, "a state dict")
    return {
        name: place.outside(portable.values[parameter])
        for parameter, (name, place) in _named(portable, names).items()
    }


def from_state_dict(
    tensors: Mapping[str, Any], like: Network, names: Names | None = None
) -> Network:
    """A network with the parameters of a state dict.

    Parameters
    ----------
    tensors : mapping of str to array_like
        Such as ``module.state_dict()``: tensors in the memory of the CPU, or arrays.
    like : Network
        A network of the same layers.  It is not changed.
    names : mapping of str to str, optional
        Names in the state dict that differ, by those that `to_state_dict` gives the parameters.

    Returns
    -------
    Network
        Like `like`, and compiled as it is, with a fresh state of the optimizer.

    Raises
    ------
    TypeError, ValueError
        If a name is missing or unexpected, or if a tensor has another shape, does not hold
        floating-point numbers, or holds numbers that are not finite or too large.
    """
    if not isinstance(tensors, Mapping):
        raise TypeError(f"tensors must be a mapping from names, got {type(tensors).__name__}")
    portable = read(like, "a state dict")
    expected = _named(portable, names)
    _check_names(tensors, [name for name, _ in expected.values()])
    values = {
        parameter: _value(portable, parameter, tensors[name], name, place)
        for parameter, (name, place) in expected.items()
    }
    net = copy.deepcopy(like)
    core = net.core
    for parameter, value in values.items():
        core.views[parameter][...] = value
    for slot in core.slots.values():
        slot[...] = 0
    core.state.replace(TrainingState())
    return net


def to_safetensors(net: Network, path: File, names: Names | None = None) -> None:
    """Write the parameters of a network to a file of safetensors, as PyTorch names them.

    Parameters
    ----------
    net : Network
    path : str, path-like or binary file object
        The file is complete or does not exist.
    names : mapping of str to str, optional
        As in `to_state_dict`.

    Raises
    ------
    TypeError, ValueError
        As in `to_state_dict`.
    OSError
        If the file cannot be written.

    Notes
    -----
    ``module.load_state_dict(safetensors.torch.load_file(path))`` reads it, for the module of
    `to_torch` or one with the same names.  The metadata describe the layers for `from_safetensors`.
    """
    tensors = to_state_dict(net, names)
    described = {**structure(net), "losses": [], "optimizer": None, "l2": 0.0, "metadata": {}}
    description = {"structure": described, "names": dict(names or {})}
    metadata = {"format": "pt", _DESCRIPTION: json.dumps(description, separators=(",", ":"))}
    write(path, metadata, {name: storable(name, array) for name, array in tensors.items()})


def from_safetensors(
    path: File, like: Network | None = None, names: Names | None = None
) -> Network:
    """A network with the parameters of a file of safetensors.

    Parameters
    ----------
    path : str, path-like or binary file object
        Of `to_safetensors`, or of ``module.state_dict()`` by ``safetensors.torch.save_file``.
    like : Network, optional
        A network of the same layers.  Files that `to_safetensors` wrote need none.
    names : mapping of str to str, optional
        As in `from_state_dict`.

    Returns
    -------
    Network
        Without `like`, not compiled.

    Raises
    ------
    FormatError
        If the file is no file of safetensors, is damaged, or has no description of layers and
        `like` is missing.
    TypeError, ValueError
        As in `from_state_dict`.
    OSError
        If the file cannot be read.

    Notes
    -----
    The file is not trusted.  Its declarations are compared with its size before memory is
    allocated, and nothing in it is run.
    """
    metadata, tensors = read_safetensors(path)
    described = _description(metadata, path)
    if like is None:
        like = _of_zeros(described, sum(tensor.size for tensor in tensors.values()), path)
    if names is None and described is not None:
        names = described["names"]
    return from_state_dict(tensors, like, names)


def read_safetensors(path: File) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and the arrays of a file of safetensors.

    Raises
    ------
    FormatError
        If it is none, or damaged; the message has the way out for files of ``torch.save``.
    """
    with opened(path) as (file, size):
        start = file.read(8)
        file.seek(0)
        if _is_pickle(start):
            from fastnn.formats.torch_in import WAY_OUT

            raise FormatError(f"a file of torch.save: {WAY_OUT}")
        metadata, declared = read_header(file, size, "safetensors")
        return metadata, read_arrays(file, declared)


def _is_pickle(start: bytes) -> bool:
    """Whether a file begins as those of ``torch.save``: a zip archive, or a bare pickle.

    The first 8 bytes of a file of safetensors are a length, whose upper half is 0.
    """
    is_bare = start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5") and any(start[4:])
    return is_bare or start[:4] == b"PK\3\4"


def _description(metadata: Mapping[str, str], path: File) -> dict[str, Any] | None:
    """What `to_safetensors` wrote of the layers and of the names of parameters."""
    if _DESCRIPTION not in metadata:
        return None
    try:
        description = json.loads(metadata[_DESCRIPTION])
        names = entry(description, "names", dict, "a file")
        entry(description, "structure", dict, "a file")
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(f"{name_of(path)} does not describe a network: {error!s:.200}") from error
    return {**description, "names": {key: str(name) for key, name in names.items()}}


def _of_zeros(described: Mapping[str, Any] | None, size: int, path: File) -> Network:
    """A network of the layers that a file describes, if they have as many numbers as the file."""
    if described is None:
        raise FormatError(
            f"{name_of(path)} has parameters and no layers: pass like=, a network of the layers"
        )
    structure = described["structure"]
    try:
        dtype = check_dtype(structure["dtype"])
        program, _ = build_program(from_structure(structure["graph"]), dtype, 0)
        if program.n_parameters != size:
            raise ValueError(f"the layers have {program.n_parameters} parameters, the file {size}")
        return rebuild(structure, {p.name: np.zeros(p.shape, dtype) for p in program.parameters})
    except (*DEFECTS, KeyError, RecursionError) as error:
        raise FormatError(f"{name_of(path)} does not describe a network: {error!r:.200}") from error


def _named(portable: Portable, names: Names | None) -> dict[str, tuple[str, Place]]:
    """The name of each parameter outside, and its place, by its name in the network."""
    own = places(portable)
    if names is None:
        return {parameter: (place.name, place) for parameter, place in own.items()}
    if not isinstance(names, Mapping):
        raise TypeError(f"names must be a mapping from names, got {type(names).__name__}")
    known = [place.name for place in own.values()]
    for name in names:
        if name not in known:
            raise ValueError(f"names has {name!r}, expected {_listed(known)}")
    result = {k: (names.get(place.name, place.name), place) for k, place in own.items()}
    outside = [name for name, _ in result.values()]
    if len(set(outside)) < len(outside):
        raise ValueError(f"names gives two parameters one name: {_listed(outside)}")
    return result


def _check_names(tensors: Mapping[str, Any], expected: list[str]) -> None:
    """Raise ValueError unless there is a tensor of each name and no other."""
    hint = "; pass names={expected name: name in the file} where names differ"
    missing = [name for name in expected if name not in tensors]
    extra = [name for name in tensors if name not in expected]
    if missing:
        raise ValueError(
            f"there is no tensor {printable(repr(missing[0]))}: the layers need "
            f"{_listed(expected)}, got {_listed(tensors)}{hint}"
        )
    if extra:
        raise ValueError(
            f"there is a tensor {printable(repr(extra[0]))} that no layer has: they need "
            f"{_listed(expected)}{hint}"
        )


def _listed(names: Any) -> str:
    names = [printable(repr(name))[:60] for name in names]
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return (", ".join(names[:_MOST_LISTED]) or "none") + more


def _value(portable: Portable, parameter: str, tensor: Any, name: str, place: Place) -> np.ndarray:
    """A tensor in the layout and the dtype of a parameter."""
    where = f"tensor {printable(repr(name))}"
    array = as_real(tensor, where)
    shape = place.outside(portable.values[parameter]).shape
    if array.dtype.kind != "f":
        raise TypeError(f"{where} must hold floating-point numbers, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{where} must have shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{where} must be finite")
    return converted(place.inside(array), where, portable.program.dtype)
