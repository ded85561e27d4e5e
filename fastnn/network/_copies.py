"""The state of a network that pickle, copy and skops keep: its structure, arrays and objects.

The structure, as plain data, and the arrays have everything that `Network.save` writes.  Beside
them stand the objects that only Python can name: the classes of custom layers with their arguments,
custom losses, and an optimizer whose learning rate is a function.
"""

from __future__ import annotations

import copy
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
    """All attributes of a network; its core as plain data and arrays.

    The arrays are arrays of the state, and not bytes of a file, so that joblib and other
    schedulers map large ones into the memory of their processes.  A training in another thread is
    waited for.
    """
    with network.core.lock:
        described = _save.structure(network, as_data=False)
        objects = _without_objects(described)
        values = _save.arrays(network.core)
    del described["metadata"]  # an attribute of the network, of any type
    core = {
        "backend": network.core.backend,
        "structure": described,
        "arrays": values,
        "objects": objects,
    }
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
        described, values = serialization.checked(core, _STATE)
        if described.get("class") != network.kind:
            raise FormatError(
                f"{_STATE}: its class is {described.get('class')!r}, expected {network.kind!r}"
            )
        objects = entry(core, "objects", dict, _STATE)
        if objects:
            described = _with_objects(described, objects)
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


def _with_objects(described: Mapping[str, Any], objects: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a structure, with the objects of `_without_objects` back in it."""
    result = copy.deepcopy(dict(described))  # the state is the caller's
    for i, layer in objects.get("layers", {}).items():
        result["graph"]["layers"][i] = layer
    for i, loss in objects.get("losses", {}).items():
        result["losses"][i]["loss"] = loss
    if "optimizer" in objects:
        result["optimizer"] = objects["optimizer"]
    return result
