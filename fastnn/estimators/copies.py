"""The state of an estimator for pickle, copy and skops: its attributes, in plain data and networks.

A file of skops names the type of every object in it, and its reader has to trust each: the parts
of this package therefore become dicts.  What the network has already is not stored twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fastnn._shared.fields import check_kind, entry
from fastnn.estimators.labels import Labels
from fastnn.estimators.progress import Progress
from fastnn.estimators.rates import Rate
from fastnn.network import Network

_PARTS: dict[str, Any] = {"_labels": Labels, "_progress": Progress, "_optimizer": Rate}


def described(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an estimator, as they are stored."""
    state = dict(attributes)
    for name in _PARTS.keys() & state:
        state[name] = dict(vars(state[name]))
    network = state.get("network_")
    if network is not None and state.get("history_") == network.history:
        del state["history_"]
    if network is not None and "_settings" in state:
        optimizer, *others = state["_settings"]
        if optimizer is network.optimizer:
            state["_settings"] = (None, *others)
    return state


def attributes(state: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that `described` has stored.

    Raises
    ------
    ValueError
        If the state is not one of an estimator.
    """
    what = "the state of an estimator"
    check_kind(state, dict, what)
    made = dict(state)
    for name, cls in _PARTS.items():
        if name in state:
            values = entry(state, name, dict, what)
            absent = {field.name for field in fields(cls)} - values.keys()
            if absent:
                raise ValueError(f"{what} is damaged: {name} has no {min(absent)!r}")
            made[name] = cls.__new__(cls)
            vars(made[name]).update(values)
    if "network_" in state:
        network = entry(state, "network_", Network, what)
        made.setdefault("history_", network.history.copy())
        if "_settings" in state:
            optimizer, *others = entry(state, "_settings", list, what)
            made["_settings"] = (network.optimizer if optimizer is None else optimizer, *others)
    return made
