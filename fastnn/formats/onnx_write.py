"""Networks as files of ONNX."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastnn._shared.numbers import check_flag, check_integer
from fastnn._shared.writing import Destination, write_file
from fastnn._version import __version__
from fastnn.formats._program import Portable, read
from fastnn.formats.onnx_nodes import OLDEST, Nodes, library
from fastnn.formats.onnx_program import add_program, lowest_opset_of
from fastnn.formats.onnx_tables import fitted_graph
from fastnn.network import Network

BATCH = "batch"
"""The name of the number of rows, which stays free."""

MOST_BYTES = (1 << 31) - (1 << 20)
"""A file of ONNX is one message of protobuf, below 2 GiB."""


def to_onnx(
    net: Any,
    path: Destination | None = None,
    opset: int | None = None,
    *,
    probabilities: bool = False,
) -> Any:
    """A network, or a model around networks, as a model of ONNX (the extra `onnx`).

    Parameters
    ----------
    net : Network, model of `fastnn.tabular.fit`, or fitted estimator
        Of fastnn's own layers, float32 or float64.  A model for tables is written with its
        preprocessing.
    path : str, path-like or binary file object, optional
        Where to write the model as well.  The file is complete, or the old one stays.
    opset : int, optional
        Version of the operators, at least 9.  By default the lowest that has an operator for each
        operation, such as 17 for `LayerNorm` and 20 for `GELU`; operators newer than 20 are not
        used unasked.  In a lower opset, several primitive operators stand for one operation.
    probabilities : bool, default False
        Give what `Network.predict_proba` gives: sigmoid or softmax at the end of the outputs
        whose loss implies probabilities, where the network has been compiled.  By default the
        outputs are those of `Network.predict`, without the link of a loss.

    Returns
    -------
    onnx.ModelProto
        It has passed ``onnx.checker`` with full checks.  The number of rows is free, and inputs,
        outputs and parameters have the names they have in the network.  An output that is called
        like an input has ``_output`` after its name.  In a model for tables each column is an
        input (N, 1): a category is text, in which "" is a missing value; a number is a double,
        and so is a truth value, 0 or 1.  The outputs are "label" (N,) and "probabilities" (N, K),
        or "variable" (N, 1) of a regression.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    TypeError
        If `net` is no network and no fitted model.
    ValueError
        If a network has a custom layer, or a model for tables a column of dates; if the opset is
        lower than 9 or unknown to the installed package; if a parameter is not finite; if the
        parameters exceed 2 GiB, the limit of ONNX; if probabilities are asked for and no loss
        implies them.
    OSError
        If the file cannot be written.

    Notes
    -----
    Float64 networks have few operators beyond the elementary ones, since runtimes lack the others
    in float64.  Embeddings take their codes as numbers of the dtype of the network; a code out of
    range has the vector of the nearest code.

    Examples
    --------
    >>> import fastnn as fnn
    >>> net = fnn.Sequential([fnn.Dense(4, 8, "relu"), fnn.Dense(8, 2)])
    >>> model = fnn.formats.to_onnx(net, "model.onnx")  # doctest: +SKIP
    """
    onnx = library()
    check_flag(probabilities, "probabilities")
    newest = onnx.defs.onnx_opset_version()
    if opset is not None:
        opset = check_integer(opset, "opset", OLDEST, newest)
    if hasattr(net, "_fitted_model"):
        if probabilities:
            raise ValueError("probabilities is for networks: a fitted model always gives them")
        fitted = net._fitted_model()
        _check_size(network for bag in fitted.bags for network in bag.networks)
        graph, domains = fitted_graph(fitted, opset, BATCH)
    else:
        source = read(net, "ONNX")
        _check_size([net])
        links = _links(net) if probabilities else {}
        opset = lowest_opset_of(source) if opset is None else opset
        nodes = Nodes(source.program.dtype, opset, [p.name for p in source.program.parameters])
        graph = _graph(nodes, source, links, net.name or "network")
        domains = [onnx.helper.make_opsetid("", opset)]
    model = onnx.helper.make_model(
        graph, opset_imports=domains, producer_name="fastnn", producer_version=__version__
    )
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    onnx.checker.check_model(model, full_check=True)
    if path is not None:
        write_file(path, [model.SerializeToString()])
    return model


def _check_size(networks: Iterable[Network]) -> None:
    """Raise ValueError if the parameters do not fit into a file."""
    size = sum(network.n_parameters * network.dtype.itemsize for network in networks)
    if size > MOST_BYTES:
        raise ValueError(
            f"the parameters take {size:,} bytes, but a file of ONNX has at most 2 GiB"
        )


def _links(net: Network) -> dict[int, str]:
    """By position of an output, the function that makes probabilities of it."""
    net.core.compiled()
    links = {head.output: head.loss.activation for head in net.core.heads}
    links = {i: function for i, function in links.items() if function is not None}
    if not links:
        losses = ", ".join(head.loss.name for head in net.core.heads)
        raise ValueError(f"probabilities need a classification loss, but the losses are {losses}")
    return {i: "Softmax" if f == "softmax" else "Sigmoid" for i, f in links.items()}


def _graph(nodes: Nodes, source: Portable, links: dict[int, str], name: str) -> Any:
    """The graph of a program, with names of inputs and outputs."""
    program, helper = source.program, nodes.onnx.helper
    inputs = [nodes.free(name) for name in source.inputs]
    outputs = [nodes.free(name) for name in _output_names(source)]
    own = [None if i in links else output for i, output in enumerate(outputs)]
    values = add_program(nodes, source, inputs, own)
    for i, operator in links.items():
        axis = {"axis": 1} if operator == "Softmax" else {}
        nodes.add(operator, [values[i]], outputs[i], **axis)
    kind = helper.np_dtype_to_tensor_dtype(program.dtype)
    described = [
        helper.make_tensor_value_info(value, kind, [BATCH, program.buffers[buffer].width])
        for value, buffer in zip(
            [*inputs, *outputs], [*program.inputs, *program.outputs], strict=True
        )
    ]
    n = len(inputs)
    arrays = [nodes.onnx.numpy_helper.from_array(v, k) for k, v in nodes.initializers.items()]
    return helper.make_graph(nodes.nodes, name, described[:n], described[n:], arrays)


def _output_names(source: Portable) -> Iterator[str]:
    """The names of the outputs; none is that of an input, which ONNX does not allow."""
    taken = set(source.inputs)
    for output in source.outputs:
        name = output
        while name in taken:
            name = f"{name}_output"
        taken.add(name)
        yield name
