"""Cython text made from the rows of the tables beside this file.

`setup.py` writes each entry of `FILES` to ``fastnn/backend/compiled/generated/`` before it
compiles.  The text names the formulas by convention, so that a row without its formula does not
compile, and the compiler's message has the name of what is missing.

This module and those of the tables import each other and the standard library alone: `setup.py`
loads them before fastnn or NumPy can be imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Rows = Sequence[Any]


def enum(rows: Rows) -> str:
    """An enum of codes: the places of the rows, under their names."""
    lines = [f"    {row.name.upper()} = {code}" for code, row in enumerate(rows)]
    return "\n".join(["cdef enum:", *lines])


def codes_by_name(variable: str, rows: Rows) -> str:
    """A dict of the codes that the core is compiled for, by the names of the rows."""
    entries = [f'    "{row.name}": {code},' for code, row in enumerate(rows)]
    return "\n".join([f"cdef dict {variable} = {{", *entries, "}"])


def function(signature: str, docstring: str, body: Iterable[str]) -> str:
    """An inline function that runs without the interpreter; `body` holds its lines."""
    head = f"cdef inline {signature} noexcept nogil:"
    return "\n".join([head, f'    """{docstring}"""', *indented(body)])


def indented(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a body."""
    return (f"    {line}" for line in lines)


def ladder(variable: str, branches: Sequence[tuple[str, str]], otherwise: str) -> list[str]:
    """An if-chain: for each (code, statement), the statement where the variable has the code.

    The codes in the statements are constants, so that each branch is compiled for its own.
    """
    return [*(f"if {variable} == {code}: {statement}" for code, statement in branches), otherwise]


def chain(variable: str, branches: Sequence[tuple[str, str]]) -> list[str]:
    """`ladder` of longer statements, at most one of which runs."""
    lines: list[str] = []
    for code, statement in branches:
        lines += [f"{'elif' if lines else 'if'} {variable} == {code}:", f"    {statement}"]
    return lines


# ------------------------------------------------------------------------ activations


def activation_dispatch(rows: Rows) -> str:
    """Codes of the activations, and the choice of the formula by the code.

    A row called ``name`` takes its value and derivative from ``name(z, &slope)``, and its
    derivative from its output from ``name_from_output(a)``; formulas with a parameter have it as
    their first argument.
    """
    special = [(row, value, name) for row in rows for value, name in row.special_formulas]
    codes = enum(rows)
    for position, (row, value, name) in enumerate(special):
        codes += f"\n    {name.upper()} = {len(rows) + position}  # {row.name} with {value:g}"
    values = [(row.name.upper(), f"return {row.name}({_alpha(row)}z, slope)") for row in rows]
    values += [(name.upper(), f"return {name}(z, slope)") for _, _, name in special]
    by_output = [row for row in rows if row.slope_from_output]
    outputs = [
        (row.name.upper(), f"return {row.name}_from_output({_alpha(row)}a)") for row in by_output
    ]
    return "\n\n\n".join(
        [
            codes,
            function(
                "vec value_and_derivative(int code, vec alpha, vec z, vec* slope)",
                "f(z); f'(z) goes to `slope`.  What is not used afterwards is not computed.",
                ladder("code", values, "return z"),
            ),
            function(
                "bint from_output(int code, real alpha)",
                "Whether the derivative follows from the output alone.",
                ladder("code", [
                    (row.name.upper(),
                     "return True" if row.default_alpha is None else "return alpha >= 0")
                    for row in by_output
                ], "return False"),
            ),
            function(
                "vec derivative_from_output(int code, vec alpha, vec a)",
                "f'(z) from a = f(z), where `from_output` says so; error about 1 ULP of 1.",
                ladder("code", outputs, "return a"),
            ),
            function(
                "bint needs_registers(int code)",
                "Whether four vectors at a time need more than 16 registers.",
                ladder("code", [(row.name.upper(), "return True") for row in rows
                                if row.needs_registers], "return False"),
            ),
            _apply(rows, special),
            _apply_stored(rows, special),
        ]
    )  # fmt: skip


def _alpha(row: Any) -> str:
    """The argument of a formula with a parameter."""
    return "" if row.default_alpha is None else "alpha, "


def _apply(rows: Rows, special: Sequence[tuple[Any, float, str]]) -> str:
    """`apply`: `block` with a constant code."""
    return function(
        "void apply(int code, real alpha, Py_ssize_t rows, Py_ssize_t n, const real* z,\n"
        "                       Py_ssize_t ldz, real* values, Py_ssize_t ldv, real* slopes,\n"
        "                       Py_ssize_t lds)",
        "`block`, with one instance for every code.",
        chain("code", _blocks(rows, special)),
    )


def _apply_stored(rows: Rows, special: Sequence[tuple[Any, float, str]]) -> str:
    """`apply_stored`: `apply` without the codes whose derivative always follows from the output.

    With a parameter it does not always: `from_output` needs one that is not negative.
    """
    stored = [row for row in rows if not row.slope_from_output or row.default_alpha is not None]
    return function(
        "bint apply_stored(int code, real alpha, Py_ssize_t rows, Py_ssize_t n,\n"
        "                              const real* z, Py_ssize_t ldz, real* values,\n"
        "                              Py_ssize_t ldv, real* slopes, Py_ssize_t lds)",
        "`apply` for codes whose derivative has to be stored; False for others.",
        [*chain("code", _blocks(stored, special)), "else:", "    return False", "return True"],
    )


