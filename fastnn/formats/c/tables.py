"""A model of a table as a file of C: its columns, what each network reads of them, and the result.

A row has a double for each column: a number, 0 or 1, the number of a level, or the days since
1970.  NAN stands for a missing value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fastnn.formats._program import Portable
from fastnn.formats.c.network import File, add_network
from fastnn.formats.c.parts import add_batch, assemble, block_comment, count
from fastnn.formats.c.selftest import Rows, self_test
from fastnn.formats.c.text import comment, literal, word

__all__ = ["Bag", "Column", "Number", "Probabilities", "Step", "TableModel", "table_text"]

_TOLERANCE = {"float": 3e-6, "double": 1e-12}
"""Largest error of a result, relative to its size."""

_TOLERANCE_OF_DATES = 1e-9
"""Days since 1970 in double are exact to a third of a microsecond."""


@dataclass(frozen=True)
class Column:
    """A column of a row.

    Attributes
    ----------
    name : str
    values : str
        What its numbers are, for a comment.
    levels : tuple of str
        The levels of a category; empty for other columns.
    """

    name: str
    values: str
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """What the networks read of one column: `width` of their inputs.

    Attributes
    ----------
    column : int
    function : str
        The function of the library that computes it.
    numbers : tuple of float or int
        Its arguments after the value of the column; integers stay integers.
    edges : tuple of float
        The edges of bins, for `position`.
    width : int
        More than 1 for the inputs of a category that `one_hot` writes.
    """

    column: int
    function: str
    numbers: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    width: int = 1


@dataclass(frozen=True)
class Probabilities:
    """The result of a classification: a probability for each class."""

    classes: tuple[str, ...]


@dataclass(frozen=True)
class Number:
    """The result of a regression: scale v + centre for an output v, between low and high.

    With `top`, it is scale exp(min(v, top)).  Several outputs, quantiles, ascend in the result.
    """

    scale: float
    centre: float
    low: float = -np.inf
    high: float = np.inf
    top: float | None = None
    outputs: int = 1


@dataclass(frozen=True, eq=False)
class Bag:
    """Networks whose results are averaged, and how much they weigh in the result.

    Attributes
    ----------
    weight : float
    factor : float
        Factor of the logits.
    networks : sequence of Portable
    """

    weight: float
    factor: float
    networks: Sequence[Portable]


@dataclass(frozen=True, eq=False)
class TableModel:
    """A model of a table.

    Attributes
    ----------
    columns : tuple of Column
    steps : tuple of Step
        What the networks read, in its order.
    places : mapping of str to int, or None
        Where each input of a network by name begins among them; None for networks that read all.
    bags : tuple of Bag
    result : Probabilities or Number
    rows : (N, n_columns) array of float64
        Rows for the self-test.
    expected : (N, n_out) array of float64
        The results of these rows.
    """

    columns: tuple[Column, ...]
    steps: tuple[Step, ...]
    places: Mapping[str, int] | None
    bags: tuple[Bag, ...]
    result: Probabilities | Number
    rows: np.ndarray
    expected: np.ndarray

    @property
    def outputs(self) -> int:
        """Number of results of a row."""
        if isinstance(self.result, Probabilities):
            return len(self.result.classes)
        return self.result.outputs


def table_text(file: File, model: TableModel, test: bool) -> str:
    """The text of the file of a model of a table."""
    places, constants = _constants(file, model)
    functions: list[str] = []
    for bag in model.bags:
        for net in bag.networks:
            function = file.names.variable(f"network_{len(functions) + 1}")
            add_network(file, net, function, is_static=True, places=model.places)
            functions.append(function)
    width = sum(step.width for step in model.steps)
    _add_predict(file, model, places, functions, width)
    prefix = file.names.prefix
    add_batch(file, f"{prefix}_predict", "double", "double")
    is_number = isinstance(model.result, Number)
    if not is_number:
        _add_predict_class(file)
    file.scratch_bytes += (width + model.outputs) * file.dtype.itemsize
    tests = [self_test(file, f"{prefix}_predict_batch", _rows(file, model), "double")]
    what = f"the probabilities of {model.outputs} classes"
    if is_number:
        what = "a number" if model.outputs == 1 else f"{model.outputs} quantiles"
    title = f"{what} from {count(len(model.columns), 'column')} of a table"
    names = [f"{prefix.upper()}_{end}" for end in ("INPUTS", "OUTPUTS")]
    call = [
        f"    double row[{names[0]}], y[{names[1]}];",
        f"    row[{places[0]}] = ...;",
        f"    {prefix}_predict(row, y);",
    ]
    return assemble(file, title, call, constants, tests * test)


def _rows(file: File, model: TableModel) -> Rows:
    """The rows of the self-test; the tolerance is relative to the spread of the results."""
    expected = model.expected.reshape(len(model.rows), model.outputs)
    size = np.ones(model.outputs)
    if isinstance(model.result, Number):
        size = np.maximum(np.abs(expected).max(axis=0), abs(model.result.scale))
    tolerance = _TOLERANCE[file.ctype]
    if any(step.function == "sine" for step in model.steps):
        tolerance = max(tolerance, _TOLERANCE_OF_DATES)
    return Rows(model.rows, expected, tolerance * size)


# ------------------------------------------------------------------- enumerations


def _constants(file: File, model: TableModel) -> tuple[list[str], list[str]]:
    """The names of the columns; and the enumerations of columns, levels and classes."""
    names = file.names
    names.reserve("INPUTS", "OUTPUTS", "RESTRICT", "TEST")
    own = [word(column.name, f"column_{i + 1}") for i, column in enumerate(model.columns)]
    places = [names.constant(name) for name in own]
    lines = [
        f"    {place} = {i}, /* {comment(column.name)}: {column.values} */"
        for i, (place, column) in enumerate(zip(places, model.columns, strict=True))
    ]
    prefix = names.prefix.upper()
    lines.append(f"    {prefix}_INPUTS = {len(model.columns)},")
    lines.append(f"    {prefix}_OUTPUTS = {model.outputs}")
    enums = [_enum("The places of the columns in a row. NAN stands for a missing value.", lines)]
    for column, name in zip(model.columns, own, strict=True):
        if column.levels:
            what = f"The levels of {comment(column.name)}."
            enums.append(_levels(file, what, name, [*column.levels, None]))
    if isinstance(model.result, Probabilities):
        what = "The classes: the places of their probabilities."
        enums.append(_levels(file, what, "class", model.result.classes))
    return places, enums


def _levels(file: File, what: str, name: str, levels: Sequence[str | None]) -> str:
    """The enumeration of levels; None is any other number."""
    lines = []
    for i, level in enumerate(levels):
        text = "other" if level is None else word(level, f"level_{i + 1}")
        said = "every other level" if level is None else comment(level)
        comma = "," * (i < len(levels) - 1)
        lines.append(f"    {file.names.constant(name, text)} = {i}{comma} /* {said} */")
    return _enum(what, lines)


def _enum(what: str, lines: Sequence[str]) -> str:
    return f"/* {what} */\nenum {{\n" + "\n".join(lines) + "\n};"


# ---------------------------------------------------------------------- functions


def _add_predict(
    file: File, model: TableModel, places: Sequence[str], functions: Sequence[str], width: int
) -> None:
    """Add the function from a row to its result."""
    prefix, ctype = file.names.prefix, file.ctype
    (n_out,) = {net.program.buffers[i].width for bag in model.bags for net in bag.networks
                for i in net.program.outputs}  # fmt: skip
    start, lines = 0, []
    for step in model.steps:
        lines.append(_step(file, model, step, f"x[{places[step.column]}]", start))
        start += step.width
    lines.append(f"for (int k = 0; k < {model.outputs}; k++) y[k] = 0.0;")
    rest = iter(functions)
    for bag in model.bags:
        own = [next(rest) for _ in bag.networks]
        if isinstance(model.result, Number):
            lines += _number(file, model.result, bag, own)
        else:
            share = literal(bag.weight / len(own), "double")
            factor = literal(bag.factor, "double")
            for function in own:
                call = file.call("add_probabilities", n_out, factor, share, "out", "y")
                lines += [f"{function}(in, out);", call]
    what = "The result y of a row of the table, in double."
    if isinstance(model.result, Probabilities):
        what = "The probabilities y of the classes for a row of the table."
    body = "\n".join(f"    {line}" for line in lines)
    file.functions.append(f"""/* {what} */
