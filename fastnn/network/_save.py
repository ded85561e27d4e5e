"""Networks as a structure fit for JSON and named arrays, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import backend, losses, optimizers, serialization
from fastnn._shared.numbers import check_number
from fastnn.graph import check_index, from_structure, to_structure
from fastnn.initializers import Explicit
from fastnn.losses import CustomLoss, Loss
from fastnn.network._assembled import training_state
from fastnn.network._heads import LossOnOutput
from fastnn.program import CUSTOM_LOSS
from fastnn.serialization import FormatError

if TYPE_CHECKING:
    from fastnn.network._network import Network

_SLOT = ":optimizer."
"""Prefix of the arrays that are optimizer state; no name of a layer has a colon."""


def structure(network: Network, as_data: bool = True) -> dict[str, Any]:
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
    from fastnn.network import Sequential

    optimizer = network.optimizer
    return {
        "class": "Sequential" if isinstance(network, Sequential) else "Network",
        "name": network.name,
        "metadata": network.metadata,
        "dtype": network.dtype.name,
        "seed": network.seed,
        "graph": to_structure(network.graph, as_data),
        "output_names": network.output_names if network._named_outputs else None,
        "losses": [
            {
                "output": head.output,
                "loss": head.loss.config if as_data else head.loss,
                "weight": head.weight,
            }
            for head in network._feed.heads
        ],
        "optimizer": optimizer.config if as_data and optimizer is not None else optimizer,
        "l2": network.program.l2,
        "trainable": [parameter.trainable for parameter in network.program.parameters],
        "training": network._state.to_dict(),
    }


def arrays(network: Network) -> dict[str, np.ndarray]:
    """Copies of the parameters, and of the optimizer's state."""
    slots = {
        f"{_SLOT}{slot}.{parameter.name}": parameter.view(storage)
        for slot, storage in network._slots.items()
        for parameter in network.program.parameters
    }
    return {name: np.array(view) for name, view in {**network.parameters, **slots}.items()}


def rebuild(
    described: Mapping[str, Any],
    values: Mapping[str, np.ndarray],
    custom: Mapping[str, Any] | None = None,
) -> Network:
    """The network that `structure` and `arrays` describe; `custom` as `by_name` returns it.

    Raises
    ------
    AttributeError, KeyError, IndexError, MemoryError, OverflowError, TypeError, ValueError
        If they do not describe one.
    """
    from fastnn.network import CLASSES

    cls = CLASSES[described["class"]]
    network: Network = cls.__new__(cls)
    parameters = {name: value for name, value in values.items() if not name.startswith(_SLOT)}
    network._assemble(
        from_structure(described["graph"], custom), described["output_names"],
        described["dtype"], described["seed"], described["name"], parameters,
    )  # fmt: skip
    network.metadata = dict(described.get("metadata", {}))  # older files have none
    if described["optimizer"] is not None:
        _restore_losses(network, described, custom or {})
        _restore_training(network, described, values)
    return network


def reseeded(network: Network, seed: int) -> Network:
    """An untrained network like this compiled one, whose initial values are of another seed.

    What is frozen keeps its values; what a layer was given at first, or draws from a seed of
    its own, stays the same.

    Raises
    ------
    ValueError
        If the network is a copy or comes from a file, and a layer was given initial values.
    """
    from fastnn.network import CLASSES

    described = structure(network, as_data=False)
    with backend.use(network.backend):
        cls = CLASSES[described["class"]]
        copy: Network = cls.__new__(cls)
        copy._assemble(
            from_structure(described["graph"]), described["output_names"],
            described["dtype"], seed, described["name"], _values_of_seed(network, seed),
        )  # fmt: skip
        _restore_losses(copy, described, {})
    return copy


def _values_of_seed(network: Network, seed: int) -> dict[str, np.ndarray]:
    """Initial values of another seed by parameter; what is frozen, or was given, is kept."""
    learning = {p.name for p in network.program.parameters if p.trainable}
    values: dict[str, np.ndarray] = {}
    for layer in network.layers:
        names = [f"{network.graph.names[id(layer)]}.{key}" for key in layer.shapes]
        if learning.isdisjoint(names):
            drawn = [network.parameters[name] for name in names]
        elif any(isinstance(r, Explicit) and r.values is None for r in layer.initializers.values()):
            raise ValueError(
                f"layer {layer.name!r} was given its initial values, which files and copies of a "
                "network do not keep: freeze it, or give a function that builds the network"
            )
        else:
            drawn = list(layer.initial_values(seed, len(values)).values())
        values |= {k: np.asarray(v, network.dtype) for k, v in zip(names, drawn, strict=True)}
    return values