def _blocks(
    rows: Sequence[Any], special: Sequence[tuple[Any, float, str]]
) -> list[tuple[str, str]]:
    """Codes, and calls of `block` with these as constants."""
    call = "block({}, alpha, rows, n, z, ldz, values, ldv, slopes, lds)"
    branches = [
        (f"{row.name.upper()} and alpha == {value:g}", call.format(name.upper()))
        for row, value, name in special
        if row in rows
    ]
    return branches + [(row.name.upper(), call.format(row.name.upper())) for row in rows]


def activation_codes(rows: Rows) -> str:
    """The codes by the names, as Python objects."""
    return codes_by_name("_activation_codes", rows)


def slope_dispatch(rows: Rows) -> str:
    """The choice of the derivative from the output by the code, around loops of the engine."""
    call = "slope_block({}, alpha, rows, n, a, lda, dy, ldy, dx, ldx, accumulate, squares)"
    codes = [row.name.upper() for row in rows if row.slope_from_output]
    return "\n".join(
        [
            "from fastnn.backend.compiled.math.activations cimport (",
            *(f"    {code}," for code in codes),
            ")",
            "",
            "",
            "cdef void slope_rows(int code, real alpha, sz rows, sz n, const real* a, sz lda,",
            "                     const real* dy, sz ldy, real* dx, sz ldx,",
            "                     bint accumulate, real* squares) noexcept nogil:",
            '''    """dx (+)= dy f'(z), f' from a = f(z); one instance for every code."""''',
            *indented(chain("code", [(code, call.format(code)) for code in codes])),
            "    else:",
            "        " + call.format("STORED_SLOPE"),
        ]
    )


# -------------------------------------------------------------------------- operations


def operation_enum(rows: Rows) -> str:
    """Codes of the kinds of operations."""
    return enum(rows)


def operation_codes(rows: Rows) -> str:
    """The codes by the names, as Python objects."""
    return codes_by_name("_operation_codes", rows)


def operation_dispatch(rows: Rows) -> str:
    """`forward_op` and `backward_op`: the choice of the function by the kind of operation."""
    named = [(row.name.upper(), row.compiled) for row in rows if row.compiled is not None]
    forward = [
        (code, f"forward_{name}(plan, op, index, work, first, last)") for code, name in named
    ]
    backward = [
        (code, f"backward_{name}(plan, op, index, flow, work, first, last)") for code, name in named
    ]
    return "\n".join(
        [
            "cdef void forward_op(const Plan* plan, const Op* op, int index,",
            "                     const Workspace* work, sz first, sz last) noexcept nogil:",
            *indented(chain("op.kind", forward)),
            "",
            "",
            "cdef void backward_op(const Plan* plan, const Op* op, int index, const Flow* flow,",
            "                      const Workspace* work, sz first, sz last) noexcept nogil:",
            *indented(chain("op.kind", backward)),
        ]
    )


# ----------------------------------------------------------------------------- losses


def loss_dispatch(rows: Rows) -> str:
    """Codes of the losses, and the choice of the formula of an elementwise one by the code.

    A row called ``name`` has its loss and derivative from ``name(a, y, &slope)``, with the
    parameter as the first argument if there is one.  One with `columns` has them too from
    ``name_of_column(column, a, y, &slope)``, behind a parameter that the columns do not replace.
    """
    by_element = [row for row in rows if row.is_elementwise]
    of_columns = [row for row in by_element if row.columns]
    arguments = {True: "parameter, a, y, slope", False: "a, y, slope"}
    formulas = [
        (row.name.upper(), f"return {row.name}({arguments[row.parameter is not None]})")
        for row in by_element
    ]
    column_formulas = [
        (row.name.upper(), f"return {row.name}_of_column({_common(row)}column, a, y, slope)")
        for row in of_columns
    ]
    of_classes = [(row.name.upper(), "return True") for row in by_element if row.has_classes]
    call = "return element_row({}, rule, K, a, y, coefficient, gradient, accumulate)"
    instances = [(row.name.upper(), call.format(row.name.upper())) for row in by_element]
    return "\n\n\n".join(
        [
            enum(rows),
            function(
                "vec element_loss(int code, real parameter, vec a, vec y, vec* slope)",
                "l(a, y) for each element; its derivative with respect to a goes to `slope`.",
                ladder("code", formulas, "return a"),
            ),
            function(
                "vec column_loss(int code, real parameter, vec column, vec a, vec y,\n"
                "                             vec* slope)",
                "`element_loss` with one number for each column.",
                [*chain("code", column_formulas), "return a"],
            ),
            function(
                "bint has_columns(int code)",
                "Whether there may be one number for each column.",
                ladder("code", [(row.name.upper(), "return True") for row in of_columns],
                       "return False"),
            ),
            function(
                "bint has_classes(int code)",
                "Whether targets are shares of two classes, which may have weights.",
                ladder("code", of_classes, "return False"),
            ),
            function(
                "real choose_element_row(int code, const ElementRule* rule, Py_ssize_t K,\n"
                "                                    const real* a, const real* y,\n"
                "                                    real coefficient, real* gradient,\n"
                "                                    bint accumulate)",
                "`element_row`, with one instance for every code.",
                chain("code", instances),
            ),
        ]
    )  # fmt: skip


