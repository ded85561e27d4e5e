"""The state of a network that pickle, copy and skops keep: its file, and what no file holds.

The bytes of the file have everything that `Network.save` writes.  Beside them stand the objects
that only Python can name: the classes of custom layers with their arguments, custom losses, and an
optimizer whose learning rate is a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastnn import losses, optimizers, serialization
from fastnn._shared.fields import entry
from fastnn.backend.choice import use_where_installed
from fastnn.losses import CustomLoss
from fastnn.network import _save
from fastnn.network._save import DEFECTS, Saved
from fastnn.serialization import FormatError

_STATE = "the state of a network"


def state_of(network: Saved) -> dict[str, Any]:
    """All attributes of a network; its core as the bytes of a file.

    A training in another thread is waited for.
    """
    with network.core.lock:
        described = _save.structure(network, as_data=False)
        objects = _without_objects(described)
        values = _save.arrays(network.core)
    file = serialization.to_bytes({**described, "metadata": {}}, values)
    core = {"backend": network.core.backend, "file": file, "objects": objects}
    return {**vars(network), "core": core}


def restore(network: Saved, state: Mapping[str, Any]) -> None:
    """Give a new, empty network the state that `state_of` returned.

    The backend is that of the original, or the default one where that is not installed.

    Raises
    ------
    FormatError
        If it is no such state; the network remains empty.
    """
    try:
        core = entry(state, "core", dict, _STATE)
        entry(state, "name", (str, type(None)), _STATE)
        entry(state, "metadata", dict, _STATE)
        described, values = serialization.from_bytes(core.get("file"), _STATE)
        if described.get("class") != network.kind:
            raise FormatError(
                f"{_STATE}: its class is {described.get('class')!r}, expected {network.kind!r}"
            )
        _put_objects(described, entry(core, "objects", dict, _STATE))
        with use_where_installed(entry(core, "backend", str, _STATE)):
            made = _save.restored(described, values, {})
    except FormatError:
        raise
    except (*DEFECTS, AttributeError, LookupError) as error:
        raise FormatError(f"{_STATE} is damaged: {error!r}") from error
    vars(network).update(state, core=made)


def _without_objects(described: dict[str, Any]) -> dict[str, Any]:
    """Turn a structure with objects into data for JSON; returns the objects that remain."""
    objects: dict[str, Any] = {}
    layers = described["graph"]["layers"]
    custom = {i: layer for i, layer in enumerate(layers) if isinstance(layer["class"], type)}
    if custom:
        objects["layers"] = custom
        described["graph"]["layers"] = [None if i in custom else x for i, x in enumerate(layers)]
    for i, head in enumerate(described["losses"]):
        if not _is_data(head["loss"], losses.get):
            objects.setdefault("losses", {})[i] = head["loss"]
            head["loss"] = None
        else:
            head["loss"] = head["loss"].config
    optimizer = described["optimizer"]
    if optimizer is not None and not _is_data(optimizer, optimizers.get):
        objects["optimizer"], described["optimizer"] = optimizer, None
    elif optimizer is not None:
        described["optimizer"] = optimizer.config
    return objects


def _is_data(part: Any, get: Callable[[Any], object]) -> bool:
    """Whether the config of a loss or an optimizer says everything: no function, no own class."""
    if isinstance(part, CustomLoss):
        return False
    try:
        return type(get(part.config)) is type(part)
    except (TypeError, ValueError):
        return False


def _put_objects(described: dict[str, Any], objects: Mapping[str, Any]) -> None:
    """Put the objects of `_without_objects` back into a structure."""
    for i, layer in objects.get("layers", {}).items():
        described["graph"]["layers"][i] = layer
    for i, loss in objects.get("losses", {}).items():
        described["losses"][i]["loss"] = loss
    if "optimizer" in objects:
        described["optimizer"] = objects["optimizer"]
