"""The dense layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn import initializers
from fastnn._shared.numbers import check_flag, check_integer
from fastnn.facts import activations
from fastnn.initializers import Initializer, fitting, named
from fastnn.layers._activations import Activation, check_alpha, check_function, emit_activation
from fastnn.layers._base import Layer
from fastnn.program import ROW_FUNCTIONS, ProgramBuilder


class Dense(Layer):
    """A dense layer, f(X W + b): every output depends on every input.

    Parameters
    ----------
    n_in, n_out : int
        Widths of the input and of the output.
    activation : str or Activation, optional
        Activation f; None is the identity.  `Activation` lists the names.  An activation with
        trainable parameters (`Swish` with a trainable beta) must be a separate layer after
        this one.
    use_bias : bool, default True
        Whether the layer has a bias b.
    weight : str, Initializer or (n_in, n_out) array_like, default "auto"
        Initial weight W.  "auto" depends on the activation: `HeNormal` for ReLU and similar
        functions (with alpha for leaky ReLU), `LeCunNormal` for SELU, `GlorotUniform`
        otherwise.
    bias : str, Initializer or (n_out,) array_like, default "zeros"
        Initial bias b.
    trainable : bool, default True
        False freezes W and b.
    alpha : float, optional
        Parameter of the activation: slope of leaky_relu, beta of swish, alpha of elu.
    name : str, optional
        Name of the layer.  A network names unnamed layers dense_1, dense_2...
    dtype : {"float32", "float64"}, default "float32"
        Dtype of calls on arrays; the dtype of a network replaces it.
    seed : int, optional
        Seed of the initial values.  With None the layer uses the seed of its network, or
        fresh entropy outside a network.

    Notes
    -----
    In a program the pre-activation X W + b is the buffer ``<name>.Z``; with an activation,
    the output is the buffer ``<name>.A``.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> layer = fnn.Dense(2, 1, weight=[[1.0], [2.0]], bias=[0.5])
    >>> layer(np.array([[1.0, 1.0]]))
    array([[3.5]], dtype=float32)
    >>> layer.backward(np.array([[1.0]]))
    array([[1., 2.]], dtype=float32)
    >>> layer.gradients["weight"]
    array([[1.],
           [1.]], dtype=float32)
    """

    kind = "dense"

    def __init__(
        self,
        n_in: int,
        n_out: int,
        activation: str | Activation | None = None,
        *,
        use_bias: bool = True,
        weight: Initializer | Mapping[str, object] | ArrayLike = "auto",
        bias: Initializer | Mapping[str, object] | ArrayLike = "zeros",
        trainable: bool = True,
        alpha: float | None = None,
        name: str | None = None,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype, seed=seed)
        self.n_in = check_integer(n_in, "n_in", 1)
        self.n_out = check_integer(n_out, "n_out", 1)
        self.activation, self.alpha = _resolve_activation(activation, alpha)
        self.use_bias = check_flag(use_bias, "use_bias")
        self._weight_is_auto = isinstance(weight, str) and weight == "auto"
        if self._weight_is_auto:
            weight = self._automatic_initializer()
        self._weight = fitting(weight, "weight", (self.n_in, self.n_out))
        self._bias = fitting(bias, "bias", (self.n_out,))
        if not self.use_bias and self._bias != initializers.Zeros():
            raise ValueError("bias was given initial values, but use_bias is False")

    @property
    def weight(self) -> np.ndarray:
        """Live view of W (n_in, n_out); an assignment copies into it."""
        return self.parameters["weight"]

    @weight.setter
    def weight(self, values: ArrayLike) -> None:
        self.parameters["weight"] = values

    @property
    def bias(self) -> np.ndarray | None:
        """Live view of b (n_out,), or None without a bias; an assignment copies into it."""
        return self.parameters["bias"] if self.use_bias else None

    @bias.setter
    def bias(self, values: ArrayLike) -> None:
        if not self.use_bias:
            raise AttributeError(f"layer {self.label} has no bias")
        self.parameters["bias"] = values

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """``weight`` (n_in, n_out) and, with a bias, ``bias`` (n_out,)."""
        shapes: dict[str, tuple[int, ...]] = {"weight": (self.n_in, self.n_out)}
        if self.use_bias:
            shapes["bias"] = (self.n_out,)
        return shapes

    @property
    def initializers(self) -> dict[str, Initializer]:
        """The initializers in use, "auto" resolved."""
        return {"weight": self._weight, "bias": self._bias}

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the constructor, without the values of arrays."""
        return {
            "n_in": self.n_in,
            "n_out": self.n_out,
            "activation": self.activation,
            "alpha": self.alpha,
            "use_bias": self.use_bias,
            "weight": "auto" if self._weight_is_auto else self._weight.config,
            "bias": self._bias.config,
        }

    def output_width(self, widths: Sequence[int], labels: Sequence[str]) -> int:
        """n_out; ValueError if the width of the input is not n_in."""
        self.check_width(self.n_in, widths[0], labels[0])
        return self.n_out

    def emit(
        self,
        builder: ProgramBuilder,
        name: str,
        inputs: Sequence[int],
        parameters: Sequence[int],
    ) -> int:
        """Append X W + b as ``<name>.Z`` and, with an activation, f of it as ``<name>.A``."""
        z = builder.add("dense", inputs, f"{name}.Z", parameters)
        if self.activation is None:
            return z
        return emit_activation(builder, f"{name}.A", z, self.activation, self.alpha)

    def _automatic_initializer(self) -> Initializer:
        if self.activation is None or self.activation in ROW_FUNCTIONS:
            return initializers.GlorotUniform()
        family = activations.get(self.activation).initial_weights
        if family == "glorot":
            return initializers.GlorotUniform()
        if family == "lecun":
            return initializers.LeCunNormal()
        return initializers.HeNormal(alpha=self.alpha or 0.0 if family == "he_with_slope" else 0.0)

    def _shown(self) -> list[str]:
        """The widths, and the arguments that differ from their defaults."""
        shown = [str(self.n_in), str(self.n_out)]
        if self.activation is not None:
            shown.append(f"activation={self.activation!r}")
            if self.alpha != check_alpha(self.activation, None):
                shown.append(f"alpha={self.alpha!r}")
        if not self.use_bias:
            shown.append("use_bias=False")
        if not self._weight_is_auto:
            shown.append(f"weight={named(self._weight)}")
        if self._bias != initializers.Zeros():
            shown.append(f"bias={named(self._bias)}")
        return shown


def _resolve_activation(
    activation: str | Activation | None, alpha: float | None
) -> tuple[str | None, float | None]:
    """Name and parameter of an activation; the identity is None."""
    if isinstance(activation, Activation):
        if alpha is not None:
            raise ValueError(
                f"alpha is {alpha!r}, expected None: activation {activation!r} has its own"
            )
        if activation.shapes:
            raise ValueError(
                f"activation {activation!r} has trainable parameters, which Dense cannot have: "
                "add it as a separate layer after Dense"
            )
        function, alpha = activation.function, activation.alpha
    elif activation is None:
        function = "identity"
    else:
        function = check_function(activation)
    alpha = check_alpha(function, alpha)
    return (None if function == "identity" else function), alpha
