"""Networks in the formats of other programs.

A format reads and writes a `Program` with its parameters.
"""

from fastnn._shared.lazy import importer

_HOMES = {
    "from_onnx": "fastnn.formats.onnx_read",
    "from_safetensors": "fastnn.formats.state_dicts",
    "from_sklearn": "fastnn.formats.scikit",
    "from_state_dict": "fastnn.formats.state_dicts",
    "from_torch": "fastnn.formats.torch_in",
    "to_c": "fastnn.formats.c.export",
    "to_onnx": "fastnn.formats.onnx_write",
    "to_safetensors": "fastnn.formats.state_dicts",
    "to_state_dict": "fastnn.formats.state_dicts",
    "to_torch": "fastnn.formats.torch_out",
    "to_torch_optimizer": "fastnn.formats.torch_optimizers",
}
"""For each public name the module that defines it; a format is imported at first use."""

__getattr__ = importer(__name__, _HOMES)

__all__ = sorted(_HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
