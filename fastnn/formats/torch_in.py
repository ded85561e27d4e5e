"""Networks from modules of PyTorch."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._shared.numbers import check_integer
from fastnn.formats._program import assemble, free_name
from fastnn.formats.torch_functions import READINGS, layers_of, times
from fastnn.layers import (
    AbsDifference,
    Activation,
    Add,
    Average,
    Concatenate,
    Input,
    Layer,
    Multiply,
    Subtract,
    Tensor,
)
from fastnn.network import Network

if TYPE_CHECKING:
    from fastnn.formats.torch_layers import ModuleReader

WAY_OUT = (
    "a file with pickled objects can run any code when it is read, so fastnn reads none. Save the "
    "parameters as safetensors, safetensors.torch.save_file(module.state_dict(), path), and read "
    "them with fastnn.formats.from_safetensors; or load the file in a process of your own, "
    "module.load_state_dict(torch.load(path, weights_only=True)), and pass the module to "
    "fastnn.formats.from_torch"
)
"""What to do with files that `torch.save` wrote."""

_MERGES: Mapping[str, Callable[[], Layer]] = {
    "add": Add, "iadd": Add, "sub": Subtract, "isub": Subtract, "subtract": Subtract,
    "mul": Multiply, "imul": Multiply, "multiply": Multiply,
}  # fmt: skip
_QUOTIENTS = frozenset({"div", "truediv", "itruediv", "divide", "true_divide"})
_CONCATENATIONS = frozenset({"cat", "concat", "concatenate"})
_RESHAPES = frozenset({"view", "reshape"})
_OTHERS = frozenset({"abs", "neg"})
_NOT_OPTIONS = frozenset({"input", "_stacklevel"})


def from_torch(
    module: Any,
    widths: int | Mapping[str, int] | None = None,
    *,
    loss: Any = None,
    optimizer: Any = None,
) -> Network:
    """The network that computes what a module of PyTorch computes.

    Parameters
    ----------
    module : torch.nn.Module
        `torch.nn.Sequential`, or a module whose ``forward`` `torch.fx` can trace: one without
        branches that depend on values.  It may consist of the layers and functions that are
        named below, of sums, differences, products and concatenations, and of other such modules.
    widths : int or mapping of str to int, optional
        Numbers of columns of inputs by the names of the arguments of ``forward``, where no layer
        states them.
    loss : str, Loss, or what else `Network.compile` takes, optional
        With `optimizer`, what the network trains for.
    optimizer : torch.optim.Optimizer, optional
        SGD, Adam, AdamW or RMSprop of the parameters of the module.  The network is compiled with
        an equal optimizer and has its state, so that a training goes on.

    Returns
    -------
    Network
        A `Sequential` if the module is a chain; not compiled without `optimizer`.  Layers have
        the names of their modules, with ``_`` in place of dots.  Layers whose parameters do not
        require gradients are frozen.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If `module` is no module, or its parameters are not float32 or float64 in the memory of
        the CPU.
    ValueError
        If a layer or function is none of those, or if fastnn has no such optimizer; the message
        names it.

    Notes
    -----
    These are read: Linear, LayerNorm of one dimension, Embedding of one column of codes, Dropout,
    Identity, Flatten, ReLU, LeakyReLU, ELU, CELU, SELU, GELU, SiLU, Mish, Hardswish, Sigmoid,
    LogSigmoid, Tanh, Softsign, Softplus, Softmax and LogSoftmax, as modules, functions and
    methods, and all that `to_torch` writes.  PyTorch takes softplus(x) for x beyond a threshold,
    20 by default, where the two differ by at most exp(-20).  A module that is called twice is
    one shared layer.

    Examples
    --------
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())  # doctest: +SKIP
    >>> net = fastnn.formats.from_torch(module)  # doctest: +SKIP
    """
    if isinstance(module, str | bytes | os.PathLike):
        raise TypeError(f"module must be a torch.nn.Module, got a path: {WAY_OUT}")
    from fastnn.formats.torch_modules import torch

    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    _check_ties(module)
    if _tracer(torch).is_leaf_module(module, ""):
        module = torch.nn.Sequential(module)
    if (loss is None) != (optimizer is None):
        raise ValueError("loss and optimizer must be given together, got only one of them")
    reader = _Reader(torch, module, widths)
    net = reader.network()
    if optimizer is not None:
        from fastnn.formats.torch_training import compile_as

        compile_as(net, loss, optimizer, reader.sources(net))
    return net


def _check_ties(module: Any) -> None:
    """Raise ValueError if two modules share a parameter, which two layers cannot."""
    owners: dict[int, str] = {}
    for name, part in module.named_modules():
        for key, parameter in part.named_parameters(recurse=False):
            label = f"{name}.{key}" if name else key
            first = owners.setdefault(id(parameter), label)
            if first != label:
                raise ValueError(
                    f"parameters {first!r} and {label!r} are one: a layer may be called twice, but "
                    "two layers cannot share a parameter"
                )


def _tracer(torch: Any) -> Any:
    """A tracer for which modules of `torch.nn` and those of `to_torch` are single nodes."""
    from fastnn.formats.torch_layers import mark

    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, part: Any, name: str) -> bool:
            return mark(part) is not None or bool(super().is_leaf_module(part, name))

    return Tracer()


def _trace(torch: Any, module: Any) -> Any:
    try:
        return _tracer(torch).trace(module)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"torch.fx cannot trace {type(module).__name__}.forward, so its graph is not known: "
            f"{error!s:.300}"
        ) from error


class _Reader:
    """Reads the graph of one module, node by node."""

    def __init__(self, torch: Any, module: Any, widths: int | Mapping[str, int] | None) -> None:
        from fastnn.formats.torch_layers import ModuleReader

        self._torch, self._module = torch, module
        self._functions = _functions(torch)
        self._dtype = _dtype_of(torch, module)
        self._graph = _trace(torch, module)
        self._widths = _Widths(self._graph, module, widths)
        self._modules: ModuleReader = ModuleReader()
        self._layers: dict[Any, list[Layer]] = {}
        self._tensors: dict[Any, Tensor] = {}

    def network(self) -> Network:
        """The network of the graph."""
        for node in self._graph.nodes:
            if node.op == "call_module":
                self._modules.check(self._module.get_submodule(node.target), node.target)
        inputs: list[Input] = []
        outputs: Any = None
        for node in self._graph.nodes:
            if node.op == "placeholder" and node.users:
                source = Input(self._widths.of(node), self._modules.free(str(node.target)))
                self._tensors[node] = source
                inputs.append(source)
            elif node.op == "output":
                outputs = self._outputs(node.args[0])
            elif node.op == "call_module":
                self._tensors[node] = self._called_module(node)
            elif node.op in ("call_function", "call_method") and not is_size(node):
                self._tensors[node] = self._called_function(node)
        return assemble(inputs, outputs, self._dtype)

    def sources(self, net: Network) -> dict[str, tuple[Any, bool]]:
        """The parameter of PyTorch for each of the network's, and whether it is transposed."""
        return self._modules.sources(net.core.graph.names)

    def _outputs(self, outputs: Any) -> list[Tensor] | dict[str, Tensor]:
        """The tensors that `forward` returns."""
        if isinstance(outputs, Mapping):
            return {free_name(str(key), ()): self._output(node) for key, node in outputs.items()}
        parts = outputs if isinstance(outputs, tuple | list) else [outputs]
        return [self._output(node) for node in parts]

    def _output(self, node: Any) -> Tensor:
        (tensor,) = self._read(node, "forward")
        return Activation("identity")(tensor) if tensor.layer is None else tensor

    def _read(self, source: Any, reader: str) -> list[Tensor]:
        """The tensor that a node has computed, in a list; ValueError for all other values."""
        if not isinstance(source, self._torch.fx.Node) or source not in self._tensors:
            raise ValueError(
                f"{reader} reads {source!r}, which is no input and no output of a layer"
            )
        return [self._tensors[source]]

    # ------------------------------------------------------------------ modules

    def _called_module(self, node: Any) -> Tensor:
        from fastnn.formats.torch_layers import mark, options_of

        target, where = str(node.target), f"module {node.target!r}"
        module = self._module.get_submodule(target)
        sources = [tensor for argument in node.args for tensor in self._read(argument, where)]
        if (mark(module) or {}).get("kind") == "absolute_difference":
            return AbsDifference(name=self._modules.free(target))(sources)
        if len(sources) != 1 or node.kwargs:
            raise ValueError(f"{where} is called with other arguments than one tensor")
        _check_in_place(node, options_of(module))
        layers = self._layers.get(module)
        if layers is None:
            layers = self._modules.layers(module, target, sources[0].width)
            if any(True for _ in module.parameters()):
                self._layers[module] = layers
        return _applied(layers, sources[0])

    # ------------------------------------------------------------------ functions

    def _called_function(self, node: Any) -> Tensor:
        from fastnn.formats.torch_layers import unreadable

        where, name = f"node {node.name!r}", name_of(node)
        if node.op == "call_function":
            name = self._functions.get(node.target, "")
        if name in _CONCATENATIONS:
            return self._concatenation(node, where)
        if name in _MERGES or name in _QUOTIENTS:
            return self._arithmetic(node, name, where)
        if name in _RESHAPES:
            return self._reshaped(node, where)
        if name in READINGS:
            return self._function(node, name, where)
        if name in _OTHERS:
            (tensor,) = self._read(node.args[0], where)
            if name == "neg":
                return times(-1.0, tensor.width)(tensor)
            if isinstance(tensor.layer, Subtract):
                return AbsDifference()(tensor.inputs)
        raise unreadable(where, f"{node.op.removeprefix('call_')} {name_of(node)}")

    def _function(self, node: Any, name: str, where: str) -> Tensor:
        """A function of one tensor."""
        from fastnn.formats.torch_layers import unreadable

        source, *positional = node.args or [node.kwargs.get("input")]
        (tensor,) = self._read(source, where)
        defaults = READINGS[name].options
        options = {k: v for k, v in node.kwargs.items() if k not in _NOT_OPTIONS}
        options |= dict(zip(defaults, positional, strict=False))
        if len(positional) > len(defaults) or not options.keys() <= defaults.keys():
            raise unreadable(where, f"{name} with {[*positional, *options]}")
        options = {**defaults, **options}
        _check_in_place(node, options)
        try:
            return _applied(layers_of(name, options, tensor.width), tensor)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    def _arithmetic(self, node: Any, name: str, where: str) -> Tensor:
        """A sum, a difference, a product, or a product or quotient with a number."""
        from fastnn.formats.torch_layers import unreadable

        if len(node.args) != 2 or {"alpha": 1, **node.kwargs} != {"alpha": 1}:
            raise unreadable(where, f"{name} with {dict(node.kwargs)}")
        first, second = node.args
        if isinstance(second, int | float) and name in _QUOTIENTS and second:
            (tensor,) = self._read(first, where)
            summands = _summands(tensor)
            if len(summands) == second and len(summands) > 1:
                return Average()(summands)
            return times(1 / second, tensor.width)(tensor)
        if isinstance(second, int | float) and _MERGES.get(name) is Multiply:
            (tensor,) = self._read(first, where)
            return times(second, tensor.width)(tensor)
        if name in _QUOTIENTS:
            raise unreadable(where, "a quotient")
        tensors = self._read(first, where) + self._read(second, where)
        return _MERGES[name]()(tensors)

    def _concatenation(self, node: Any, where: str) -> Tensor:
        parts, *rest = node.args or [node.kwargs.get("tensors")]
        dimension = rest[0] if rest else node.kwargs.get("dim", node.kwargs.get("axis", 0))
        if dimension not in (1, -1):
            raise ValueError(f"{where} concatenates along {dimension!r}, expected 1 or -1: columns")
        tensors = [tensor for part in parts for tensor in self._read(part, where)]
        return tensors[0] if len(tensors) == 1 else Concatenate()(tensors)

    def _reshaped(self, node: Any, where: str) -> Tensor:
        """The tensor itself, if a view or reshape keeps its rows and columns."""
        from fastnn.formats.torch_layers import unreadable

        source, *shape = node.args
        (tensor,) = self._read(source, where)
        if len(shape) == 1 and isinstance(shape[0], tuple | list):
            shape = list(shape[0])
        rows, columns = shape if len(shape) == 2 else (None, None)
        is_count = isinstance(rows, self._torch.fx.Node)
        allowed = {-1, tensor.width} if is_count else {tensor.width} if rows == -1 else set()
        if columns not in allowed:
            raise unreadable(where, f"{name_of(node)} to {tuple(shape)}")
        return tensor


