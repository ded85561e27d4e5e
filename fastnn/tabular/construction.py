"""The network of a recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastnn.initializers import Constant, Normal
from fastnn.layers import Activation, Add, Dense, Dropout, Embedding, Input, Layer, PiecewiseLinear
from fastnn.losses import Loss
from fastnn.network import Network
from fastnn.optimizers import AdamW
from fastnn.schedules import CosineLog
from fastnn.tabular.recipe import Recipe

__all__ = ["Shape", "build"]

_LEARNING_RATE = {True: 0.04, False: 0.07}
"""By whether it is classification, for a layer of one input; and the default activation."""

_ACTIVATION = {True: "selu", False: "mish"}
_LARGEST_SHARE = 32
"""Largest number of inputs for which a column counts in the scale of the first layer."""


@dataclass(frozen=True)
class Shape:
    """The inputs and outputs of a network for tables.

    Attributes
    ----------
    numbers : int
        Number of scaled numbers.
    bins : tuple of int
        Numbers of bins of the columns that have a piecewise-linear embedding.
    levels : tuple of int
        Numbers of levels of the columns of categories.
    outputs : int
        Number of outputs.
    """

    numbers: int
    bins: tuple[int, ...]
    levels: tuple[int, ...]
    outputs: int

    @property
    def n_inputs(self) -> int:
        """Number of inputs that count in the scale of the first layer."""
        columns = (*self.bins, *self.levels)
        return self.numbers + sum(min(n, _LARGEST_SHARE) for n in columns)


def build(shape: Shape, recipe: Recipe, loss: Loss, batches: int, dtype: str, seed: int) -> Network:
    """The network of a recipe, compiled for a training of some batches in each epoch.

    Numbers, piecewise-linear embeddings of numbers and embeddings of categories each give a
    summand of the first pre-activation, or of the outputs if there is no hidden layer.  The inputs
    are named "numbers", "positions" and "codes"; those without columns are left out, and with
    ``bins=0`` the positions.

    Parameters
    ----------
    shape : Shape
    recipe : Recipe
        With widths, as `Recipe.for_rows` returns it.
    loss : Loss
        A loss with probabilities means classification.
    batches : int
        Number of batches of an epoch.
    dtype : {"float32", "float64"}
    seed : int
    """
    is_classification = loss.activation == "softmax"
    widths = recipe.hidden
    assert widths is not None
    width = widths[0] if widths else shape.outputs
    start = Normal(1 / math.sqrt(shape.n_inputs)) if widths else Constant(0.0)
    bias = Normal(1.0) if widths else Constant(0.0)
    inputs: list[Input] = []
    first: list[Layer] = []
    if shape.numbers:
        inputs.append(Input(shape.numbers, "numbers"))
        first.append(Dense(shape.numbers, width, weight=start, bias=bias, name="scaled"))
    if shape.bins and recipe.bins != 0:
        inputs.append(Input(len(shape.bins), "positions"))
        first.append(PiecewiseLinear(shape.bins, width, weight=start, name="bins"))
    if shape.levels:
        inputs.append(Input(len(shape.levels), "codes"))
        first.append(Embedding(shape.levels, width, "sum", weight=start, name="levels"))
    parts = [layer(tensor) for layer, tensor in zip(first, inputs, strict=True)]
    hidden = parts[0] if len(parts) == 1 else Add()(parts)
    activation = recipe.activation or _ACTIVATION[is_classification]
    for i, n_out in enumerate(widths):
        if i:
            hidden = Dense(hidden.width, n_out, weight="lecun_normal", bias=Normal(1.0))(hidden)
        hidden = Activation(activation)(hidden)
        if recipe.dropout:
            hidden = Dropout(recipe.dropout)(hidden)
    output = hidden
    if widths:
        output = Dense(hidden.width, shape.outputs, weight="zeros", name="output")(hidden)
    network = Network(inputs, output, dtype=dtype, seed=seed)
    rate = recipe.rate_factor * _LEARNING_RATE[is_classification] / math.sqrt(width)
    # Adam's steps do not depend on the scale of its gradients: a layer learns at a rate that
    # fits the scale of its weights.
    gain = math.sqrt(width / shape.n_inputs)
    network.compile(
        loss,
        AdamW(
            CosineLog(rate, recipe.epochs * batches),
            beta2=0.95,
            weight_decay=recipe.weight_decay * math.sqrt(width),
        ),
        learning_rates={f"{layer.name}.weight": gain for layer in first},
    )
    return network
