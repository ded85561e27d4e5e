"""Fixtures: every backend that is installed, both dtypes."""

from __future__ import annotations

import gc
import os
import signal

import numpy as np
import pytest
from commands import houses_csv, people_csv

from fastnn import backend as backends

_ENVIRONMENT = dict(os.environ)


def pytest_sessionstart():
    """No test is garbage: the collector would look at all of them many times."""
    gc.disable()


def pytest_collection_modifyitems(items):
    """Mark the tests that run once for each backend: others run on the one that is in use."""
    for item in items:
        if "backend" in getattr(item, "fixturenames", ()):
            item.add_marker("each_backend")


def pytest_collection_finish():
    """Importing the benchmarks takes variables out of the environment of BLAS.

    Processes that tests start must find those that NumPy was loaded with here.
    """
    os.environ.update(_ENVIRONMENT)
    gc.enable()
    gc.freeze()


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


@pytest.fixture
def rng():
    """Random numbers, the same for every test."""
    return np.random.default_rng(0)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder of the test's own, in which it runs."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def people(elsewhere):
    """A CSV file to classify by."""
    return people_csv()


@pytest.fixture
def houses(elsewhere):
    """A CSV file for regression."""
    return houses_csv()
