"""Layers whose forward and backward pass are written in Python by the caller."""

from __future__ import annotations

import functools
import inspect
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn._shared.arrays import read_only
from fastnn._shared.numbers import check_flag, check_integer, check_seed
from fastnn.initializers import Initializer, fitting
from fastnn.layers._base import Layer
from fastnn.layers._merges import call_on_list
from fastnn.layers._tensor import check_name
from fastnn.program import ProgramBuilder

Arrays = np.ndarray | tuple[np.ndarray, ...]
"""Input of a custom layer: an array, or a tuple of arrays for several inputs."""

_COMMON = ("name", "trainable", "dtype", "seed")


class CustomLayer(Layer):
    """Base class of layers in Python; a subclass defines `forward_pass` and `backward_pass`.

    Both engines call these methods with all rows of a batch at once.  The arrays are read-only
    views of the engine's buffers, without padding but with strides; they are valid during the
    call only.  An exception is raised to the caller with a note that names the layer, and no
    optimizer step is taken.  A gradient that is not finite ends training with `TrainingError`,
    also without a step.  The constructor's arguments are recorded: copies, pickles and files
    create the layer again from them, so the constructor must not take ``*args``.

    A layer may be called several times in a network, and by several threads in a `Predictor`.
    `backward_pass` must therefore compute from its arguments, not from values that an earlier
    call stored in the layer.

    Parameters
    ----------
    name, trainable, dtype, seed
        See `Layer`.

    Attributes
    ----------
    n_inputs : int or None
        Class attribute: number of inputs, by default 1; None accepts any number.  A layer with
        another number than 1 is called on a list; its passes receive and return tuples.

    See Also
    --------
    fastnn.CustomLoss : a loss computed in Python.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> class Centering(fnn.CustomLayer):
    ...     def forward_pass(self, x, parameters, training):
    ...         return x - x.mean(axis=1, keepdims=True)
    ...     def backward_pass(self, dy, x, y, parameters):
    ...         return dy - dy.mean(axis=1, keepdims=True), {}
    >>> Centering()([[1.0, 3.0]])
    array([[-1.,  1.]], dtype=float32)
    """

    n_inputs: ClassVar[int | None] = 1
    _options: dict[str, Any]
    _declared: dict[str, tuple[tuple[int, ...], Initializer, bool]]

    def __init_subclass__(cls, **options: Any) -> None:
        """Derive the names of unnamed layers from the class: RadialBasis gives radial_basis_1."""
        super().__init_subclass__(**options)
        if "kind" not in vars(cls):
            cls.kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        if "__init__" in vars(cls):
            cls.__init__ = _remembering(cls)  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: DTypeLike | None = None,
        seed: int | None = None,
    ) -> None:
        self._remember({})
        super().__init__(name=name, trainable=trainable, dtype=dtype, seed=seed)

    def _remember(self, options: Mapping[str, object]) -> None:
        """Record the arguments of the outermost constructor, which is the first to call this."""
        if "_options" not in vars(self):
            self._options = {key: value for key, value in options.items() if key not in _COMMON}
            self._declared = {}

    # ------------------------------------------------ what a subclass defines

    @abstractmethod
    def forward_pass(
        self, x: Arrays, parameters: Mapping[str, np.ndarray], training: bool
    ) -> np.ndarray:
        """The output for all rows of a batch.

        In training one call receives all rows of the batch.  Prediction calls the method on
        blocks of any number of rows: there the output of a row must depend on this row only.

        Parameters
        ----------
        x : (N, width) array, or a tuple of them for several inputs
        parameters : mapping of str to array
            Read-only views.
        training : bool
            False in prediction and evaluation, also with Monte-Carlo dropout.

        Returns
        -------
        (N, width) array
            The width is that of `output_width`; converted to the dtype of the network.
        """

    @abstractmethod
    def backward_pass(
        self, dy: np.ndarray, x: Arrays, y: np.ndarray, parameters: Mapping[str, np.ndarray]
    ) -> tuple[Any, Mapping[str, np.ndarray]]:
        """Gradients by the chain rule, for all rows of a batch.

        Parameters
        ----------
        dy : (N, width) array
            Gradient of the cost with respect to the output.
        x, y : arrays
            Input and output of `forward_pass`.
        parameters : mapping of str to array

        Returns
        -------
        dx : array, or sequence of arrays for several inputs
            Gradient with respect to each input, with the shape of the input.
        gradients : mapping of str to array
            Gradient with respect to each parameter, summed over the rows; ``{}`` without
            parameters.
        """

    def add_parameter(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: str | Initializer | Mapping[str, object] | ArrayLike = "zeros",
        *,
        penalized: bool = False,
    ) -> None:
        """Declare a parameter; call this in the constructor.

        Parameters
        ----------
        name : str
            Key of the parameter in `parameters`.
        shape : tuple of one or two int
        initializer : str, Initializer or array_like, default "zeros"
            Initial values.
        penalized : bool, default False
            Whether weight decay and the L2 penalty of `compile` apply to the parameter.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid, or a parameter with this name exists.
        """
        if check_name(name) is None or name in self._declared:
            raise ValueError(
                f"parameter {name!r} of {type(self).__name__} needs a name that is not in use"
            )
        shape = tuple(check_integer(n, f"shape of {name}", 1) for n in shape)
        if len(shape) not in (1, 2):
            raise ValueError(f"parameter {name!r} must have 1 or 2 dimensions, got {shape}")
        rule = fitting(initializer, name, shape)
        self._declared[name] = shape, rule, check_flag(penalized, "penalized")

    # ------------------------------------------------------ what a layer is

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter by its name."""
        return {name: shape for name, (shape, _, _) in self._declared.items()}

    @property
    def initializers(self) -> dict[str, Initializer]:
        """Initializer of each parameter by its name."""
        return {name: rule for name, (_, rule, _) in self._declared.items()}

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the constructor that only this kind of layer has."""
        return dict(self._options)

    @property
    def _arguments(self) -> dict[str, Any]:
        return self.config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> CustomLayer:
        """The layer that `config` describes; the constructor need not take name and seed."""
        layer = cls(**{key: value for key, value in config.items() if key not in _COMMON})
        layer.name = check_name(config["name"])
        layer.trainable = config.get("trainable", True)
        seed = config.get("seed")
        layer.seed = None if seed is None else check_seed(seed)
        return layer

    def declare(self, builder: ProgramBuilder, name: str) -> list[int]:
        """Declare the parameters, once per program."""
        return [
            builder.parameter(f"{name}.{key}", shape, trainable=self.trainable, penalized=penalized)
            for key, (shape, _, penalized) in self._declared.items()
        ]

    def emit(
        self,
        builder: ProgramBuilder,
        name: str,
        inputs: Sequence[int],
        parameters: Sequence[int],
    ) -> int:
        """Append the call of the layer; its output is the buffer ``<name>.A``."""
        widths = [builder.buffers[i].width for i in inputs]
        width = self.output_width(widths, [builder.buffers[i].name for i in inputs])
        return builder.add("python", inputs, f"{name}.A", parameters, layer=self, width=width)

    def check_count(self, n: int) -> None:
        """Raise ValueError if the layer does not accept `n` inputs."""
        if n < 1 or (self.n_inputs is not None and n != self.n_inputs):
            need = "at least one input" if self.n_inputs is None else f"{self.n_inputs} inputs"
            raise ValueError(f"layer {self.label} takes {need}, got {n}")

    def __call__(self, x: object, training: bool = True) -> Any:
        """Apply the layer to a tensor or an array, or to a list of them; see `Layer`."""
        if self.n_inputs == 1:
            return super().__call__(x, training)
        return call_on_list(self, x, training)

    def backward(self, dy: object) -> Any:
        """Gradient of the last call on arrays; for several inputs, a tuple of gradients."""
        gradients = self._backward(dy)
        return gradients[0] if self.n_inputs == 1 else tuple(gradients)

    # ----------------------------------------------------------- for engines

    def run_forward(
        self,
        inputs: Sequence[np.ndarray],
        parameters: Sequence[np.ndarray],
        training: bool,
        shape: tuple[int, int],
    ) -> np.ndarray:
        """Call `forward_pass` and check its result.

        Parameters
        ----------
        inputs : sequence of (N, width) arrays
        parameters : sequence of arrays, in the order of `shapes`
        training : bool
        shape : (int, int)
            Shape of the output.
        """
        try:
            y = self.forward_pass(self._inputs(inputs), self._named(parameters), training)
            return self._checked(y, shape, "forward_pass", "the output")
        except Exception as error:
            error.add_note(f"in forward_pass of layer {self.label}")
            raise

    def run_backward(
        self,
        dy: np.ndarray,
        inputs: Sequence[np.ndarray],
        y: np.ndarray,
        parameters: Sequence[np.ndarray],
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Call `backward_pass` and check its result.

        Parameters
        ----------
        dy, y : (N, width) arrays
        inputs : sequence of (N, width) arrays
        parameters : sequence of arrays, in the order of `shapes`

        Returns
        -------
        list of array
            Gradient with respect to each input.
        list of array
            Gradient with respect to each parameter, in the order of `shapes`.
        """
        try:
            result = self.backward_pass(
                read_only(dy), self._inputs(inputs), read_only(y), self._named(parameters)
            )
            return self._split(result, [x.shape for x in inputs])
        except Exception as error:
            error.add_note(f"in backward_pass of layer {self.label}")
            raise

    def _inputs(self, inputs: Sequence[np.ndarray]) -> Arrays:
        if self.n_inputs == 1:
            return read_only(inputs[0])
        return tuple(map(read_only, inputs))

    def _named(self, parameters: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        return {key: read_only(p) for key, p in zip(self._declared, parameters, strict=True)}

    def _split(
        self, result: object, shapes: Sequence[tuple[int, ...]]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The result of `backward_pass` as two lists of arrays with checked shapes."""
        where = "backward_pass"
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], Mapping):
            raise TypeError(
                f"{where} of layer {self.label} must return (dx, gradients), where gradients is a "
                f"dict by parameter, {{}} without parameters; got {_described(result)}"
            )
        dx, by_name = result
        parts = [dx] if self.n_inputs == 1 else list(dx)
        if len(parts) != len(shapes):
            raise ValueError(
                f"{where} of layer {self.label} returned gradients of {len(parts)} inputs, "
                f"expected {len(shapes)}"
            )
        if set(by_name) != set(self._declared):
            raise ValueError(
                f"{where} of layer {self.label} returned gradients of {sorted(by_name)}, "
                f"expected those of {sorted(self._declared)}"
            )
        names = ["dx"] if len(parts) == 1 else [f"dx[{i}]" for i in range(len(parts))]
        checked = [
            self._checked(part, shape, where, name)
            for part, shape, name in zip(parts, shapes, names, strict=True)
        ]
        gradients = [
            self._checked(by_name[key], shape, where, f"the gradient of {key!r}")
            for key, shape in self.shapes.items()
        ]
        return checked, gradients

    def _checked(self, array: object, shape: tuple[int, ...], where: str, what: str) -> np.ndarray:
        """The array; TypeError or ValueError if its dtype or shape is wrong."""
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            raise TypeError(
                f"{what} that {where} of layer {self.label} returned must be an array of real "
                f"numbers, got {_described(array)}"
            )
        if array.shape != shape:
            raise ValueError(
                f"{what} that {where} of layer {self.label} returned must have "
                f"shape {shape}, got {array.shape}"
            )
        return array


def _remembering(cls: type[CustomLayer]) -> Callable[..., None]:
    """The constructor of a class, extended to record its arguments."""
    init = cls.__init__
    signature = inspect.signature(init)
    rest = ""
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise TypeError(
                f"the constructor of {cls.__name__} takes {parameter} by position only; a custom "
                "layer is created again from arguments by name"
            )
        if parameter.kind is parameter.VAR_KEYWORD:
            rest = parameter.name

    @functools.wraps(init)
    def remember(self: CustomLayer, *args: object, **kwargs: Any) -> None:
        _, *arguments = signature.bind(self, *args, **kwargs).arguments.items()
        options = dict(arguments)
        self._remember({**options.pop(rest, {}), **options})
        init(self, *args, **kwargs)

    return remember


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return type(value).__name__
