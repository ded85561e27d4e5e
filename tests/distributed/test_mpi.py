"""Processes that `mpiexec` starts: bits, errors, and what is left when one is killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastnn import distributed
from fastnn.distributed.launch import command_of
from fastnn.tabular import load

pytest.importorskip("mpi4py")
JOBS = Path(__file__).with_name("mpi_jobs.py")
MPIEXEC = shutil.which(
    "mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
)
if MPIEXEC is None:
    pytest.skip("mpiexec is not installed", allow_module_level=True)

LIMIT = 60.0
"""Seconds that a process waits: tests of what ends by itself do not wait for it."""


VERSION = subprocess.run([MPIEXEC, "--version"], capture_output=True, text=True).stdout


def start(size, name, *arguments, limit=LIMIT, threads=1, outlive=False):
    """A job of some processes, in a session of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    program = [sys.executable, str(JOBS), name, str(limit), *map(str, arguments)]
    plain = [MPIEXEC, "-n", str(size), *program]
    return subprocess.Popen(
        command_of(MPIEXEC, size, program) if outlive else plain,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment, start_new_session=True,
    )  # fmt: skip


def ended(process, seconds=180):
    """Its exit code, and what each process printed; no process of the job may be left."""
    try:
        output, errors = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return process.returncode, {line["rank"]: line["result"] for line in lines}, errors


def results(size, name, *arguments, **options):
    """What the processes of a job that ends well printed, by their numbers."""
    code, printed, errors = ended(start(size, name, *arguments, **options))
    assert code == 0, errors
    assert len(printed) == size, errors
    return [printed[rank] for rank in range(size)]


@pytest.fixture(scope="module")
def alone():
    """The hashes of one process, which needs no MPI."""
    import mpi_jobs

    return mpi_jobs.hashes(distributed.single())


@pytest.mark.parametrize(("size", "threads"), [(2, 2), (3, 1), (4, 1)])
def test_hashes_are_those_of_one_process(size, threads, alone):
    printed = results(size, "hashes", threads=threads)
    plain = {result.pop("plain") for result in printed}
    assert len(plain) == 1
    expected = {name: value for name, value in alone.items() if name != "plain"}
    assert printed == [expected] * size


def test_sums_and_broadcasts():
    for result in results(2, "messages"):
        assert (result["sum"], result["root"]) == ([3.0] * 3, [1.0] * 2)


def test_an_error_of_one_process_is_named_in_all_others():
    _, printed, errors = ended(start(3, "failing_callback"))
    assert printed[0]["error"] == "KeyError: 'in a callback'", errors
    for rank in (1, 2):
        assert printed[rank]["error"].startswith(
            "RankError: rank 0 raised KeyError: 'in a callback'"
        )


def test_a_process_that_hangs_is_named_and_all_end():
    code, printed, errors = ended(start(3, "missing", limit=2))
    assert code != 0, errors
    for rank in (0, 1):
        assert "rank 2 did not answer; the last that came from it was" in printed[rank]["error"]


@pytest.mark.skipif("HYDRA" not in VERSION, reason="needs the mpiexec of MPICH")
@pytest.mark.parametrize(
    ("name", "last"), [("killed", "step"), ("left", "the places of the processes")]
)
def test_a_process_that_is_gone_is_named_and_all_end(name, last):
    """Whether by kill -9 in its training or by an exit without a word before the training."""
    code, printed, errors = ended(start(3, name, limit=5, outlive=True), seconds=LIMIT)
    assert code != 0, errors
    assert set(printed) == {0, 2}, errors
    for result in printed.values():
        assert result["rank"] == 1
        assert "rank 1 has ended; the last that came from it was" in result["error"]
        assert last in result["error"]


def test_a_process_that_ends_before_the_others_met_it_ends_all():
    code, printed, errors = ended(start(3, "absent", limit=4), seconds=LIMIT)
    assert code != 0
    assert not printed
    assert "Timeout" in errors


def test_ctrl_c_at_mpiexec_ends_all():
    process = start(3, "interrupted_by_hand")
    assert "ready" in process.stdout.readline()
    ranks = ranks_of(process)
    os.killpg(process.pid, signal.SIGINT)
    ended(process, seconds=LIMIT)
    assert len(ranks) == 3
    assert not [pid for pid in ranks if is_alive(pid)]


def test_ctrl_c_in_one_process_ends_all_at_the_same_step():
    first, second = results(2, "interrupted")
    assert first["interrupted"]
    assert first == second


def test_the_command_trains_in_several_processes(tmp_path):
    """The model has the same bits for 2 and 3 processes; process 0 alone prints."""
    rows = [f"{i % 7},{i % 5},{i % 7 - 2 * (i % 5)}" for i in range(200)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,y", *rows]))
    models = []
    for n in (2, 3):
        output = tmp_path / f"{n}.fastnn"
        command = [
            sys.executable, "-m", "fastnn.cli", "train", str(tmp_path / "t.csv"), "--target", "y",
            "--preset", "network", "--epochs", "2", "--plot", "none", "--output", str(output),
            "--processes", str(n), "--json", "--dtype", "float64",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        assert len([line for line in done.stdout.splitlines() if line.startswith("{")]) == 1
        models.append(load(output).learner.network.get_flat())
    assert np.array_equal(*models)


def children_of(pid):
    """Numbers of the processes below one, the deepest last."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == pid:
            found += [int(entry.name), *children_of(int(entry.name))]
    return found


def ranks_of(process):
    """Numbers of the processes of a job that run the program."""
    found = []
    for pid in children_of(process.pid):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if command.startswith(os.fsencode(sys.executable)):
            found.append(pid)
    return found


def is_alive(pid):
    """Whether it runs; what has ended and is still listed has no command any more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def killed_once(folder, epochs, chance):
    """Kill one process of a job at a random moment after its first checkpoint."""
    process = start(3, "long_training", folder, epochs)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint.fastnn").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.5))
    ranks = ranks_of(process)
    if ranks:
        os.kill(chance.choice(ranks), signal.SIGKILL)
    ended(process)
    assert not [pid for pid in ranks if is_alive(pid)]


def check_kills(tmp_path, times):
    """After each kill, all others end; what then goes on with another number has the same bits."""
    epochs = 400
    (whole,) = {
        result["hash"] for result in results(1, "long_training", tmp_path / "whole", epochs)
    }
    chance = random.Random(7)
    for i in range(times):
        folder = tmp_path / str(i)
        killed_once(folder, epochs, chance)
        resumed = results(1 + i % 3, "long_training", folder, epochs)
        assert {result["hash"] for result in resumed} == {whole}


def test_a_killed_process_ends_all_and_the_training_goes_on(tmp_path):
    check_kills(tmp_path, 1)


@pytest.mark.exhaustive
def test_killed_processes_at_twenty_moments(tmp_path):
    check_kills(tmp_path, 20)
