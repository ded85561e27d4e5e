"""Predictors whose products run in lower precision: which of them, and what that changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from fastnn import backend
from fastnn._shared.arrays import contiguous
from fastnn._shared.numbers import check_integer
from fastnn._shared.sparse import Rows, SparseRows
from fastnn.backend import quantization
from fastnn.facts import precisions
from fastnn.network._core import Core
from fastnn.network._feed import prepare_inputs, prepare_targets
from fastnn.network._precision import Calibration, OutputChange, PrecisionReport, ProductReport
from fastnn.network._predictor import Predictor
from fastnn.program import Operation, Program
from fastnn.training.data import Data

_ROWS = 2048
"""Rows that are measured together, and about as many that choose between two kinds of ranges."""

_FAST = {
    "int8": quantization.INSTRUCTIONS,
    "bfloat16": precisions.get("bfloat16").instructions,
}
"""Instruction sets with an instruction for the products of a precision."""

_HINT = "a calibration needs finite numbers"


def quantized(core: Core, calibration: Calibration, names: Sequence[str] | None) -> Predictor:
    """A predictor with products of eight bits, and a report of what they change.

    Raises
    ------
    RuntimeError
        With `y`, if the network has not been compiled.
    TypeError, ValueError
        If the network is not float32, or an argument does not fit.
    """
    if core.dtype != np.float32:
        raise ValueError(f'precision="int8" needs a network in float32, got {core.dtype}')
    _check_parameters(core)
    data = _data(core, calibration, "int8")
    products = _mark(core.program, _products(core.program), calibration.keep)
    products = _calibrated(core, products, data.inputs)
    program = _with_products(core.program, products)
    report = _report(core, "int8", program, data, tuple(products.values()))
    return Predictor(program, core.storage, names, report)


def rounded(core: Core, calibration: Calibration, names: Sequence[str] | None) -> Predictor:
    """A predictor with products in bfloat16; with rows to calibrate, a report of what they change.

    Raises
    ------
    RuntimeError, TypeError, ValueError
        As `quantized`; if there are layers to keep.
    """
    replace(calibration, X=None, y=None).refuse()
    program = replace(core.program, precision="bfloat16", heads=())
    if calibration.X is None:
        calibration.refuse()
        return Predictor(program, core.storage, names)
    narrow, products = program.narrow_products, []
    for index, product in _products(program).items():
        is_narrow = index in narrow
        precision = "bfloat16" if is_narrow else "float32"
        reason = "" if is_narrow else "small: no faster in bfloat16"
        products.append(replace(product, precision=precision, reason=reason))
    data = _data(core, calibration, "bfloat16")
    report = _report(core, "bfloat16", program, data, tuple(products))
    return Predictor(program, core.storage, names, report)


def _report(
    core: Core, precision: str, program: Program, data: Data, products: tuple[ProductReport, ...]
) -> PrecisionReport:
    """What a program changes in outputs and scores of float32."""
    plain = replace(core.program, precision="float32", heads=())
    before, after = (_outputs(core, which, data.inputs) for which in (plain, program))
    changes = tuple(map(_change, core.output_names, before, after))
    scores: tuple[dict[str, float], dict[str, float]] = ({}, {})
    if data.targets:
        scores = (core.measure_outputs(before, data), core.measure_outputs(after, data))
    isa = backend.instruction_set() or "NumPy"
    n_rows, has_instruction = len(data.inputs[0]), isa in _FAST[precision]
    return PrecisionReport(precision, n_rows, products, changes, *scores, isa, has_instruction)


def _outputs(core: Core, program: Program, inputs: Sequence[Rows]) -> list[np.ndarray]:
    """The outputs of a program, block by block."""
    predictor = Predictor(program, core.storage)
    widths = [program.buffers[i].width for i in program.outputs]
    outputs = [np.empty((len(inputs[0]), width), core.dtype) for width in widths]
    for rows, block in _blocks(core, inputs):
        parts: Any = predictor(block if len(block) > 1 else block[0])
        parts = parts if isinstance(parts, list) else [parts]
        for output, part in zip(outputs, parts, strict=True):
            output[rows] = part
    return outputs


def _check_parameters(core: Core) -> None:
    for parameter in core.program.parameters:
        if not np.isfinite(parameter.view(core.storage)).all():
            raise ValueError(
                f'precision="int8" needs finite parameters, but {parameter.name!r} has nan or inf'
            )


def _data(core: Core, calibration: Calibration, precision: str) -> Data:
    """Checked rows, and targets where there are any."""
    if calibration.X is None:
        raise ValueError(f'precision="{precision}" needs calibrate=X, rows like those to predict')
    program, feed = core.program, core.feed
    inputs = prepare_inputs(calibration.X, feed.inputs, program.sparse_inputs, "calibrate")
    feed.check(inputs, "calibrate", _HINT)
    if calibration.y is None:
        return Data(inputs, [])
    core.compiled()
    targets = prepare_targets(calibration.y, core.heads, inputs, core.dtype)
    return Data(inputs, [(target, None) for target in targets])


# ------------------------------------------------------------------------ products


def _products(program: Program) -> dict[int, ProductReport]:
    """The products of a program, by the index of their operation, all of them in float32."""
    products = {}
    for index, operation in enumerate(program.operations):
        if operation.kind == "dense":
            name = program.buffers[operation.output].name.removesuffix(".Z")
            n_in, n_out = program.parameters[operation.parameters[0]].shape
            products[index] = ProductReport(name, n_in, n_out)
    return products


def _mark(
    program: Program, products: dict[int, ProductReport], keep: object
) -> dict[int, ProductReport]:
    """The products with the precision they get, and the reasons of those that stay float32."""
    layers = {i: _layer(program, program.operations[i]) for i in products}
    asked = _asked(list(dict.fromkeys(layers.values())), keep)
    marked = {}
    for index, product in products.items():
        reason = ""
        if layers[index] in asked:
            reason = "kept"
        elif product.n_in > quantization.MOST_INPUTS:
            reason = f"more than {quantization.MOST_INPUTS:,} inputs"
        elif product.n_in < quantization.LEAST_INPUTS or product.n_out < quantization.LEAST_OUTPUTS:
            reason = "small: no faster in int8"
        precision = "float32" if reason else "int8"
        marked[index] = replace(product, precision=precision, reason=reason)
    return marked


def _layer(program: Program, operation: Operation) -> str:
    """The name of the layer that has the weight of a product."""
    return program.parameters[operation.parameters[0]].name.rpartition(".")[0]


def _asked(layers: Sequence[str], keep: object) -> set[str]:
    """The layers that `keep` names; TypeError or ValueError where it names none."""
    if isinstance(keep, (str, int)) or not isinstance(keep, (list, tuple, set, frozenset)):
        raise TypeError(
            "keep must be a list of names of layers, or of their positions among the dense "
            f"layers, got {keep!r}"
        )
    asked = set()
    for which in keep:
        if isinstance(which, str):
            if which not in layers:
                known = ", ".join(map(repr, layers))
                raise ValueError(f"keep has {which!r}, but the layers with products are {known}")
            asked.add(which)
        else:
            n = len(layers)
            asked.add(layers[check_integer(which, "a position in keep", -n, n - 1)])
    return asked


def _with_products(program: Program, products: dict[int, ProductReport]) -> Program:
    """The program whose operations have the precision of their products."""
    operations = list(program.operations)
    for index, product in products.items():
        if product.precision == "int8":
            attributes: dict[str, Any] = {"precision": "int8"}
            if product.ranges == "tensor":
                attributes |= {"low": product.low, "high": product.high}
            operations[index] = replace(operations[index], attributes=MappingProxyType(attributes))
    return replace(program, operations=tuple(operations), heads=(), precision="float32")


# --------------------------------------------------------------------- calibration


def _calibrated(
    core: Core, products: dict[int, ProductReport], inputs: Sequence[Rows]
) -> dict[int, ProductReport]:
    """The products with the ranges of their activations: those of rows, or one for all."""
    program = core.program
    wanted = {i: p for i, p in products.items() if p.precision == "int8"}
    places = sorted({program.operations[i].inputs[0] for i in wanted})
    extremes: dict[int, list[float]] = {place: [0.0, 0.0] for place in places}
    samples: dict[int, list[np.ndarray]] = {place: [] for place in places}
    every = -(-len(inputs[0]) // _ROWS)
    for rows, values in _activations(core, places, inputs):
        first = -rows.start % every
        for place, value in zip(places, values, strict=True):
            low, high = extremes[place]
            extremes[place] = [min(low, float(value.min())), max(high, float(value.max()))]
            samples[place].append(value[first::every].copy())
    for index, product in wanted.items():
        if not np.isfinite(extremes[program.operations[index].inputs[0]]).all():
            raise ValueError(f"calibrate makes nan or inf in the inputs of {product.name!r}")
    result = dict(products)
    for index, product in wanted.items():
        operation = program.operations[index]
        low, high = extremes[operation.inputs[0]]
        weight = program.parameters[operation.parameters[0]].view(core.storage)
        x = np.concatenate(samples[operation.inputs[0]])
        errors = _errors(x, weight, low, high)
        ranges = min(errors, key=lambda key: errors[key])
        result[index] = replace(product, ranges=ranges, low=low, high=high, errors=errors)
    return result


def _activations(
    core: Core, places: Sequence[int], inputs: Sequence[Rows]
) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """The values of some buffers, block by block."""
    program = core.program
    inner = tuple(place for place in places if place not in program.inputs)
    outputs = inner or program.outputs
    watched = replace(program, outputs=outputs, heads=(), precision="float32")
    engine = backend.new_engine(watched, core.storage)
    for rows, block in _blocks(core, inputs):
        values = dict(zip(watched.outputs, engine.forward(block), strict=True))
        values |= dict(zip(program.inputs, block, strict=True))
        yield rows, [values[place] for place in places]


def _errors(x: np.ndarray, weight: np.ndarray, low: float, high: float) -> dict[str, float]:
    """Root mean square of the change of x W by both kinds of ranges, relative to that of x W."""
    exact = x.astype(np.float64) @ weight.astype(np.float64)
    codes = quantization.quantized_weight(weight)
    size = float(np.sqrt(np.mean(np.square(exact)))) or 1.0
    errors = {}
    for ranges, attributes in {"row": {}, "tensor": {"low": low, "high": high}}.items():
        change = quantization.product(x, codes, None, attributes) - exact
        errors[ranges] = float(np.sqrt(np.mean(np.square(change)))) / size
    return errors


def _blocks(core: Core, inputs: Sequence[Rows]) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Blocks of rows in the dtype of the network, sparse ones with their zeros."""
    for start in range(0, len(inputs[0]), _ROWS):
        rows = slice(start, min(start + _ROWS, len(inputs[0])))
        parts = []
        for array in inputs:
            part = array[rows]
            values = part.matrix().toarray() if isinstance(part, SparseRows) else part
            parts.append(contiguous(values, core.dtype))
        yield rows, parts


def _change(name: str, before: np.ndarray, after: np.ndarray) -> OutputChange:
    """How far an output changes."""
    difference = np.abs(np.subtract(after, before, dtype=np.float64))
    spread = float(np.std(before, dtype=np.float64))
    return OutputChange(name, float(difference.max()), float(difference.mean()), spread)
