"""Layers whose forward and backward pass are Python functions of the caller's."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn._shared.arrays import read_only
from fastnn._shared.numbers import check_flag, check_integer
from fastnn.initializers import Initializer, fitting
from fastnn.layers._base import Layer
from fastnn.layers._merges import call_on_list
from fastnn.layers._tensor import check_name
from fastnn.program import ProgramBuilder

Arrays = np.ndarray | tuple[np.ndarray, ...]
"""What a layer is called on: one array, or a tuple of them where it takes several inputs."""

_COMMON = ("name", "trainable", "dtype", "seed")


class CustomLayer(Layer):
    """Base of layers computed in Python; subclasses define `forward_pass` and `backward_pass`.

    Both engines call them with all rows of a batch at once: read-only views of their own
    buffers, without padding but with strides, valid during the call alone.  An exception passes
    on to the caller with a note that names the layer, and no optimizer step is taken; nor is one
    with a gradient that is not finite, which ends training with `TrainingError`.  The
    constructor's arguments are remembered: copies, pickles and files make the layer anew
    from them, so they are given by name or position, not as ``*args``.

    A layer may be called several times in a network, and by several threads in a `Predictor`:
    take what `backward_pass` needs from its arguments, and do not keep it in the layer.

    Parameters
    ----------
    name, trainable, dtype, seed
        See `Layer`.

    Attributes
    ----------
    n_inputs : int or None
        Class attribute: number of inputs, 1 unless a subclass says otherwise; None: any number.
        A layer with another number than 1 is called on a list, and its passes
        are given and return tuples.

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
    _given: dict[str, Any]
    _declared: dict[str, tuple[tuple[int, ...], Initializer, bool]]

    def __init_subclass__(cls, **options: Any) -> None:
        """Unnamed layers are called after their class: RadialBasis becomes radial_basis_1."""
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

    def _remember(self, given: Mapping[str, Any]) -> None:
        """Note the arguments of the outermost constructor, which is the first to call this."""
        if "_given" not in vars(self):
            self._given = {key: value for key, value in given.items() if key not in _COMMON}
            self._declared = {}

    # ------------------------------------------------ what a subclass defines

    def forward_pass(
        self, x: Arrays, parameters: Mapping[str, np.ndarray], training: bool
    ) -> np.ndarray:
        """The output for all rows of a batch.

        In training all rows of the batch come in one call.  Prediction calls it on blocks of
        rows of any size: there every row must be treated by itself.

        Parameters
        ----------
        x : (N, width) array, or a tuple of them for several inputs
        parameters : mapping of str to array
            Read-only views.
        training : bool
            False in prediction and evaluation, with Monte-Carlo dropout too.

        Returns
        -------
        (N, width) array
            As wide as `output_width` says; converted to the network's dtype.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward_pass")

    def backward_pass(
        self, dy: np.ndarray, x: Arrays, y: np.ndarray, parameters: Mapping[str, np.ndarray]
    ) -> tuple[Any, Mapping[str, np.ndarray]]:
        """Gradients by the chain rule, for all rows of a batch.

        Parameters
        ----------
        dy : (N, width) array
            Gradient of the cost with respect to the output.
        x, y : arrays
            What `forward_pass` was given and returned.
        parameters : mapping of str to array

        Returns
        -------
        dx : array, or sequence of arrays for several inputs
            Gradient with respect to each input, of its shape.
        gradients : mapping of str to array
            Gradient with respect to each parameter, summed over the rows; ``{}`` without any.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define backward_pass")

    def add_parameter(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: str | Initializer | Mapping[str, Any] | ArrayLike = "zeros",
        *,
        penalized: bool = False,
    ) -> None:
        """Declare a parameter; for constructors.

        Parameters
        ----------
        name : str
            Its key in `parameters`.
        shape : tuple of one or two int
        initializer : str, Initializer or array_like, default "zeros"
            Its initial values.
        penalized : bool, default False
            Whether weight decay and the L2 penalty of `compile` apply to it.

        Raises
        ------
        TypeError, ValueError
            If it does not describe a parameter, or there is one of this name.
        """
        if check_name(name) is None or name in self._declared:
            raise ValueError(f"parameter {name!r} of {type(self).__name__} has no name of its own")
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
        """The arguments of the constructor that are this kind's own, as given."""
        return dict(self._given)

    @property
    def _arguments(self) -> dict[str, Any]:
        return self.config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> CustomLayer:
        """The layer that `config` describes; its constructor need not take name and seed."""
        layer = cls(**{key: value for key, value in config.items() if key not in _COMMON})
        layer.name = check_name(config["name"])
        layer.trainable = config.get("trainable", True)
        seed = config.get("seed")
        layer.seed = None if seed is None else check_integer(seed, "seed", 0)
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
        """Append the call of the layer; its output is buffer ``<name>.A``."""
        widths = [builder.buffers[i].width for i in inputs]
        width = self.output_width(widths, [builder.buffers[i].name for i in inputs])
        return builder.add("python", inputs, f"{name}.A", parameters, layer=self, width=width)

    def check_count(self, n: int) -> None:
        """Raise ValueError if the layer does not take `n` inputs."""
        if n < 1 or (self.n_inputs is not None and n != self.n_inputs):
            need = "at least one input" if self.n_inputs is None else f"{self.n_inputs} inputs"
            raise ValueError(f"layer {self.label} takes {need}, got {n}")

    def __call__(self, x: Any, training: bool = True) -> Any:
        """Apply the layer to a tensor or an array, or to a list of them; see `Layer`."""
        if self.n_inputs == 1:
            return super().__call__(x, training)
        return call_on_list(self, x, training)

    def backward(self, dy: Any) -> Any:
        """Gradients for the last call on arrays: one, or a tuple where there are several inputs."""
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
        """Call `forward_pass` and check what it returns.

        Parameters
        ----------
        inputs : sequence of (N, width) arrays
        parameters : sequence of arrays, in the order of `shapes`
        training : bool
        shape : (int, int)
            Of the output.
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
        """Call `backward_pass` and check what it returns.

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
            found = self.backward_pass(
                read_only(dy), self._inputs(inputs), read_only(y), self._named(parameters)
            )
            return self._split(found, [x.shape for x in inputs])
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
        self, found: Any, shapes: Sequence[tuple[int, ...]]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """What `backward_pass` returned as lists of arrays of the right shapes."""
        where = "backward_pass"
        if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[1], Mapping):
            raise TypeError(
                f"{where} of layer {self.label} must return (dx, gradients) with a dict of the "
                f"parameters' gradients, {{}} without any; got {_described(found)}"
            )
        dx, by_name = found
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

    def _checked(self, array: Any, shape: tuple[int, ...], where: str, what: str) -> np.ndarray:
        """The array, if it is one of real numbers of this shape."""
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            raise TypeError(
                f"{what} that {where} of layer {self.label} returned must be an array of real "
                f"numbers, got {_described(array)}"
            )
        if array.shape != shape:
            raise ValueError(
                f"{what} that {where} of layer {self.label} returned has shape {array.shape}, "
                f"expected {shape}"
            )
        return array


def _remembering(cls: type[CustomLayer]) -> Callable[..., None]:
    """The constructor of a class, which notes its arguments before it starts."""
    init = cls.__init__
    signature = inspect.signature(init)
    rest = ""
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise TypeError(
                f"the constructor of {cls.__name__} takes {parameter} by position alone; a custom "
                "layer is made again from its arguments by name"
            )
        if parameter.kind is parameter.VAR_KEYWORD:
            rest = parameter.name

    @functools.wraps(init)
    def remember(self: CustomLayer, *args: Any, **kwargs: Any) -> None:
        _, *given = signature.bind(self, *args, **kwargs).arguments.items()
        named = dict(given)
        self._remember({**named.pop(rest, {}), **named})
        init(self, *args, **kwargs)

    return remember


def _described(found: Any) -> str:
    if isinstance(found, np.ndarray):
        return f"an array of {found.dtype}"
    return type(found).__name__
