"""Builds repeat: the bytes of an archive tell the contents, and neither time, owner nor order."""

from __future__ import annotations

import importlib.util
import os
import tarfile
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "build_wheel.py"


@pytest.fixture(scope="module")
def tool():
    specification = importlib.util.spec_from_file_location("build_wheel", TOOL)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def archive(folder, names, *, time, mode):
    """A tar file of files with these names, as a build on some machine makes it."""
    folder.mkdir()
    for name in names:
        file = folder / "fastnn" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"contents of {name}")
        file.chmod(mode)
        os.utime(file, (time, time))
    made = folder / "fastnn.tar.gz"
    with tarfile.open(made, "w:gz") as tar:
        for name in names:
            tar.add(folder / "fastnn" / name, f"fastnn/{name}")
    return made


def test_archives_of_the_same_contents_have_the_same_bytes(tool, tmp_path):
    one = archive(tmp_path / "one", ["a", "b"], time=10**9, mode=0o640)
    two = archive(tmp_path / "two", ["b", "a"], time=2 * 10**9, mode=0o604)
    assert one.read_bytes() != two.read_bytes()
    for made in (one, two):
        tool.repeatable_archive(made, 1_500_000_000)
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as tar:
        assert tar.getnames() == ["fastnn/a", "fastnn/b"]
        assert tar.extractfile("fastnn/a").read() == b"contents of a"
        assert {member.mtime for member in tar} == {1_500_000_000}


def test_programs_stay_executable(tool, tmp_path):
    made = archive(tmp_path / "one", ["run"], time=10**9, mode=0o700)
    tool.repeatable_archive(made, 0)
    with tarfile.open(made) as tar:
        assert tar.getmember("fastnn/run").mode == 0o755


def builds_again(tool, monkeypatch, folder, names, contents):
    """A second build that makes these files, in place of one that takes minutes."""

    def built(programs, work, *, wheel):
        work.mkdir()
        files = [work / name for name in names[: 1 + wheel]]
        for file, text in zip(files, contents, strict=False):
            file.write_text(text)
        return files

    monkeypatch.setattr(tool, "built", built)
    return built(None, folder / "first", wheel=True)


def test_two_equal_builds_are_reported(tool, monkeypatch, tmp_path, capsys):
    first = builds_again(tool, monkeypatch, tmp_path, ["a.tar.gz", "a.whl"], ["source", "wheel"])
    tool.check_repetition(None, first, tmp_path / "second")
    assert capsys.readouterr().out.splitlines() == [
        "two builds are equal: a.tar.gz",
        "two builds are equal: a.whl",
    ]


@pytest.mark.parametrize("file", [0, 1])
def test_a_second_build_with_another_byte_is_an_error(tool, monkeypatch, tmp_path, file):
    names = ["a.tar.gz", "a.whl"]
    first = builds_again(tool, monkeypatch, tmp_path, names, ["source", "wheel"])
    first[file].write_text("other")
    with pytest.raises(SystemExit, match=f"two builds differ: .*first/{names[file]}"):
        tool.check_repetition(None, first, tmp_path / "second")


def test_time_of_a_build_is_that_of_the_variable(tool, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "12345")
    assert tool.commit_time() == "12345"


def test_a_command_that_fails_ends_the_build_with_its_messages(tool):
    with pytest.raises(SystemExit, match=r"no such thing\n\nfailed: sh -c"):
        tool.run("sh", "-c", "echo no such thing >&2; exit 3")
