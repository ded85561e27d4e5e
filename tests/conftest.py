"""Fixtures: every backend that is installed, both dtypes."""

from __future__ import annotations

import os
import signal

import pytest

from fastnn import backend as backends


def _to_test() -> tuple[str, ...]:
    """The backend FASTNN_BACKEND asks for, which must then be there; else all there are."""
    wanted = os.environ.get("FASTNN_BACKEND")
    return (wanted,) if wanted else backends.available()


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_interrupts():
    """A job in the background starts with SIGINT ignored; tests of Ctrl-C need it."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.fixture(params=_to_test())
def backend(request):
    """The name of a backend, in use during the test."""
    with backends.use(request.param):
        yield request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The name of a dtype."""
    return request.param
