"""What calls allocate, as Python and NumPy report it."""

from __future__ import annotations

import tracemalloc


def peak_of(call):
    """Bytes that a call has allocated at its peak, beyond what there was; and what it returns."""
    tracemalloc.start()
    try:
        result = call()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()
