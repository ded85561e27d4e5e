"""Networks as modules of PyTorch: outputs and gradients, names, and what is left of fastnn."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from custom_layers import Centering
from random_networks import network

import fastnn as fnn
from fastnn.formats import from_torch, to_state_dict, to_torch
from fastnn.formats.torch_names import RESERVED

torch = pytest.importorskip("torch")

FUNCTIONS = (*fnn.activations.names(), "softmax", "log_softmax")
STEPS = ("binary_step", "zero_indicator")
FORWARD = {"float32": 2e-6, "float64": 1e-13}
GRADIENT = {"float32": 1e-5, "float64": 1e-12}
SEEDS = range(12)


def with_parameter(function):
    """A layer with the function, and with a parameter that is not the default."""
    has_one = function in ("leaky_relu", "swish", "elu")
    return fnn.layers.Activation(function, 0.3 if has_one else None)


def largest(values):
    return max(1.0, float(np.abs(values).max()))


def outputs_of(module, X):
    found = module(*map(torch.from_numpy, X))
    return found if isinstance(found, dict) else {"": found}


def outputs_of_net(net, X):
    found = net.predict(X if len(X) > 1 else X[0])
    return found if isinstance(found, dict) else {"": found}


def compare(net, module, X, dtype):
    expected = outputs_of_net(net, X)
    found = outputs_of(module, X)
    assert list(found) == list(expected)
    for name, values in expected.items():
        difference = np.abs(found[name].detach().numpy() - values).max()
        assert difference <= FORWARD[dtype] * largest(values)


def compare_gradients(net, module, X, dtype, rng):
    """Gradients of the squared error by all parameters."""
    targets = {k: rng.normal(size=v.shape).astype(dtype) for k, v in outputs_of_net(net, X).items()}
    is_one = len(targets) == 1
    names = net.core.output_names
    y = next(iter(targets.values())) if is_one else targets
    loss = "mean_squared_error" if is_one else dict.fromkeys(names, "mean_squared_error")
    net.compile(loss, fnn.GradientDescent(0.0))
    _, gradients = net.loss_and_gradients(X if len(X) > 1 else X[0], y)
    found = outputs_of(module, X)
    cost = sum(((found[k] - torch.from_numpy(t)) ** 2).mean() for k, t in targets.items())
    module.zero_grad()
    cost.backward()
    torch_gradients = {k: p.grad for k, p in module.named_parameters() if p.grad is not None}
    expected = gradients_as_torch(net, gradients)
    for name, gradient in torch_gradients.items():
        values = expected[name]
        difference = np.abs(gradient.numpy() - values).max()
        assert difference <= GRADIENT[dtype] * largest(values), name


def gradients_as_torch(net, gradients):
    """Gradients of a network under the names and in the layout of PyTorch."""
    other = copy.deepcopy(net)
    for name, values in gradients.items():
        other.parameters[name] = values
    return to_state_dict(other)


@pytest.mark.filterwarnings("ignore:the derivative of the step")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_activation_and_its_gradient(backend, dtype, rng, function):
    net = fnn.Sequential(
        [fnn.Dense(3, 6), with_parameter(function), fnn.Dense(6, 2)], dtype=dtype, seed=0
    )
    module, X = to_torch(net), [3 * rng.normal(size=(20, 3)).astype(dtype)]
    assert type(module) is torch.nn.Sequential
    compare(net, module, X, dtype)
    compare_gradients(net, module, X, dtype, rng)
    compare(from_torch(module), module, X, dtype)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks_and_their_gradients(backend, dtype, rng, seed, monkeypatch):
    monkeypatch.setattr(fnn, "Dropout", lambda rate: fnn.Identity())  # acts in training
    net, X = network(seed, dtype)
    module = to_torch(net)
    compare(net, module, X, dtype)
    compare_gradients(net, module, X, dtype, rng)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(12, 200))
def test_more_random_networks(dtype, rng, seed, monkeypatch):
    test_random_networks_and_their_gradients(None, dtype, rng, seed, monkeypatch)


@pytest.mark.parametrize("seed", SEEDS)
def test_round_trip_of_random_networks_is_exact(dtype, seed):
    net, X = network(seed, dtype)
    found = outputs_of_net(from_torch(to_torch(net)), X)
    for values, expected in zip(found.values(), outputs_of_net(net, X).values(), strict=True):
        np.testing.assert_array_equal(values, expected)


def test_softplus_agrees_where_pytorch_switches_to_the_identity():
    net = fnn.Sequential([fnn.Softplus(), fnn.Scale(1)], dtype="float64")
    x = np.linspace(-50, 50, 1001)[:, None]
    found = to_torch(net)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, net.predict(x), rtol=1e-15)


def test_codes_out_of_range_have_the_vector_of_the_nearest():
    net = fnn.Sequential([fnn.Embedding([2, 3], 2)], seed=0)
    x = np.array([[-1, 7], [9, -3], [0, 2]], np.float32)
    found = to_torch(net)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_array_equal(found, net.predict(x, check_finite=False))


def test_integer_codes_are_taken():
    net = fnn.Sequential([fnn.Embedding([2, 3], 2)], seed=0)
    codes = torch.tensor([[0, 2], [1, 1]])
    expected = net.predict(codes.numpy())
    np.testing.assert_array_equal(to_torch(net)(codes).detach().numpy(), expected)


# ------------------------------------------------------------------ names


def chain(**names):
    return fnn.Sequential(
        [
            fnn.Dense(4, 8, "relu", name=names.get("first")),
            fnn.LayerNorm(8),
            fnn.Dropout(0.5),
            fnn.Dense(8, 2),
        ],
        seed=0,
    )


def test_modules_of_a_chain_are_numbered():
    module = to_torch(chain())
    kinds = {name: type(part).__name__ for name, part in module.named_children()}
    assert kinds == {"0": "Linear", "1": "ReLU", "2": "LayerNorm", "3": "Dropout", "4": "Linear"}
    assert list(module.state_dict()) == [
        "0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias",
    ]  # fmt: skip
    assert module.state_dict()["0.weight"].shape == (8, 4)


def test_modules_of_a_chain_with_names_have_them():
    names = list(dict(to_torch(chain(first="encoder")).named_children()))
    assert names == ["encoder", "encoder_relu", "layer_norm_1", "dropout_1", "dense_1"]


def test_state_dict_is_that_of_the_module(backend):
    for net in (chain(), chain(first="a-b c"), network(3)[0]):
        expected = to_torch(net).state_dict()
        found = to_state_dict(net)
        assert list(found) == list(expected)
        for name, values in found.items():
            np.testing.assert_array_equal(values, expected[name].numpy())


def test_names_that_modules_have_themselves_get_another_ending():
    x = fnn.Input(2, name="self")
    y = fnn.Input(2, name="class")
    tensors = [fnn.Dense(2, 2, name="train")(x), fnn.Dense(2, 2, name="_modules")(y)]
    net = fnn.Network([x, y], fnn.Add(name="forward")(tensors), seed=0)
    X = [np.ones((3, 2), np.float32), np.zeros((3, 2), np.float32)]
    module = to_torch(net)
    compare(net, module, X, "float32")
    assert list(module.state_dict()) == list(to_state_dict(net))


def test_reserved_names_are_those_of_modules():
    sequential, graph = torch.nn.Sequential(), torch.fx.symbolic_trace(torch.nn.Identity())
    own = {name for name in (*dir(sequential), *dir(graph)) if not name.startswith("_")}
    assert own <= RESERVED


def test_outputs_are_one_tensor_or_several_or_have_names(rng):
    x = fnn.Input(2)
    a, b = fnn.Dense(2, 1)(x), fnn.Dense(2, 3)(x)
    X = torch.from_numpy(rng.normal(size=(4, 2)).astype(np.float32))
    pair = to_torch(fnn.Network([x], [a, b], seed=0))(X)
    assert [tuple(part.shape) for part in pair] == [(4, 1), (4, 3)]
    x = fnn.Input(2)
    named = fnn.Network([x], {"one": fnn.Dense(2, 1)(x), "two": fnn.Dense(2, 3)(x)}, seed=0)
    assert list(to_torch(named)(X)) == ["one", "two"]


# ------------------------------------------------------------------ the module


def test_parameters_are_copies():
    net = chain()
    module = to_torch(net)
    before = net.core.snapshot()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(net.core.snapshot(), before)


def test_frozen_layers_require_no_gradient():
    net = fnn.Sequential([fnn.Dense(2, 2, trainable=False), fnn.Dense(2, 1)])
    flags = {name: p.requires_grad for name, p in to_torch(net).named_parameters()}
    assert flags == {"0.weight": False, "0.bias": False, "1.weight": True, "1.bias": True}


def test_random_numbers_of_pytorch_are_not_taken():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    to_torch(chain())
    assert torch.equal(torch.rand(2), expected)


def test_dropout_acts_in_training_only(rng):
    net = chain()
    module, X = to_torch(net), rng.normal(size=(5, 4)).astype(np.float32)
    assert not module.training
    compare(net, module, [X], "float32")
    assert not torch.equal(module.train()(torch.from_numpy(X)), module.eval()(torch.from_numpy(X)))


@pytest.mark.parametrize("seed", [1, 5])
def test_module_lives_without_fastnn(tmp_path, seed):
    net, X = network(seed, "float64")
    module = to_torch(net)
    path = tmp_path / "module.pickle"
    path.write_bytes(pickle.dumps((module, X)))
    code = (
        "import sys, pickle, torch\n"
        "sys.modules['fastnn'] = None\n"
        f"module, X = pickle.load(open({str(path)!r}, 'rb'))\n"
        "out = module(*map(torch.from_numpy, X))\n"
        "torch.save({k: v.detach() for k, v in out.items()}, sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "out.pt")], check=True)
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    for name, values in outputs_of_net(net, X).items():
        np.testing.assert_allclose(found[name].numpy(), values, rtol=1e-12, atol=1e-13)


# ------------------------------------------------------------------ refusals


def test_custom_layers_are_named():
    net = fnn.Sequential([fnn.Dense(2, 2), Centering(name="centre")])
    with pytest.raises(
        ValueError, match="layer 'centre' is the custom layer Centering: PyTorch cannot"
    ):
        to_torch(net)


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match="net must be a Network or Sequential, got int"):
        to_torch(3)
