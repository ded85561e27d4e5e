"""Training beyond one process: one model in many processes, started by ``mpiexec``."""

from fastnn._shared.lazy import importer

_HOMES = {
    "Communicator": "fastnn.distributed.communicator",
    "RankError": "fastnn.distributed.communicator",
    "fit": "fastnn.distributed.training",
    "partition": "fastnn.distributed.launch",
    "single": "fastnn.distributed.communicator",
    "world": "fastnn.distributed.launch",
}
"""For each public name the module that defines it; a module is imported at first use."""

__getattr__ = importer(__name__, _HOMES)

__all__ = sorted(_HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
