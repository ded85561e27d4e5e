#!/usr/bin/env python
"""Let each allocation of memory fail in its turn, in calls that build, train, save and load.

Each failure happens in a process of its own.  The call must then end with MemoryError or succeed,
and the network must still do everything: a crash is reported with the number of its allocation.
Defects of CPython and NumPy that the calls meet are counted under names of their own.
Needs Linux with glibc, a C compiler (CC) and an installed fastnn.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import faulthandler
import gc
import io
import json
import linecache
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("failing_allocations.c")
SUCCESS, REFUSED, WRONG = "success", "MemoryError", "wrong"


# ------------------------------------------------------------------- what is called


def built() -> Any:
    """A network with layers of every kind of memory: tables of slopes, terms, masks."""
    import fastnn as fnn

    layers = [
        fnn.Dense(3, 5, activation="tanh"),
        fnn.LayerNorm(5),
        fnn.Dropout(0.2),
        fnn.Dense(5, 2),
    ]
    net = fnn.Sequential(layers, seed=1)
    net.compile(loss="cross_entropy", optimizer="adam")
    return net


def with_outputs(n: int) -> Any:
    """A network with n outputs."""
    import fastnn as fnn

    x = fnn.Input(3)
    return fnn.Network(x, [fnn.Dense(3, 1)(x) for _ in range(n)])


class Calls:
    """The calls of which an allocation fails, on one network and its data."""

    def __init__(self) -> None:
        import numpy as np

        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((40, 3)).astype("float32")
        self.y = (self.X[:, 0] > 0).astype(int)
        self.net = built()
        self.net.fit(self.X, self.y, epochs=1)
        self.file = self._saved()
        self.several = with_outputs(9)

    def _saved(self) -> bytes:
        file = io.BytesIO()
        self.net.save(file)
        return file.getvalue()

    def build(self) -> None:
        """Layers, program, engine, optimizer."""
        built()

    def fit(self) -> None:
        """Two epochs of three batches."""
        self.net.fit(self.X, self.y, epochs=2, batch_size=16)

    def train_step(self) -> None:
        """A direct call."""
        self.net.train_step(self.X, self.y)

    def predict(self) -> None:
        """A direct call."""
        self.net.predict(self.X)

    def predict_several(self) -> None:
        """A list of outputs, which has to grow."""
        self.several.predict(self.X)

    def save(self) -> None:
        """Into memory."""
        self._saved()

    def load(self) -> None:
        """From memory."""
        import fastnn as fnn

        fnn.load(io.BytesIO(self.file))

    def check(self) -> None:
        """Everything once more: nothing may be left broken."""
        import numpy as np

        import fastnn as fnn

        assert self.net.history.epochs == len(self.net.history["loss"])
        assert np.isfinite(self.net.predict(self.X)).all()
        self.net.fit(self.X, self.y, epochs=1)
        assert fnn.load(io.BytesIO(self._saved())).predict(self.X).shape == (40, 2)
        built().fit(self.X, self.y, epochs=1)


NAMES = ("build", "fit", "train_step", "predict", "predict_several", "save", "load")


# --------------------------------------------------------------- under the shim


def numbers(total: int, most: int) -> Iterator[int]:
    """At most so many of the numbers from 0 to `total`, evenly spread."""
    count = min(total, most)
    return (i * total // count for i in range(count))


def outcome(call: Callable[[], None], check: Callable[[], None], n: int) -> tuple[str, str]:
    """What happens when allocation n of a call fails, and the traceback of what is wrong."""
    library = ctypes.PyDLL(None)  # holds the GIL: these calls allocate nothing themselves
    result = SUCCESS
    try:
        library.fail_allocation(n)
        try:
            call()
        finally:
            library.fail_allocation(-1)
    except MemoryError:
        result = REFUSED
    except (SystemError, RuntimeError) as error:  # C code has lost the MemoryError
        if isinstance(error, RuntimeError) and str(error) != "can't allocate lock":
            return WRONG, traceback.format_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        result = f"{type(error).__name__} in {Path(place.filename).name}, {place.name}"
    except BaseException:
        return WRONG, traceback.format_exc()
    try:
        check()
    except BaseException:
        return WRONG, "afterwards: " + traceback.format_exc()
    return result, ""


def in_a_child(call: Callable[[], None], check: Callable[[], None], n: int) -> tuple[str, str]:
    """`outcome` in a forked process; a signal that ends it is wrong."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(writing, 2)  # faulthandler writes there, too
        faulthandler.enable()
        text = json.dumps(outcome(call, check, n))
        os.write(writing, b"\n" + text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        if is_known(said):
            return "crash of CPython in dict.items()", ""
        return WRONG, f"killed by {signal.Signals(-status).name}\n{said}"
    kind, text = json.loads(said.rpartition("\n")[2])
    return kind, text


def is_known(said: str) -> bool:
    """Whether faulthandler tells of a defect of CPython.

    `dictiter_new` fails to make a pair, and releases an iterator that the garbage collector does
    not track yet: `dictiter_dealloc` then follows a null pointer.
    """
    innermost = re.search(r'File "(.+)", line (\d+) in', said)
    return innermost is not None and ".items()" in linecache.getline(
        innermost[1], int(innermost[2])
    )


def inside(name: str, most: int) -> dict[str, Any]:
    """The outcomes of a call, by number of the allocation that fails."""
    calls = Calls()
    call = getattr(calls, name)
    library = ctypes.PyDLL(None)
    for _ in range(2):  # what a first call imports and keeps is not part of it
        calls.check()
        call()
    gc.collect()
    gc.disable()  # so that a number means the same allocation in every process
    library.fail_allocation(-1)
    call()
    total = library.allocations()
    counts: collections.Counter[str] = collections.Counter()
    wrong = {}
    for n in numbers(total, most):
        kind, text = in_a_child(call, calls.check, n)
        counts[kind] += 1
        if kind == WRONG:
            wrong[n] = text
    return {"allocations": total, "outcomes": dict(counts), "wrong": wrong}


# ---------------------------------------------------------------------- outside


def compiled(folder: Path) -> Path:
    """The shim as a library."""
    library = folder / "failing_allocations.so"
    default = "cc" if shutil.which("cc") else "gcc"
    compiler = shlex.split(os.environ.get("CC", default))
    command = [*compiler, "-O1", "-fPIC", "-shared", str(SOURCE), "-o", str(library)]
    subprocess.run(command, check=True)
    return library


def run(name: str, most: int, library: Path) -> dict[str, Any]:
    """`inside` in a process that allocates by the shim."""
    same = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    environment = os.environ | same
    # By its name alone: a space in LD_PRELOAD would end a path, in LD_LIBRARY_PATH it does not.
    folders = [str(library.parent), os.environ.get("LD_LIBRARY_PATH")]
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, folders))
    environment["LD_PRELOAD"] = library.name
    command = [sys.executable, __file__, "--inside", "-n", str(most), name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} ended with status {done.returncode}:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> int:
    """Run the calls, print their outcomes; the status is 1 if one was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-n", type=int, default=sys.maxsize, help="failures of a call, at most")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("call", nargs="*", help=f"of {', '.join(NAMES)}; default: all")
    arguments = parser.parse_args()
    for name in arguments.call:
        if name not in NAMES:
            parser.error(f"call must be one of {', '.join(NAMES)}, got {name!r}")
    if arguments.inside:
        print(json.dumps(inside(arguments.call[0], arguments.n)))
        return 0
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        library = compiled(Path(folder))
        for name in arguments.call or NAMES:
            result = run(name, arguments.n, library)
            outcomes = ", ".join(f"{n} {kind}" for kind, n in result["outcomes"].items())
            print(f"{name}: {result['allocations']} allocations; {outcomes}", flush=True)
            for n, text in result["wrong"].items():
                print(f"\n{name}, allocation {n}: {text}", flush=True)
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
