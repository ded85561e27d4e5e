"""The executors of a Program, and the choice between them."""

from fastnn.backend.choice import (
    BACKENDS,
    BackendError,
    at_most_threads,
    available,
    config,
    get_num_threads,
    instruction_set,
    kernels,
    load,
    name,
    new_engine,
    new_frozen,
    override,
    set_num_threads,
    show_config,
    use,
)

__all__ = [
    "BACKENDS",
    "BackendError",
    "at_most_threads",
    "available",
    "config",
    "get_num_threads",
    "instruction_set",
    "kernels",
    "load",
    "name",
    "new_engine",
    "new_frozen",
    "override",
    "set_num_threads",
    "show_config",
    "use",
]
