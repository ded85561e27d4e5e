"""Outputs of a network, and what its losses make of them: probabilities and classes.

Where X is an array that the engine reads as it is, `Network.predict` gets the outputs by a direct
call of the engine (see `fastnn.backend.direct`); these functions take every other X.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import Arrays
from fastnn._shared.numbers import check_flag, check_integer
from fastnn.facts import precisions
from fastnn.losses import Loss
from fastnn.network._core import Core
from fastnn.network._monte_carlo import Prediction, Rule, Sampler
from fastnn.network._precision import Calibration
from fastnn.network._predictor import Predictor

OfLoss = Callable[[Loss, np.ndarray], "np.ndarray | None"]
"""A rule of a loss: from outputs (N, width) to an array, or None where the loss knows none."""


def predict(core: Core, X: Arrays, batch_size: int | None, check: bool) -> Any:
    """The outputs, arranged for the user."""
    outputs, single = all_outputs(core, X, batch_size, check)
    return core.arrange([output[0] for output in outputs] if single else outputs)


def all_outputs(
    core: Core, X: Arrays, batch_size: int | None, check: bool
) -> tuple[list[np.ndarray], bool]:
    """Every output as (N, width), and whether X was a single sample."""
    check = check_flag(check, "check_finite")
    with core.lock:
        arrays, single = core.feed.rows(X)
        return core.outputs(arrays, batch_size, check), single


def predict_proba(core: Core, X: Arrays, batch_size: int | None, check: bool) -> Any:
    """The probabilities that the losses imply."""
    kernels = core.kernels
    if batch_size is None and not core.outputs_are_named and len(core.heads) == 1:
        check_classification(core)
        output = core.engine.direct_predict(X, check)
        if output is not None:
            rows = output if output.ndim == 2 else output[None, :]
            result = core.heads[0].loss.probabilities(rows, kernels)
            return result if output.ndim == 2 or result is None else result[0]
    return _of_losses(core, X, batch_size, check, lambda loss, z: loss.probabilities(z, kernels))


def predict_mean(core: Core, X: Arrays, batch_size: int | None, check: bool) -> Any:
    """What the losses expect of the targets; outputs without a loss as they are."""
    core.compiled()
    outputs, single = all_outputs(core, X, batch_size, check)
    for head in core.heads:
        outputs[head.output] = head.loss.expected(outputs[head.output], core.kernels)
    return core.arrange([output[0] for output in outputs] if single else outputs)


def predict_classes(core: Core, X: Arrays, batch_size: int | None, check: bool) -> Any:
    """The classes that the losses imply."""
    return _of_losses(core, X, batch_size, check, lambda loss, z: loss.classes(z))


def _of_losses(core: Core, X: Arrays, batch_size: int | None, check: bool, rule: OfLoss) -> Any:
    """What a rule of each output's loss makes of a prediction, arranged for the user."""
    check_classification(core)
    outputs, single = all_outputs(core, X, batch_size, check)
    results: list[Any] = [None] * len(outputs)
    for head in core.heads:
        result = rule(head.loss, outputs[head.output])
        results[head.output] = result[0] if single and result is not None else result
    return core.arrange(results)


def check_classification(core: Core) -> None:
    """Raise unless the network is compiled and a loss knows probabilities and classes."""
    core.compiled()
    if all(head.loss.activation is None for head in core.heads):
        raise ValueError(
            "probabilities and classes need a classification loss, but the losses are "
            + ", ".join(head.loss.name for head in core.heads)
        )


# ------------------------------------------------------------- Monte-Carlo dropout


@dataclass(frozen=True)
class Sampling:
    """How often to predict under sampled dropout masks, and their seed."""

    n_samples: int
    seed: int
    return_samples: bool
    check_finite: bool


def predict_samples(core: Core, X: Arrays, sampling: Sampling) -> Prediction:
    """Mean and spread of the outputs."""
    return _sampled(core, X, sampling, lambda i, output: output)


def predict_proba_samples(core: Core, X: Arrays, sampling: Sampling) -> Prediction:
    """Mean and spread of the probabilities."""
    check_classification(core)
    losses = {head.output: head.loss for head in core.heads}
    kernels = core.kernels
    return _sampled(
        core, X, sampling,
        lambda i, z: losses[i].probabilities(z, kernels) if i in losses else None,
    )  # fmt: skip


def _sampled(core: Core, X: Arrays, sampling: Sampling, rule: Rule) -> Prediction:
    """Mean and spread of what `rule` makes of the outputs, over sampled dropout masks."""
    n_samples = check_integer(sampling.n_samples, "n_samples", 2)
    seed = check_integer(sampling.seed, "seed", 0)
    keep = check_flag(sampling.return_samples, "return_samples")
    check = check_flag(sampling.check_finite, "check_finite")
    with core.lock, backend.use(core.backend):
        arrays, single = core.feed.arrays(X, "predict_samples")
        sampler = Sampler(core.program, core.storage, n_samples, seed)
        try:
            predictions = sampler.run(arrays, rule, keep, check)
        except ValueError:
            if check:
                core.feed.check(arrays)  # names the number that the engine refused
            raise
    means, stds, samples = zip(*(p or (None, None, None) for p in predictions), strict=True)
    if single:
        means, stds = (tuple(v if v is None else v[0] for v in part) for part in (means, stds))
        samples = tuple(v if v is None else v[:, 0] for v in samples)
    arranged = core.arrange(samples) if keep else None
    return Prediction(core.arrange(means), core.arrange(stds), arranged)


# ------------------------------------------------------------------- frozen copies


def predictor(core: Core, precision: str | None, calibration: Calibration) -> Predictor:
    """A frozen copy, for predictions of low latency."""
    with core.lock, backend.use(core.backend):
        names = core.output_names if core.outputs_are_named else None
        if precision == "bfloat16":
            from fastnn.network._quantize import rounded

            return rounded(core, calibration, names)
        if precision is None or precision in precisions.PRECISIONS:
            calibration.refuse()
            program = replace(core.program, precision=precision or core.program.precision)
            return Predictor(program, core.storage, names)
        if precision != "int8":
            known = ", ".join(precisions.PRECISIONS)
            raise ValueError(f"precision must be None, {known} or int8, got {precision!r}")
        from fastnn.network._quantize import quantized

        return quantized(core, calibration, names)
