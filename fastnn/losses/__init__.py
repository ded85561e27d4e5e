"""Loss specifications: what `compile(loss=...)` takes.

A loss is an immutable description; the engines compute it.  Each also says
which targets it takes, what `predict_proba` means for it, and by which score
a prediction is judged: accuracy for classification, R^2 for regression.

All losses act on a network's raw outputs: for the classification losses these
are logits, so the network ends in a plain `Dense` layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastnn.losses._base import ClassWeight, Loss, expand_class_weight
from fastnn.losses._cross_entropy import CrossEntropy
from fastnn.losses._elementwise import (
    BinaryCrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
)

__all__ = [
    "BinaryCrossEntropy",
    "ClassWeight",
    "CrossEntropy",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "expand_class_weight",
    "get",
]

_CLASSES: dict[str, type[Loss]] = {
    cls.name: cls
    for cls in (CrossEntropy, BinaryCrossEntropy, MeanSquaredError, MeanAbsoluteError, Huber)
}


def get(loss: str | Loss | Mapping[str, Any]) -> Loss:
    """The loss meant by a name, a `Loss` or its `config`.

    Parameters
    ----------
    loss : str, Loss or mapping
        Names: cross_entropy, binary_cross_entropy, mean_squared_error,
        mean_absolute_error, huber.

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
    options: Any = {"name": loss} if isinstance(loss, str) else loss
    if not isinstance(options, Mapping):
        raise TypeError(f"loss must be a name or a Loss, got {type(loss).__name__}")
    options = dict(options)
    name = options.pop("name", None)
    if name not in _CLASSES:
        raise ValueError(f"unknown loss {name!r}; known are {', '.join(_CLASSES)}")
    if options.get("ignore_value") == "nan":  # as `config` writes it
        options["ignore_value"] = math.nan
    return _CLASSES[name](**options)
