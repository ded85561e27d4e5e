"""Numbers as the text of cells."""

from __future__ import annotations


def number_text(value: float) -> str:
    """Five significant digits, with an exponent for very large and very small numbers."""
    size = abs(value)
    if size != 0 and not 1e-4 <= size < 1e7:
        return f"{value:.4e}"
    decimals = 4 if size < 10 else 3 if size < 1000 else 1
    if 0 < size < 0.1:
        return f"{value:.5g}"
    return f"{value:.{decimals}f}"


def p_text(p: float) -> str:
    """A p-value with three decimals, or as a power of ten where they would be zeros."""
    return f"{p:.3f}" if not p < 0.0005 else f"{p:.3g}"


def count_text(df: float) -> str:
    """A whole number with separators of thousands; four digits of another number."""
    return f"{df:,}" if isinstance(df, int) else f"{df:,.4g}"
