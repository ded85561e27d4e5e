"""The cost and the scores of a network on a user's data."""

from __future__ import annotations

from fastnn._shared.arrays import Arrays, Weights
from fastnn.network._core import Core
from fastnn.network._weights import check_weighed

EVALUATED = "sample_weight, with the missing targets of y,"
"""The source of the weights of an evaluation, for `check_weighed`."""


def evaluate(
    core: Core,
    X: Arrays,
    y: Arrays,
    sample_weight: Weights,
    batch_size: int | None,
    check: bool,
) -> dict[str, float]:
    """The cost and the scores by name."""
    core.compiled()
    with core.lock:
        data = core.feed.data(X, y, sample_weight, check)
        check_weighed(core.heads, data, EVALUATED, "to evaluate")
        return core.measure(data, batch_size)


def score(core: Core, X: Arrays, y: Arrays, sample_weight: Weights) -> float:
    """The one score of a network with one loss."""
    metric = score_name(core)
    with core.lock:
        data = core.feed.data(X, y, sample_weight, True, hint="")
        check_weighed(core.heads, data, EVALUATED, "to evaluate")
        return core.measure(data)[metric]


def score_name(core: Core) -> str:
    """What `evaluate` calls the one score; ValueError where there is none, or several."""
    core.compiled()
    if len(core.heads) > 1:
        raise ValueError("score needs a network with one loss; use evaluate")
    loss = core.heads[0].loss
    if not loss.metric:
        raise ValueError(f"loss {loss.name} has no score: give CustomLoss an activation")
    return loss.metric
