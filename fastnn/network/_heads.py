"""The losses on a network's outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastnn import losses
from fastnn._shared.numbers import check_choice, check_number
from fastnn.graph import last_function
from fastnn.layers import Tensor
from fastnn.losses import Loss
from fastnn.network._named import split


@dataclass(frozen=True)
class LossOnOutput:
    """One head of a network: a loss, times `weight`, on one of its outputs.

    Attributes
    ----------
    name : str
        Name of the output.
    output : int
        Its position among the network's outputs.
    width : int
        Its number of columns.
    loss : Loss
    weight : float
    """

    name: str
    output: int
    width: int
    loss: Loss
    weight: float


def make_heads(
    outputs: Sequence[Tensor],
    names: Sequence[str],
    loss: object,
    loss_weights: object,
    missing: str | None = None,
) -> list[LossOnOutput]:
    """One head for each output that has a loss, from the arguments of `compile`.

    Raises
    ------
    TypeError, ValueError
        If a loss is missing, unknown, or does not fit its output.
    """
    _check_all_have_losses(loss, names)
    chosen = [None if one is None else losses.get(one) for one in split(loss, names, "loss")]
    if missing is not None:
        check_choice(missing, "missing", ("nan",))
        chosen = [None if one is None else one.accepting_nan() for one in chosen]
    if isinstance(loss_weights, Mapping):
        for name, one in zip(names, chosen, strict=True):
            if one is None and name in loss_weights:
                raise ValueError(f"loss_weights has {name!r}, but that output has no loss")
        loss_weights = {**dict.fromkeys(names, 1.0), **loss_weights}
    elif loss_weights is None:
        loss_weights = dict.fromkeys(names, 1.0)
    weights = split(loss_weights, names, "loss_weights")
    heads = []
    for i, (name, one, weight) in enumerate(zip(names, chosen, weights, strict=True)):
        if one is not None:
            tensor = outputs[i]
            _check_logits(name, one, last_function(tensor.layer))
            _check_reduced(name, one)
            weight = check_number(weight, f"loss_weights[{name!r}]", 0.0)
            heads.append(LossOnOutput(name, i, tensor.width, one, weight))
    if not heads:
        raise ValueError("loss gives no output a loss, expected at least one")
    return heads


def _check_all_have_losses(loss: object, names: Sequence[str]) -> None:
    """Raise ValueError if a mapping from outputs to losses leaves one out."""
    if isinstance(loss, Mapping) and set(loss) <= set(names):
        missing = [name for name in names if name not in loss]
        if missing:
            raise ValueError(
                f"loss has nothing for output {', '.join(map(repr, missing))}; "
                "give None for an output without a loss"
            )


def _check_logits(name: str, loss: Loss, function: str | None) -> None:
    """Raise ValueError if an output ends in the function that its loss applies itself."""
    if function is not None and function == loss.activation:
        raise ValueError(
            f"output {name!r} ends in {function}, but {loss.name} takes logits and applies "
            f"{function} itself; leave it out (predict_proba gives the probabilities)"
        )


def _check_reduced(name: str, loss: Loss) -> None:
    """Raise ValueError if a loss gives no single number, which training needs."""
    if getattr(loss, "reduction", "mean") == "none":
        raise ValueError(
            f"the loss of output {name!r} must have reduction 'mean', 'sum' or 'half_sum' in a "
            f"network, got {loss}; call the loss itself, loss(outputs, targets), for the losses "
            "of single samples"
        )
