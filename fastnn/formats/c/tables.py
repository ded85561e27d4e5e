"""A model of a table as a file of C: its columns, its networks, and the result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.formats._fitted import Bag, Classes, Column, DateColumn, Fitted, Number
from fastnn.formats._program import read
from fastnn.formats.c.columns import Step, levels_of, rows_of, steps_of, table_of, values_of
from fastnn.formats.c.network import File, add_network
from fastnn.formats.c.parts import add_batch, assemble, block_comment, count
from fastnn.formats.c.selftest import Rows, self_test
from fastnn.formats.c.text import comment, literal, word

__all__ = ["table_text"]

_TOLERANCE = {"float": 3e-6, "double": 1e-12}
"""Largest error of a result, relative to its size."""

_TOLERANCE_OF_DATES = 1e-9
"""Days since 1970 in double are exact to a third of a microsecond."""


def table_text(file: File, model: Fitted, test: bool) -> str:
    """The text of the file of a model of a table.

    Raises
    ------
    ValueError
        If a parameter is not finite.
    """
    columns, n_out = model.columns or (), model.n_outputs
    rows = _rows(file, model, columns)
    steps, inputs = steps_of(columns, model.is_one_hot)
    places, constants = _constants(file, model, columns)
    functions: list[str] = []
    for bag in model.bags:
        for network in bag.networks:
            function = file.names.variable(f"network_{len(functions) + 1}")
            add_network(file, read(network, "C"), function, is_static=True, places=inputs)
            functions.append(function)
    width = sum(step.width for step in steps)
    lines = _inputs(file, columns, steps, places)
    _add_predict(file, model, lines, functions, width)
    prefix = file.names.prefix
    add_batch(file, f"{prefix}_predict", "double", "double")
    is_number = isinstance(model.meaning, Number)
    if not is_number:
        _add_predict_class(file)
    file.scratch_bytes += (width + n_out) * file.dtype.itemsize
    tests = [self_test(file, f"{prefix}_predict_batch", rows, "double")]
    what = f"the probabilities of {n_out} classes"
    if is_number:
        what = "a number" if n_out == 1 else f"{n_out} quantiles"
    title = f"{what} from {count(len(columns), 'column')} of a table"
    names = [f"{prefix.upper()}_{end}" for end in ("INPUTS", "OUTPUTS")]
    call = [
        f"    double row[{names[0]}], y[{names[1]}];",
        f"    row[{places[0]}] = ...;",
        f"    {prefix}_predict(row, y);",
    ]
    return assemble(file, title, call, constants, tests * test)


def _rows(file: File, model: Fitted, columns: Sequence[Column]) -> Rows:
    """The rows of the self-test; the tolerance is relative to the spread of the results."""
    assert model.predict is not None
    rows = rows_of(columns)
    expected = model.predict(table_of(columns, rows)).reshape(len(rows), model.n_outputs)
    size = np.ones(model.n_outputs)
    if isinstance(model.meaning, Number):
        size = np.maximum(np.abs(expected).max(axis=0), abs(model.meaning.scale))
    tolerance = _TOLERANCE[file.ctype]
    if any(isinstance(column, DateColumn) and column.cycles for column in columns):
        tolerance = max(tolerance, _TOLERANCE_OF_DATES)
    return Rows(rows, expected, tolerance * size)


# ------------------------------------------------------------------- enumerations


def _constants(file: File, model: Fitted, columns: Sequence[Column]) -> tuple[list[str], list[str]]:
    """The names of the columns; and the enumerations of columns, levels and classes."""
    names = file.names
    names.reserve("INPUTS", "OUTPUTS", "RESTRICT", "TEST")
    own = [word(column.name, f"column_{i + 1}") for i, column in enumerate(columns)]
    places = [names.constant(name) for name in own]
    lines = [
        f"    {place} = {i}, /* {comment(column.name)}: {values_of(column)} */"
        for i, (place, column) in enumerate(zip(places, columns, strict=True))
    ]
    prefix = names.prefix.upper()
    lines.append(f"    {prefix}_INPUTS = {len(columns)},")
    lines.append(f"    {prefix}_OUTPUTS = {model.n_outputs}")
    enums = [_enum("The places of the columns in a row. NAN stands for a missing value.", lines)]
    for column, name in zip(columns, own, strict=True):
        if levels := levels_of(column):
            what = f"The levels of {comment(column.name)}."
            enums.append(_levels(file, what, name, [*levels, None]))
    if isinstance(model.meaning, Classes):
        what = "The classes: the places of their probabilities."
        enums.append(_levels(file, what, "class", list(map(str, model.meaning.labels))))
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
    file: File, model: Fitted, inputs: Sequence[str], functions: Sequence[str], width: int
) -> None:
    """Add the function from a row to its result; `inputs` are its first lines."""
    prefix, ctype, n_out = file.names.prefix, file.ctype, model.n_outputs
    lines = [*inputs, f"for (int k = 0; k < {n_out}; k++) y[k] = 0.0;"]
    rest = iter(functions)
    for bag in model.bags:
        own = [next(rest) for _ in bag.networks]
        if isinstance(model.meaning, Number):
            lines += _number(file, model.meaning, bag, own)
        else:
            share = literal(bag.weight / len(own), "double")
            factor = literal(bag.factor, "double")
            for function in own:
                call = file.call("add_probabilities", n_out, factor, share, "out", "y")
                lines += [f"{function}(in, out);", call]
    what = "The result y of a row of the table, in double."
    if isinstance(model.meaning, Classes):
        what = "The probabilities y of the classes for a row of the table."
    body = "\n".join(f"    {line}" for line in lines)
    file.functions.append(f"""/* {what} */