def _restore_losses(
    network: Network, described: Mapping[str, Any], custom: Mapping[str, Any]
) -> None:
    """Losses, optimizer and what is trainable, as `compile` left them."""
    heads: list[LossOnOutput] = []
    for entry in described["losses"]:
        i = check_index(entry["output"], len(network.graph.outputs))
        if heads and i <= heads[-1].output:
            raise ValueError("the losses are not in the order of the outputs")
        width = network.graph.outputs[i].width
        weight = check_number(entry["weight"], "weight", 0.0)
        loss = _loss(entry["loss"], custom)
        heads.append(LossOnOutput(network.output_names[i], i, width, loss, weight))
    l2 = check_number(described["l2"], "l2", 0.0)
    # Not the layers' own flags: these may have changed since the last `compile`.
    trainable = described["trainable"]
    if not all(isinstance(flag, bool) for flag in trainable):
        raise TypeError(f"trainable must hold bools, got {trainable!r}")
    network._set_heads(heads, optimizers.get(described["optimizer"]), l2, trainable)


def _restore_training(
    network: Network, described: Mapping[str, Any], values: Mapping[str, np.ndarray]
) -> None:
    """The state of the optimizer, the counters and the history."""
    for slot, storage in network._slots.items():
        for parameter in network.program.parameters:
            value = values[f"{_SLOT}{slot}.{parameter.name}"]
            if value.shape != parameter.shape:
                raise ValueError(f"optimizer state of {parameter.name!r} has shape {value.shape}")
            parameter.view(storage)[...] = value
    network._state = training_state(described["training"])


def _loss(described: Any, custom: Mapping[str, Any]) -> Loss:
    """A loss from its config; the function of a custom one is the caller's to give."""
    if isinstance(described, Loss) or described["name"] != CUSTOM_LOSS:
        return losses.get(described)
    name = described["function"]
    if name not in custom:
        raise FormatError(
            f"the network has the custom loss {name!r}: "
            "give its function, load(path, custom=[function])"
        )
    found = custom[name]
    if isinstance(found, CustomLoss):
        return found
    options = {key: value for key, value in described.items() if key != "function"}
    return CustomLoss(found, **{**options, "name": name})


def by_name(custom: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Custom layers and losses by the names that files know them by.

    Raises
    ------
    TypeError
        If there is anything else among them.
    """
    if isinstance(custom, Mapping):
        return dict(custom)
    found = {}
    for item in custom:
        name = item.name if isinstance(item, CustomLoss) else getattr(item, "__name__", None)
        if name is None or not (callable(item) or isinstance(item, CustomLoss)):
            raise TypeError(
                "custom must hold classes of layers, functions and CustomLoss objects, "
                f"got {item!r}"
            )
        found[name] = item
    return found


def rebuild_on(
    backend_name: str, described: Mapping[str, Any], values: Mapping[str, np.ndarray]
) -> Network:
    """`rebuild` on a backend, or on the default one where that is not installed: for pickles."""
    if backend_name not in backend.available():
        return rebuild(described, values)
    with backend.use(backend_name):
        return rebuild(described, values)


def load(path: str | os.PathLike[str], custom: Sequence[Any] | Mapping[str, Any] = ()) -> Network:
    """Read a network that `Network.save` wrote.

    Training goes on from there as if it had not been interrupted.  Reading a
    file never runs code from it.

    Parameters
    ----------
    path : str or path-like
    custom : sequence of classes, functions and CustomLoss objects, or mapping by name
        The `CustomLayer` classes and the functions of the custom losses that the network has:
        a file holds their names and options, never code.

    Returns
    -------
    Network
        A `Sequential` if it was one.

    Raises
    ------
    FormatError
        If the file is no fastnn network, is damaged, or was written by a newer version, or
        `custom` lacks something that the network has.
    OSError
        If the file cannot be read.
    """
    known = by_name(custom)
    described, values = serialization.load(path)
    if described.get("class") == "Ensemble":
        raise FormatError(f"{os.fspath(path)} holds an ensemble: fastnn.Ensemble.load reads it")
    try:
        return rebuild(described, values, known)
    except FormatError:
        raise
    except (
        ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError,
        TypeError, ValueError,
    ) as error:  # fmt: skip
        raise FormatError(f"{os.fspath(path)} does not describe a network: {error!r}") from error
