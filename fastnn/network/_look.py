"""The inside of a network: the numbers of a training step, and derivatives of the outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import Arrays, Weights, readable
from fastnn._shared.numbers import check_flag, check_integer
from fastnn.losses import EngineLoss
from fastnn.network._core import Core
from fastnn.network._feed import dense
from fastnn.solvers import Solver
from fastnn.training.data import Data
from fastnn.training.state import TrainingError

if TYPE_CHECKING:
    from fastnn.inspection import HeadTrace, LayerStatistics, Trace, TracedStep

# --------------------------------------------------------------------------- trace


def trace(
    core: Core, X: Arrays, y: Arrays, sample_weight: Weights, apply: bool, check: bool
) -> Trace:
    """Every intermediate of the next optimizer step on these data."""
    from fastnn.inspection import Trace, TracedStep

    apply = check_flag(apply, "apply")
    with core.lock, backend.use(core.backend):
        optimizer = core.compiled()
        data = core.feed.data(X, y, sample_weight, check)
        number = core.state.step + 1
        rate = None
        if apply or not isinstance(optimizer, Solver):
            rate = core.learning_rate(number)
        step = TracedStep(core.graph, core.program, core.storage, core.slots, optimizer)
        inputs = [readable(x, core.dtype) for x in dense(data.inputs, "trace")]
        cost = step.run(inputs, data.targets, number, rate)
        result = Trace(
            step.calls, step.parameters(), _traced_heads(core, step, data),
            cost, number, rate, repr(optimizer),
        )  # fmt: skip
        if rate is not None and apply:
            _adopt(core, step, result, rate)
        return result


def layer_statistics(
    core: Core, X: Arrays, y: Arrays, sample_weight: Weights, check: bool
) -> LayerStatistics:
    """Sizes of activations, sensitivities, gradients and updates, from a trace."""
    from fastnn import inspection

    with core.lock:
        result = trace(core, X, y, sample_weight, False, check)
        return inspection.layer_statistics(core.graph, result, core.kernels)


def _traced_heads(core: Core, step: TracedStep, data: Data) -> dict[str, HeadTrace]:
    from fastnn.inspection import HeadTrace

    heads, outputs = {}, step.outputs
    for head, rows, (target, _) in zip(core.heads, step.sample_losses, data.targets, strict=True):
        losses = None
        if isinstance(head.loss, EngineLoss):  # others have one number for a batch
            losses = rows * len(rows) if head.loss.reduction == "mean" else rows
        output = np.ascontiguousarray(outputs[head.output])
        heads[head.name] = HeadTrace(
            head.name, head.loss.name, head.weight, float(rows.sum()), losses,
            np.array(target), head.loss.probabilities(output, core.kernels),
        )  # fmt: skip
    return heads


def _adopt(core: Core, step: TracedStep, result: Trace, rate: float) -> None:
    """Take a traced step; TrainingError if its cost or a custom gradient is not finite."""
    if not result.is_finite or step.refusal is not None:
        fault = str(step.refusal or "")
        raise TrainingError(core.state.epoch + 1, 1, result.step, result.loss, rate, fault)
    core.restore(step.storage)
    for name, slot in step.slots.items():
        core.slots[name][...] = slot
    core.state.step += 1


# ----------------------------------------------------------------------- Jacobians


class _Derived(NamedTuple):
    """The columns of an output to derive, and the inputs at which to derive them."""

    inputs: list[np.ndarray]
    single: bool
    output: int
    columns: list[int]


def input_gradients(
    core: Core, X: Arrays, output: str | None, column: int | None, check: bool
) -> Any:
    """The derivatives of the outputs by the inputs, for each sample."""

    def derive(derived: _Derived) -> Any:
        parts = core.linearization.by_inputs(derived.inputs, derived.output, derived.columns)
        trimmed = [_trimmed(part, derived.single, column is not None) for part in parts]
        if isinstance(X, Mapping):
            return dict(zip(core.input_names, trimmed, strict=True))
        return trimmed[0] if len(trimmed) == 1 else trimmed

    return _by_output(core, X, output, column, check, derive)


def parameter_jacobian(
    core: Core, X: Arrays, output: str | None, column: int | None, check: bool
) -> Any:
    """The derivatives of the outputs by the parameters, for each sample."""
    parameters = core.program.parameters

    def derive(derived: _Derived) -> np.ndarray:
        jacobian = core.linearization.by_parameters(
            derived.inputs, derived.output, derived.columns, [p.trainable for p in parameters]
        )
        return jacobian.reshape(-1, core.program.n_parameters)

    return _by_output(core, X, output, column, check, derive)


def _by_output(
    core: Core,
    X: Arrays,
    output: str | None,
    column: int | None,
    check: bool,
    derive: Callable[[_Derived], Any],
) -> Any:
    """What `derive` gives for the output called `output`, or arranged for all of them."""
    with core.lock, backend.use(core.backend):
        arrays, single = core.feed.arrays(X, "a derivative")
        if check_flag(check, "check_finite"):
            core.feed.check(arrays)
        inputs = [readable(x, core.dtype) for x in arrays]
        results = [
            derive(_Derived(inputs, single, position, _columns(core, position, column)))
            for position in _positions(core.output_names, output, column)
        ]
    return core.arrange(results) if output is None else results[0]


def _positions(names: list[str], output: str | None, column: int | None) -> list[int]:
    """Positions of the output called `output`, or of all."""
    if output is None:
        if column is not None and len(names) > 1:
            raise ValueError(f"column needs an output: one of {', '.join(map(repr, names))}")
        return list(range(len(names)))
    if output not in names:
        outputs = ", ".join(map(repr, names))
        raise ValueError(f"output is {output!r}, but the network has {outputs}")
    return [names.index(output)]


def _columns(core: Core, position: int, column: int | None) -> list[int]:
    width = core.graph.outputs[position].width
    if column is None:
        return list(range(width))
    return [check_integer(column, "column", 0, width - 1)]


def _trimmed(jacobian: np.ndarray, single: bool, one_column: bool) -> np.ndarray:
    """Without the axes that the caller did not ask for."""
    if one_column:
        jacobian = jacobian[:, 0]
    return jacobian[0] if single else jacobian
