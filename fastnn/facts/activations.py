"""What is known about each elementwise activation: one row for each.

`fastnn.activations` shows the rows to users.  The functions themselves are in
`fastnn.functional`.  Softmax and log-softmax are functions of a whole row, not of one
element; they are described there.

An activation *saturates* where its derivative tends to zero: units driven there
pass almost no gradient to the layers below (the vanishing gradient).  Where it is
not differentiable, a value has to be chosen for training; it is stated here.

References
----------
- Nair & Hinton (2010), "Rectified linear units improve restricted Boltzmann
  machines", ICML.
- Maas, Hannun & Ng (2013), "Rectifier nonlinearities improve neural network
  acoustic models", ICML workshop.
- Ramachandran, Zoph & Le (2017), "Searching for activation functions", arXiv:1710.05941.
- Howard et al. (2019), "Searching for MobileNetV3", arXiv:1905.02244.
- Clevert, Unterthiner & Hochreiter (2015), "Fast and accurate deep network learning
  by exponential linear units (ELUs)", arXiv:1511.07289.
- Klambauer, Unterthiner, Mayr & Hochreiter (2017), "Self-normalizing neural
  networks", arXiv:1706.02515.
- Dugas, Bengio, Belisle, Nadeau & Garcia (2000), "Incorporating second-order
  functional knowledge for better option pricing", NIPS.
- Hendrycks & Gimpel (2016), "Gaussian error linear units (GELUs)", arXiv:1606.08415.
- Misra (2019), "Mish: a self regularized non-monotonic activation function",
  arXiv:1908.08681.
- Turian, Bergstra & Bengio (2009), "Quadratic features and deep architectures for
  chunking", NAACL HLT.
- LeCun, Bottou, Orr & Muller (1998), "Efficient BackProp".
- McCulloch & Pitts (1943), "A logical calculus of the ideas immanent in nervous
  activity", Bulletin of Mathematical Biophysics 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["ROWS", "ActivationInfo", "corners", "flat_range", "get", "names"]


@dataclass(frozen=True, eq=False)
class ActivationInfo:
    """The facts about one activation f(z); `print` shows them line by line."""

    name: str
    title: str
    formula: str
    derivative: str
    output_range: str
    saturates: str
    """Where the derivative tends to zero, and to which value f tends there."""
    not_differentiable: str
    """Where f has no derivative, and the value that is used there."""
    zero_centred: bool
    """Whether outputs of both signs balance: f is odd."""
    monotonic: bool
    cost: str
    """Class of cost: "copy", "arithmetic", "one exp", "exp and log", "erf"."""
    source: str
    """Short form of an entry in the references of this module."""
    parameter: str | None = None
    """What the parameter means, where there is one; `Dense` and `Activation` call it `alpha`."""
    default_alpha: float | None = None
    symbol: str = "alpha"
    """What the formulas call the parameter."""
    aliases: tuple[str, ...] = ()
    flat_below: float = -math.inf
    flat_above: float = math.inf
    """z <= flat_below and z >= flat_above count as saturated: there f' tends to 0, and |f'(z)| has
    come down to 1/20 of its largest value.  For the default parameter; see `flat_range`."""
    layer: str = ""
    """The class of the layer."""
    note: str = ""
    derivative_note: str = ""
    """What users of the function and of its derivative need to know beyond the formulas."""
    initial_weights: str = "glorot"
    """Family of the initial weights of a layer before it: "glorot", "he", "lecun", or
    "he_with_slope", which is "he" for the parameter as slope below zero."""
    corners: tuple[float, ...] = ()
    """Where f passes from one formula to another.  For the default parameter; see `corners`."""
    is_step: bool = False
    """Whether the derivative is 0 everywhere, so that nothing before it can be trained."""
    slope_from_output: bool = False
    """Whether the compiled core takes f'(z) from f(z) alone; it has to be one to one."""
    bound: float = math.inf
    """No output is larger in size.  Below infinity only where `slope_from_output` holds and f' of
    an output that is nan is nan: the compiled core then needs no squares of the outputs."""
    needs_registers: bool = False
    """Whether four vectors at a time need more than 16 registers in the compiled core."""
    trainable_parameter: bool = False
    """Whether the parameter may be trained."""
    special_formulas: tuple[tuple[float, str], ...] = ()
    """Values of the parameter for which the compiled core has a formula of another name."""
    onnx: str | None = None
    """The operator of ONNX, where there is one."""

    def __str__(self) -> str:
        rows = [
            ("f(z)", self.formula),
            ("f'(z)", self.derivative),
            ("range", self.output_range),
            ("saturates", self.saturates),
            ("not differentiable", self.not_differentiable),
            ("zero-centred", _yes(self.zero_centred)),
            ("monotonic", _yes(self.monotonic)),
            ("cost", self.cost),
            ("source", self.source),
        ]
        if self.parameter is not None:
            rows.append((self.symbol, f"{self.parameter}, default {self.default_alpha:g}"))
        if self.aliases:
            rows.append(("also called", ", ".join(self.aliases)))
        return "\n".join([self.name, *(f"  {label:<18}  {text}" for label, text in rows)])


