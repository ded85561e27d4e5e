"""The command with standard streams that are closed or broken."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastnn
import fastnn.tabular

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


@pytest.mark.parametrize("output", ["/dev/stdout", "/dev/fd/{}"])
def test_a_model_without_a_reader_is_an_error(output):
    """Standard output whose reader has left is none, but a model that nobody receives is one."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [*TRAIN, "--quiet", "--output", output.format(writer)]
    done = subprocess.run(
        command(*words), env=environment(), stdout=writer, stderr=-1, pass_fds=[writer], text=True
    )
    os.close(writer)
    assert done.returncode == 2
    assert "Broken pipe" in done.stderr


def test_predictions_without_a_reader_are_an_error():
    assert subprocess.run(command(*TRAIN), env=environment()).returncode == 0
    np.savez("rows.npz", X=np.ones((3, 4)))
    reader, writer = os.pipe()
    os.close(reader)
    words = ["predict", "model.fastnn", "rows.npz", "--output", f"/dev/fd/{writer}"]
    done = subprocess.run(
        command(*words), env=environment(), stderr=-1, pass_fds=[writer], text=True
    )
    os.close(writer)
    assert done.returncode == 2
    assert "Broken pipe" in done.stderr


def test_a_killed_train_continues_from_its_checkpoint_to_the_same_model():
    words = ["train", "--dataset", "iris", "--epochs", "300", "--plot", "none", "--quiet"]
    words += ["--patience", "0"]
    subprocess.run(command(*words), env=environment(), check=True, stdout=-1)
    whole = fastnn.tabular.load("model.fastnn").network.get_flat()
    os.unlink("model.fastnn")
    words += ["--checkpoint", "run.fastnn"]
    process = subprocess.Popen(command(*words), env=environment(), stdout=-1)
    while not Path("run.fastnn").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    subprocess.run(command(*words), env=environment(), check=True, stdout=-1)
    assert (fastnn.tabular.load("model.fastnn").network.get_flat() == whole).all()


def test_a_checkpoint_is_no_other_file_of_the_command():
    done = subprocess.run(
        command(*TRAIN, "--checkpoint", "model.fastnn"), env=environment(), stderr=-1, text=True
    )
    assert done.returncode == 2
    assert "--checkpoint" in done.stderr
