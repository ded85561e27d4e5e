"""Networks from modules of PyTorch, and what is refused."""

import operator

import numpy as np
import pytest

import fastnn as fnn
from fastnn.formats import from_torch

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional


class Graph(nn.Module):
    """A module whose forward is a function of itself and of tensors."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.call = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return self.call(self, x)


class Pair(Graph):
    def forward(self, x, y):
        return self.call(self, x, y)


def agrees(module, *widths):
    """The network of a module, after a comparison of their outputs in float64."""
    module = module.double().eval()
    net = from_torch(module)
    rng = np.random.default_rng(0)
    X = [2 * rng.normal(size=(9, width)) for width in widths]
    expected = module(*map(torch.from_numpy, X)).detach().numpy()
    found = net.predict(X if len(X) > 1 else X[0])
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)
    return net


MODULES = (
    nn.Identity(), nn.Flatten(), nn.Dropout(0.3), nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(),
    nn.LeakyReLU(0.3), nn.ELU(), nn.ELU(0.7), nn.CELU(), nn.CELU(0.4), nn.SELU(), nn.GELU(),
    nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Sigmoid(), nn.LogSigmoid(), nn.Tanh(),
    nn.Softsign(), nn.Softplus(), nn.Softplus(2.5), nn.Softplus(0.5, 40), nn.Softmax(-1),
    nn.Softmax(1), nn.LogSoftmax(-1), nn.LayerNorm(4), nn.LayerNorm(4, 1e-3),
    nn.LayerNorm(4, elementwise_affine=False), nn.LayerNorm(4, bias=False),
    nn.Linear(4, 4, bias=False), nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Tanh())),
)  # fmt: skip


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module(backend, module):
    net = agrees(nn.Sequential(nn.Linear(3, 4), module, nn.Linear(4, 2)), 3)
    assert type(net) is fnn.Sequential


FUNCTIONS = (
    lambda x: functional.relu(x), torch.relu, lambda x: x.relu(), lambda x: torch.relu_(x + x),
    lambda x: functional.leaky_relu(x, 0.2), lambda x: functional.leaky_relu(x, negative_slope=0.2),
    lambda x: functional.elu(x, alpha=0.5), lambda x: functional.celu(x, 0.5), functional.selu,
    functional.gelu, lambda x: functional.gelu(x, approximate="tanh"), functional.silu,
    functional.mish, functional.hardswish, torch.sigmoid, torch.special.expit,
    lambda x: x.sigmoid(), functional.logsigmoid, torch.tanh, lambda x: x.tanh(),
    functional.softsign, functional.softplus, lambda x: functional.softplus(x, 2.0),
    lambda x: functional.softmax(x, dim=1), lambda x: x.softmax(-1), lambda x: torch.softmax(x, 1),
    lambda x: functional.log_softmax(x, dim=-1), lambda x: functional.dropout(x, 0.2, False),
    lambda x: torch.flatten(x, 1), lambda x: x.flatten(1), lambda x: x.view(x.size(0), -1),
    lambda x: x.reshape(-1, 4), lambda x: x.reshape(x.shape[0], 4), lambda x: -x,
    lambda x: x + torch.tanh(x), lambda x: x - torch.tanh(x), lambda x: x * torch.sigmoid(x),
    lambda x: torch.add(x, x), lambda x: x * 0.5, lambda x: x / 3,
    lambda x: abs(x - torch.tanh(x)), lambda x: torch.abs(x - torch.tanh(x)),
    lambda x: (x + torch.tanh(x)) / 2, lambda x: torch.cat([x], 1),
)  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function(function):
    agrees(Graph(lambda s, x: s.b(function(s.a(x))), a=nn.Linear(3, 4), b=nn.Linear(4, 2)), 3)


def test_a_class_with_two_inputs_and_a_shared_module():
    def forward(s, x, y):
        a, b = s.encoder(x), s.encoder(y)
        return s.head(torch.cat([a, b, a * b], dim=1))

    parts = {"encoder": nn.Sequential(nn.Linear(4, 8), nn.Tanh()), "head": nn.Linear(24, 1)}
    net = agrees(Pair(forward, **parts), 4, 4)
    assert list(net.parameters) == [
        "encoder_0.weight", "encoder_0.bias", "head.weight", "head.bias",
    ]  # fmt: skip


def test_layers_have_the_names_of_modules():
    net = from_torch(nn.Sequential(nn.Flatten(), nn.Linear(3, 2), nn.ReLU()))
    assert list(net.parameters) == ["1.weight", "1.bias"]
    assert net.parameters["1.weight"].shape == (3, 2)


def test_an_embedding_of_one_column():
    module = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(3, 2))
    codes = np.array([[0], [4], [2]])
    expected = module(torch.from_numpy(codes)).detach().numpy()
    np.testing.assert_allclose(from_torch(module).predict(codes), expected, rtol=2e-6)


def test_a_module_that_is_called_twice_is_one_layer():
    layer = nn.Linear(3, 3)
    net = agrees(nn.Sequential(layer, nn.Tanh(), layer), 3)
    assert list(net.parameters) == ["0.weight", "0.bias"]


def test_frozen_parameters_stay_frozen():
    module = nn.Sequential(nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 1))
    assert [layer.trainable for layer in from_torch(module).layers] == [False, True]


def test_dtype_is_that_of_the_parameters():
    assert from_torch(nn.Linear(2, 1)).dtype == np.float32
    assert from_torch(nn.Linear(2, 1).double()).dtype == np.float64


def test_parameters_of_a_network_are_copies():
    module = nn.Linear(2, 1)
    net = from_torch(module)
    net.parameters["0.weight"] = np.zeros((2, 1))
    assert module.weight.abs().min() > 0


def test_width_of_an_input_that_no_layer_states():
    module = nn.Sequential(nn.Tanh())
    with pytest.raises(ValueError, match=r"pass widths=\{'input': columns\}"):
        from_torch(module)
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    for widths in (3, {"input": 3}):
        np.testing.assert_allclose(from_torch(module, widths).predict(x), np.tanh(x), rtol=2e-6)
    with pytest.raises(ValueError, match="widths has 'x', expected 'input'"):
        from_torch(module, {"x": 3})


# ------------------------------------------------------------------ refusals


def around(part):
    return nn.Sequential(nn.Linear(3, 4), part, nn.Linear(4, 1))


class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class OwnLinear(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Constant(nn.Module):
    def forward(self, x):
        return x + 1


UNKNOWN = {
    "module '1' is BatchNorm1d, which from_torch does not read; fold it": nn.BatchNorm1d(4),
    "module '1' is PReLU, which": nn.PReLU(),
    "module '1' is AlphaDropout, which": nn.AlphaDropout(0.1),
    "module '1' is Conv1d, which": nn.Conv1d(4, 4, 1),
    "p is 1, expected less than 1": nn.Dropout(1.0),
    "threshold is 5, expected at least 20": nn.Softplus(threshold=5),
    "dim is 0, expected -1 or 1": nn.Softmax(0),
    "start_dim is 0": nn.Flatten(0),
    "normalises 2 dimensions": nn.LayerNorm((2, 4)),
    "has padding_idx=0": nn.Embedding(4, 4, padding_idx=0),
    "torch.fx cannot trace Sequential.forward": Branch(),
    "node 'linear' is function linear, which": OwnLinear(4, 4),
    r"reads 1, which is no input": Constant(),
    "node 'exp' is function exp, which": Graph(lambda s, x: torch.exp(x)),
    "node 'cos' is method cos, which": Graph(lambda s, x: x.cos()),
    "concatenates along 0": Graph(lambda s, x: torch.cat([x, x])),
    r"node 'view' is view to \(2, 2\)": Graph(lambda s, x: x.view(2, 2)),
    "a quotient": Graph(lambda s, x: x / torch.tanh(x)),
    "module '1' has hooks": torch.nn.utils.spectral_norm(nn.Linear(4, 4)),
    "module '1' is ParametrizedLinear": torch.nn.utils.parametrizations.weight_norm(
        nn.Linear(4, 4)
    ),
}


@pytest.mark.parametrize("message", UNKNOWN, ids=range(len(UNKNOWN)))
def test_what_no_layer_computes_is_named(message):
    with pytest.raises(ValueError, match=message):
        from_torch(around(UNKNOWN[message]))


def test_change_in_place_of_a_tensor_that_is_read_again_is_refused():
    module = Graph(lambda s, x: operator.add(s.act(x), x), act=nn.ReLU(inplace=True))
    with pytest.raises(ValueError, match="changes its input in place"):
        from_torch(module, 3)


def test_parameters_of_two_layers_that_are_one_are_refused():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    with pytest.raises(ValueError, match=r"parameters '0\.weight' and '1\.weight' are one"):
        from_torch(nn.Sequential(first, second))


def test_a_layer_that_is_half_frozen_is_refused():
    layer = nn.Linear(3, 3)
    layer.bias.requires_grad_(False)
    with pytest.raises(ValueError, match="some parameters of module '0' require gradients"):
        from_torch(nn.Sequential(layer))


def test_other_dtypes_devices_and_numbers_are_refused():
    with pytest.raises(TypeError, match=r"'0\.\w+' is torch\.float16, expected .*\.float\(\)"):
        from_torch(nn.Sequential(nn.Linear(2, 1).half()))
    with pytest.raises(TypeError, match="the parameters must have one dtype"):
        from_torch(nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1).double()))
    with pytest.raises(TypeError, match=r"parameter '0\.weight' cannot be read .*meta"):
        from_torch(nn.Sequential(nn.Linear(2, 1).to("meta")))
    broken = nn.Linear(2, 1)
    nn.init.constant_(broken.weight, float("nan"))
    with pytest.raises(ValueError, match=r"parameter '0\.weight' is not finite"):
        from_torch(nn.Sequential(broken))


@pytest.mark.parametrize("path", ["model.pt", b"model.pth"])
def test_paths_are_refused_with_the_way_out(path):
    with pytest.raises(TypeError, match=r"got a path: .*safetensors.*weights_only=True"):
        from_torch(path)


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Module, got dict"):
        from_torch({})