void {prefix}_predict(const double *x, double *y)
{{
    {ctype} in[{width}], out[{n_out}];
{body}
}}""")


def _step(file: File, model: TableModel, step: Step, value: str, start: int) -> str:
    """The line that writes the inputs of a step, from a value of the row."""
    numbers = [str(n) if isinstance(n, int) else literal(n, "double") for n in step.numbers]
    if step.function == "one_hot":
        code = file.call("code", value, *numbers).rstrip(";")
        return file.call("one_hot", code, step.width, f"in + {start}")
    if step.edges:
        name = file.add_table(
            f"{model.columns[step.column].name} edges", np.array(step.edges), "double"
        )
        numbers += [name, str(len(step.edges) - 1)]
    call = file.call(step.function, value, *numbers).rstrip(";")
    return f"in[{start}] = ({file.ctype}){call};"


def _number(file: File, result: Number, bag: Bag, functions: Sequence[str]) -> list[str]:
    """The lines that add the result of a bag for a regression."""
    scale, centre = literal(result.scale, "double"), literal(result.centre, "double")
    value = f"{scale} * (double)out[k] + {centre}"
    if result.top is not None:
        value = f"{scale} * exp(fmin((double)out[k], {literal(result.top, 'double')}))"
    share, each = (
        literal(1 / len(functions), "double"),
        f"for (int k = 0; k < {result.outputs}; k++)",
    )
    lines = ["{", f"    double mean[{result.outputs}];", f"    {each} mean[k] = 0.0;"]
    for function in functions:
        lines += [f"    {function}(in, out);", f"    {each} mean[k] += {share} * ({value});"]
    if np.isfinite(result.low):
        bounds = [literal(bound, "double") for bound in (result.low, result.high)]
        lines.append(f"    {each} mean[k] = {file.call('limited', 'mean[k]', *bounds)}")
    if result.outputs > 1:
        lines.append("    " + file.call("sort_ascending", result.outputs, "mean"))
    return [*lines, f"    {each} y[k] += {literal(bag.weight, 'double')} * mean[k];", "}"]


def _add_predict_class(file: File) -> None:
    """Add the function that returns the most probable class."""
    prefix = file.names.prefix
    file.functions.append(
        block_comment(["The most probable class of a row of the table."])
        + f"""
int {prefix}_predict_class(const double *x)
{{
    double y[{prefix.upper()}_OUTPUTS];
    int best = 0;
    {prefix}_predict(x, y);
    for (int k = 1; k < {prefix.upper()}_OUTPUTS; k++) best = y[k] > y[best] ? k : best;
    return best;
}}"""
    )
