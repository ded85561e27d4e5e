"""Networks in the formats of other programs.

A format reads and writes a `Program` with its parameters.
"""

from fastnn._shared.lazy import importer

_HOMES = {
    "from_onnx": "fastnn.formats.onnx_read",
    "from_sklearn": "fastnn.formats.scikit",
    "to_c": "fastnn.formats.c.export",
    "to_onnx": "fastnn.formats.onnx_write",
}
"""For each public name the module that defines it; a format is imported at first use."""

__getattr__ = importer(__name__, _HOMES)

__all__ = sorted(_HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
