"""Models for tables, and fitted estimators, as models of ONNX of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.formats._fitted import CategoryColumn, Classes, Fitted, Number, SignColumn
from fastnn.formats._program import read
from fastnn.formats.onnx_fitted import (
    LABEL,
    PROBABILITIES,
    Source,
    add_fitted,
    add_label,
    labels_of,
)
from fastnn.formats.onnx_nodes import OLDEST, Nodes
from fastnn.formats.onnx_program import lowest_opset_of

NUMBERS = "variable"
"""Name of the output of a regression."""

_ML_OPSET = 2  # of LabelEncoder, for the levels of categories
_QUANTILES_OPSET = 11  # of TopK, which sorts


def fitted_graph(model: Fitted, opset: int | None, batch: str) -> tuple[Any, list[Any]]:
    """The graph of a fitted model, and the opsets that it needs.

    Parameters
    ----------
    model : Fitted
        Each column that it uses becomes an input (N, 1) of its own: text for a category, a double
        for a number, and 0, 1 or nan for a truth value.  Without columns, the input is ``X``.
    opset : int, optional
        By default the lowest that has the operators.
    batch : str
        Name of the number of rows.

    Returns
    -------
    graph : onnx.GraphProto
    domains : list of onnx.OperatorSetIdProto

    Raises
    ------
    ValueError
        If a column is of dates, or a network has a custom layer.
    """
    networks = [network for bag in model.bags for network in bag.networks]
    dtype = np.dtype(networks[0].dtype)
    if opset is None:
        sorts = isinstance(model.meaning, Number) and model.meaning.levels > 1
        least = _QUANTILES_OPSET if sorts else OLDEST
        opset = max(least, *(lowest_opset_of(read(network, "ONNX")) for network in networks))
    names = [PROBABILITIES, LABEL] if isinstance(model.meaning, Classes) else [NUMBERS]
    nodes = Nodes(dtype, opset, names)
    helper = nodes.onnx.helper
    sources = _sources(model, nodes)
    described = [
        helper.make_tensor_value_info(source.value, _kind(nodes, source), [batch, source.width])
        for source in sources
    ]
    scores = add_fitted(nodes, model, sources)
    nodes.owner = "outputs"
    outputs = _outputs(nodes, model, scores, batch)
    arrays = [_tensor(nodes, values, name) for name, values in nodes.initializers.items()]
    graph = helper.make_graph(nodes.nodes, "model", described, outputs, arrays)
    domains = [helper.make_opsetid("", opset)]
    if any(node.domain for node in nodes.nodes):
        domains.append(helper.make_opsetid("ai.onnx.ml", _ML_OPSET))
    return graph, domains


def _sources(model: Fitted, nodes: Nodes) -> list[Source]:
    """The inputs of the model."""
    if model.columns is None:
        width = model.bags[0].networks[0].core.graph.inputs[0].width
        return [Source("X", nodes.free("X"), "number", width)]
    sources = []
    for column in model.columns:
        is_text = isinstance(column, CategoryColumn) or (
            isinstance(column, SignColumn) and bool(column.texts)
        )
        kind = "text" if is_text else "number"
        sources.append(Source(column.name, nodes.free(column.name), kind, 1))
    return sources


def _kind(nodes: Nodes, source: Source) -> int:
    types = nodes.onnx.TensorProto
    return int(types.STRING if source.kind == "text" else types.DOUBLE)


def _outputs(nodes: Nodes, model: Fitted, scores: str, batch: str) -> list[Any]:
    """Add the outputs, and describe them."""
    helper, types = nodes.onnx.helper, nodes.onnx.TensorProto
    if not isinstance(model.meaning, Classes):
        nodes.add("Cast", [scores], NUMBERS, to=types.DOUBLE)
        return [helper.make_tensor_value_info(NUMBERS, types.DOUBLE, [batch, model.n_outputs])]
    labels = labels_of(model.meaning)
    several = model.meaning.link == "labels"
    nodes.add("Cast", [scores], PROBABILITIES, to=types.DOUBLE)
    add_label(nodes, model.meaning, scores, LABEL, PROBABILITIES, double=True)
    is_text = labels.dtype == object and not several
    shape = [batch, len(labels)] if several else [batch]
    kind = types.STRING if is_text else types.INT64
    return [
        helper.make_tensor_value_info(LABEL, kind, shape),
        helper.make_tensor_value_info(PROBABILITIES, types.DOUBLE, [batch, len(labels)]),
    ]


def _tensor(nodes: Nodes, values: np.ndarray, name: str) -> Any:
    """A constant of a graph, of numbers or of text as bytes."""
    if values.dtype == object:
        shape, kind = list(values.shape), nodes.onnx.TensorProto.STRING
        return nodes.onnx.helper.make_tensor(name, kind, shape, values.ravel().tolist())
    return nodes.onnx.numpy_helper.from_array(values, name)
