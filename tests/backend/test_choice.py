"""An installation that cannot use its compiled core says why, and what to do."""

from __future__ import annotations

import importlib.machinery
import warnings

import pytest

from fastnn.backend import BackendError, choice, compiled


@pytest.fixture
def installation(monkeypatch, tmp_path):
    """A function that makes the installation one of some files on some processor."""

    def install(*files, level=0, error=None):
        for name in files:
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.touch()
        monkeypatch.setattr(compiled, "__file__", str(tmp_path / "__init__.py"))
        monkeypatch.setattr(compiled, "_processor", lambda: processor(level, error))

    def processor(level, error):
        if error:
            raise ImportError(error)
        return level

    monkeypatch.setattr(choice, "_chosen", None)
    for name in ("FASTNN_ISA", "FASTNN_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    caches = (compiled.built, compiled.runs_here, compiled.unusable)
    for function in caches:
        function.cache_clear()
    yield install
    for function in caches:
        function.cache_clear()


def core(isa, suffix=importlib.machinery.EXTENSION_SUFFIXES[0]):
    return [f"{isa}_{dtype}/core{suffix}" for dtype in ("float32", "float64")]


def test_a_wheel_for_another_processor_warns_once_and_numpy_is_used(installation):
    installation(*core("v3", ".cpython-39-riscv64-linux-gnu.so"))
    with pytest.warns(RuntimeWarning, match="built for another Python or processor") as caught:
        assert choice.name() == "reference"
    message = str(caught[0].message)
    assert "core.cpython-39-riscv64-linux-gnu.so" in message
    assert "Install fastnn again on this machine" in message
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choice.name() == "reference"


def test_a_processor_without_avx2_is_named_where_the_core_needs_it(installation):
    installation(*core("v3"), *core("v4"), level=2)
    with pytest.warns(RuntimeWarning, match="built for v4, v3, and this processor has less: v2"):
        assert choice.name() == "reference"


def test_a_processor_older_than_all_levels_computes_with_numpy(installation):
    installation(*core("v2"), *core("v3"), level=0)
    with pytest.warns(RuntimeWarning, match="this processor is older than v2"):
        assert choice.name() == "reference"


def test_a_processor_without_avx2_is_named_where_its_own_core_is_used(installation):
    installation(*core("v2"), *core("v3"), level=2)
    assert choice._choose().isa == "v2"
    assert "no AVX2" in choice._choose().reason


def test_a_library_that_is_missing_is_named(installation):
    installation(*core("v3"), error="libgomp.so.1: cannot open shared object file")
    with pytest.warns(RuntimeWarning, match=r"cannot be loaded: libgomp\.so\.1"):
        assert choice.name() == "reference"


def test_an_installation_without_a_core_does_not_warn(installation):
    installation()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choice.name() == "reference"
    assert choice._choose().reason == "no compiled core is installed"


@pytest.mark.parametrize(
    ("files", "level", "words"),
    [
        ([], 4, "fastnn was installed without one"),
        (core("v4"), 3, "built for v4, and this processor has less: v2, v3"),
        (core("v3", ".cp39-win_arm64.pyd"), 3, "another Python or processor"),
    ],
)
def test_a_request_for_the_compiled_core_names_the_reason(
    files, level, words, installation, monkeypatch
):
    installation(*files, level=level)
    monkeypatch.setenv("FASTNN_BACKEND", "compiled")
    with pytest.raises(BackendError, match="Install fastnn again") as caught:
        choice.name()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("isa", "words"),
    [
        ("v4", "which this processor does not have; it runs v3"),
        ("v2", "but this installation has v4, v3"),
    ],
)
def test_a_request_for_an_instruction_set_names_the_others(isa, words, installation, monkeypatch):
    installation(*core("v3"), *core("v4"), level=3)
    monkeypatch.setenv("FASTNN_ISA", isa)
    with pytest.raises(BackendError, match=words):
        choice.name()
