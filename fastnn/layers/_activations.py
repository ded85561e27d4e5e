"""Activation layers: the same function of every element, or of every row."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from fastnn._shared.numbers import check_flag, check_number
from fastnn.facts import activations
from fastnn.initializers import Constant, Initializer
from fastnn.layers._base import Layer
from fastnn.program import ROW_FUNCTIONS, ProgramBuilder

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "BinaryStep",
    "HardSwish",
    "Identity",
    "LeakyReLU",
    "LogSoftmax",
    "Mish",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Swish",
    "Tanh",
    "ZeroIndicator",
]
"""Rows of `fastnn.facts.activations` add theirs below."""


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


def check_alpha(function: str, alpha: object) -> float | None:
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
        A name in ``fastnn.activations.names()``, such as relu, an alias, such as silu,
        or softmax or log_softmax.
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


class FixedActivation(Activation):
    """An activation without parameter; each subclass has the name of its function.

    A class without a docstring takes that of the row of its function.
    """

    fixed: ClassVar[str]

    def __init_subclass__(cls, function: str | None = None) -> None:
        if function is None:  # a user's subclass
            return
        cls.fixed = function
        if cls.__doc__ is None and function not in ROW_FUNCTIONS:
            cls.__doc__ = _described(activations.get(function))

    def __init__(self, *, name: str | None = None, dtype: DTypeLike | None = None) -> None:
        super().__init__(self.fixed, name=name, dtype=dtype)

    @property
    def options(self) -> dict[str, Any]:
        """Nothing: the class determines the function."""
        return {}


def _described(row: activations.ActivationInfo) -> str:
    """The docstring of the layer of an activation."""
    paragraphs = [f"{row.title}: f(z) = {row.formula}."]
    if row.not_differentiable != "nowhere":
        paragraphs.append(
            f"The derivative is {row.derivative}; not differentiable at {row.not_differentiable}."
        )
    paragraphs += [row.note, row.derivative_note]
    return "\n\n".join(filter(None, paragraphs))


class Identity(FixedActivation, function="identity"): ...


class BinaryStep(FixedActivation, function="binary_step"): ...


class ZeroIndicator(FixedActivation, function="zero_indicator"): ...


class Sigmoid(FixedActivation, function="sigmoid"): ...


class Tanh(FixedActivation, function="tanh"): ...


class ReLU(FixedActivation, function="relu"): ...


class HardSwish(FixedActivation, function="hard_swish"): ...


class SELU(FixedActivation, function="selu"): ...


class Softplus(FixedActivation, function="softplus"): ...


class Mish(FixedActivation, function="mish"): ...


class Softmax(FixedActivation, function="softmax"):
    """exp(z_k) / sum_j exp(z_j) over each row.

    Not for the end of a network with a cross-entropy loss, which takes logits.
    """


class LogSoftmax(FixedActivation, function="log_softmax"):
    """z_k - log(sum_j exp(z_j)) over each row."""


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
    """f(z) = z sigmoid(beta z): z / 2 for beta = 0, and ReLU as beta grows.

    Parameters
    ----------
    beta : float, default 1
        Factor inside the sigmoid; its initial value if it is a parameter.
    trainable_beta : bool, default False
        Make beta a parameter of the layer, one number for all its units.  The L2 penalty
        and weight decay do not act on it.
    trainable : bool, default True
        False freezes a beta that is a parameter.
    name, dtype
        See `Layer`.

    Notes
    -----
    df/dbeta = z^2 s (1 - s) with s = sigmoid(beta z), summed over units and samples.
    ``Dense(..., activation="swish", alpha=beta)`` has a fixed beta; one that is trained
    belongs to a layer of its own after the `Dense`.

    References
    ----------
    Ramachandran, Zoph & Le (2017), "Searching for activation functions", arXiv:1710.05941.

    Examples
    --------
    >>> import fastnn as fnn
    >>> layers = [fnn.Dense(2, 8), fnn.Swish(trainable_beta=True), fnn.Dense(8, 1)]
    >>> net = fnn.Sequential(layers)
    >>> net.parameters["swish_1.beta"]
    array([1.], dtype=float32)
    """

    def __init__(
        self,
        beta: float = 1.0,
        trainable_beta: bool = False,
        *,
        trainable: bool = True,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__("swish", beta, name=name, dtype=dtype)
        self.trainable_beta = check_flag(trainable_beta, "trainable_beta")
        self.trainable = trainable
        if not (self.trainable_beta or self.trainable):
            raise ValueError("trainable is False, but without trainable_beta nothing is trained")

    @property
    def beta(self) -> float:
        """The current factor inside the sigmoid."""
        if self.trainable_beta and self.has_values:
            return float(self.parameters["beta"][0])
        return float(self.alpha or 0.0)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """``beta`` (1,), if it is a parameter."""
        return {"beta": (1,)} if self.trainable_beta else {}

    @property
    def initializers(self) -> dict[str, Initializer]:
        """The initial value of beta."""
        return {"beta": Constant(self.alpha or 0.0)}

    @property
    def is_random(self) -> bool:
        """False: the initial value of beta is an argument."""
        return False

    @property
    def options(self) -> dict[str, Any]:
        """The initial value of beta, and whether it is a parameter."""
        return {"beta": self.alpha} | ({"trainable_beta": True} if self.trainable_beta else {})

    def emit(
        self,
        builder: ProgramBuilder,
        name: str,
        inputs: Sequence[int],
        parameters: Sequence[int],
    ) -> int:
        """Append the activation, with beta fixed or a parameter; its output is ``<name>.A``."""
        if not self.trainable_beta:
            return super().emit(builder, name, inputs, parameters)
        return builder.add("activation", inputs, f"{name}.A", parameters, function=self.function)


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


def _add_layers_of_rows() -> None:
    """Make the classes of rows that have no class above, which needs no parameter."""
    for row in activations.ROWS:
        if row.layer not in __all__:
            __all__.append(row.layer)
            globals()[row.layer] = types.new_class(
                row.layer,
                (FixedActivation,),
                {"function": row.name},
                lambda namespace: namespace.update(__module__=__name__),
            )


_add_layers_of_rows()
