"""The communicator of one process."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from fastnn import distributed
from fastnn.distributed import messages
from fastnn.distributed.communicator import Patience


@pytest.fixture
def alone():
    return distributed.single()


def test_single_is_number_0_of_1(alone):
    assert (alone.rank, alone.size) == (0, 1)


def test_single_leaves_sums_and_broadcasts_as_they_are(alone):
    x = np.arange(3.0)
    alone.allreduce(x, "sums")
    alone.broadcast(x, 0, "values")
    alone.barrier("the end")
    assert x.tolist() == [0, 1, 2]


def test_single_exchanges_with_itself(alone):
    incoming = np.zeros(3)
    alone.exchange([np.arange(3.0)], [incoming], "numbers")
    assert incoming.tolist() == [0, 1, 2]


def test_plain_data_and_arrays_come_back(alone):
    assert messages.gather(alone, {"a": [1, "b"]}, "data") == [{"a": [1, "b"]}]
    assert messages.share(alone, ["c", None], "data") == ["c", None]
    (part,) = messages.gather_arrays(alone, np.eye(3)[:, :2], "rows")
    assert part.tolist() == np.eye(3)[:, :2].tolist()


def test_world_without_mpiexec_is_single(monkeypatch):
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert distributed.world().size == 1


def test_world_names_the_extra_that_many_processes_need(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"mpiexec started 2 processes.*fastnn\[mpi\]"):
        distributed.world()


def test_command_says_that_mpiexec_is_absent(monkeypatch, capsys):
    from fastnn.cli import main

    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("shutil.which", lambda *arguments, **options: None)
    assert main(["train", "t.csv", "--target", "y", "--processes", "2"]) == 2
    assert "mpiexec" in capsys.readouterr().err


@pytest.mark.parametrize("limit", [0, -1, float("nan"), "soon"])
def test_world_refuses_a_time_limit_that_is_none(limit):
    with pytest.raises((TypeError, ValueError), match="time_limit"):
        distributed.world(limit)


@pytest.mark.parametrize(("n_rows", "size"), [(10, 3), (2, 4), (0, 2), (7, 7)])
def test_parts_cover_all_rows_once(n_rows, size):
    class Rank:
        def __init__(self, rank):
            self.rank, self.size = rank, size

    parts = [range(n_rows)[distributed.partition(n_rows, Rank(r))] for r in range(size)]
    assert [row for part in parts for row in part] == list(range(n_rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_rank_error_survives_pickling():
    error = pickle.loads(pickle.dumps(distributed.RankError("rank 2 is gone", 2)))
    assert (str(error), error.rank) == ("rank 2 is gone", 2)


def test_a_long_standstill_counts_one_second(monkeypatch):
    times = iter([0.0, 1000.0, 1000.5, 1001.5])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    patience = Patience(2.0)
    assert [patience.is_over() for _ in range(3)] == [False, False, True]
