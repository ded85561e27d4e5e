"""The parts that every exported file has."""

from __future__ import annotations

from collections.abc import Sequence

from fastnn._version import __version__
from fastnn.formats.c.constants import BLOCKS
from fastnn.formats.c.library import functions
from fastnn.formats.c.network import File

__all__ = ["add_batch", "assemble", "block_comment", "count"]

_HINTS = (
    "",
    "Compile with -O3 and the instruction set of the processor (-march=native) where speed",
    "matters. Without -ffast-math, all results are within a few units in the last place.",
)


def add_batch(file: File, predict: str, x_type: str, y_type: str) -> None:
    """Add the function that predicts row after row."""
    prefix = file.names.prefix.upper()
    file.functions.append(f"""/* The outputs of some rows, one after the other. */
void {predict}_batch(const {x_type} *x, {y_type} *y, size_t rows)
{{
    for (size_t i = 0; i < rows; i++) {predict}(x + {prefix}_INPUTS * i, y + {prefix}_OUTPUTS * i);
}}""")


def assemble(
    file: File, title: str, call: Sequence[str], constants: Sequence[str], tests: Sequence[str]
) -> str:
    """The text of a file from its parts.

    Parameters
    ----------
    file : File
    title : str
        What the model is.
    call : sequence of str
        Lines of C that show how it is called.
    constants : sequence of str
        Enumerations.
    tests : sequence of str
        Self-tests.
    """
    prefix = file.names.prefix
    block = BLOCKS[file.ctype] * file.dtype.itemsize
    head = block_comment(
        [
            f"{prefix}: {title}, in C99.",
            "",
            f"Written by fastnn {__version__}. The functions use no memory but their stack, and",
            "may be called by any number of threads. x and y must not overlap.",
            "",
            *call,
            "",
            f"Tables: {file.table_bytes:,} bytes of constants.",
            f"Stack: {file.scratch_bytes:,} bytes of scratch, {block} in the functions called, and",
            "what compilers add.",
            *_HINTS,
        ]
    )
    capitals = prefix.upper()
    start = f"""#include <math.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus) || defined(_MSC_VER)
#define {capitals}_RESTRICT __restrict
#else
#define {capitals}_RESTRICT restrict
#endif

#ifdef __cplusplus
extern "C" {{
#endif"""
    end = "#ifdef __cplusplus\n}\n#endif"
    library = functions(file.needed, prefix, file.ctype)
    parts = [head, start, *constants, *file.tables.values(), library, *file.functions, end, *tests]
    return "\n\n".join(part for part in parts if part) + "\n"


def block_comment(lines: Sequence[str]) -> str:
    """Lines as a comment."""
    if len(lines) == 1:
        return f"/* {lines[0]} */"
    rest = [f" * {line}".rstrip() for line in lines[1:]]
    return "\n".join([f"/* {lines[0]}", *rest, " */"])


def count(n: int, noun: str) -> str:
    """A number with its noun."""
    return f"{n} {noun}{'s' * (n != 1)}"