ROWS: tuple[ActivationInfo, ...] = (
    ActivationInfo(
        name="identity",
        title="Identity",
        formula="z",
        derivative="1",
        output_range="(-inf, inf)",
        saturates="nowhere",
        not_differentiable="nowhere",
        zero_centred=True,
        monotonic=True,
        cost="copy",
        source="LeCun et al. (1998)",
        aliases=("linear",),
        layer="Identity",
        note="The result is a new array.",
        slope_from_output=True,
        onnx="Identity",
    ),
    ActivationInfo(
        name="binary_step",
        title="Binary step",
        formula="1 if z >= 0, else 0",
        derivative="0 (a Dirac impulse at 0, which no number represents)",
        output_range="{0, 1}",
        saturates="everywhere: gradients through it are 0",
        not_differentiable="z = 0; uses 0",
        zero_centred=False,
        monotonic=True,
        cost="arithmetic",
        source="McCulloch & Pitts (1943)",
        aliases=("heaviside", "threshold"),
        flat_below=math.inf,
        layer="BinaryStep",
        derivative_note="Nothing can be trained through a binary step.",
        corners=(0.0,),
        is_step=True,
        slope_from_output=True,
    ),
    ActivationInfo(
        name="sigmoid",
        title="Logistic function",
        formula="s = 1 / (1 + exp(-z))",
        derivative="s (1 - s), s = sigmoid(z), at most 1/4",
        output_range="(0, 1)",
        saturates="both sides: to 0 and to 1",
        not_differentiable="nowhere",
        zero_centred=False,
        monotonic=True,
        cost="one exp",
        source="LeCun et al. (1998)",
        aliases=("logistic",),
        flat_below=-4.3565,
        flat_above=4.3565,
        layer="Sigmoid",
        note="Computed without overflow.",
        derivative_note="Accurate where s is near 1 as well.",
        slope_from_output=True,
        onnx="Sigmoid",
    ),
    ActivationInfo(
        name="tanh",
        title="Hyperbolic tangent",
        formula="tanh(z) = 2 sigmoid(2 z) - 1",
        derivative="1 - tanh(z)^2, at most 1",
        output_range="(-1, 1)",
        saturates="both sides: to -1 and to 1",
        not_differentiable="nowhere",
        zero_centred=True,
        monotonic=True,
        cost="one exp",
        source="LeCun et al. (1998)",
        flat_below=-2.1783,
        flat_above=2.1783,
        layer="Tanh",
        derivative_note="Computed without cancellation for large |z|.",
        slope_from_output=True,
        bound=1.0,
        needs_registers=True,
        onnx="Tanh",
    ),
    ActivationInfo(
        name="relu",
        title="Rectified linear unit",
        formula="max(0, z)",
        derivative="1 if z > 0, else 0",
        output_range="[0, inf)",
        saturates="z < 0: to 0; a unit that is negative for all samples is dead",
        not_differentiable="z = 0; uses 0",
        zero_centred=False,
        monotonic=True,
        cost="arithmetic",
        source="Nair & Hinton (2010)",
        flat_below=0.0,
        layer="ReLU",
        initial_weights="he",
        corners=(0.0,),
        slope_from_output=True,
        onnx="Relu",
    ),
    ActivationInfo(
        name="leaky_relu",
        title="Leaky rectified linear unit",
        formula="z if z > 0, else alpha z",
        derivative="1 if z > 0, else alpha",
        output_range="(-inf, inf)",
        saturates="nowhere",
        not_differentiable="z = 0; uses alpha",
        zero_centred=False,
        monotonic=True,
        cost="arithmetic",
        source="Maas, Hannun & Ng (2013)",
        parameter="slope for z <= 0",
        default_alpha=0.01,
        aliases=("lrelu",),
        layer="LeakyReLU",
        initial_weights="he_with_slope",
        corners=(0.0,),
        slope_from_output=True,
        onnx="LeakyRelu",
    ),
    ActivationInfo(
        name="swish",
        title="Swish",
        formula="z s, s = sigmoid(beta z)",
        derivative="s + beta z s (1 - s), s = sigmoid(beta z)",
        output_range="[-0.2785 / beta, inf)",
        saturates="z -> -inf: to 0",
        not_differentiable="nowhere",
        zero_centred=False,
        monotonic=False,
        cost="one exp",
        source="Ramachandran, Zoph & Le (2017)",
        parameter="factor inside the sigmoid; 0 gives z/2, infinity gives relu",
        default_alpha=1.0,
        symbol="beta",
        aliases=("silu",),
        flat_below=-3.9299,
        layer="Swish",
        note="Also called SiLU for beta = 1.  It is z / 2 for beta = 0 and tends to relu for "
        "large beta.",
        initial_weights="he",
        trainable_parameter=True,
        special_formulas=((1.0, "silu"),),
        onnx="Swish",
    ),
    ActivationInfo(
        name="hard_swish",
        title="Hard swish",
        formula="z min(max(z + 3, 0), 6) / 6",
        derivative="0 if z <= -3, 1 if z >= 3, else (2 z + 3) / 6",
        output_range="[-3/8, inf)",
        saturates="z <= -3: 0",
        not_differentiable="z = -3; uses 0. z = 3; uses 1",
        zero_centred=False,
        monotonic=False,
        cost="arithmetic",
        source="Howard et al. (2019)",
        aliases=("hardswish",),
        flat_below=-3.0,
        layer="HardSwish",
        initial_weights="he",
        corners=(-3.0, 3.0),
        onnx="HardSwish",
    ),
    ActivationInfo(
        name="elu",
        title="Exponential linear unit",
        formula="z if z > 0, else alpha (exp(z) - 1)",
        derivative="1 if z > 0, else alpha exp(z)",
        output_range="(-alpha, inf)",
        saturates="z -> -inf: to -alpha",
        not_differentiable="z = 0 unless alpha = 1; uses alpha",
        zero_centred=False,
        monotonic=True,
        cost="one exp",
        source="Clevert, Unterthiner & Hochreiter (2015)",
        parameter="minus the limit at -inf",
        default_alpha=1.0,
        flat_below=-2.9957,
        layer="ELU",
        initial_weights="he",
        corners=(0.0,),
        slope_from_output=True,
        onnx="Elu",
    ),
    ActivationInfo(
        name="selu",
        title="Scaled exponential linear unit",
        formula="1.0507 (z if z > 0, else 1.6733 (exp(z) - 1))",
        derivative="1.0507 if z > 0, else 1.7581 exp(z)",
        output_range="(-1.7581, inf)",
        saturates="z -> -inf: to -1.7581",
        not_differentiable="z = 0; uses 1.7581",
        zero_centred=False,
        monotonic=True,
        cost="one exp",
        source="Klambauer et al. (2017)",
        flat_below=-2.9957,
        layer="SELU",
        note="The constants 1.0507009873554805 and 1.6732632423543772 make mean 0 and variance 1 "
        "a fixed point of a layer with LeCun-normal weights.",
        initial_weights="lecun",
        corners=(0.0,),
        slope_from_output=True,
        onnx="Selu",
    ),
    ActivationInfo(
        name="softplus",
        title="Softplus",
        formula="log(1 + exp(z))",
        derivative="sigmoid(z)",
        output_range="(0, inf)",
        saturates="z -> -inf: to 0",
        not_differentiable="nowhere",
        zero_centred=False,
        monotonic=True,
        cost="exp and log",
        source="Dugas et al. (2000)",
        flat_below=-2.9444,
        layer="Softplus",
        note="Computed without overflow.",
        initial_weights="he",
        onnx="Softplus",
    ),
    ActivationInfo(
        name="gelu",
        title="Gaussian error linear unit",
        formula="z Phi(z), Phi the standard normal distribution function",
        derivative="Phi(z) + z phi(z), phi the standard normal density",
        output_range="[-0.1700, inf)",
        saturates="z -> -inf: to 0",
        not_differentiable="nowhere",
        zero_centred=False,
        monotonic=False,
        cost="erf",
        source="Hendrycks & Gimpel (2016)",
        flat_below=-2.2786,
        layer="GELU",
        initial_weights="he",
        onnx="Gelu",
    ),
    ActivationInfo(
        name="gelu_tanh",
        title="Tanh form of gelu",
        formula="z (1 + tanh(u)) / 2, u = sqrt(2/pi) (z + 0.044715 z^3)",
        derivative="s + 2 z u' s (1 - s), s = sigmoid(2 u), u that of the formula",
        output_range="[-0.1700, inf)",
        saturates="z -> -inf: to 0",
        not_differentiable="nowhere",
        zero_centred=False,
        monotonic=False,
        cost="one exp",
        source="Hendrycks & Gimpel (2016)",
        flat_below=-2.2857,
        layer="GELU",
        note="An approximation of gelu, within 5e-4 of it.",
        derivative_note="It approximates the derivative of gelu.",
        initial_weights="he",
        onnx="Gelu",
    ),
    ActivationInfo(
        name="mish",
        title="Mish",
        formula="z t, t = tanh(softplus(z))",
        derivative="t + z (1 - t^2) sigmoid(z), t = tanh(softplus(z))",
        output_range="[-0.3088, inf)",
        saturates="z -> -inf: to 0",
        not_differentiable="nowhere",
        zero_centred=False,
        monotonic=False,
        cost="one exp",
        source="Misra (2019)",
        flat_below=-3.9813,
        layer="Mish",
        initial_weights="he",
        onnx="Mish",
    ),
    ActivationInfo(
        name="zero_indicator",
        title="Zero indicator",
        formula="1 if z = 0, else 0",
        derivative="0",
        output_range="{0, 1}",
        saturates="everywhere: gradients through it are 0",
        not_differentiable="z = 0; uses 0",
        zero_centred=False,
        monotonic=False,
        cost="arithmetic",
        source="McCulloch & Pitts (1943)",
        flat_below=math.inf,
        layer="ZeroIndicator",
        derivative_note="Nothing can be trained through a zero indicator.",
        corners=(0.0,),
        is_step=True,
        slope_from_output=True,
    ),
    ActivationInfo(
        name="softsign",
        title="Softsign",
        formula="z / (1 + |z|)",
        derivative="1 / (1 + |z|)^2, at most 1",
        output_range="(-1, 1)",
        saturates="both sides: to -1 and to 1, slowly",
        not_differentiable="nowhere",
        zero_centred=True,
        monotonic=True,
        cost="arithmetic",
        source="Turian, Bergstra & Bengio (2009)",
        flat_below=-3.4721,
        flat_above=3.4721,
        layer="Softsign",
        slope_from_output=True,
        onnx="Softsign",
    ),
)
"""In the order of the codes that the compiled core uses."""

