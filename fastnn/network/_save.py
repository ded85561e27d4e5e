"""Networks as a structure fit for JSON and named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from fastnn import backend, losses, optimizers, serialization
from fastnn._shared.fields import check_kind, entry
from fastnn._shared.numbers import check_number
from fastnn.graph import check_index, from_structure, to_structure
from fastnn.initializers import Explicit
from fastnn.losses import CustomLoss, Loss
from fastnn.network import _factors as factors
from fastnn.network._compile import check_precision
from fastnn.network._core import Core, owner
from fastnn.network._heads import LossOnOutput
from fastnn.network._state import training_state
from fastnn.program import CUSTOM_LOSS
from fastnn.serialization import File, FormatError

SLOT = ":optimizer."
"""Prefix of the arrays that are optimizer state; no name of a layer has a colon."""

CHECKPOINT = ":checkpoint."
"""Prefix of the arrays that are the state of callbacks, in the file of a training under way."""

_NETWORK = "a network"
_NULL = type(None)

DEFECTS = (TypeError, ValueError, OverflowError)
"""The errors of a structure that no network has.

MemoryError is not among them: sizes are compared with those of the arrays before memory is
allocated, so that it says that the memory is too small for a sound network.
"""


class Saved(Protocol):
    """What a file holds of a network; `Network` is one."""

    kind: ClassVar[str]
    core: Core
    name: str | None
    metadata: dict[str, Any]


def save(network: Saved, path: File, metadata: Mapping[str, object] | None = None) -> None:
    """Write a network to a file; see `Network.save`."""
    with network.core.lock:
        described = structure(network)
        if metadata is not None:
            described["metadata"] = metadata
        serialization.check_mapping(described["metadata"], "metadata")
        serialization.save(path, described, arrays(network.core))


def save_with(
    network: Saved,
    path: str,
    checkpoint: Mapping[str, object],
    values: Mapping[str, np.ndarray],
) -> None:
    """Write a network with the state of its training; `load` reads the network alone."""
    with network.core.lock:
        described = {**structure(network), "checkpoint": checkpoint}
        more = {f"{CHECKPOINT}{name}": array for name, array in values.items()}
        serialization.save(path, described, arrays(network.core) | more)


def snapshot(network: Saved) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """`structure` and `arrays` of one moment: a training in another thread is waited for."""
    with network.core.lock:
        return structure(network), arrays(network.core)


def structure(network: Saved, as_data: bool = True) -> dict[str, Any]:
    """Everything about a network that is no array.

    Parameters
    ----------
    network : Network
    as_data : bool, default True
        Fit for JSON.  False leaves the optimizer, the losses and the classes of custom layers
        objects, for pickling.

    Raises
    ------
    ValueError
        If the learning rate is a function and `as_data` is True.
    """
    core, optimizer = network.core, network.core.optimizer
    return {
        "class": network.kind,
        "name": network.name,
        "metadata": network.metadata,
        "dtype": core.dtype.name,
        "seed": core.seed,
        "graph": to_structure(core.graph, as_data),
        "output_names": list(core.output_names) if core.outputs_are_named else None,
        "losses": [
            {
                "output": head.output,
                "loss": head.loss.config if as_data else head.loss,
                "weight": head.weight,
            }
            for head in core.heads
        ],
        "optimizer": optimizer.config if as_data and optimizer is not None else optimizer,
        "l2": core.program.l2,
        "precision": core.program.precision,
        "trainable": [parameter.trainable for parameter in core.program.parameters],
        "training": core.state.to_dict(),
        **factors.described(core.program),
    }


def arrays(core: Core) -> dict[str, np.ndarray]:
    """Copies of the parameters, and of the optimizer's state."""
    slots = {
        f"{SLOT}{slot}.{parameter.name}": parameter.view(storage)
        for slot, storage in core.slots.items()
        for parameter in core.program.parameters
    }
    return {name: np.array(view) for name, view in {**core.views, **slots}.items()}


def restored(
    described: Mapping[str, object], values: Mapping[str, np.ndarray], custom: Mapping[str, object]
) -> Core:
    """The core that `structure` and `arrays` describe; `custom` as `by_name` returns it.

    Raises
    ------
    TypeError, ValueError, OverflowError
        If they do not describe one.
    """
    parameters = {
        name: value for name, value in values.items() if not name.startswith((SLOT, CHECKPOINT))
    }
    seed = entry(described, "seed", int, _NETWORK)
    core = _core(described, seed, parameters, custom)
    if described.get("optimizer") is not None:
        _restore_losses(core, described, custom)
        _restore_training(core, described, values)
    return core


def reseeded(core: Core, described: Mapping[str, object], seed: int) -> Core:
    """An untrained core like this compiled one, with the initial values of another seed.

    Parameters
    ----------
    core : Core
    described : mapping
        Its `structure`, with objects.
    seed : int
    """
    with backend.use(core.backend):
        copy = _core(described, seed, _values_of_seed(core, seed), {})
        _restore_losses(copy, described, {})
    return copy


