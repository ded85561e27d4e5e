"""Networks that are one chain of layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import DTypeLike

from fastnn.layers import (
    CustomLayer,
    Dense,
    Embedding,
    Input,
    Layer,
    Merge,
    PiecewiseLinear,
    Scale,
    Tensor,
)
from fastnn.network._network import CLASSES, Network


class Sequential(Network):
    """A network whose layers follow one another.

    Parameters
    ----------
    layers : sequence of Layer
        The first may be an `Input`; without one, the first `Dense`, `Scale`,
        `Embedding` or `PiecewiseLinear` layer has the width of the input.
    dtype : {"float32", "float64"}, default "float32"
        Data type of parameters and computations.
    seed : int, default 0
        Seed of initial values, shuffling and dropout.
    name : str, optional

    Raises
    ------
    TypeError
        If an element of the list is no layer.
    ValueError
        If the widths of neighbours do not fit, or a layer belongs to a network already.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> net = fnn.Sequential([fnn.Dense(2, 8, activation="tanh"), fnn.Dense(8, 1)])
    >>> net.compile(loss="mean_squared_error", optimizer="adam")
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> history = net.fit(X, [0, 1, 1, 0], epochs=3)
    >>> net.predict(X).shape
    (4, 1)
    """

    kind = "Sequential"

    def __init__(
        self,
        layers: Iterable[Layer | Input],
        *,
        dtype: DTypeLike = "float32",
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        if isinstance(layers, (Layer, type)) or not isinstance(layers, Iterable):
            came = f"the class {layers.__name__}" if isinstance(layers, type) else repr(layers)
            raise TypeError(f"layers must be a list of layers, got {came}")
        chain: list[Any] = list(layers)
        start = chain.pop(0) if chain and isinstance(chain[0], Input) else None
        _check_layers(chain)
        if start is None:
            start = Input(_input_width(chain))
        tensor: Tensor = start
        for layer in chain:
            tensor = layer(tensor)
        super().__init__(start, tensor, dtype=dtype, seed=seed, name=name)


CLASSES[Sequential.kind] = Sequential


def _check_layers(chain: list[Any]) -> None:
    if not chain:
        raise ValueError("layers is empty, expected at least one layer")
    for i, layer in enumerate(chain):
        if isinstance(layer, type):
            raise TypeError(f"layers[{i}] is the class {layer.__name__}, expected an instance")
        if not isinstance(layer, Layer):
            raise TypeError(f"layers[{i}] must be a layer, got {type(layer).__name__}")
        if isinstance(layer, Merge):
            raise TypeError(f"layers[{i}], {layer!r}, merges branches: use Network for a graph")


def _input_width(chain: list[Layer]) -> int:
    """Width of the input: that of the first layer that states it, if those before keep widths."""
    for layer in chain:
        if isinstance(layer, Dense | Embedding | PiecewiseLinear | Scale):
            return layer.n_in
        if isinstance(layer, CustomLayer) and type(layer).output_width != Layer.output_width:
            break
    raise ValueError("no layer says how wide the input is; put an Input(width) first")
