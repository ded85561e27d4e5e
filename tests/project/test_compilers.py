"""A build that cannot succeed says at once what is missing and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

setuptools = pytest.importorskip("setuptools", minversion="77.0.3", reason="setup.py needs it")

ROOT = Path(__file__).parents[2]
if not (ROOT / "fastnn" / "facts").is_dir():
    pytest.skip("nothing to build: the sources are elsewhere", allow_module_level=True)
GCC = "exec gcc"
X86 = sysconfig.get_platform().endswith("x86_64")


def compiler(folder, body):
    """A compiler that is a shell script, in front of GCC where it ends with it."""
    script = folder / "compiler"
    script.write_text(f'#!/bin/sh\n{body} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return str(script)


def refusing(folder, pattern, error="unknown argument"):
    """GCC without arguments of a pattern of the shell."""
    test = f'for a; do case "$a" in {pattern}) echo "{error}: $a" >&2; exit 1;; esac; done'
    return compiler(folder, f"{test}\n{GCC}")


def build(cc, **environment):
    """What setup.py says if it is to build with a compiler."""
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=ROOT,
        env={**os.environ, "CC": cc, "LDSHARED": f"{cc} -shared", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode != 0
    return done.stderr[done.stderr.index("fastnn: ") :]


@pytest.fixture
def module():
    """setup.py as a module: importing it builds nothing."""
    spec = importlib.util.spec_from_file_location("fastnn_setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trials(module, cc, monkeypatch):
    monkeypatch.setenv("CC", cc)
    monkeypatch.setenv("LDSHARED", f"{cc} -shared")
    return module.Trials(module.default_compiler())


def test_no_compiler():
    message = build("/nowhere/cc")
    assert "no C compiler works here: `/nowhere/cc`" in message
    assert "apt-get install gcc" in message
    assert "FASTNN_PURE=1" in message


def test_no_headers_of_python(tmp_path):
    broken = 'for a; do case "$a" in *trial.c) grep -q Python.h "$a" && exit 1;; esac; done'
    message = build(compiler(tmp_path, f"{broken}\n{GCC}"))
    assert "the headers of Python are missing" in message
    assert "python3-dev" in message


@pytest.mark.skipif(not X86, reason="levels of x86-64")
def test_a_compiler_that_does_not_know_a_level(tmp_path):
    message = build(refusing(tmp_path, "-march=x86-64-v4"), FASTNN_ISAS="v3,v4")
    assert "cannot build v4: it refuses -march=x86-64-v4" in message
    assert "GCC 11 and Clang 12" in message
    assert "Name another compiler in CC" in message


def test_a_compiler_without_openmp_is_named_once(tmp_path, module, monkeypatch, capsys):
    command = module.BuildCore(setuptools.Distribution())
    command.trials = trials(module, refusing(tmp_path, "-fopenmp"), monkeypatch)
    assert not command._find_openmp()
    said = capsys.readouterr().out
    assert "has no OpenMP" in said
    assert "one thread" in said
    assert "libomp-dev" in said
    assert "CFLAGS and LDFLAGS" in said


@pytest.mark.parametrize("error", ["unknown argument", "warning"])
def test_flags_that_a_compiler_refuses_or_ignores_are_left_out(
    error, tmp_path, module, monkeypatch
):
    # One that warns fails under -Werror alone.
    pattern = "-fsched-pressure"
    if error == "warning":
        ignores = (
            'case "$*" in *-Werror*-fsched-pressure*|*-fsched-pressure*-Werror*) exit 1;; esac'
        )
        cc = compiler(tmp_path, f"{ignores}\n{GCC}")
    else:
        cc = refusing(tmp_path, pattern)
    command = module.BuildCore(setuptools.Distribution())
    command.trials = trials(module, cc, monkeypatch)
    command.compiler, command.openmp = command.trials.compiler, False
    extension = module.Extension("unit", [])
    command._add_flags(extension)
    assert pattern not in extension.extra_compile_args
    assert "-fno-unswitch-loops" in extension.extra_compile_args


def test_libraries_are_looked_for_in_the_folders_of_ldflags(tmp_path, module, monkeypatch):
    library = tmp_path / "library"
    library.mkdir()
    monkeypatch.setenv("LDFLAGS", f"-L{library}")
    attempt = trials(module, "gcc", monkeypatch)
    program = "int one(void) { return 1; }\n"
    assert not attempt.builds(program, "-lfastnn_trial")
    (library / "one.c").write_text(program, encoding="utf-8")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", library / "libfastnn_trial.so", library / "one.c"],
        check=True,
    )
    assert module.Trials(attempt.compiler).builds(program, "-lfastnn_trial")


def test_a_full_disk_is_named_before_anything_is_written(module, monkeypatch):
    # What df would say of a disk with 5 MB left.
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=5_000_000))
    with pytest.raises(SystemExit, match="has 5 MB free, and a build needs up to 200 MB") as caught:
        module.check_compiler(module.Trials(module.default_compiler()))
    assert "Free some space" in str(caught.value)


def test_ctrl_c_ends_a_build_with_a_sentence(module):
    with pytest.raises(SystemExit, match="the build was interrupted before it was complete"):
        module.interrupt()


def test_a_build_that_was_killed_is_done_again_as_a_whole(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with module.one_at_a_time() as again:
        assert not again
    with pytest.raises(KeyError), module.one_at_a_time():
        raise KeyError  # in place of a signal that leaves no time for anything
    with module.one_at_a_time() as again:
        assert again
    with module.one_at_a_time() as again:
        assert not again


def test_two_builds_in_one_folder_come_one_after_the_other(module, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    order = []

    def build():
        with module.one_at_a_time():
            order.append("second")

    with module.one_at_a_time():
        second = threading.Thread(target=build)
        second.start()
        second.join(0.1)
        order.append("first")
    second.join()
    assert order == ["first", "second"]
    assert "another build in this folder is under way" in capsys.readouterr().out


def test_a_failure_ends_a_build_before_other_units_begin(tmp_path, module, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = module.BuildCore(setuptools.Distribution())
    command.extensions, command.parallel = [], 1
    begun = []

    def compile_unit(number):
        begun.append(number)
        if number == 0:
            raise module.CompileError
        time.sleep(0.05)

    monkeypatch.setattr(command, "_compile", compile_unit)
    with pytest.raises(SystemExit, match="compiling the core failed"):
        command._build({f"core_{number:02}": number for number in range(40)})
    assert len(begun) < 40


def test_commands_that_do_not_compile_need_no_compiler(module):
    assert not module.compiles(["setup.py", "sdist"])
    assert not module.compiles(["setup.py", "egg_info"])
    assert module.compiles(["setup.py", "bdist_wheel", "--dist-dir", "x"])


@pytest.mark.skipif(not X86, reason="levels of x86-64")
def test_native_is_the_best_instruction_set_of_this_machine(module, monkeypatch):
    processor = pytest.importorskip("fastnn.backend.compiled.processor")
    level = max(level for level in range(6) if processor.supports(level))
    monkeypatch.setenv("FASTNN_ISAS", "native")
    assert module.instruction_sets() == [("v2", "v3", "v4", "v4b")[level - 2]]


@pytest.mark.skipif(not X86, reason="levels of x86-64")
def test_native_stands_beside_named_instruction_sets_once_and_in_order(module, monkeypatch):
    monkeypatch.setattr(module, "native_instruction_set", lambda: "v3")
    monkeypatch.setenv("FASTNN_ISAS", "v3, native,v2")
    assert module.instruction_sets() == ["v2", "v3"]


@pytest.mark.skipif(not X86, reason="levels of x86-64")
@pytest.mark.parametrize("body", ["exit 1", 'case "$*" in *-c*) exec gcc "$@";; esac; exit 1'])
def test_native_where_no_program_can_be_built(body, tmp_path, module, monkeypatch, capsys):
    monkeypatch.setenv("CC", compiler(tmp_path, f"{body} #"))
    monkeypatch.setenv("FASTNN_ISAS", "native")
    with pytest.raises(SystemExit, match="no instruction set was found on this machine") as refusal:
        module.instruction_sets()
    assert "Name one of v2, v3, v4, v4b" in str(refusal.value)


def test_an_unknown_instruction_set_is_named_beside_those_of_the_platform(module, monkeypatch):
    monkeypatch.setenv("FASTNN_ISAS", "v9")
    with pytest.raises(SystemExit, match="names v9, which is no instruction set of") as refusal:
        module.instruction_sets()
    assert "native" in str(refusal.value)
