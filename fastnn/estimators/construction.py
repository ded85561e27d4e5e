"""The networks of the estimators, with the initial values that scikit-learn draws."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.estimators.parameters import function_of, layer_activations, widths
from fastnn.layers import Dense, Dropout, Layer
from fastnn.network import Network, Sequential

Values = Sequence[tuple[np.ndarray, np.ndarray]]
"""The weights (n_in, n_out) and the biases (n_out,) of each layer."""


def draw(
    random_state: np.random.RandomState, sizes: Sequence[int], activations: Sequence[Any]
) -> Values:
    """Initial values as scikit-learn draws them, in float64.

    Weights and biases of a layer are uniform between +-sqrt(6 / (n_in + n_out)), or with 2 in
    place of 6 for the sigmoid (Glorot & Bengio 2010).  The last layer has the bound of the layer
    below it.

    Parameters
    ----------
    random_state : RandomState
        Draws the weights and then the biases of each layer in turn.
    sizes : sequence of int
        Numbers of inputs, of hidden units and of outputs.
    activations : sequence of str or Activation
        One for each hidden layer.
    """
    functions = [function_of(activation) for activation in activations]
    values = []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        function = functions[min(i, len(functions) - 1)] if functions else ""
        bound = math.sqrt((2.0 if function == "sigmoid" else 6.0) / (n_in + n_out))
        weight = random_state.uniform(-bound, bound, (n_in, n_out))
        values.append((weight, random_state.uniform(-bound, bound, n_out)))
    return values


def build(
    parameters: Any, n_in: int, n_out: int, dtype: np.dtype, random_state: np.random.RandomState
) -> Sequential:
    """The untrained network that the parameters of an estimator describe."""
    hidden = widths(parameters.hidden_layer_sizes)
    activations = layer_activations(parameters.activation, len(hidden))
    values = draw(random_state, [n_in, *hidden, n_out], activations)
    # Without dropout the network draws nothing, and the numbers that follow are scikit-learn's.
    seed = int(random_state.randint(2**31 - 1)) if parameters.dropout else 0
    return assemble(values, activations, float(parameters.dropout), dtype, seed)


def assemble(
    values: Values, activations: Sequence[Any], dropout: float, dtype: np.dtype, seed: int = 0
) -> Sequential:
    """A multilayer perceptron with these weights and biases, and a linear last layer.

    Parameters
    ----------
    values : sequence of (weight, bias)
    activations : sequence of str or Activation
        One for each hidden layer.
    dropout : float
        Rate of the dropout after each hidden layer; 0 gives no layer of dropout.
    """
    layers: list[Layer] = []
    for (weight, bias), activation in zip(values, [*activations, None], strict=True):
        n_in, n_out = weight.shape
        function = copy.deepcopy(activation)  # an object belongs to one network
        layers.append(Dense(n_in, n_out, function, weight=weight, bias=bias))
        if dropout and activation is not None:
            layers.append(Dropout(dropout))
    return Sequential(layers, dtype=dtype, seed=seed)


class LiveArrays(list[np.ndarray]):
    """Arrays of a network as a list: to assign an element is to copy into its array."""

    def __setitem__(self, index: Any, values: Any) -> None:
        """Copy numbers of exactly the array's shape into the array at an index.

        Raises
        ------
        TypeError, ValueError
            If the index is no integer, or the shape is another.
        """
        array = self[index]
        if not isinstance(array, np.ndarray):
            raise TypeError("assign one array at a time: the index must be an integer")
        new = np.asarray(values)
        if new.shape != array.shape:
            raise ValueError(f"the array must have shape {array.shape}, got {new.shape}")
        array[...] = new


def coefficients(network: Network) -> LiveArrays:
    """The weights (n_in, n_out) of the layers of a network, as live views."""
    return LiveArrays(layer.weight for layer in _dense(network))


def intercepts(network: Network) -> LiveArrays:
    """The biases (n_out,) of the layers of a network, as live views."""
    return LiveArrays(layer.bias for layer in _dense(network) if layer.bias is not None)


def assign(arrays: LiveArrays, values: Sequence[ArrayLike], name: str) -> None:
    """Copy values into the arrays of a network.

    Raises
    ------
    ValueError
        If the number of arrays or a shape is another.
    """
    if len(values) != len(arrays):
        raise ValueError(f"{name} must have {len(arrays)} arrays, got {len(values)}")
    for i, value in enumerate(values):
        arrays[i] = value


def _dense(network: Network) -> Iterable[Dense]:
    return (layer for layer in network.layers if isinstance(layer, Dense))