def _core(
    described: Mapping[str, object],
    seed: int,
    parameters: Mapping[str, np.ndarray],
    custom: Mapping[str, object],
) -> Core:
    """The core that a structure describes, before losses and optimizer."""
    graph = from_structure(entry(described, "graph", dict, _NETWORK), custom)
    output_names = entry(described, "output_names", (list, _NULL), _NETWORK)
    for name in output_names or ():
        check_kind(name, str, "the name of an output")
    label = owner(
        entry(described, "name", (str, _NULL), _NETWORK), entry(described, "class", str, _NETWORK)
    )
    dtype = entry(described, "dtype", str, _NETWORK)
    return Core(graph, output_names, dtype, seed, label, parameters)


def _values_of_seed(core: Core, seed: int) -> dict[str, np.ndarray]:
    """Initial values of another seed by parameter; frozen and given ones stay the same."""
    learning = {p.name for p in core.program.parameters if p.trainable}
    values: dict[str, np.ndarray] = {}
    for layer in core.graph.layers:
        names = [f"{core.graph.names[id(layer)]}.{key}" for key in layer.shapes]
        if learning.isdisjoint(names):
            drawn = [core.views[name] for name in names]
        elif any(isinstance(r, Explicit) and r.values is None for r in layer.initializers.values()):
            raise ValueError(
                f"layer {layer.name!r} was given its initial values, which files and copies of a "
                "network do not keep: freeze it, or give a function that builds the network"
            )
        else:
            drawn = list(layer.initial_values(seed, len(values)).values())
        values |= {k: np.asarray(v, core.dtype) for k, v in zip(names, drawn, strict=True)}
    return values


def _restore_losses(core: Core, described: Mapping[str, Any], custom: Mapping[str, Any]) -> None:
    """Losses, optimizer and trainable parameters, as `compile` left them."""
    heads: list[LossOnOutput] = []
    for item in entry(described, "losses", list, _NETWORK):
        position = entry(item, "output", int, "a loss on an output")
        i = check_index(position, len(core.graph.outputs))
        if heads and i <= heads[-1].output:
            raise ValueError("the losses are not in the order of the outputs")
        width = core.graph.outputs[i].width
        weight = check_number(entry(item, "weight", float, "a loss on an output"), "weight", 0.0)
        loss = _loss(entry(item, "loss", (dict, Loss), "a loss on an output"), custom)
        heads.append(LossOnOutput(core.output_names[i], i, width, loss, weight))
    if not heads:
        raise ValueError("the network has an optimizer, but no loss")
    l2 = check_number(entry(described, "l2", float, _NETWORK), "l2", 0.0)
    # Not the layers' own flags: these may have changed since the last `compile`.
    trainable = entry(described, "trainable", list, _NETWORK)
    if not all(isinstance(flag, bool) for flag in trainable):
        raise TypeError(f"trainable must hold bools, got {trainable!r}")
    optimizer = optimizers.get(described["optimizer"])
    own = (described.get("learning_rates"), described.get("weight_decays"))
    precision = described.get("precision", "float32")
    check_precision(precision, core.dtype, optimizer)
    own_factors = factors.factors_of(core.program, optimizer, *own)
    core.set_heads(heads, optimizer, l2, trainable, own_factors, precision)


def _restore_training(
    core: Core, described: Mapping[str, object], values: Mapping[str, np.ndarray]
) -> None:
    """The state of the optimizer, the counters and the history."""
    for slot, storage in core.slots.items():
        for parameter in core.program.parameters:
            name = f"{SLOT}{slot}.{parameter.name}"
            if name not in values:
                raise ValueError(f"the optimizer state of {parameter.name!r} is missing")
            if values[name].shape != parameter.shape:
                raise ValueError(
                    f"the optimizer state of {parameter.name!r} has shape {values[name].shape}"
                )
            parameter.view(storage)[...] = values[name]
    core.state = training_state(entry(described, "training", dict, _NETWORK))


def _loss(described: Any, custom: Mapping[str, Any]) -> Loss:
    """A loss from its config; the function of a custom one is the caller's to give."""
    if isinstance(described, Loss) or described.get("name") != CUSTOM_LOSS:
        return losses.get(described)
    name = entry(described, "function", str, "a custom loss")
    if name not in custom:
        raise FormatError(
            f"the network has the custom loss {name!r}: "
            "give its function, load(path, custom=[function])"
        )
    function = custom[name]
    if isinstance(function, CustomLoss):
        return function
    options = {key: value for key, value in described.items() if key != "function"}
    return CustomLoss(function, **{**options, "name": name})


def by_name(custom: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Custom layers and losses by the names that files know them by.

    Raises
    ------
    TypeError
        If there is anything else among them.
    """
    if isinstance(custom, Mapping):
        return dict(custom)
    by_name = {}
    for item in custom:
        name = item.name if isinstance(item, CustomLoss) else getattr(item, "__name__", None)
        if name is None or not (callable(item) or isinstance(item, CustomLoss)):
            raise TypeError(
                "custom must hold classes of layers, functions and CustomLoss objects, "
                f"got {item!r}"
            )
        by_name[name] = item
    return by_name