def _functions(torch: Any) -> dict[Any, str]:
    """The functions of PyTorch and the operators of Python that are read, with their names."""
    rooms = (torch, torch.nn.functional, torch.special, operator)
    names = {*READINGS, *_MERGES, *_QUOTIENTS, *_CONCATENATIONS, *_RESHAPES, *_OTHERS}
    return {getattr(room, name): name for room in rooms for name in names if hasattr(room, name)}


class _Widths:
    """Numbers of columns of the inputs of a graph."""

    def __init__(self, graph: Any, module: Any, widths: int | Mapping[str, int] | None) -> None:
        from fastnn.formats.torch_modules import WIDTHS

        self._module = module
        names = [str(node.target) for node in graph.nodes if node.op == "placeholder"]
        if widths is None:
            widths = {}
        elif not isinstance(widths, Mapping):
            if len(names) != 1:
                raise ValueError(f"widths must be a dict with {', '.join(map(repr, names))}")
            widths = {names[0]: widths}
        for name in widths:
            if name not in names:
                raise ValueError(f"widths has {name!r}, expected {', '.join(map(repr, names))}")
        stated = getattr(module, "meta", {}).get(WIDTHS, {})
        checked = {k: check_integer(n, f"widths[{k!r}]", 1) for k, n in widths.items()}
        self._widths = {**stated, **checked}

    def of(self, source: Any) -> int:
        """Columns of an input: those that the caller gave, or what the layers after it state."""
        name = str(source.target)
        if name in self._widths:
            return self._widths[name]
        seen, waiting = {source}, [source]
        while waiting:
            for user in waiting.pop().users:
                width = self._stated(user)
                if width is not None:
                    return width
                if user not in seen and _keeps_width(user):
                    seen.add(user)
                    waiting.append(user)
        raise ValueError(
            f"no layer states the width of input {name!r}: pass widths={{{name!r}: columns}}"
        )

    def _stated(self, node: Any) -> int | None:
        from fastnn.formats.torch_layers import stated_width

        if node.op != "call_module":
            return None
        return stated_width(self._module.get_submodule(node.target))


