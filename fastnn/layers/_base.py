"""The base class of layers: parameters, and calls on arrays and on tensors."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn import backend
from fastnn._shared.arrays import as_matrix, as_real, check_shape
from fastnn._shared.fields import entry
from fastnn._shared.numbers import check_flag, check_seed
from fastnn._shared.views import Views
from fastnn.initializers import Explicit, Initializer, generator
from fastnn.layers._eager import OneLayer
from fastnn.layers._tensor import Tensor, check_dtype, check_name
from fastnn.program import Program, ProgramBuilder


class Layer(ABC):
    """Base class of all layers.

    A layer declares its shapes, its parameters, their initial values, and the
    operations that it adds to a program.  It can be called in two ways:

    - on a tensor: the layer becomes part of a graph and returns a new tensor;
    - on an array: a program of this single layer computes the output, and keeps
      the values that `backward` needs.

    Parameters
    ----------
    name : str, optional
        Name of the layer.  A network names unnamed layers by kind and order of
        appearance: dense_1, relu_1...
    trainable : bool, default True
        False freezes the parameters.  A change takes effect at the next `compile`.
    dtype : {"float32", "float64"}, optional
        Dtype of calls on arrays; the dtype of a network replaces it.  With None a
        float64 array is computed in float64, every other array in float32.
        A layer with parameters keeps the dtype of its first call.
    seed : int, optional
        Seed of the initial values and of the dropout masks.  With None the layer uses the
        seed of its network, or fresh entropy outside a network.
    """

    kind: str = "layer"
    """Prefix of automatic names."""

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: DTypeLike | None = None,
        seed: int | None = None,
    ) -> None:
        self.name = check_name(name)
        self.trainable = trainable
        self.seed = None if seed is None else check_seed(seed)
        self._dtype = None if dtype is None else check_dtype(dtype)
        self._drawn_seed: int | None = None
        self._storage: np.ndarray | None = None
        self._network: str | None = None
        self._programs: dict[Any, OneLayer] = {}
        self._last: OneLayer | None = None

    # ------------------------------------------------ what a kind of layer defines

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter by its name, such as ``"weight"``."""
        return {}

    @property
    def initializers(self) -> dict[str, Initializer]:
        """Initializer of each parameter by its name."""
        return {}

    @property
    def is_random(self) -> bool:
        """Whether the layer draws random numbers, so that its seed has an effect."""
        return bool(self.shapes)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that only this kind of layer has, as JSON-able data."""
        return {}

    def output_width(self, widths: Sequence[int], labels: Sequence[str]) -> int:
        """Width of the output for inputs of these widths.

        Parameters
        ----------
        widths : sequence of int
        labels : sequence of str
            Names of the inputs for error messages.

        Raises
        ------
        ValueError
            If the layer does not accept these widths.
        """
        return widths[0]

    @abstractmethod
    def emit(
        self,
        builder: ProgramBuilder,
        name: str,
        inputs: Sequence[int],
        parameters: Sequence[int],
    ) -> int:
        """Append the operations of one call to a program.

        Parameters
        ----------
        builder : ProgramBuilder
        name : str
            Prefix of the buffer names.
        inputs : sequence of int
            Indices of the input buffers.
        parameters : sequence of int
            Indices of the layer's parameters, in the order of `shapes`.

        Returns
        -------
        int
            Index of the output buffer.
        """

    def declare(self, builder: ProgramBuilder, name: str) -> list[int]:
        """Declare the parameters, once per program.

        Parameters
        ----------
        builder : ProgramBuilder
        name : str
            Name of the layer in the program.

        Returns
        -------
        list of int
            Indices of the parameters, in the order of `shapes`.
        """
        return [
            builder.parameter(
                f"{name}.{key}", shape, trainable=self.trainable, penalized=key == "weight"
            )
            for key, shape in self.shapes.items()
        ]

    # --------------------------------------------------------------- calls

    def __call__(self, x: object, training: bool = True) -> Any:
        """Apply the layer.

        Parameters
        ----------
        x : Tensor, or (N, n_in) or (n_in,) array_like
            An array is copied and converted to the layer's dtype.
        training : bool, default True
            For arrays: True activates dropout and keeps the values that `backward` needs.

        Returns
        -------
        Tensor or array
            A tensor for a tensor; for an array, a new array (N, n_out), or
            (n_out,) if x is a single row.

        Raises
        ------
        TypeError, ValueError
            If x does not hold real numbers, is empty, or has a wrong width.
        """
        if isinstance(x, Tensor):
            return self.connect((x,))
        self._refuse_symbols(x)
        return self._compute([x], ["x"], training)

    def backward(self, dy: object) -> Any:
        """Gradients of the last call on an array, by the chain rule; fills `gradients`.

        Parameters
        ----------
        dy : (N, n_out) or (n_out,) array_like
            Gradient of a cost with respect to the output of that call.

        Returns
        -------
        array
            Gradient with respect to x.

        Raises
        ------
        RuntimeError
            If the layer has not been called on an array with training=True.
        """
        return self._backward(dy)[0]

    def connect(self, tensors: Sequence[Tensor]) -> Tensor:
        """Call the layer on the tensors of a graph and return the output tensor.

        Raises
        ------
        ValueError
            If the layer does not accept the tensors, or already belongs to a network.
        """
        self.check_free()
        self.check_count(len(tensors))
        widths = [tensor.width for tensor in tensors]
        width = self.output_width(widths, [tensor.label for tensor in tensors])
        return Tensor(width, self, tuple(tensors))

    def check_free(self) -> None:
        """Raise ValueError if the layer already belongs to a network."""
        if self._network is not None:
            raise ValueError(
                f"layer {self.label} belongs to {self._network} and cannot join another; "
                "use layer.copy() for a new layer with the same values"
            )

    def check_width(self, expected: int, width: int, label: str) -> None:
        """Check the width of an input.

        Parameters
        ----------
        expected, width : int
            The width that the layer expects, and the width of the input.
        label : str
            Name of the input for error messages.

        Raises
        ------
        ValueError
            If the two widths differ.
        """
        if width != expected:
            raise ValueError(
                f"layer {self.label} takes inputs of width {expected}, "
                f"but {label} has width {width}"
            )

    def _refuse_symbols(self, x: object) -> None:
        """Raise TypeError for layers and for lists of tensors, which are no arrays."""
        if isinstance(x, Layer):
            raise TypeError(
                f"layer {self.label} is called on the layer {x.label}, expected a tensor or an "
                f"array: call {x.label} on a tensor or an array first"
            )
        if isinstance(x, (list, tuple)) and any(isinstance(part, Tensor) for part in x):
            raise TypeError(
                f"layer {self.label} takes one tensor, got a list of {len(x)}; "
                "merge them first, by Concatenate or Add for example"
            )

    def check_count(self, n: int) -> None:
        """Raise ValueError if the layer does not accept `n` inputs."""
        if n != 1:
            raise ValueError(f"layer {self.label} takes one input, got {n}")

    def _compute(
        self, values: Sequence[object], names: Sequence[str], training: bool
    ) -> np.ndarray:
        arrays = [as_real(x, name) for x, name in zip(values, names, strict=True)]
        single = all(x.ndim == 1 for x in arrays)
        if single:
            arrays = [x[None, :] for x in arrays]
        widths = tuple(x.shape[-1] if x.ndim else 0 for x in arrays)
        for x, width, name in zip(arrays, widths, names, strict=True):
            as_matrix(x, name, width)
            if len(x) != len(arrays[0]):
                raise ValueError(
                    f"{name} must have {len(arrays[0])} rows as {names[0]} has, got {len(x)}"
                )
        self.output_width(widths, names)
        self._last = self._one_layer(widths, self._dtype or _natural_dtype(arrays))
        return self._last.forward(arrays, check_flag(training, "training"), single)

    def _one_layer(self, widths: tuple[int, ...], dtype: np.dtype) -> OneLayer:
        key = (widths, dtype, self.trainable, backend.instruction_set())
        if key not in self._programs:
            self._programs[key] = OneLayer(self, widths, self._values(dtype))
        return self._programs[key]

    def _backward(self, dy: object) -> list[np.ndarray]:
        if self._last is None:
            raise RuntimeError(
                "backward needs a call of the layer on an array with training=True before it"
            )
        return self._last.backward(as_real(dy, "dy"))

    # ---------------------------------------------------------- parameters

    @property
    def parameters(self) -> Views:
        """Live views of the parameters by name; writing into them changes the layer.

        ``layer.parameters["weight"] = w`` copies `w` into the layer.  A layer
        outside a network draws its initial values at their first use.
        """
        return Views(self._views(self._values(self._dtype or np.dtype(np.float32))))

    @property
    def gradients(self) -> Views:
        """Gradient of each parameter by name, computed by the last `backward`.

        Raises
        ------
        RuntimeError
            If `backward` has not been called since the last call.
        """
        if self._last is None or self._last.gradients is None:
            raise RuntimeError("there are no gradients before a call of backward")
        return Views(self._views(self._last.gradients))

    @property
    def network(self) -> str | None:
        """Name of the layer's network in error messages; None outside a network."""
        return self._network

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def has_values(self) -> bool:
        """Whether the parameters have values; otherwise only their initializers are known."""
        return self._storage is not None

    def initial_values(self, seed: int, index: int = 0) -> dict[str, np.ndarray]:
        """New float64 initial values by parameter name.

        Parameters
        ----------
        seed : int
            Seed of the network; the seed of the layer, if set, replaces it.
        index : int
            Index of the layer's first parameter in the network.
        """
        if self.seed is not None:
            seed, index = self.seed, 0
        rules = self.initializers
        return {
            key: rules[key](shape, generator(seed, index + i))
            for i, (key, shape) in enumerate(self.shapes.items())
        }

    @property
    def entropy(self) -> int:
        """The seed of a layer outside a network: its `seed`, or one that is drawn once."""
        if self.seed is not None:
            return self.seed
        if self._drawn_seed is None:
            self._drawn_seed = int(np.random.SeedSequence().generate_state(1)[0])
        return self._drawn_seed

    def attach(self, network: str, name: str, storage: np.ndarray) -> None:
        """Make the layer part of a network; networks call this.

        Parameters
        ----------
        network : str
            Name of the network for error messages.
        name : str
            Name of the layer in the network.
        storage : flat array
            Array that holds the layer's parameters from now on.
        """
        self._network = network
        self.name = name
        self._storage = storage
        self._dtype = storage.dtype
        self._programs.clear()
        self._last = None

    def _values(self, dtype: np.dtype) -> np.ndarray:
        """The storage of the parameters; a new one is filled with initial values."""
        if not self.shapes:
            return np.zeros(0, dtype)
        if self._storage is None:
            self._fill(self.initial_values(self.entropy), dtype)
        assert self._storage is not None
        return self._storage

    def _fill(self, values: Mapping[str, np.ndarray], dtype: np.dtype) -> None:
        """Give a layer outside a network a storage with these values."""
        self._storage = self._parameter_program(dtype).allocate()
        for key, view in self._views(self._storage).items():
            view[...] = values[key]

    def _views(self, storage: np.ndarray) -> dict[str, np.ndarray]:
        parameters = self._parameter_program(storage.dtype).parameters
        return {key: p.view(storage) for key, p in zip(self.shapes, parameters, strict=True)}

    def _parameter_program(self, dtype: np.dtype) -> Program:
        """A program without operations: the layout of the parameters in a storage."""
        builder = ProgramBuilder(dtype)
        self.declare(builder, "layer")
        return builder.build([])

    # -------------------------------------------------------- descriptions

    @property
    def trainable(self) -> bool:
        """Whether training changes the parameters; a change takes effect at `compile`."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = check_flag(value, "trainable")

    @property
    def label(self) -> str:
        """The layer in error messages: its name or, without a name, its repr."""
        return repr(self.name) if self.name else repr(self)

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-able data, without the values of parameters."""
        common: dict[str, Any] = {"name": self.name}
        if self.is_random:
            common["seed"] = self.seed
        if self.shapes:
            common["trainable"] = self.trainable
        return {**self.options, **common}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layer:
        """The layer that `config` describes."""
        return cls(**config)

    @property
    def _arguments(self) -> dict[str, Any]:
        """`config`, with explicit initial values as long as the layer has not used them."""
        if self.has_values:
            return self.config
        rules = {key: r for key, r in self.initializers.items() if isinstance(r, Explicit)}
        return {**self.config, **rules}

    def copy(self, name: str | None = None) -> Layer:
        """A new layer with the same options, outside any network.

        The values of the parameters are copied too, if this layer has drawn them.

        Parameters
        ----------
        name : str, optional
            Name of the copy.  With None the network of the copy names it.
        """
        values = self.parameters if self.has_values else None
        return _restore(type(self), {**self._arguments, "name": name}, self._dtype, values)

    def __getstate__(self) -> dict[str, Any]:
        """The layer outside its network, in plain data and arrays."""
        arguments = {
            key: value.values if _has_values(value) else value
            for key, value in self._arguments.items()
        }
        values = None
        if self.has_values:
            values = {key: np.array(value) for key, value in self.parameters.items()}
        dtype = None if self._dtype is None else self._dtype.name
        return {"arguments": arguments, "dtype": dtype, "values": values}

    def __setstate__(self, state: object) -> None:
        """Make the layer again.

        Raises
        ------
        ValueError
            If the state does not describe a layer of this class.
        """
        what = f"the state of a {type(self).__name__}"
        values = entry(state, "values", (dict, type(None)), what)
        dtype = entry(state, "dtype", (str, type(None)), what)
        try:
            dtype = None if dtype is None else check_dtype(dtype)
            layer = _restore(type(self), entry(state, "arguments", dict, what), dtype, None)
            if values is not None:
                for key, shape in layer.shapes.items():
                    check_shape(as_real(values[key], key), key, shape)
                layer._fill(values, dtype or np.dtype(np.float32))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{what} is damaged: {error!r}") from error
        vars(self).update(vars(layer))

    def _shown(self) -> list[str]:
        """The arguments in the repr that only this kind of layer has."""
        return [f"{key}={value!r}" for key, value in self.options.items()]

    def __repr__(self) -> str:
        shown = self._shown()
        if not self.trainable:
            shown.append("trainable=False")
        if self.is_random and self.seed is not None:
            shown.append(f"seed={self.seed}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _restore(
    cls: type[Layer],
    config: Mapping[str, object],
    dtype: np.dtype | None,
    values: Mapping[str, np.ndarray] | None,
) -> Layer:
    """A layer outside any network from its config and, if any, its values."""
    layer = cls.from_config(config)
    layer._dtype = dtype
    if values:
        layer._fill(values, dtype or np.dtype(np.float32))
    return layer


def _has_values(rule: object) -> bool:
    """Whether an argument is the initializer of an array, from which it can be made again."""
    return isinstance(rule, Explicit) and rule.values is not None


def _natural_dtype(arrays: Sequence[np.ndarray]) -> np.dtype:
    """float64 if any array has this dtype, else float32."""
    double = any(x.dtype == np.float64 for x in arrays)
    return np.dtype(np.float64 if double else np.float32)