void {prefix}_predict(const double *x, double *y)
{{
    {ctype} in[{width}], out[{n_out}];
{body}
}}""")


def _inputs(
    file: File, columns: Sequence[Column], steps: Sequence[Step], places: Sequence[str]
) -> list[str]:
    """The lines that write what the networks read, from the row."""
    start, lines = 0, []
    for step in steps:
        name, place = columns[step.column].name, places[step.column]
        lines.append(_step(file, name, step, f"x[{place}]", start))
        start += step.width
    return lines


def _step(file: File, name: str, step: Step, value: str, start: int) -> str:
    """The line that writes the inputs of a step, from a value of the column `name`."""
    numbers = [str(n) if isinstance(n, int) else literal(n, "double") for n in step.numbers]
    if step.function == "one_hot":
        code = file.call("code", value, *numbers).rstrip(";")
        return file.call("one_hot", code, step.width, f"in + {start}")
    if step.edges:
        table = file.add_table(f"{name} edges", np.array(step.edges), "double")
        numbers += [table, str(len(step.edges) - 1)]
    call = file.call(step.function, value, *numbers).rstrip(";")
    return f"in[{start}] = ({file.ctype}){call};"


def _number(file: File, result: Number, bag: Bag, functions: Sequence[str]) -> list[str]:
    """The lines that add the result of a bag for a regression."""
    scale, centre = literal(result.scale, "double"), literal(result.centre, "double")
    value = f"{scale} * (double)out[k] + {centre}"
    if result.is_rate:
        value = f"{scale} * exp(fmin((double)out[k], {literal(result.top, 'double')}))"
    n_out = max(result.levels, 1)
    share, each = literal(1 / len(functions), "double"), f"for (int k = 0; k < {n_out}; k++)"
    lines = ["{", f"    double mean[{n_out}];", f"    {each} mean[k] = 0.0;"]
    for function in functions:
        lines += [f"    {function}(in, out);", f"    {each} mean[k] += {share} * ({value});"]
    if np.isfinite(result.low):
        bounds = [literal(bound, "double") for bound in (result.low, result.high)]
        lines.append(f"    {each} mean[k] = {file.call('limited', 'mean[k]', *bounds)}")
    if n_out > 1:
        lines.append("    " + file.call("sort_ascending", n_out, "mean"))
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
