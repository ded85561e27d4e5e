"""A trace as a table, as LaTeX and as data."""

import json
import re

import numpy as np
import pytest
from networks import siamese

import fastnn as fnn


@pytest.fixture
def small(backend):
    """The trace of a 2-2-1 net with numbers that are exact."""
    layers = [
        fnn.Dense(2, 2, "relu", weight=[[1, -1], [0.5, 1]], bias=[0, 0.25], name="hidden"),
        fnn.Dense(2, 1, weight=[[2], [1]], name="out_1"),
    ]
    net = fnn.Sequential(layers)
    net.compile("mean_squared_error", fnn.GradientDescent(0.5))
    return net.trace([[1, 2]], [4.5])


@pytest.fixture
def large(backend):
    net = fnn.Sequential([fnn.Dense(30, 50, "tanh"), fnn.Dense(50, 3)])
    net.compile("cross_entropy")
    return net.trace(np.ones((20, 30)), np.arange(20) % 3)


def cells(text):
    return [line.split() for line in text.splitlines()]


def test_table_shows_every_number_of_a_small_net(small):
    lines = cells(str(small))
    assert ["hidden", "Z", "2", "1.25"] in lines
    assert ["A", "2", "1.25"] in lines
    assert ["dA", "3", "1.5"] in lines
    assert ["out_1", "Z", "5.25"] in lines
    assert ["dZ", "1.5"] in lines
    assert ["hidden.weight[1,", "0]", "0.5", "6", "-3", "-2.5"] in lines
    assert lines[0][:4] == ["step", "1", "of", "GradientDescent,"]


def test_table_abbreviates_a_large_net(large):
    text = str(large)
    assert len(text) < 2000
    assert re.search(r"dense_1 +Z +20 x 50, norm ", text)
    assert "dense_1.weight 30 x 50, norms" in text


def test_columns_of_numbers_are_aligned(small):
    table = str(small).split("\n\n")[2].splitlines()
    assert len({len(line) for line in table}) == 1


def test_frozen_parameters_are_said_to_be(backend):
    net = fnn.Sequential([fnn.Dense(1, 1, trainable=False), fnn.Dense(1, 1)])
    net.compile("mean_squared_error")
    row = next(r for r in cells(str(net.trace([[1]], [1]))) if r and r[0] == "dense_1.bias[0]")
    assert row[2] == "frozen"


def test_data_survive_json(small):
    data = json.loads(json.dumps(small.to_dict()))
    assert data["calls"]["hidden"]["Z"] == [[2.0, 1.25]]
    assert data["calls"]["hidden"]["gradients"]["weight"] == [[3.0, 1.5], [6.0, 3.0]]
    assert data["parameters"]["hidden.weight"]["after"] == [[-0.5, -1.75], [-2.5, -0.5]]
    assert data["heads"]["out_1"]["losses"] == [0.5625]
    assert data["loss"] == 0.5625


def environments(latex):
    """Names of environments in order, after checking that they and all braces nest."""
    open_ones, seen = [], []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", latex):
        if kind == "begin":
            open_ones.append(name)
            seen.append(name)
        else:
            assert open_ones.pop() == name
    assert not open_ones
    bare = re.sub(r"\\[{}]", "", latex)
    depth = np.cumsum([(c == "{") - (c == "}") for c in bare])
    assert depth[-1] == 0
    assert depth.min() == 0
    return seen


@pytest.mark.parametrize("which", ["small", "large"])
def test_latex_is_well_formed(which, backend, request):
    latex = request.getfixturevalue(which).to_latex()
    seen = environments(latex)
    assert set(seen) <= {"align*", "pmatrix"}
    for block in re.findall(r"\\begin\{align\*\}(.*?)\\end\{align\*\}", latex, re.DOTALL):
        equations = re.sub(r"\\begin\{pmatrix\}.*?\\end\{pmatrix\}", "M", block)
        assert all(line.count("&=") == 1 for line in equations.split(r" \\"))
    assert not re.search(r"(?<!\\)_[^{]", latex)
    known = r"begin|end|text|mathrm|hat|ell|mathbb|lVert|rVert|times|in|cdot|infty|pmatrix"
    assert not set(re.findall(r"\\([a-zA-Z]+)", latex)) - set(known.split("|"))


def test_latex_shows_the_matrices(small):
    latex = small.to_latex()
    assert r"Z_{\text{hidden}} &= \begin{pmatrix} 2 & 1.25 \end{pmatrix}" in latex
    assert r"\mathrm{d}W_{\text{out\_1}} &= \begin{pmatrix} 3 \\ 1.875 \end{pmatrix}" in latex
    assert r"b^{+}" not in latex
    assert r"W_{\text{out\_1}}^{+} &= \begin{pmatrix} 0.5 \\ 0.0625 \end{pmatrix}" in latex


def test_latex_writes_powers_of_ten_and_numbers_that_are_none(backend):
    net = fnn.Sequential([fnn.Dense(1, 1, weight=[[1e30]])])
    net.compile("mean_squared_error", "sgd")
    latex = net.trace([[1e30]], [0.0]).to_latex()
    assert r"10^{30}" in latex
    assert r"\infty" in latex
    environments(latex)


def test_calls_of_a_shared_layer_are_apart(backend):
    net = siamese()
    trace = net.trace([np.ones((1, 3)), np.zeros((1, 3))], [1])
    assert r"\text{shared:2}" in trace.to_latex()
    assert list(trace.to_dict()["calls"]) == [
        "left", "right", "shared", "shared:2", "subtract_1", "out",
    ]  # fmt: skip
