"""Layers from single modules of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnn._shared.exchange import to_numpy
from fastnn.formats._program import free_name
from fastnn.formats.torch_functions import MODULES, READINGS, layers_of
from fastnn.formats.torch_modules import MARK, torch
from fastnn.layers import (
    Activation,
    Dense,
    Embedding,
    Layer,
    LayerNorm,
    PiecewiseLinear,
    Scale,
    Swish,
)


def mark(module: Any) -> Mapping[str, Any] | None:
    """What `to_torch` wrote about a module that no class of PyTorch has."""
    described: Mapping[str, Any] | None = getattr(module, "meta", {}).get(MARK)
    return described


def stated_width(module: Any) -> int | None:
    """The number of columns that a module takes, where it states one."""
    kind = type(module).__name__
    if kind == "Linear":
        return int(module.in_features)
    if kind == "LayerNorm":
        return int(module.normalized_shape[-1])
    if kind == "Embedding":
        return 1
    described = mark(module)
    if described is None:
        return None
    if "sizes" in described:
        return len(described["sizes"])
    vectors = (getattr(module, key, None) for key in ("scale", "bias"))
    return next((len(vector) for vector in vectors if vector is not None), None)


def unreadable(where: str, what: str) -> ValueError:
    """The error about a part of a module that is none of those read."""
    hint = ""
    if "BatchNorm" in what:
        hint = "; fold it into the layer before it with torch.nn.utils.fusion.fuse_linear_bn_eval"
    return ValueError(f"{where} is {what}, which from_torch does not read{hint}")


class ModuleReader:
    """Makes layers of modules, with names that no two layers share."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._sources: list[tuple[Layer, dict[str, tuple[Any, bool]]]] = []

    def free(self, name: str) -> str:
        """The name as a layer or input may have it, taken from now on."""
        result = free_name(name, self._taken)
        self._taken.add(result)
        return result

    def check(self, module: Any, target: str) -> None:
        """Raise ValueError unless `layers` reads modules of this class, and it has no hooks."""
        if module._forward_hooks or module._forward_pre_hooks:
            raise ValueError(f"module {target!r} has hooks, whose code no network has")
        kind = type(module).__name__
        is_plain = type(module) is getattr(torch.nn, kind, None)
        if mark(module) is None and not (
            is_plain and (kind in MODULES or kind in self._with_parameters)
        ):
            raise unreadable(f"module {target!r}", kind)

    def layers(self, module: Any, target: str, width: int) -> list[Layer]:
        """The layers of a module, which may be none.

        Parameters
        ----------
        module : torch.nn.Module
        target : str
            Its name.
        width : int
            Number of columns of its input.

        Raises
        ------
        TypeError, ValueError
            If one of its parameters or options does not fit.
        """
        kind, described = type(module).__name__, mark(module)
        if described is not None or kind in self._with_parameters:
            if described is not None:
                kind, layer = described["kind"], self._own(module, described, target)
            else:
                layer = self._with_parameters[kind](self, module, target)
            self._note(layer, module, kind)
            return [layer]
        try:
            layers = layers_of(MODULES[kind], options_of(module), width)
        except ValueError as error:
            raise ValueError(f"module {target!r}: {error}") from None
        for layer in layers:
            layer.name = self.free(target)
        return layers

    def _note(self, layer: Layer, module: Any, kind: str) -> None:
        """Keep in mind which parameters of PyTorch those of a layer are."""
        keys = {"weight": "scale", "bias": "shift"} if kind in ("LayerNorm", "layer_norm") else {}
        parameters = module.named_parameters(recurse=False)
        own = {keys.get(key, key): (p, kind == "Linear" and p.ndim == 2) for key, p in parameters}
        self._sources.append((layer, own))

    def sources(self, names: Mapping[int, str]) -> dict[str, tuple[Any, bool]]:
        """The parameter of PyTorch for each of a network's, and whether it is transposed.

        Parameters
        ----------
        names : mapping of int to str
            The name of each layer by `id`.
        """
        return {
            f"{names[id(layer)]}.{key}": source
            for layer, own in self._sources
            if id(layer) in names
            for key, source in own.items()
        }

    def _linear(self, module: Any, target: str) -> Layer:
        weight, bias = module.weight, module.bias
        return Dense(
            module.in_features, module.out_features, use_bias=bias is not None,
            weight=self._values(weight, target, "weight").T,
            bias="zeros" if bias is None else self._values(bias, target, "bias"),
            **self._common(module, target),
        )  # fmt: skip

    def _layer_norm(self, module: Any, target: str) -> Layer:
        if len(module.normalized_shape) != 1:
            raise ValueError(
                f"module {target!r} normalises {len(module.normalized_shape)} dimensions, "
                "expected one: a sample is a row"
            )
        weight, bias = module.weight, getattr(module, "bias", None)
        return LayerNorm(
            module.normalized_shape[0], epsilon=module.eps,
            use_scale=weight is not None, use_shift=bias is not None,
            scale="ones" if weight is None else self._values(weight, target, "weight"),
            shift="zeros" if bias is None else self._values(bias, target, "bias"),
            **self._common(module, target),
        )  # fmt: skip

    def _embedding(self, module: Any, target: str) -> Layer:
        for option in ("padding_idx", "max_norm", "scale_grad_by_freq", "sparse"):
            value = getattr(module, option)
            if value is not None and value is not False:
                raise ValueError(
                    f"module {target!r} has {option}={value!r}, "
                    "which an embedding of fastnn does not have"
                )
        return Embedding(
            module.num_embeddings, module.embedding_dim,
            weight=self._values(module.weight, target, "weight"), **self._common(module, target),
        )  # fmt: skip

    def _own(self, module: Any, described: Mapping[str, Any], target: str) -> Layer:
        """The layer that `to_torch` wrote as a module of its own."""
        values = {
            key: self._values(p, target, key) for key, p in module.named_parameters(recurse=False)
        }
        common, kind = self._common(module, target), described["kind"]
        if kind == "scale":
            return Scale(len(values["scale"]), scale=values["scale"], **common)
        if kind in ("embedding", "piecewise_linear"):
            make: Callable[..., Layer] = Embedding if kind == "embedding" else PiecewiseLinear
            weight = values["weight"]
            return make(
                described["sizes"], weight.shape[1], described["combine"], weight=weight, **common
            )
        if kind == "layer_norm":
            return LayerNorm(
                len(values["bias"]), epsilon=described["epsilon"], use_scale=False,
                shift=values["bias"], **common,
            )  # fmt: skip
        if "beta" in values:
            return Swish(
                float(values["beta"][0]), True, trainable=common["trainable"], name=common["name"]
            )
        return Activation(described["function"], described.get("alpha"), name=common["name"])

    def _common(self, module: Any, target: str) -> dict[str, Any]:
        """Name and flag of a layer with parameters."""
        flags = {p.requires_grad for p in module.parameters(recurse=False)}
        if len(flags) > 1:
            raise ValueError(
                f"some parameters of module {target!r} require gradients and some do not: "
                "a layer is trained or frozen as a whole"
            )
        return {"name": self.free(target), "trainable": flags != {False}}

    def _values(self, parameter: Any, target: str, key: str) -> np.ndarray:
        values = to_numpy(parameter.detach(), f"parameter {f'{target}.{key}'!r}")
        if not np.isfinite(values).all():
            raise ValueError(f"parameter {f'{target}.{key}'!r} is not finite")
        return np.array(values)

    _with_parameters: Mapping[str, Callable[[ModuleReader, Any, str], Layer]] = {
        "Linear": _linear,
        "LayerNorm": _layer_norm,
        "Embedding": _embedding,
    }


def options_of(module: Any) -> dict[str, Any]:
    """The options of the function that a module without parameters computes."""
    function = MODULES.get(type(module).__name__, "identity")
    defaults = READINGS[function].options
    return {key: getattr(module, key, default) for key, default in defaults.items()}
