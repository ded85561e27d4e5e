"""Models: a network with what prepares its data, in one file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from fastnn.network import Network
from fastnn.network import load as load_network
from fastnn.serialization import FormatError
from fastnn.tabular.preprocessing import Preprocessor

_KEY = "model"
"""Entry of the network's metadata."""


@dataclass(frozen=True)
class Model:
    """A trained network and its surroundings.

    Attributes
    ----------
    network : Network
    preprocessor : Preprocessor or None
        None for a network that was saved without one, from Python.
    facts : dict
        What is known of the training, as JSON-able data: ``data``, and
        ``results`` by part of the data.
    """

    network: Network
    preprocessor: Preprocessor | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def save(path: str | os.PathLike[str], model: Model) -> None:
    """Write a model; `fastnn.load` reads its network."""
    metadata = dict(model.network.metadata)
    if model.preprocessor is not None:
        metadata[_KEY] = {"preprocessing": model.preprocessor.to_dict(), **model.facts}
    model.network.save(path, metadata)


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model, or a network that was saved by itself.

    Raises
    ------
    FormatError
        If the file has any defect.
    OSError
        If it cannot be read.
    """
    network = load_network(path)
    facts = network.metadata.pop(_KEY, None)
    if facts is None:
        return Model(network)
    name = os.fspath(path)
    if not isinstance(facts, dict):
        raise FormatError(f"{name}: damaged: the description of the model is not an object")
    try:
        preprocessor = Preprocessor.from_dict(facts.pop("preprocessing", None))
    except ValueError as error:
        raise FormatError(f"{name}: damaged: {error}") from error
    widths = [tensor.width for tensor in (*network.graph.inputs, *network.graph.outputs)]
    if widths != [preprocessor.width, preprocessor.n_outputs] or network.optimizer is None:
        raise FormatError(f"{name}: damaged: network and preprocessing do not fit together")
    return Model(network, preprocessor, facts)
