"""The facts about operations, and the programs they allow."""

from __future__ import annotations

import pytest

from fastnn.backend.reference.operations import BACKWARD, FORWARD
from fastnn.facts import operations
from fastnn.program import ProgramBuilder

EACH = pytest.mark.parametrize("row", operations.ROWS, ids=lambda row: row.name)


def program(kind, widths, shapes=(), **attributes):
    """The builder and the output of one operation on inputs of some widths."""
    builder = ProgramBuilder()
    inputs = [builder.input(f"x{i}", width) for i, width in enumerate(widths)]
    parameters = [builder.parameter(f"p{i}", shape) for i, shape in enumerate(shapes)]
    return builder, builder.add(kind, inputs, "y", parameters, **attributes)


def test_every_operation_has_a_forward_and_a_backward_pass():
    assert list(operations.names()) == list(FORWARD) == list(BACKWARD)


@EACH
def test_operation_states_its_formula(row):
    assert row.formula


@pytest.mark.parametrize(
    ("kind", "widths", "shapes", "attributes", "expected"),
    [
        ("dense", [3], [(3, 5), (5,)], {}, 5),
        ("activation", [3], [], {"function": "relu"}, 3),
        ("activation", [3], [(1,)], {"function": "swish"}, 3),
        ("softmax", [3], [], {}, 3),
        ("dropout", [3], [], {"rate": 0.5, "key": 1}, 3),
        ("add", [3, 3, 3], [], {}, 3),
        ("concatenate", [3, 4, 5], [], {}, 12),
        ("layer_norm", [3], [(3,)], {"epsilon": 1e-5, "scale": False, "shift": True}, 3),
        ("python", [3, 4], [(2, 2)], {"width": 7}, 7),
        ("scale", [3], [(3,)], {}, 3),
        ("embedding", [2], [(5, 4)], {"sizes": (2, 3), "combine": "concatenate"}, 8),
        ("piecewise_linear", [2], [(5, 4)], {"sizes": (2, 3), "combine": "sum"}, 4),
    ],
)
def test_width_of_the_output(kind, widths, shapes, attributes, expected):
    builder, output = program(kind, widths, shapes, **attributes)
    assert builder.buffers[output].width == expected


@pytest.mark.parametrize(
    ("kind", "widths", "shapes", "attributes", "message"),
    [
        ("matmul", [3], [], {}, "y: unknown operation 'matmul'; known are dense, "),
        ("softmax", [3, 3], [], {}, "y: softmax takes one input, got 2"),
        ("subtract", [3, 3, 3], [], {}, "y: subtract takes exactly two inputs, got 3"),
        ("add", [3], [], {}, "y: add takes at least two inputs, got 1"),
        ("multiply", [3, 4], [], {}, r"takes inputs of one width, got \[3, 4\]"),
        ("dense", [4], [(3, 5)], {}, r"weight \(3, 5\) does not fit an input of width 4"),
        ("dense", [3], [(3, 5), (4,)], {}, r"bias \(4,\) does not fit weight \(3, 5\)"),
        ("dense", [3], [(3, 5), (5,), (5,)], {}, "dense: parameters of shapes .* do not fit"),
        ("activation", [3], [], {"function": "rleu"}, "unknown activation 'rleu'; known are"),
        ("activation", [3], [(1,)], {"function": "relu"}, r"shapes \[\(1,\)\] do not fit relu"),
        (
            "embedding",
            [3],
            [(5, 4)],
            {"sizes": (2, 3), "combine": "sum"},
            "2 sizes do not fit an input of width 3",
        ),
        (
            "embedding",
            [2],
            [(6, 4)],
            {"sizes": (2, 3), "combine": "sum"},
            r"a table of 5 rows does not fit parameters \[\(6, 4\)\]",
        ),
        (
            "embedding",
            [2],
            [],
            {"sizes": (2, 3), "combine": "sum"},
            r"a table of 5 rows does not fit parameters \[\]",
        ),
        (
            "piecewise_linear",
            [2],
            [(3, 4)],
            {"sizes": (0, 3), "combine": "sum"},
            r"needs a size of at least 1 for each column, got \[0, 3\]",
        ),
        (
            "piecewise_linear",
            [1],
            [(3, 4)],
            {"sizes": (3,), "combine": "mean"},
            "combine must be one of concatenate, sum, got 'mean'",
        ),
        ("scale", [3], [(4,)], {}, r"parameters \[\(4,\)\] do not fit an input of width 3"),
        ("scale", [3], [], {}, r"parameters \[\] do not fit an input of width 3"),
        ("softmax", [3], [(3,)], {}, r"softmax: parameters of shapes \[\(3,\)\] do not fit"),
    ],
)
def test_what_does_not_fit_is_refused(kind, widths, shapes, attributes, message):
    with pytest.raises(ValueError, match=message):
        program(kind, widths, shapes, **attributes)


@pytest.mark.parametrize(
    ("kind", "shapes", "attributes", "roles"),
    [
        ("dense", [(3, 5)], {}, ("weight",)),
        ("dense", [(3, 5), (5,)], {}, ("weight", "bias")),
        ("activation", [(1,)], {"function": "swish"}, ("parameter",)),
        ("layer_norm", [(3,)], {"epsilon": 1.0, "scale": False, "shift": True}, ("shift",)),
        ("scale", [(3,)], {}, ("gain",)),
        ("embedding", [(5, 2)], {"sizes": (1, 1, 3), "combine": "sum"}, ("table",)),
        ("softmax", [], {}, ()),
        ("python", [(2,), (3,)], {"width": 3}, ("custom", "custom")),
    ],
)
def test_roles_of_the_parameters(kind, shapes, attributes, roles):
    builder, output = program(kind, [3], shapes, **attributes)
    assert builder.build([output]).operations[0].roles == roles


@pytest.mark.parametrize("first", ["dense", "embedding"])
def test_a_table_has_no_second_role(first):
    builder = ProgramBuilder()
    x, y = builder.input("x", 3), builder.input("y", 1)
    weight = builder.parameter("w", (3, 5))
    kinds = {"dense": (x, {}), "embedding": (y, {"sizes": (3,), "combine": "sum"})}
    source, attributes = kinds.pop(first)
    builder.add(first, [source], "first", [weight], **attributes)
    ((second, (source, attributes)),) = kinds.items()
    with pytest.raises(ValueError, match="second: parameter 'w' cannot be a table in one"):
        builder.add(second, [source], "second", [weight], **attributes)
