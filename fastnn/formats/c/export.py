"""Models as one file of C."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from fastnn._shared.numbers import check_choice, check_flag
from fastnn._shared.writing import write_file
from fastnn.formats._program import Portable, read
from fastnn.formats.c import selftest
from fastnn.formats.c.network import File, add_network, moved
from fastnn.formats.c.parts import add_batch, assemble, block_comment, count
from fastnn.formats.c.tables import table_text
from fastnn.formats.c.text import Names, check_name, word
from fastnn.losses import Loss
from fastnn.network._core import Core

__all__ = ["to_c"]

_CTYPES = {"float32": "float", "float64": "double"}


def to_c(
    net: Any,
    path: str | os.PathLike[str] | BinaryIO,
    name: str = "model",
    test: bool = True,
    *,
    dtype: str | None = None,
) -> None:
    """Write a network, or a model of a table, as one file of C99 that needs ``math.h`` alone.

    Parameters
    ----------
    net : Network, Sequential, or fitted TabularClassifier, TabularRegressor or tabular Model
    path : str, path-like or binary file object
        The file is replaced as a whole, or not at all.
    name : str, default "model"
        What the names in the file begin with: an identifier of C.
    test : bool, default True
        Whether the file has a self-test, which ``-DMODEL_TEST`` compiles.
    dtype : {"float32", "float64"}, optional
        float or double for the numbers of the networks; by default their dtype.

    Raises
    ------
    TypeError
        If `net` is no model that can be written.
    ValueError
        If the name is no identifier, a parameter is not finite or too large for the dtype, or the
        network has a custom layer.
    OSError
        If the file cannot be written.

    Notes
    -----
    The file has ``void NAME_predict(const float *x, float *y)`` for a row of inputs, which stand
    side by side, and ``NAME_predict_batch(x, y, rows)``.  The outputs are those of
    `Network.predict`; ``NAME_predict_proba`` and ``NAME_predict_mean`` are there if the losses
    have what the methods of `Network` with these names apply.  The functions allocate nothing
    and may be called by any number of threads.

    A model of a table takes and gives ``double``: a row has a number for each column, whose place
    is a constant such as ``MODEL_AREA``: a number, 0 or 1, the level of a category such as
    ``MODEL_CITY_ROM``, or the days since 1970 of a date; ``NAN`` stands for a missing value.  The
    result is the number of a regression in its unit, or the probabilities of the classes, of
    which ``NAME_predict_class(x)`` returns the most probable one.

    The self-test is a program, whose exit status is 1 if an output for stored rows differs from
    that of fastnn by more than rounding explains: by more than 16 times the difference between
    float32 and float64.  For another name, ``MODEL`` in ``MODEL_TEST`` is the name in capitals.

    Examples
    --------
    >>> import io, fastnn as fnn
    >>> net = fnn.Sequential([fnn.Dense(4, 8, activation="tanh"), fnn.Dense(8, 2)])
    >>> file = io.BytesIO()
    >>> fnn.formats.to_c(net, file, "plant")
    >>> b"void plant_predict(const float *x, float *y)" in file.getvalue()
    True
    """
    names, test = Names(check_name(name)), check_flag(test, "test")
    kind = None if dtype is None else check_choice(dtype, "dtype", tuple(_CTYPES))
    model = net._fitted_model() if hasattr(net, "_fitted_model") else None
    if model is not None and model.columns is not None:
        own = str(model.bags[0].networks[0].dtype)
        text = table_text(File(names, _CTYPES[kind or own]), model, test)
    else:
        portable = read(net, "C")
        file = File(names, _CTYPES[kind or str(portable.program.dtype)])
        text = network_text(file, portable, links_of(net.core), test)
    write_file(path, [text.encode("ascii")])


def network_text(file: File, net: Portable, links: Mapping[str, str], test: bool) -> str:
    """The text of the file of a network.

    Parameters
    ----------
    file : File
        New.
    net : Portable
    links : mapping of str to str
        For outputs by name, what turns them into probabilities or expected targets: "softmax",
        "sigmoid" or "exp".
    test : bool
    """
    prefix, program = file.names.prefix, net.program
    ends = {
        "INPUT": (net.inputs, [program.buffers[i].width for i in program.inputs]),
        "OUTPUT": (net.outputs, [program.buffers[i].width for i in program.outputs]),
    }
    constants = _sizes(file, ends)
    predict, batch = f"{prefix}_predict", f"{prefix}_predict_batch"
    add_network(file, net, predict, lines=block_comment(["The outputs y of a row x of inputs."]))
    add_batch(file, predict, file.ctype, file.ctype)
    _add_links(file, net, links)
    rows = selftest.of_network(net, file.dtype) if test else None
    tests = [selftest.self_test(file, batch, rows, file.ctype)] if rows else []
    widths = {end: sum(sizes) for end, (_, sizes) in ends.items()}
    title = f"a network with {count(widths['INPUT'], 'input')} and " + count(
        widths["OUTPUT"], "output"
    )
    call = [
        f"    {file.ctype} x[{prefix.upper()}_INPUTS], y[{prefix.upper()}_OUTPUTS];",
        f"    {prefix}_predict(x, y);",
    ]
    return assemble(file, title, call, [constants], tests)


def _sizes(file: File, ends: Mapping[str, tuple[Sequence[str], Sequence[int]]]) -> str:
    """The enum of the numbers of inputs and outputs, and of the places of each of several."""
    prefix = file.names.prefix.upper()
    file.names.reserve(*(f"{end}S" for end in ends), "RESTRICT", "TEST")
    lines = [f"{prefix}_{end}S = {sum(widths)}" for end, (_, widths) in ends.items()]
    for end, (names, widths) in ends.items():
        start = 0
        for i, (name, width) in enumerate(zip(names, widths, strict=True)):
            if len(names) > 1:
                constant = file.names.constant(end, word(name, str(i + 1)))
                lines.append(f"{constant} = {start}")
            start += width
    return "enum {\n" + ",\n".join(f"    {line}" for line in lines) + "\n};"


def _add_links(file: File, net: Portable, links: Mapping[str, str]) -> None:
    """Add functions that apply what the losses take outputs for, as `Network` has them."""
    places: list[tuple[str, int, int]] = []
    start = 0
    for name, buffer in zip(net.outputs, net.program.outputs, strict=True):
        width = net.program.buffers[buffer].width
        if name in links:
            places.append((links[name], width, start))
        start += width
    of_classes = [place for place in places if place[0] != "exp"]
    if of_classes:
        _add_link(file, "predict_proba", "probabilities of classes", of_classes)
    if of_classes != places:
        _add_link(file, "predict_mean", "expected targets", places)


def links_of(core: Core) -> dict[str, str]:
    """The links of the losses of a network, as `network_text` takes them."""
    links = {head.name: _link(head.loss) for head in core.heads}
    return {name: link for name, link in links.items() if link}


def _link(loss: Loss) -> str | None:
    """The function of the library for the link of a loss; None for outputs that stay."""
    if loss.activation is not None:
        return loss.activation
    row = getattr(loss, "row", None)
    return "exp" if row is not None and row.link == "log" else None


def _add_link(file: File, name: str, what: str, links: Sequence[tuple[str, int, int]]) -> None:
    prefix, ctype = file.names.prefix, file.ctype
    calls = [file.call(link, width, moved("y", start)) for link, width, start in links]
    lines = "\n".join(f"    {call}" for call in calls)
    file.functions.append(f"""/* As {prefix}_predict, with the outputs of a loss as {what}. */
void {prefix}_{name}(const {ctype} *x, {ctype} *y)
{{
    {prefix}_predict(x, y);
{lines}
}}""")
