"""A trace as text, as LaTeX and as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn._shared.text import aligned, titled
from fastnn.inspection._records import Array, CallTrace, HeadTrace, ParameterTrace, StepRecord

_SHOWN_ROWS = 6  # samples of a matrix that is written out
_SHOWN_COLUMNS = 8  # and its columns: amsmath's matrices take ten
_SHOWN_PARAMETERS = 100  # a net of up to this many parameters has a line for each
_SHOWN_VECTOR = 8  # in larger nets, only parameters of up to this many numbers
_SYMBOLS = ("Z", "A", "dA", "dZ")  # in the order of the step: forward, then backward


# ------------------------------------------------------------------------ text


def as_text(trace: StepRecord) -> str:
    """The tables that `print(trace)` shows."""
    samples = "1 sample" if trace.n_samples == 1 else f"{trace.n_samples} samples"
    optimizer = trace.optimizer.partition("(")[0]
    if trace.learning_rate is None:
        step = f"gradients for {optimizer}, which takes no single steps"
    else:
        step = f"step {trace.step} of {optimizer}, learning rate {trace.learning_rate:g}"
    lines = [f"{step}: {samples}, loss {_number(trace.loss)}"]
    if not trace.is_finite:
        lines.append("the loss is not finite: the optimizer takes no step")
    rows = [row for call in trace.values() for row in _call_rows(call)]
    rows += [row for head in trace.heads.values() for row in _head_rows(head)]
    lines += ["", *aligned(rows)]
    titles = ("parameter", "before", "gradient", "update", "after")
    is_small = sum(p.before.size for p in trace.parameters.values()) <= _SHOWN_PARAMETERS
    limit = _SHOWN_PARAMETERS if is_small else _SHOWN_VECTOR
    rows = [row for item in trace.parameters.items() for row in _parameter_rows(*item, limit)]
    if rows:
        lines += ["", *titled([titles, *rows], right=range(1, len(titles)))]
    return "\n".join(lines)


def _call_rows(call: CallTrace) -> Iterator[tuple[str, ...]]:
    label = call.name
    for symbol, array in _call_arrays(call):
        for line in _matrix_lines(array):
            yield label, symbol, line
            label = symbol = ""


def _call_arrays(call: CallTrace) -> list[tuple[str, Array]]:
    """The arrays to show; A is left out where it is the same array as Z."""
    hidden = ("A", "dA") if call.A is call.Z else ()
    arrays = [(symbol, getattr(call, symbol)) for symbol in _SYMBOLS if symbol not in hidden]
    return [(symbol, array) for symbol, array in arrays if array is not None]


def _head_rows(head: HeadTrace) -> Iterator[tuple[str, ...]]:
    label = f"{head.name}: {head.kind}"
    if head.weight != 1:
        label += f" times {head.weight:g}"
    for symbol, array in _head_arrays(head):
        for line in _matrix_lines(array.reshape(len(array), -1)):
            yield label, symbol, line
            label = symbol = ""


def _head_arrays(head: HeadTrace) -> list[tuple[str, Array]]:
    arrays = [("p", head.probabilities), ("y", head.targets), ("loss", head.losses)]
    return [(symbol, array) for symbol, array in arrays if array is not None]


def _matrix_lines(array: Array) -> list[str]:
    """The rows of a small matrix; shape, norm and range of a large one."""
    if not _is_small(array):
        return [_summary(array)]
    return ["".join(f"{_number(x):>14}" for x in row) for row in array]


def _parameter_rows(name: str, parameter: ParameterTrace, limit: int) -> Iterator[tuple[str, ...]]:
    """A line for each number; one line of norms for more than `limit` numbers."""
    arrays = [parameter.before, parameter.gradient, parameter.update, parameter.after]
    if parameter.before.size > limit:
        label = f"{name} {_shape(parameter.before)}, norms"
        yield label, *("frozen" if a is None else _number(_norm(a)) for a in arrays)
        return
    for index in np.ndindex(parameter.before.shape):
        numbers = ("frozen" if a is None else _number(a[index]) for a in arrays)
        yield f"{name}[{', '.join(map(str, index))}]", *numbers


def _summary(array: Array) -> str:
    low, high = (_number(bound) for bound in (array.min(), array.max()))
    return f"{_shape(array)}, norm {_number(_norm(array))}, from {low} to {high}"


def _is_small(array: Array) -> bool:
    return len(array) <= _SHOWN_ROWS and array.shape[-1] <= _SHOWN_COLUMNS


def _shape(array: Array) -> str:
    return " x ".join(map(str, array.shape))


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))


def _number(value: Any) -> str:
    return f"{float(value):.6g}"


# ----------------------------------------------------------------------- LaTeX


def as_latex(trace: StepRecord) -> str:
    """Displays of equations: one for each call, each loss and each parameter."""
    blocks = [_display(_call_equations(call)) for call in trace.values()]
    blocks += [_display(_head_equations(head)) for head in trace.heads.values()]
    blocks += [_display(_parameter_equations(n, p)) for n, p in trace.parameters.items()]
    return "\n".join(blocks)


def _display(equations: Sequence[tuple[str, str]]) -> str:
    lines = [f"  {left} &= {right}" for left, right in equations]
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"


def _call_equations(call: CallTrace) -> list[tuple[str, str]]:
    name = _escaped(call.name)
    return [
        (f"{_differential(symbol)}_{{\\text{{{name}}}}}", _latex_array(array))
        for symbol, array in _call_arrays(call)
    ]


def _head_equations(head: HeadTrace) -> list[tuple[str, str]]:
    name = _escaped(head.name)
    symbols = {"p": "\\hat{y}", "y": "y", "loss": "\\ell"}
    return [
        (f"{symbols[key]}_{{\\text{{{name}}}}}", _latex_array(array.reshape(len(array), -1)))
        for key, array in _head_arrays(head)
    ]


def _parameter_equations(name: str, parameter: ParameterTrace) -> list[tuple[str, str]]:
    layer, _, key = name.rpartition(".")
    symbol = {"weight": "W", "bias": "b"}.get(key, f"\\mathrm{{{_escaped(key)}}}")
    symbol += f"_{{\\text{{{_escaped(layer)}}}}}"
    equations = [(symbol, _latex_array(np.atleast_2d(parameter.before)))]
    if parameter.gradient is not None:
        gradient = _latex_array(np.atleast_2d(parameter.gradient))
        equations.append((f"\\mathrm{{d}}{symbol}", gradient))
        equations.append((f"{symbol}^{{+}}", _latex_array(np.atleast_2d(parameter.after))))
    return equations


def _differential(symbol: str) -> str:
    return f"\\mathrm{{d}}{symbol[1:]}" if symbol.startswith("d") else symbol


def _latex_array(array: Array) -> str:
    if not _is_small(array):
        shape = " \\times ".join(map(str, array.shape))
        norm = _latex_number(_norm(array))
        return f"M \\in \\mathbb{{R}}^{{{shape}}},\\ \\lVert M \\rVert = {norm}"
    rows = [" & ".join(map(_latex_number, row)) for row in array]
    return "\\begin{pmatrix} " + " \\\\ ".join(rows) + " \\end{pmatrix}"


def _latex_number(value: object) -> str:
    text = _number(value).replace("inf", "\\infty").replace("nan", "\\mathrm{nan}")
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa} \\cdot 10^{{{int(exponent)}}}" if exponent else text


def _escaped(text: str) -> str:
    """Text with the special characters of LaTeX escaped."""
    return re.sub(r"([_#$%&{}])", r"\\\1", text)


# ------------------------------------------------------------------------ data


def as_data(trace: StepRecord) -> dict[str, Any]:
    """Everything as dictionaries, lists, numbers and text."""
    return {
        "step": trace.step,
        "optimizer": trace.optimizer,
        "learning_rate": trace.learning_rate,
        "loss": trace.loss,
        "calls": {name: _call_data(call) for name, call in trace.items()},
        "heads": {name: _head_data(head) for name, head in trace.heads.items()},
        "parameters": {
            name: {
                key: _listed(getattr(parameter, key))
                for key in ("before", "gradient", "update", "after")
            }
            for name, parameter in trace.parameters.items()
        },
    }


def _call_data(call: CallTrace) -> dict[str, Any]:
    arrays = {symbol: _listed(getattr(call, symbol)) for symbol in _SYMBOLS}
    gradients = {key: _listed(array) for key, array in call.gradients.items()}
    return {"layer": call.layer, "inputs": list(call.inputs), **arrays, "gradients": gradients}


def _head_data(head: HeadTrace) -> dict[str, Any]:
    return {
        "loss_function": head.kind,
        "weight": head.weight,
        "loss": head.loss,
        "losses": _listed(head.losses),
        "targets": _listed(head.targets),
        "probabilities": _listed(head.probabilities),
    }


def _listed(array: Array | None) -> Any:
    return None if array is None else array.tolist()
