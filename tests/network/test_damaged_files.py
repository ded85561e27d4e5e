"""Every damaged file is refused by `FormatError`, or describes a network that works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn as fnn
from fastnn import serialization

SCRIPT = Path(__file__).parents[1] / "structures.py"
MEGABYTES = 2048
"""Address space of a process that loads files of some kB."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")


def check(seed, files, backend):
    environment = os.environ | {
        "FASTNN_BACKEND": backend, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(seed), str(files), str(MEGABYTES)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr)
    outcomes = json.loads(done.stdout)
    assert not outcomes["wrong"], "\n".join(f"{k}: {v}" for k, v in outcomes["wrong"].items())
    assert min(outcomes["loaded"], outcomes["refused"]) > files // 50


def test_damaged_structures_are_refused_or_work(backend):
    check(0, 1500, backend)


@pytest.mark.parametrize("names", [["a", "b", "a"], ["a", "a"], ["a"], ["a", "b", "c"]])
def test_names_that_are_not_those_of_the_outputs_are_refused(tmp_path, names):
    x = fnn.Input(2)
    fnn.Network(x, {"a": fnn.Dense(2, 1)(x), "b": fnn.Dense(2, 1)(x)}).save(tmp_path / "net")
    structure, arrays = serialization.load(tmp_path / "net")
    serialization.save(tmp_path / "net", structure | {"output_names": names}, arrays)
    with pytest.raises(fnn.FormatError, match="names"):
        fnn.load(tmp_path / "net")


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(1, 41))
def test_many_damaged_structures_are_refused_or_work(backend, seed):
    check(seed, 25_000, backend)
