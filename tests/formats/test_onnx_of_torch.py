"""Models that PyTorch's own exporters wrote; `make_torch_models.py` made the file."""

from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
from fastnn.formats import from_onnx

pytest.importorskip("onnx")

with np.load(Path(__file__).parent / "data" / "torch_models.npz") as arrays:
    DATA = dict(arrays)
MODELS = sorted({name.partition("/")[0] for name in DATA if "/" in name})


def arrays_of(name, kind):
    """The inputs ("x") or outputs ("y") of a model."""
    return [DATA[key] for key in sorted(DATA) if key.startswith(f"{name}/{kind}")]


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_those_of_pytorch(name, exporter, backend):
    net = from_onnx(DATA[f"{name}/{exporter}"].tobytes())
    X = [x.reshape(len(x), -1) for x in arrays_of(name, "x")]
    output = net.predict(X if len(X) > 1 else X[0])
    found = list(output.values()) if isinstance(output, dict) else [output]
    for a, b in zip(found, arrays_of(name, "y"), strict=True):
        tolerance = 1e-13 if b.dtype == np.float64 else 2e-6
        expected = b.reshape(len(b), -1)
        assert a.dtype == b.dtype
        assert np.abs(a - expected).max() <= tolerance * np.abs(expected).max()


LAYERS = {
    "sequential": ["dense", "dense"],
    "siamese": ["dense", "absolute_difference", "dense"],
    "residual": ["dense", *["layer_norm", "dense", "dense", "add"] * 2, "dense"],
}


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_those_of_the_module(name, exporter):
    net = from_onnx(DATA[f"{name}/{exporter}"].tobytes())
    kinds = [layer.kind for layer in net.core.graph.layers]
    operations = fnn.facts.operations.names()
    assert sorted(kind for kind in kinds if kind in operations) == sorted(LAYERS[name])


def test_parameters_have_their_names():
    net = from_onnx(DATA["residual/dynamo"].tobytes())
    assert "blocks_0_1.weight" in net.parameters
