"""Text from outside reaches the terminal without commands for it."""

from __future__ import annotations

import pytest

from fastnn._shared.text import aligned, printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Größe 5 µm, 数", "Größe 5 µm, 数"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("\x9b2J", "\\x9b2J"),
        ("bell\x07 tab\t line\n", "bell\\x07 tab\\t line\\n"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\ud800", "\\ud800"),
    ],
)
def test_characters_that_do_not_print_become_escapes(text, expected):
    assert printable(text) == expected


def test_line_breaks_can_be_kept():
    assert printable("a\n\x1b", keep="\n") == "a\n\\x1b"


def test_cells_of_tables_are_printable():
    assert aligned([["a\x1b", "b"], ["c", "d"]]) == ["a\\x1b  b", "c      d"]
