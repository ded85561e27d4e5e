"""Cython text made from rows."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace

import pytest

from fastnn.facts import activations, codegen, operations


@pytest.mark.parametrize("file", codegen.FILES)
def test_text_says_where_it_comes_from(file):
    table, _ = codegen.FILES[file]
    rows = importlib.import_module(f"fastnn.facts.{table}").ROWS
    assert codegen.text(file, rows).startswith(
        f"# Written by setup.py from fastnn/facts/{table}.py"
    )


def test_codes_are_the_places_of_the_rows():
    text = codegen.activation_dispatch(activations.ROWS)
    codes = dict(re.findall(r"^    ([A-Z_]+) = (\d+)$", text, re.MULTILINE))
    names = [row.name.upper() for row in activations.ROWS]
    assert [codes[name] for name in names] == [str(i) for i in range(len(names))]


@pytest.mark.parametrize("table", ["activation", "operation", "loss"])
def test_codes_by_name_are_those_of_the_enum(table):
    """The core reads names through codes of its own build, not through the rows of a later one."""
    file = f"{table}_codes.pxi"
    module, make = codegen.FILES[file]
    rows = importlib.import_module(f"fastnn.facts.{module}").ROWS
    by_name = {name.upper(): code for name, code in re.findall(r'"(\w+)": (\d+),', make(rows))}
    assert by_name == dict(re.findall(r"^    ([A-Z_]+) = (\d+)$", codegen.enum(rows), re.MULTILINE))


def test_a_new_activation_is_dispatched_to_the_formula_of_its_name():
    row = replace(activations.get("sigmoid"), name="novel", slope_from_output=True)
    text = codegen.activation_dispatch((*activations.ROWS, row))
    assert "if code == NOVEL: return novel(z, slope)" in text
    assert "if code == NOVEL: return novel_from_output(a)" in text
    assert "block(NOVEL, alpha, " in text
    assert "slope_block(NOVEL, alpha, " in codegen.slope_dispatch((*activations.ROWS, row))


def test_a_formula_with_a_parameter_receives_it():
    assert "return elu(alpha, z, slope)" in codegen.activation_dispatch(activations.ROWS)


def test_a_special_value_of_the_parameter_has_a_formula_of_its_own():
    text = codegen.activation_dispatch(activations.ROWS)
    assert "if code == SWISH and alpha == 1:\n        block(SILU, " in text


def test_a_new_operation_is_dispatched_to_the_functions_of_its_row():
    row = replace(operations.get("softmax"), name="novel", compiled="new")
    text = codegen.operation_dispatch((*operations.ROWS, row))
    assert "op.kind == NOVEL:\n        forward_new(plan, op, index, work, first, last)" in text
    assert "op.kind == NOVEL:\n        backward_new(plan, op, index, flow, work, " in text


def test_an_operation_that_calls_python_is_not_dispatched():
    assert "PYTHON" not in codegen.operation_dispatch(operations.ROWS)
