"""Which backend executes programs, and on which instruction set.

The choice is made once, at the first use:

``FASTNN_BACKEND``
    ``compiled`` or ``reference``.  Unset: compiled where it imports.
``FASTNN_ISA``
    One of the instruction sets the installation was built for (``v4b``, ``v4``,
    ``v3``, ``v2`` on x86-64, else ``baseline``).  Unset: the best one the processor has.

An explicit request that cannot be met raises `BackendError`.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import DTypeLike

from fastnn._shared.numbers import check_integer
from fastnn.backend.threads import limit
from fastnn.program import Program

if TYPE_CHECKING:
    from fastnn.backend.protocol import CompiledModule, Engine, Frozen, Kernels

BACKENDS = ("compiled", "reference")


class BackendError(ImportError):
    """The backend or instruction set that was asked for is not there."""


@dataclass(frozen=True)
class _Choice:
    name: str
    isa: str | None
    reason: str


_chosen: _Choice | None = None
_override: ContextVar[str | None] = ContextVar("fastnn_backend", default=None)
override = _override.get
"""The name that the innermost `use` asks for, or None."""

_ANY_NUMBER = 2**16  # of threads: what OpenMP offers at the time of a call is the limit
_loading = threading.RLock()  # of `_cores` and `_threads`: a core is loaded once, with its limit
_threads = 0  # 0: any number
_cores: dict[tuple[str, str], CompiledModule] = {}  # by instruction set and dtype
_in_use: dict[tuple[str | None, DTypeLike], Kernels] = {}  # by override and dtype: a quick answer


def _choose() -> _Choice:
    """Settle backend and instruction set from the environment, once."""
    global _chosen
    if _chosen is None:
        wanted = os.environ.get("FASTNN_BACKEND", "").strip().lower()
        if wanted and wanted not in BACKENDS:
            raise BackendError(
                f"FASTNN_BACKEND must be one of {', '.join(BACKENDS)}, got {wanted!r}"
            )
        _chosen = (
            _Choice("reference", None, "FASTNN_BACKEND=reference")
            if wanted == "reference"
            else _choose_compiled(required=wanted == "compiled")
        )
    return _chosen


def _choose_compiled(required: bool) -> _Choice:
    """The best compiled core, or else the reference with the reason why."""
    from fastnn.backend import compiled

    wanted = os.environ.get("FASTNN_ISA", "").strip().lower()
    try:
        isas = [isa for isa in compiled.built() if compiled.runs_here(isa)]
        reason = "" if isas else compiled.unusable()
    except ImportError as error:
        isas, reason = [], _cannot_be_loaded(error)
    if wanted and wanted not in isas:
        raise BackendError(_isa_refusal(wanted, isas, compiled.built()))
    if wanted:
        return _Choice("compiled", wanted, f"FASTNN_ISA={wanted}")
    if isas:
        lack = " (the processor has no AVX2, or less than v3)" if isas[0] == "v2" else ""
        built = ", ".join(compiled.built())
        return _Choice("compiled", isas[0], f"the best of {built} here{lack}")
    if required:
        raise BackendError(
            f"there is no compiled core to use: {reason or 'fastnn was installed without one'}. "
            "Install fastnn again with a C compiler and without FASTNN_PURE=1"
        )
    if reason:
        warnings.warn(
            f"fastnn computes with NumPy, which is slower: {reason}. Install fastnn again on this "
            "machine, or set FASTNN_BACKEND=reference to use NumPy without this warning",
            RuntimeWarning,
            stacklevel=2,
        )
    return _Choice("reference", None, reason or "no compiled core is installed")


def _isa_refusal(wanted: str, isas: list[str], built: tuple[str, ...]) -> str:
    if wanted not in built:
        has = ", ".join(built) or "no compiled instruction set"
        return f"FASTNN_ISA is {wanted!r}, but this installation has {has}"
    return (
        f"FASTNN_ISA is {wanted!r}, which this processor does not have; "
        f"it runs {', '.join(isas) or 'none of the installed cores'}"
    )


def _cannot_be_loaded(error: ImportError) -> str:
    return f"the compiled core cannot be loaded: {error}"


def name() -> str:
    """The backend in use: ``"compiled"`` or ``"reference"``."""
    return _override.get() or _choose().name


def instruction_set() -> str | None:
    """The instruction set in use (``"v4"``...), or None for the reference backend."""
    if name() == "reference":
        return None
    choice = _choose()
    return choice.isa or _choose_compiled(required=True).isa


def available() -> tuple[str, ...]:
    """The backends that can be used in this process, compiled first."""
    try:
        _choose_compiled(required=True)
    except BackendError:
        return ("reference",)
    return BACKENDS


@contextmanager
def use(backend: str) -> Iterator[None]:
    """Use `backend` for what is called or built inside a ``with`` block.

    Networks keep the backend they were built with.

    Parameters
    ----------
    backend : {"compiled", "reference"}

    Raises
    ------
    BackendError
        If the backend is unknown or not installed.
    """
    if backend not in BACKENDS:
        raise BackendError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend not in available():
        _choose_compiled(required=True)
    token = _override.set(backend)
    try:
        yield
    finally:
        _override.reset(token)


def use_where_installed(backend: str) -> AbstractContextManager[None]:
    """`use`, for what comes from another computer: without that backend, the one in use stays."""
    return use(backend if backend in available() else name())


def load(isa: str | None, dtype: DTypeLike) -> Kernels:
    """The kernels of one instruction set (None: the reference) and dtype."""
    if isa is None:
        from fastnn.backend.reference import kernels

        return kernels
    return _core(isa, dtype)


def _core(isa: str, dtype: DTypeLike) -> CompiledModule:
    """The compiled module of one instruction set and dtype."""
    key = (isa, np.dtype(dtype).name)
    core = _cores.get(key)
    return _loaded(*key) if core is None else core


def _loaded(isa: str, dtype: str) -> CompiledModule:
    """The same at its first use, for which other threads wait."""
    from fastnn.backend import compiled

    with _loading:
        core = _cores.get((isa, dtype))
        if core is None:
            try:
                core = cast("CompiledModule", compiled.load(isa, dtype))
            except ImportError as error:
                raise BackendError(
                    f"{_cannot_be_loaded(error)}. Install fastnn again, or the library that is "
                    "missing, or set FASTNN_BACKEND=reference to compute with NumPy"
                ) from error
            core.set_max_threads(_threads or _ANY_NUMBER)
            _cores[isa, dtype] = core
        return core


def kernels(dtype: DTypeLike) -> Kernels:
    """The kernel functions of the backend in use, for one dtype."""
    key = (_override.get(), dtype)
    in_use = _in_use.get(key)
    if in_use is None:
        in_use = _in_use[key] = load(instruction_set(), dtype)
    return in_use


def new_engine(program: Program, storage: np.ndarray, keep_all: bool = False) -> Engine:
    """An engine of the backend in use for `program` on its parameter `storage`.

    Parameters
    ----------
    program : Program
    storage : (program.storage_size,) array of program.dtype
    keep_all : bool, default False
        Whether the gradient of every buffer can be read after `loss_and_gradients`.

    Raises
    ------
    BackendError
        If the backend cannot run the program.
    """
    engine = _engine_class(program)
    answer = engine.supports(program)
    if not answer:
        raise BackendError(f"the program cannot be run: {answer.reason}")
    return engine(program, storage, keep_all)


def _engine_class(program: Program) -> type[Engine]:
    isa = instruction_set()
    if isa is None:
        from fastnn.backend.reference.engine import Engine as Reference

        return Reference
    return cast("type[Engine]", _core(isa, program.dtype).Engine)


def new_frozen(program: Program, storage: np.ndarray) -> Frozen:
    """An executor of the backend in use for parameters that do not change any more.

    Parameters
    ----------
    program : Program
        Without heads.
    storage : (program.storage_size,) array of program.dtype

    Raises
    ------
    BackendError
        If the backend cannot run the program.
    """
    isa = instruction_set()
    if isa is None:
        from fastnn.backend.reference.frozen import Frozen as Reference

        return Reference(program, storage)
    return cast("Frozen", _core(isa, program.dtype).Frozen(program, storage))


def set_num_threads(n: int) -> None:
    """Use at most `n` threads in each compiled call.

    Results do not depend on the number of threads.  A forked process starts with one.
    The reference backend ignores it: NumPy's own threads are set by its BLAS.

    Parameters
    ----------
    n : int
        At least 1.
    """
    global _threads
    n = min(check_integer(n, "n", 1), _ANY_NUMBER)
    with _loading:
        _threads = n
        for core in _cores.values():
            core.set_max_threads(n)


@contextmanager
def at_most_threads(n: int) -> Iterator[None]:
    """Use at most `n` threads in each compiled call of a ``with`` block.

    It holds in the thread of the block, or its `contextvars` context: nothing changes for calls in
    other threads, and blocks may overlap.  A block within a block can only lower the limit.

    Parameters
    ----------
    n : int
        At least 1.
    """
    n = min(check_integer(n, "n", 1), _ANY_NUMBER)
    token = limit.set(min(n, limit.get() or n))
    try:
        yield
    finally:
        limit.reset(token)


def get_num_threads() -> int:
    """Upper bound on the threads of a compiled call here (1 without OpenMP or compiled core)."""
    isa = instruction_set()
    offered = 1 if isa is None else max(1, _core(isa, np.float32).max_threads())
    return min(offered, _threads or offered, limit.get() or offered)


def _end_idle_threads() -> None:
    """A forked child has none of its parent's OpenMP threads; waiting for them would never end."""
    for core in list(_cores.values()):
        core.end_idle_threads()


