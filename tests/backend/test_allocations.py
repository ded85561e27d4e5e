"""What calls of the compiled backend allocate, counted at malloc."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import allocations
import numpy as np
import pytest

from fastnn import backend

FOLDER = Path(__file__).parents[1]
SMALL = 4096  # bytes of the Python objects of one call

pytestmark = pytest.mark.skipif(
    sys.platform != "linux"
    or "LD_PRELOAD" in os.environ
    or "compiled" not in backend.available()
    or os.environ.get("FASTNN_BACKEND") == "reference",
    reason="counts the allocations of the compiled backend with glibc, alone in LD_PRELOAD",
)


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    """The library that counts, built by the C compiler that is there."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("counter") / "allocations.so"
    command = [compiler, "-O1", "-fPIC", "-shared", str(FOLDER / "allocations.c")]
    subprocess.run([*command, "-o", str(library)], check=True)
    return library


@pytest.fixture(scope="module", params=[1, 2], ids=["1 thread", "2 threads"])
def counts(request, counter):
    """[calls, bytes] by what was called."""
    environment = dict(os.environ, FASTNN_BACKEND="compiled", PYTHONMALLOC="malloc")
    # By its name alone: a space in LD_PRELOAD would end a path, in LD_LIBRARY_PATH it does not.
    folders = [str(counter.parent), os.environ.get("LD_LIBRARY_PATH")]
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, folders))
    environment["LD_PRELOAD"] = counter.name
    command = [sys.executable, str(FOLDER / "allocations.py"), str(request.param)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if "undefined symbol: __libc_" in done.stderr:
        pytest.skip("needs glibc")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_counter_sees_objects_and_arrays(counts):
    assert counts["objects"][0] >= 100
    assert counts["array"][1] >= np.zeros(10_000).nbytes


@pytest.mark.parametrize("program", allocations.PROGRAMS)
def test_no_step_of_a_call_allocates(counts, dtype, program):
    one, *more = counts[f"train {dtype} {program}"]
    assert more == [one] * len(more)


@pytest.mark.parametrize("rows", allocations.BATCHES)
def test_train_step_allocates_no_array(counts, dtype, rows):
    assert counts[f"train_step {rows} {dtype}"][1] < SMALL


@pytest.mark.parametrize("rows", allocations.BATCHES)
def test_predict_allocates_its_result_alone(counts, dtype, rows):
    result = np.dtype(dtype).itemsize * rows * 10
    assert counts[f"predict {rows} {dtype}"][1] < result + SMALL