def _keeps_width(node: Any) -> bool:
    return node.op != "output" and not is_size(node) and name_of(node) not in _CONCATENATIONS


def _dtype_of(torch: Any, module: Any) -> np.dtype:
    """The dtype of all parameters; float32 if there are none."""
    names = {parameter.dtype: name for name, parameter in module.named_parameters()}
    for kind, name in names.items():
        if kind not in (torch.float32, torch.float64):
            raise TypeError(
                f"parameter {name!r} is {kind}, expected float32 or float64: "
                "convert the module with .float()"
            )
    if len(names) > 1:
        listed = ", ".join(f"{name!r} is {kind}" for kind, name in names.items())
        raise TypeError(f"the parameters must have one dtype, but {listed}")
    return np.dtype(np.float64 if torch.float64 in names else np.float32)


def is_size(node: Any) -> bool:
    """Whether a node of a graph computes a shape, or a part of one."""
    if node.op == "call_method":
        return bool(node.target == "size")
    if node.op != "call_function" or node.target not in (getattr, operator.getitem):
        return False
    return node.args[1] == "shape" if node.target is getattr else is_size(node.args[0])


def name_of(node: Any) -> str:
    """The name of the function, method or module of a node."""
    target = node.target
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


def _check_in_place(node: Any, options: Mapping[str, Any]) -> None:
    """Raise ValueError if a function changes a tensor that another node reads."""
    if options.get("inplace") and any(len(source.users) > 1 for source in node.all_input_nodes):
        raise ValueError(
            f"node {node.name!r} changes its input in place, and another node reads the input: "
            "use inplace=False"
        )


def _summands(tensor: Tensor) -> list[Tensor]:
    """The tensors whose sum a tensor is."""
    if not isinstance(tensor.layer, Add):
        return [tensor]
    return [part for source in tensor.inputs for part in _summands(source)]


def _applied(layers: Sequence[Layer], source: Tensor) -> Tensor:
    for layer in layers:
        source = layer(source)
    return source