_REGISTRY = {info.name: info for info in ROWS}

_ALIASES = {alias: info.name for info in _REGISTRY.values() for alias in info.aliases}


def names() -> tuple[str, ...]:
    """The names of all elementwise activations."""
    return tuple(_REGISTRY)


def get(name: str) -> ActivationInfo:
    """The facts about the activation called `name`.

    Parameters
    ----------
    name : str
        A name in `names()` or an alias, such as "silu" for swish.

    Returns
    -------
    ActivationInfo

    Raises
    ------
    TypeError
        If it is not a string.
    ValueError
        If there is no such activation; the message lists those there are.
    """
    if not isinstance(name, str):
        raise TypeError(f"activation must be a string, got {type(name).__name__}")
    info = _REGISTRY.get(_ALIASES.get(name, name))
    if info is None:
        raise ValueError(f"unknown activation {name!r}; known are {', '.join(_REGISTRY)}")
    return info


def flat_range(name: str, alpha: float | None = None) -> tuple[float, float]:
    """Where an activation is saturated: at z <= the first number and z >= the second.

    There f' tends to 0, and |f'(z)| has come down to 1/20 of its largest value.

    Parameters
    ----------
    name : str
        As in `get`.
    alpha : float, optional
        Parameter of the activation; its default if None.

    Returns
    -------
    low, high : float
        Infinite on a side where it does not saturate.
    """
    info = get(name)
    if alpha is None or alpha == info.default_alpha:
        return info.flat_below, info.flat_above
    if info.name == "swish":  # f(z) = g(beta z) / beta
        bounds = sorted([_over(info.flat_below, alpha), _over(info.flat_above, alpha)])
        return bounds[0], bounds[1]
    if info.name == "elu":  # f'(z) = |alpha| exp(z) below 0, 1 above
        size = abs(alpha)
        return (min(0.0, math.log(max(1.0, size) / 20 / size)) if size else 0.0), math.inf
    return (0.0 if alpha == 0 else -math.inf), math.inf  # leaky ReLU with slope 0 is ReLU


def corners(name: str, alpha: float | None = None) -> tuple[float, ...]:
    """Where an activation passes from one formula to another.

    Parameters
    ----------
    name : str
        As in `get`.
    alpha : float, optional
        Parameter of the activation; its default if None.
    """
    info = get(name)
    if info.name == "swish" and alpha is not None and math.isinf(alpha):
        return (0.0,)  # relu
    if info.name == "leaky_relu" and alpha == 1:
        return ()  # the identity
    return info.corners


def _over(bound: float, beta: float) -> float:
    """Return bound / beta; a function that is linear (beta 0) has no bound."""
    return bound / beta if beta else math.copysign(math.inf, bound)


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
