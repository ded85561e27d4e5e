"""What all layers share: their parameters, and calls on arrays and on tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn import backend
from fastnn._shared.arrays import Views, matrix, real_array
from fastnn._shared.numbers import check_flag, check_integer
from fastnn.initializers import Explicit, Initializer, generator
from fastnn.layers._eager import OneLayer
from fastnn.layers._tensor import Tensor, check_dtype, check_name
from fastnn.program import Program, ProgramBuilder


class Layer:
    """Base of all layers.

    A layer is a declaration: its shapes, its parameters, how they start, and the
    operations it contributes to a program.  It can be called in two ways:

    - on a tensor, it adds itself to a graph and returns a new tensor;
    - on an array, it computes at once, by a program of this one layer, and keeps
      what `backward` needs.

    Parameters
    ----------
    name : str, optional
        Networks name unnamed layers by kind and order of appearance: dense_1, relu_1...
    trainable : bool, default True
        False freezes the parameters.  A change takes effect at the next `compile`.
    dtype : {"float32", "float64"}, optional
        Of calls on arrays; a network's own dtype replaces it.  None follows the
        array: float64 stays, everything else becomes float32.  Parameters are
        drawn once, so a layer that has some keeps the dtype of its first call.
    seed : int, optional
        Seed of this layer's initial values and dropout masks.  None takes the
        network's, or fresh entropy where the layer stands alone.
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
        self.seed = None if seed is None else check_integer(seed, "seed", 0)
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
        """Whether the layer draws numbers, so that a seed means something to it."""
        return bool(self.shapes)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that are this kind's own, as given; fit for JSON."""
        return {}

    def output_width(self, widths: Sequence[int], labels: Sequence[str]) -> int:
        """Width of the output for inputs of these widths.

        Parameters
        ----------
        widths : sequence of int
        labels : sequence of str
            What error messages call the inputs.

        Raises
        ------
        ValueError
            If the layer cannot take them.
        """
        return widths[0]

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
            Prefix of the names of the buffers.
        inputs : sequence of int
            Buffers the layer is called on.
        parameters : sequence of int
            The layer's parameters, in the order of `shapes`.

        Returns
        -------
        int
            The output buffer.
        """
        raise NotImplementedError

    def declare(self, builder: ProgramBuilder, name: str) -> list[int]:
        """Declare the parameters, once per program.

        Parameters
        ----------
        builder : ProgramBuilder
        name : str
            Of the layer in the program.

        Returns
        -------
        list of int
            Their indices, in the order of `shapes`.
        """
        return [
            builder.parameter(
                f"{name}.{key}", shape, trainable=self.trainable, penalized=key == "weight"
            )
            for key, shape in self.shapes.items()
        ]

    # --------------------------------------------------------------- calls

    def __call__(self, x: Any, training: bool = True) -> Any:
        """Apply the layer.

        Parameters
        ----------
        x : Tensor, or (N, n_in) or (n_in,) array_like
            Arrays are converted to the layer's dtype and copied.
        training : bool, default True
            For arrays: whether dropout is active and what `backward` needs is kept.

        Returns
        -------
        Tensor or array
            A tensor for a tensor; for an array, a new array (N, n_out), or
            (n_out,) if x is a single row.

        Raises
        ------
        TypeError, ValueError
            If x is not real numbers, is empty, or its width does not fit.
        """
        if isinstance(x, Tensor):
            return self.connect((x,))
        self._refuse_symbols(x)
        return self._compute([x], ["x"], training)

    def backward(self, dy: Any) -> Any:
        """Gradients for the last call on an array, by the chain rule; fills `gradients`.

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
        """The tensor of a call on `tensors`: what `__call__` does for a graph.

        Raises
        ------
        ValueError
            If the layer cannot take them, or belongs to a network already.
        """
        self.check_free()
        self.check_count(len(tensors))
        widths = [tensor.width for tensor in tensors]
        width = self.output_width(widths, [tensor.label for tensor in tensors])
        return Tensor(width, self, tuple(tensors))

    def check_free(self) -> None:
        """Raise ValueError if the layer belongs to a network already."""
        if self._network is not None:
            raise ValueError(
                f"layer {self.label} belongs to {self._network} and cannot join another; "
                "use layer.copy() for a new layer with the same values"
            )

    def check_width(self, expected: int, width: int, label: str) -> None:
        """Refuse an input of another width than the layer was made for.

        Parameters
        ----------
        expected, width : int
            The layer's width, and the input's.
        label : str
            What error messages call the input.

        Raises
        ------
        ValueError
            If the two differ.
        """
        if width != expected:
            raise ValueError(
                f"layer {self.label} takes inputs of width {expected}, "
                f"but {label} has width {width}"
            )

    def _refuse_symbols(self, x: Any) -> None:
        """Raise TypeError for layers, and for tensors in a list: no array comes of them."""
        if isinstance(x, Layer):
            raise TypeError(
                f"layer {self.label} is called on layer {x.label} itself; "
                "call that on a tensor or an array first"
            )
        if isinstance(x, (list, tuple)) and any(isinstance(part, Tensor) for part in x):
            raise TypeError(
                f"layer {self.label} takes one tensor, got a list of {len(x)}; "
                "merge them first, by Concatenate or Add for example"
            )

    def check_count(self, n: int) -> None:
        """Raise ValueError if the layer does not take `n` inputs."""
        if n != 1:
            raise ValueError(f"layer {self.label} takes one input, got {n}")

    def _compute(self, values: Sequence[Any], names: Sequence[str], training: bool) -> np.ndarray:
        arrays = [real_array(x, name) for x, name in zip(values, names, strict=True)]
        single = all(x.ndim == 1 for x in arrays)
        if single:
            arrays = [x[None, :] for x in arrays]
        widths = tuple(x.shape[-1] if x.ndim else 0 for x in arrays)
        for x, width, name in zip(arrays, widths, names, strict=True):
            matrix(x, width, name)
            if len(x) != len(arrays[0]):
                raise ValueError(
                    f"{name} has {len(x)} rows, expected {len(arrays[0])} as in {names[0]}"
                )
        self.output_width(widths, names)
        self._last = self._one_layer(widths, self._dtype or _natural_dtype(arrays))
        return self._last.forward(arrays, check_flag(training, "training"), single)

    def _one_layer(self, widths: tuple[int, ...], dtype: np.dtype) -> OneLayer:
        key = (widths, dtype, self.trainable, backend.instruction_set())
        if key not in self._programs:
            self._programs[key] = OneLayer(self, widths, self._values(dtype))
        return self._programs[key]

    def _backward(self, dy: Any) -> list[np.ndarray]:
        if self._last is None:
            raise RuntimeError("backward needs a call of the layer on an array before it")
        return self._last.backward(real_array(dy, "dy"))

    # ---------------------------------------------------------- parameters

    @property
    def parameters(self) -> Views:
        """Live views of the parameters by name; writing into them changes the layer.

        ``layer.parameters["weight"] = w`` copies `w` into the layer.  A layer that
        stands alone draws its initial values when they are first needed.
        """
        return Views(self._views(self._values(self._dtype or np.dtype(np.float32))))

    @property
    def gradients(self) -> Views:
        """Gradient of each parameter by name, as the last `backward` left it.

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
        """What error messages call the network the layer belongs to; None outside any."""
        return self._network

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def has_values(self) -> bool:
        """Whether the parameters have values already, rather than rules to draw them by."""
        return self._storage is not None

    def initial_values(self, seed: int, index: int = 0) -> dict[str, np.ndarray]:
        """New float64 initial values by parameter name.

        Parameters
        ----------
        seed : int
            Of the network; a seed of the layer's own replaces it.
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
        """The seed of a layer that stands alone: its own, or one drawn once for it."""
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
            What error messages call the network.
        name : str
            Of the layer in it.
        storage : flat array
            Where the layer's parameters live from now on.
        """
        self._network = network
        self.name = name
        self._storage = storage
        self._dtype = storage.dtype
        self._programs.clear()
        self._last = None

    def _values(self, dtype: np.dtype) -> np.ndarray:
        """The storage of the parameters, filled with initial values if it is new."""
        if not self.shapes:
            return np.zeros(0, dtype)
        if self._storage is None:
            self._fill(self.initial_values(self.entropy), dtype)
        assert self._storage is not None
        return self._storage

    def _fill(self, values: Mapping[str, np.ndarray], dtype: np.dtype) -> None:
        """Give a layer that stands alone a storage of these values."""
        self._storage = self._parameter_program(dtype).allocate()
        for key, view in self._views(self._storage).items():
            view[...] = values[key]

    def _views(self, storage: np.ndarray) -> dict[str, np.ndarray]:
        parameters = self._parameter_program(storage.dtype).parameters
        return {key: p.view(storage) for key, p in zip(self.shapes, parameters, strict=True)}

    def _parameter_program(self, dtype: np.dtype) -> Program:
        """A program of the parameters alone: how they lie in a storage."""
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
        """What error messages call the layer: its name or, without one, its repr."""
        return repr(self.name) if self.name else repr(self)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that make such a layer again, without its values; fit for JSON."""
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
        """`config` with the given initial values, which it only names, while they are needed."""
        if self.has_values:
            return self.config
        rules = {key: r for key, r in self.initializers.items() if isinstance(r, Explicit)}
        return {**self.config, **rules}

    def copy(self, name: str | None = None) -> Layer:
        """A new layer outside any network, with the same options.

        It has the same values too, in parameters of its own, unless this layer
        has not drawn any yet.

        Parameters
        ----------
        name : str, optional
            Name of the copy; None leaves it to the network the copy joins.
        """
        values = self.parameters if self.has_values else None
        return _restore(type(self), {**self._arguments, "name": name}, self._dtype, values)

    def __reduce__(self) -> tuple[Any, ...]:
        values = None
        if self.has_values:
            values = {key: np.array(value) for key, value in self.parameters.items()}
        return _restore, (type(self), self._arguments, self._dtype, values)

    def _shown(self) -> list[str]:
        """What the repr shows of the arguments that are this kind's own."""
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
    config: Mapping[str, Any],
    dtype: np.dtype | None,
    values: Mapping[str, np.ndarray] | None,
) -> Layer:
    """A layer outside any network from its config and, where it had some, its values."""
    layer = cls.from_config(config)
    layer._dtype = dtype
    if values:
        layer._fill(values, dtype or np.dtype(np.float32))
    return layer


def _natural_dtype(arrays: Sequence[np.ndarray]) -> np.dtype:
    """float64 if an array has it, else float32."""
    double = any(x.dtype == np.float64 for x in arrays)
    return np.dtype(np.float64 if double else np.float32)
