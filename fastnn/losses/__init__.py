"""Loss specifications: what `compile(loss=...)` takes.

A loss is an immutable description; the engines compute it.  Each also defines the targets
that it takes, the meaning of `predict_proba`, and the score of a prediction: accuracy for
classification, R^2 for regression, D^2 for counts.

All losses act on a network's raw outputs: for the classification losses these
are logits, so the network ends in a plain `Dense` layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from fastnn.losses import _elementwise
from fastnn.losses._base import (
    ClassWeight,
    EngineLoss,
    Loss,
    SampleClassWeight,
    expand_class_weight,
)
from fastnn.losses._cross_entropy import CrossEntropy
from fastnn.losses._custom import CustomLoss
from fastnn.losses._elementwise import *

__all__ = [
    "ClassWeight",
    "SampleClassWeight",
    "CrossEntropy",
    "CustomLoss",
    "Loss",
    "expand_class_weight",
    "get",
    *_elementwise.__all__,
]

_CLASSES: dict[str, type[EngineLoss]] = {
    cls.name: cls
    for cls in (CrossEntropy, *(getattr(_elementwise, name) for name in _elementwise.__all__))
}


def get(loss: str | Loss | Callable[..., Any] | Mapping[str, Any]) -> Loss:
    """The loss meant by a name, a `Loss`, a function or a loss's `config`.

    Parameters
    ----------
    loss : str, Loss, callable or mapping
        A name in `fastnn.program.LOSSES`; a function becomes a `CustomLoss`.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is something else.
    """
    if isinstance(loss, Loss):
        return loss
    if callable(loss) and not isinstance(loss, type):
        return CustomLoss(loss)
    options: Any = {"name": loss} if isinstance(loss, str) else loss
    if not isinstance(options, Mapping):
        raise TypeError(f"loss must be a name, a Loss or a function, got {type(loss).__name__}")
    options = dict(options)
    name = options.pop("name", None)
    if name not in _CLASSES:
        raise ValueError(f"unknown loss {name!r}; known are {', '.join(_CLASSES)}")
    if options.get("ignore_value") == "nan":  # as `config` writes it
        options["ignore_value"] = math.nan
    return _CLASSES[name](**options)