def _common(row: Any) -> str:
    """The argument of a formula of columns that is common to all of them."""
    return "" if row.parameter is None or row.parameter.by_column else "parameter, "


def loss_codes(rows: Rows) -> str:
    """The codes by the names, as Python objects."""
    return codes_by_name("_loss_codes", rows)


# ---------------------------------------------------------------------------- updates


def update_codes(rows: Rows) -> str:
    """Codes, state and numbers of the updates."""
    numbers = dict.fromkeys(number.name for row in rows for number in row.numbers)
    return "\n\n\n".join(
        [
            enum(rows),
            f"cdef enum:\n    MAX_SLOTS = {max(len(row.slots) for row in rows)}",
            "\n".join(["cdef struct Numbers:", *(f"    double {name}" for name in numbers)]),
        ]
    )


def update_dispatch(rows: Rows) -> str:
    """The choice of the formula of an update by the code.

    A row called ``name`` has its coefficients from ``name_coefficients(u, rate, step)`` and the
    new parameters from ``name(u, n, p, g, state, j)``.
    """
    names = [row.name for row in rows]
    tile = "rows, columns, g, ldg, state, ld"
    outer = "n_samples, u, o, rows, columns, state, ld"
    return "\n\n\n".join(
        [
            function(
                "void set_coefficients(Update* u, double learning_rate, Py_ssize_t step)",
                "What does not change within a step.",
                ladder("u.code", [
                    (name.upper(), f"{name}_coefficients(u, learning_rate, step)")
                    for name in names
                ], "pass"),
            ),
            function(
                "vec updated(int code, const Update* u, Py_ssize_t n, vec p, vec g,\n"
                "                         const State* state, Py_ssize_t j)",
                "New parameters of one vector; writes its state.  `code` is a constant.",
                ladder("code", [
                    (name.upper(), f"return {name}(u, n, p, g, state, j)") for name in names
                ], "return p"),
            ),
            function(
                "void update_tile(const Update* u, Py_ssize_t rows, Py_ssize_t columns,\n"
                "                             const real* g, Py_ssize_t ldg, const State* state,\n"
                "                             Py_ssize_t ld)",
                "Update some rows; gradients are ldg apart, parameters and state ld.",
                chain("u.code", [
                    (name.upper(), f"update_rows({name.upper()}, u, {tile})") for name in names
                ]),
            ),
            function(
                "void update_outer_of(Py_ssize_t n_samples, const Update* u, const Outer* o,\n"
                "                                 Py_ssize_t rows, Py_ssize_t columns,\n"
                "                                 const State* state, Py_ssize_t ld)",
                "`update_outer_rows`, with one instance for every code.",
                chain("u.code", [
                    (name.upper(), f"update_outer_rows({name.upper()}, {outer})")
                    for name in names
                ]),
            ),
        ]
    )  # fmt: skip


def update_numbers(rows: Rows) -> str:
    """The code and the numbers of an update, read from Python."""
    lines = [
        "from fastnn.backend.compiled.rows.updates cimport (",
        *(f"    {row.name.upper()}," for row in rows),
        ")",
        "",
        "",
        "cdef int read_numbers(Update* u, name, dict numbers) except -1:",
        '    """The code of a row, and its numbers, which are all given."""',
    ]
    for row in rows:
        lines.append(f'    if name == "{row.name}":')
        lines.append(f"        u.code = {row.name.upper()}")
        lines += [
            f'        u.numbers.{number.name} = numbers["{number.name}"]' for number in row.numbers
        ]
    return "\n".join([*lines, "    return 0"])


# ------------------------------------------------------------------------------- files

FILES: dict[str, tuple[str, Callable[[Rows], str]]] = {
    "activations.pxi": ("activations", activation_dispatch),
    "activation_codes.pxi": ("activations", activation_codes),
    "slopes.pxi": ("activations", slope_dispatch),
    "operations.pxi": ("operations", operation_enum),
    "operation_codes.pxi": ("operations", operation_codes),
    "operation_dispatch.pxi": ("operations", operation_dispatch),
    "losses.pxi": ("losses", loss_dispatch),
    "loss_codes.pxi": ("losses", loss_codes),
    "update_codes.pxi": ("updates", update_codes),
    "update_dispatch.pxi": ("updates", update_dispatch),
    "update_numbers.pxi": ("updates", update_numbers),
}
"""For each generated file: the module of the table with its `ROWS`, and what makes the text."""


def text(file: str, rows: Rows) -> str:
    """The whole text of a generated file."""
    table, make = FILES[file]
    origin = f"# Written by setup.py from fastnn/facts/{table}.py, which is the file to change."
    return f"{origin}\n\n{make(rows)}\n"
