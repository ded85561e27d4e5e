"""Optimizers of networks for modules of PyTorch, with their state: a training goes on there.

PyTorch keeps the learning rate out of the velocity ``b`` of SGD, fastnn in it: ``v = -lr b``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastnn._shared.warnings import warn
from fastnn.formats._program import read
from fastnn.formats.torch_names import Place, places
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.program import Parameter

STATES: Mapping[str, Mapping[str, str]] = {
    "gradient_descent": {},
    "momentum": {"velocity": "momentum_buffer"},
    "adam": {"first": "exp_avg", "second": "exp_avg_sq"},
    "amsgrad": {"first": "exp_avg", "second": "exp_avg_sq", "largest": "max_exp_avg_sq"},
    "rmsprop": {"square": "square_avg"},
    "centered_rmsprop": {"square": "square_avg", "mean": "grad_avg"},
}
"""What PyTorch calls the state of each update, by the names of its slots."""


def to_torch_optimizer(net: Network, module: Any) -> Any:
    """The optimizer of a network for a module of PyTorch, with its state.

    Parameters
    ----------
    net : Network
        Compiled, with `GradientDescent`, `Momentum`, `Nesterov`, `Adam`, `AdamW`, `AMSGrad`,
        `RMSprop` or `CenteredRMSprop`.
    module : torch.nn.Module
        What `to_torch` made of the network, or one whose parameters have the same names.

    Returns
    -------
    torch.optim.Optimizer
        SGD, Adam, AdamW or RMSprop of the parameters that are trained.  Its steps go on where
        those of the network stopped.  The L2 penalty is a weight decay of the weights alone.

    Warns
    -----
    UserWarning
        If the learning rate has a schedule, of which the rate of the next step remains, or if
        gradients are clipped, which PyTorch does outside the optimizer.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    RuntimeError
        Before `Network.compile`.
    TypeError, ValueError
        If the module has other parameters, or PyTorch has no such optimizer.

    Examples
    --------
    >>> module = fastnn.formats.to_torch(net)  # doctest: +SKIP
    >>> optimizer = fastnn.formats.to_torch_optimizer(net, module)  # doctest: +SKIP
    """
    from fastnn.formats.torch_modules import torch

    portable = read(net, "PyTorch")
    core = net.core
    optimizer = core.compiled()
    with core.lock:
        cls, numbers = _class_of(torch, optimizer, core.program.l2)
        rate = core.learning_rate(core.state.step + 1)
        expected = places(portable)
        own = _parameters_of(module, expected, core.program.parameters)
        groups = [
            {"params": [own[p.name]], "lr": rate * p.rate_factor, "weight_decay": decay}
            for p, decay in _decays(core.program.parameters, numbers.pop("weight_decay"))
        ]
        result = cls(_joined(groups), lr=rate, **numbers)
        if core.state.step:
            _write_state(torch, core, own, expected, result)
    _warn_of_losses(optimizer)
    return result


def _class_of(torch: Any, optimizer: Any, l2: float) -> tuple[Any, dict[str, Any]]:
    """The class of PyTorch and its numbers; ValueError if there is none."""
    kind = optimizer.kind if isinstance(optimizer, Optimizer) else ""
    if kind not in STATES:
        raise ValueError(f"PyTorch has no optimizer {type(optimizer).__name__}")
    hyper = optimizer.hyper
    decay = hyper.get("weight_decay", 0.0)
    if decay and l2:
        raise ValueError(
            f"{type(optimizer).__name__} has weight decay and the network an L2 penalty, "
            "which no optimizer of PyTorch has both"
        )
    if not hyper.get("bias_correction", True):
        raise ValueError("PyTorch has no Adam with bias_correction=False")
    numbers: dict[str, Any] = {"weight_decay": decay or l2}
    if kind in ("gradient_descent", "momentum"):
        keys = ("momentum", "dampening") if kind == "momentum" else ()
        numbers |= {key: hyper[key] for key in keys}
        return torch.optim.SGD, numbers | {"nesterov": bool(hyper.get("nesterov"))}
    numbers["eps"] = hyper["epsilon"]
    if kind in ("rmsprop", "centered_rmsprop"):
        numbers |= {"alpha": hyper["rho"], "centered": kind == "centered_rmsprop"}
        return torch.optim.RMSprop, numbers
    numbers |= {"betas": (hyper["beta1"], hyper["beta2"]), "amsgrad": kind == "amsgrad"}
    return torch.optim.AdamW if decay else torch.optim.Adam, numbers


def _parameters_of(
    module: Any, expected: Mapping[str, Place], parameters: tuple[Parameter, ...]
) -> dict[str, Any]:
    """The parameters of a module by the names that the network has for them."""
    if not hasattr(module, "named_parameters"):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    there = dict(module.named_parameters())
    result = {}
    for parameter in parameters:
        place = expected[parameter.name]
        shape = parameter.shape[::-1] if place.is_transposed else parameter.shape
        if place.name not in there or tuple(there[place.name].shape) != shape:
            raise ValueError(
                f"module must have the parameter {place.name!r} of shape {shape}, as to_torch "
                "makes it"
            )
        result[parameter.name] = there[place.name]
    return result


def _decays(parameters: tuple[Parameter, ...], decay: float) -> list[tuple[Parameter, float]]:
    """The parameters that are trained, and their weight decay."""
    return [(p, decay * p.decay_factor if p.penalized else 0.0) for p in parameters if p.trainable]


def _joined(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups of parameters, with those of equal numbers in one."""
    result: dict[tuple[float, float], dict[str, Any]] = {}
    for group in groups:
        one = result.setdefault((group["lr"], group["weight_decay"]), {**group, "params": []})
        one["params"] += group["params"]
    return list(result.values())


def _write_state(
    torch: Any, core: Any, own: Mapping[str, Any], expected: Mapping[str, Place], result: Any
) -> None:
    """Give an optimizer of PyTorch the state of a network's."""
    kind, rate = core.optimizer.kind, core.learning_rate(core.state.step + 1)
    for parameter in core.program.parameters:
        if not parameter.trainable:
            continue
        state = {}
        if kind not in ("gradient_descent", "momentum"):
            state["step"] = torch.tensor(float(core.state.step))
        for slot, key in STATES[kind].items():
            values = expected[parameter.name].outside(parameter.view(core.slots[slot])).copy()
            if slot == "velocity":
                values /= -rate * parameter.rate_factor
            state[key] = torch.from_numpy(values)
        result.state[own[parameter.name]] = state


def _warn_of_losses(optimizer: Any) -> None:
    if not isinstance(optimizer.learning_rate, float):
        warn(
            "the schedule of the learning rate is not taken along: the optimizer has the rate of "
            "the next step"
        )
    if optimizer.clip_norm is not None:
        warn(
            "PyTorch clips gradients outside the optimizer: call torch.nn.utils.clip_grad_norm_("
            f"module.parameters(), {optimizer.clip_norm:g}) before each step"
        )