def _begin_child() -> None:
    """Forked processes share the processor with each other and their parent: one thread each.

    Locks that other threads of the parent held would stay locked.
    """
    global _loading
    _loading = threading.RLock()
    set_num_threads(1)
    for core in list(_cores.values()):
        core.begin_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_end_idle_threads, after_in_child=_begin_child)


def show_config() -> None:
    """Print the backend in use and why, instruction sets, threads and versions."""
    for key, value in config().items():
        print(f"{key:<16}{value}")


def config() -> dict[str, str]:
    """What `show_config` prints, as a dictionary."""
    from fastnn._version import __version__
    from fastnn.backend import compiled

    choice = _choose()
    isa = instruction_set()
    core = None if isa is None else _core(isa, np.float32)
    openmp = core is not None and core.max_threads() > 0
    return {
        "fastnn": __version__,
        "backend": f"{name()} ({choice.reason})" if name() == choice.name else name(),
        "instruction set": isa or "none (NumPy)",
        "built for": ", ".join(compiled.built()) or "nothing (pure Python installation)",
        "threads": f"{get_num_threads()} ({'OpenMP' if openmp else 'no OpenMP'})",
        "debug build": "yes" if core is not None and core.DEBUG else "no",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "scipy": _version("scipy"),
        "platform": f"{sys.platform} {platform.machine()}",
    }


def _version(package: str) -> str:
    """Version of an installed package, without importing it."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
