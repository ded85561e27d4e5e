"""Values of R and NIST, and the page that shows them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import reference_values

PAGE = Path(__file__).parents[2] / "docs" / "reference-values.md"
TABLES = {make.__name__: cache(make) for make in reference_values.TABLES}
ROWS = [(name, *value) for name, make in TABLES.items() for value in make().values]


@pytest.mark.parametrize(("table", "code", "call", "numbers"), ROWS)
def test_values_are_those_of_the_other_program(table, code, call, numbers):
    table = TABLES[table]()
    expected = np.array(numbers.split(), float)
    tolerance = table.rough if "by differences" in call else table.tolerance
    figures = reference_values.figures(table, code)
    np.testing.assert_allclose(figures, expected, rtol=tolerance)


@pytest.mark.parametrize("name", TABLES)
def test_the_page_shows_the_table(name):
    assert reference_values.text(TABLES[name]()) in PAGE.read_text(encoding="utf-8")
