"""Calls whose memory runs out end with MemoryError, and leave everything as it was."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fastnn import backend

TOOL = Path(__file__).parents[2] / "tools" / "fail_allocations.py"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux"
    or "LD_PRELOAD" in os.environ
    or "compiled" not in backend.available()
    or os.environ.get("FASTNN_BACKEND") == "reference"
    or shutil.which("cc") is None
    or not TOOL.exists(),
    reason="lets allocations of the compiled backend fail: glibc, a compiler, the repository",
)


@pytest.fixture(scope="module")
def tool():
    specification = importlib.util.spec_from_file_location("fail_allocations", TOOL)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(*arguments):
    """What the tool says, in lines, and its status."""
    command = [sys.executable, str(TOOL), *arguments]
    environment = dict(os.environ, FASTNN_BACKEND="compiled")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if "undefined symbol: __libc_" in done.stderr:
        pytest.skip("needs glibc")
    return done.stdout.splitlines(), done.returncode, done.stderr


def test_a_few_failures_of_each_call_do_no_harm(tool):
    said, status, errors = run("-n", "6")
    assert status == 0, "\n".join([*said, errors])
    assert [line.partition(":")[0] for line in said] == list(tool.NAMES)
    assert all(re.search(r"[1-9]\d* MemoryError", line) for line in said)


def test_no_failure_of_a_prediction_of_many_outputs_does_harm():
    said, status, errors = run("predict_several")
    assert status == 0, "\n".join([*said, errors])


def test_a_child_that_dies_is_told_from_one_that_raises(tool, monkeypatch):
    class NoShim:
        def fail_allocation(self, n):
            """Nothing fails here."""

    monkeypatch.setattr(tool.ctypes, "PyDLL", lambda name: NoShim())

    def crash():
        os.kill(os.getpid(), signal.SIGSEGV)

    def refuse():
        raise MemoryError

    def nothing():
        """A check that finds nothing."""

    assert tool.in_a_child(refuse, nothing, 0) == ("MemoryError", "")
    kind, text = tool.in_a_child(crash, nothing, 0)
    assert (kind, text.splitlines()[0]) == ("wrong", "killed by SIGSEGV")
    kind, text = tool.in_a_child(refuse, refuse, 0)
    assert (kind, text.splitlines()[0]) == (
        "wrong",
        "afterwards: Traceback (most recent call last):",
    )


def test_numbers_are_spread_evenly(tool):
    assert list(tool.numbers(10, 4)) == [0, 2, 5, 7]
    assert list(tool.numbers(3, 100)) == [0, 1, 2]
