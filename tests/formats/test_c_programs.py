"""Exported C against both backends: every operation alone, random graphs, both types."""

import numpy as np
import pytest
from c_code import COMPILERS, Library
from programs import OPERATIONS, data_for, initial_storage, random_graph, single_operation

from fastnn import backend
from fastnn.network._predictor import Predictor

pytestmark = pytest.mark.skipif(not COMPILERS, reason="needs a C compiler")

N_GRAPHS = 100
N_ROWS = 20
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}


def programs(dtype):
    """Programs of every kind by name."""
    single = [single_operation(kind, dtype, **options) for kind, options in OPERATIONS]
    graphs = [random_graph(seed, dtype) for seed in range(N_GRAPHS)]
    return {f"model{i}": program for i, program in enumerate(single + graphs)}


@pytest.fixture(scope="module", params=["float32", "float64"])
def library(request, tmp_path_factory):
    """The programs of a dtype, compiled with checks of undefined behaviour."""
    made = programs(request.param)
    storages = {name: initial_storage(program) for name, program in made.items()}
    options = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    return Library(tmp_path_factory.mktemp("library"), made, storages, *options)


def test_outputs_are_those_of_the_reference(library):
    for name, program in library.programs.items():
        inputs, _ = data_for(program, N_ROWS)
        with backend.use("reference"):
            predictor = Predictor(program, initial_storage(program))
        expected = predictor(inputs if len(inputs) > 1 else inputs[0])
        expected = np.concatenate(expected if isinstance(expected, list) else [expected], axis=1)
        scale = np.maximum(1, np.abs(expected).max(axis=0))
        error = np.abs(library.outputs(name, inputs) - expected).max(axis=0) / scale
        assert error.max() < TOLERANCE[str(program.dtype)], (name, str(program))
