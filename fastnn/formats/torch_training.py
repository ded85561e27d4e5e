"""Training of modules of PyTorch that goes on in fastnn: the optimizer, with its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastnn._shared.exchange import to_numpy
from fastnn._shared.numbers import check_number
from fastnn.formats.torch_optimizers import STATES
from fastnn.network import Network
from fastnn.optimizers import (
    Adam,
    AdamW,
    AMSGrad,
    CenteredRMSprop,
    GradientDescent,
    Momentum,
    Optimizer,
    RMSprop,
)

_OPTIONS = {"Adam": ("betas", "eps", "amsgrad"), "AdamW": ("betas", "eps", "amsgrad"),
            "SGD": ("momentum", "dampening", "nesterov"),
            "RMSprop": ("alpha", "eps", "centered", "momentum")}  # fmt: skip
"""Options that all groups of parameters of an optimizer must share."""


@dataclass(frozen=True)
class _Group:
    """The numbers of the group of one parameter."""

    rate: float
    decay: float


def compile_as(net: Network, loss: Any, optimizer: Any, own: Mapping[str, Any]) -> None:
    """Compile a network with the optimizer of its module, and take its state over.

    Parameters
    ----------
    net : Network
    loss : str, Loss, or what else `Network.compile` takes
    optimizer : torch.optim.Optimizer
    own : mapping of str to (torch.nn.Parameter, bool)
        The parameter of PyTorch for each of the network's, and whether its layout is
        transposed.

    Raises
    ------
    TypeError, ValueError
        If fastnn has no such optimizer.
    """
    name = type(optimizer).__name__
    if name not in _OPTIONS or type(optimizer).__module__.partition(".")[0] != "torch":
        raise TypeError(f"optimizer must be SGD, Adam, AdamW or RMSprop of torch.optim, got {name}")
    options = _shared_options(name, optimizer.param_groups)
    groups = _groups(net, optimizer, own)
    rate = next(iter(groups.values())).rate
    is_decoupled = name == "AdamW"
    decay = _decay(net, groups, is_decoupled)
    factors = {k: g.rate / rate for k, g in groups.items() if g.rate != rate}
    weights = {p.name for p in net.core.program.parameters if p.penalized}
    decays = {
        k: g.decay / decay
        for k, g in groups.items()
        if is_decoupled and k in weights and g.decay != decay
    }
    equal = _optimizer(name, rate, options, decay if is_decoupled else 0.0)
    net.compile(
        loss,
        equal,
        l2=0.0 if is_decoupled else decay,
        learning_rates=factors or None,
        weight_decays=decays or None,
    )
    _read_state(net, STATES[equal.kind], optimizer, own, groups)


def _shared_options(name: str, groups: list[Any]) -> dict[str, Any]:
    """The options of an optimizer, which all its groups share."""
    for group in groups:
        if group.get("maximize"):
            raise ValueError("maximize is True, expected False: fastnn minimises")
        for key in _OPTIONS[name]:
            if group[key] != groups[0][key]:
                raise ValueError(
                    f"{key} is {groups[0][key]!r} in one group of parameters and {group[key]!r} "
                    "in another, expected one value"
                )
    options = {key: groups[0][key] for key in _OPTIONS[name]}
    if name == "RMSprop" and options["momentum"]:
        raise ValueError(f"momentum of RMSprop is {options['momentum']:g}, expected 0")
    return options


def _groups(net: Network, optimizer: Any, own: Mapping[str, Any]) -> dict[str, _Group]:
    """The numbers of each parameter of the network that is trained."""
    by_id = {
        id(parameter): _Group(float(group["lr"]), float(group["weight_decay"]))
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    result = {}
    for parameter in net.core.program.parameters:
        if parameter.trainable:
            if id(own[parameter.name][0]) not in by_id:
                raise ValueError(
                    f"the optimizer has no parameter {parameter.name!r} of the module: freeze it "
                    "with requires_grad_(False), or add it"
                )
            result[parameter.name] = by_id[id(own[parameter.name][0])]
            check_number(result[parameter.name].rate, "lr", above=0.0)
    if not result:
        raise ValueError("the module has no parameter to train")
    return result


def _decay(net: Network, groups: Mapping[str, _Group], is_decoupled: bool) -> float:
    """The weight decay of the weights; no other parameter may have one."""
    decays = set()
    for parameter in net.core.program.parameters:
        group = groups.get(parameter.name)
        if group is None:
            continue
        if parameter.penalized:
            decays.add(group.decay)
        elif group.decay:
            raise ValueError(
                f"weight_decay is {group.decay:g} for {parameter.name!r}, but fastnn decays "
                "weights alone: put other parameters into a group with weight_decay=0"
            )
    if len(decays) > 1 and not is_decoupled:
        raise ValueError(
            f"weight_decay is {' and '.join(f'{d:g}' for d in sorted(decays))} for different "
            "weights, expected one value"
        )
    return max(decays, default=0.0)


def _optimizer(name: str, rate: float, options: Mapping[str, Any], decay: float) -> Optimizer:
    if name == "SGD":
        if not options["momentum"]:
            return GradientDescent(rate)
        numbers = {key: options[key] for key in ("momentum", "nesterov", "dampening")}
        return Momentum(rate, **numbers)
    if name == "RMSprop":
        make = CenteredRMSprop if options["centered"] else RMSprop
        return make(rate, rho=options["alpha"], epsilon=options["eps"])
    (beta1, beta2), epsilon = options["betas"], options["eps"]
    if options["amsgrad"]:
        return AMSGrad(rate, beta1, beta2, epsilon, weight_decay=decay)
    if decay:
        return AdamW(rate, beta1, beta2, epsilon, weight_decay=decay)
    return Adam(rate, beta1, beta2, epsilon)


def _read_state(
    net: Network,
    keys: Mapping[str, str],
    optimizer: Any,
    own: Mapping[str, Any],
    groups: Mapping[str, _Group],
) -> None:
    """Take over the state, which all trained parameters have or none."""
    core = net.core
    states = {name: optimizer.state.get(own[name][0], {}) for name in groups}
    have = [
        name
        for name, state in states.items()
        if any(state.get(key) is not None for key in keys.values())
    ]
    if not have:
        return
    without = [name for name in groups if name not in have]
    if without:
        raise ValueError(f"the optimizer has a state of {have[0]!r}, and none of {without[0]!r}")
    steps = {int(state.get("step", 1)) for state in states.values()}
    if len(steps) > 1:
        raise ValueError(f"the parameters have taken different numbers of steps: {sorted(steps)}")
    for parameter in core.program.parameters:
        if parameter.name not in groups:
            continue
        for slot, key in keys.items():
            values = to_numpy(states[parameter.name][key].detach(), f"state {key!r}")
            values = values.T if own[parameter.name][1] else values
            if slot == "velocity":
                values = -groups[parameter.name].rate * values
            parameter.view(core.slots[slot])[...] = values
    core.state.step = steps.pop()
