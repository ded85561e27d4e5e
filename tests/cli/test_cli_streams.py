"""The command with standard streams that are closed or broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

pytestmark = pytest.mark.skipif(os.name != "posix", reason="streams are closed the POSIX way")

TRAIN = ("train", "--dataset", "iris", "--epochs", "2", "--plot", "none")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(*words):
    return [sys.executable, "-m", "fastnn.cli", *words]


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("streams", [(0,), (1,), (2,), (0, 1, 2)])
def test_train_saves_its_model_with_closed_streams(streams):
    def close():
        for stream in streams:
            os.close(stream)

    done = subprocess.run(command(*TRAIN), env=environment(), preexec_fn=close, timeout=600)
    assert done.returncode == 0
    assert fastnn.load("model.fastnn").history.epochs == 2


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_train_saves_its_model_with_a_broken_pipe(stream):
    process = subprocess.Popen(
        command(*TRAIN), env=environment(), **{stream: subprocess.PIPE}, bufsize=0
    )
    getattr(process, stream).close()
    assert process.wait(timeout=600) == 0
    assert fastnn.load("model.fastnn").history.epochs == 2


def test_an_error_without_a_reader_has_its_status():
    process = subprocess.Popen(command("info", "no.fastnn"), env=environment(), stderr=-1)
    process.stderr.close()
    assert process.wait(timeout=600) == 2
    assert not Path("no.fastnn").exists()
