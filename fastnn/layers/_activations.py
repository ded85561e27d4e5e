"""Activation layers: the same function of every element, or of every row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from fastnn import activations
from fastnn._checks import check_flag, check_number
from fastnn.layers._base import Layer
from fastnn.program import ROW_FUNCTIONS, ProgramBuilder


def check_function(function: Any) -> str:
    """The name of an activation, aliases resolved; the error lists the names there are."""
    if isinstance(function, type):
        raise TypeError(
            f"activation is the class {function.__name__}, expected a name such as 'relu' "
            "or an instance such as ReLU()"
        )
    if function in ROW_FUNCTIONS:
        return str(function)
    try:
        return activations.get(function).name
    except ValueError as error:
        raise ValueError(f"{error}, {', '.join(ROW_FUNCTIONS)}") from None


def check_alpha(function: str, alpha: Any) -> float | None:
    """The parameter of an activation: given, its default, or None where it has none.

    Raises
    ------
    TypeError, ValueError
        If the activation has no parameter, or alpha is not a finite number.
    """
    default = None if function in ROW_FUNCTIONS else activations.get(function).default_alpha
    if alpha is None:
        return default
    if default is None:
        raise ValueError(f"alpha is {alpha!r}, but {function} has no parameter")
    return check_number(alpha, "alpha")


def emit_activation(
    builder: ProgramBuilder, name: str, source: int, function: str, alpha: float | None
) -> int:
    """Append an activation of buffer `source` to a program; returns its output buffer."""
    if function in ROW_FUNCTIONS:
        return builder.add(function, [source], name)
    if alpha is None:
        return builder.add("activation", [source], name, function=function)
    return builder.add("activation", [source], name, function=function, alpha=alpha)


class Activation(Layer):
    """An activation by its name.

    Parameters
    ----------
    function : str
        identity, binary_step, sigmoid, tanh, relu, leaky_relu, swish, hard_swish,
        elu, selu, softplus, gelu, gelu_tanh, mish, softmax or log_softmax, or an
        alias such as silu.
    alpha : float, optional
        Slope of leaky_relu below zero (0.01), beta of swish (1), alpha of elu (1).
    name, dtype
        See `Layer`.

    See Also
    --------
    fastnn.activations : formula, derivative and properties of each.
    """

    def __init__(
        self,
        function: str,
        alpha: float | None = None,
        *,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.function = self.kind = check_function(function)
        self.alpha = check_alpha(self.function, alpha)

    @property
    def options(self) -> dict[str, Any]:
        """The function, and its parameter if it has one."""
        return {"function": self.function} | ({} if self.alpha is None else {"alpha": self.alpha})

    def emit(
        self,
        builder: ProgramBuilder,
        name: str,
        inputs: Sequence[int],
        parameters: Sequence[int],
    ) -> int:
        """Append the activation; its output is buffer ``<name>.A``."""
        return emit_activation(builder, f"{name}.A", inputs[0], self.function, self.alpha)


class _Fixed(Activation):
    """An activation without parameter whose class names it."""

    fixed: ClassVar[str]

    def __init__(self, *, name: str | None = None, dtype: DTypeLike | None = None) -> None:
        super().__init__(self.fixed, name=name, dtype=dtype)

    @property
    def options(self) -> dict[str, Any]:
        """Nothing: the class says it all."""
        return {}


class Identity(_Fixed):
    """f(z) = z."""

    fixed = "identity"


class BinaryStep(_Fixed):
    """f(z) = 1 for z >= 0, else 0.

    Its derivative is taken as 0 everywhere, so nothing below it can be trained.
    """

    fixed = "binary_step"


class Sigmoid(_Fixed):
    """f(z) = 1 / (1 + exp(-z))."""

    fixed = "sigmoid"


class Tanh(_Fixed):
    """f(z) = tanh(z)."""

    fixed = "tanh"


class ReLU(_Fixed):
    """f(z) = max(0, z); the derivative at 0 is taken as 0."""

    fixed = "relu"


class HardSwish(_Fixed):
    """f(z) = z min(max(z + 3, 0), 6) / 6."""

    fixed = "hard_swish"


class SELU(_Fixed):
    """f(z) = scale (z if z > 0 else alpha (exp(z) - 1)), with the self-normalising constants."""

    fixed = "selu"


class Softplus(_Fixed):
    """f(z) = log(1 + exp(z))."""

    fixed = "softplus"


class Mish(_Fixed):
    """f(z) = z tanh(softplus(z))."""

    fixed = "mish"


class Softmax(_Fixed):
    """exp(z_k) / sum_j exp(z_j) over each row.

    Not for the end of a network with a cross-entropy loss, which takes logits.
    """

    fixed = "softmax"


class LogSoftmax(_Fixed):
    """z_k - log(sum_j exp(z_j)) over each row."""

    fixed = "log_softmax"


class LeakyReLU(Activation):
    """f(z) = z for z > 0, else alpha z.

    Parameters
    ----------
    alpha : float, default 0.01
    name, dtype
        See `Layer`.
    """

    def __init__(
        self,
        alpha: float = 0.01,
        *,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__("leaky_relu", alpha, name=name, dtype=dtype)

    @property
    def options(self) -> dict[str, Any]:
        """The slope."""
        return {"alpha": self.alpha}


class ELU(Activation):
    """f(z) = z for z > 0, else alpha (exp(z) - 1).

    Parameters
    ----------
    alpha : float, default 1
    name, dtype
        See `Layer`.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__("elu", alpha, name=name, dtype=dtype)

    @property
    def options(self) -> dict[str, Any]:
        """The scale below zero."""
        return {"alpha": self.alpha}


class Swish(Activation):
    """f(z) = z sigmoid(beta z).

    Parameters
    ----------
    beta : float, default 1
    name, dtype
        See `Layer`.
    """

    def __init__(
        self,
        beta: float = 1.0,
        *,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__("swish", beta, name=name, dtype=dtype)

    @property
    def options(self) -> dict[str, Any]:
        """The factor inside the sigmoid."""
        return {"beta": self.alpha}


class GELU(Activation):
    """f(z) = z Phi(z), Phi the standard normal distribution function.

    Parameters
    ----------
    approximate : bool, default False
        Use the tanh form instead of the exact one.
    name, dtype
        See `Layer`.
    """

    def __init__(
        self,
        approximate: bool = False,
        *,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.approximate = check_flag(approximate, "approximate")
        function = "gelu_tanh" if self.approximate else "gelu"
        super().__init__(function, name=name, dtype=dtype)

    @property
    def options(self) -> dict[str, Any]:
        """Which form."""
        return {"approximate": self.approximate}
