"""Training that goes on in PyTorch and back: the same trajectory."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn.formats import from_torch, to_state_dict, to_torch, to_torch_optimizer

torch = pytest.importorskip("torch")

TOLERANCE = {"float32": 1e-6, "float64": 1e-13}

OPTIMIZERS = {
    "sgd": (fnn.GradientDescent(0.1), {}),
    "momentum": (fnn.Momentum(0.05, momentum=0.8), {}),
    "dampening": (fnn.Momentum(0.05, dampening=0.3), {"l2": 0.01}),
    "nesterov": (fnn.Nesterov(0.05), {}),
    "adam": (fnn.Adam(0.01), {}),
    "adam, l2": (fnn.Adam(0.01, beta1=0.8, epsilon=1e-6), {"l2": 0.1}),
    "adamw": (fnn.AdamW(0.01, weight_decay=0.3), {}),
    "adamw, factors": (
        fnn.AdamW(0.01, weight_decay=0.3),
        {"weight_decays": {"dense_2": 0.5}, "learning_rates": {"dense_1.bias": 3.0}},
    ),
    "momentum, factors": (fnn.Momentum(0.05), {"learning_rates": {"dense_2": 0.5}}),
    "amsgrad": (fnn.AMSGrad(0.01), {}),
    "amsgrad, decay": (fnn.AMSGrad(0.01, weight_decay=0.2), {}),
    "rmsprop": (fnn.RMSprop(0.01), {"l2": 0.01}),
    "centered": (fnn.CenteredRMSprop(0.01), {}),
}
each = pytest.mark.parametrize("name", OPTIMIZERS)


def compiled(dtype, optimizer, options=None):
    layers = [fnn.Dense(4, 4, "tanh"), fnn.LayerNorm(4), fnn.Dense(4, 2)]
    net = fnn.Sequential(layers, dtype=dtype, seed=0)
    net.compile("mean_squared_error", optimizer, **(options or {}))
    return net


def batches(dtype, n):
    rng = np.random.default_rng(1)
    for _ in range(n):
        yield rng.normal(size=(8, 4)).astype(dtype), rng.normal(size=(8, 2)).astype(dtype)


def train_torch(module, optimizer, data):
    module.train()
    for x, y in data:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(module(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimizer.step()


def train(net, data):
    for x, y in data:
        net.train_step(x, y)


def check_equal(net, module, dtype):
    state = module.state_dict()
    for name, values in to_state_dict(net).items():
        difference = np.abs(state[name].numpy() - values).max()
        assert difference <= TOLERANCE[dtype] * max(1.0, np.abs(values).max()), name


@each
@pytest.mark.parametrize("before", [0, 5])
def test_training_goes_on_in_pytorch_and_back(backend, dtype, name, before):
    net = compiled(dtype, *OPTIMIZERS[name])
    data = list(batches(dtype, before + 12))
    train(net, data[:before])
    module = to_torch(net)
    optimizer = to_torch_optimizer(net, module)
    train_torch(module, optimizer, data[before : before + 6])
    train(net, data[before : before + 6])
    check_equal(net, module, dtype)
    back = from_torch(module, loss="mean_squared_error", optimizer=optimizer)
    train(back, data[before + 6 :])
    train(net, data[before + 6 :])
    for values, expected in zip(back.parameters.values(), net.parameters.values(), strict=True):
        np.testing.assert_allclose(values, expected, rtol=0, atol=3 * TOLERANCE[dtype])


def test_bias_is_not_decayed(dtype):
    net = compiled(dtype, fnn.AdamW(weight_decay=0.3))
    module = to_torch(net)
    optimizer = to_torch_optimizer(net, module)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    found = {name: decays[id(p)] for name, p in module.named_parameters()}
    assert found == {
        "0.weight": 0.3, "0.bias": 0, "2.weight": 0, "2.bias": 0, "3.weight": 0.3, "3.bias": 0,
    }  # fmt: skip


def test_frozen_parameters_are_not_among_those_of_the_optimizer():
    net = fnn.Sequential([fnn.Dense(2, 2, trainable=False), fnn.Dense(2, 1)], seed=0)
    net.compile("mean_squared_error", fnn.Adam())
    module = to_torch(net)
    (group,) = to_torch_optimizer(net, module).param_groups
    assert len(group["params"]) == 2


def test_what_a_schedule_and_a_clip_lose_is_said():
    net = compiled("float32", fnn.Adam(fnn.WarmUp(3, 0.1)))
    with pytest.warns(UserWarning, match="the rate of the next step"):
        optimizer = to_torch_optimizer(net, to_torch(net))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 3)
    net = compiled("float32", fnn.Adam(clip_norm=2.0))
    with pytest.warns(UserWarning, match=r"clip_grad_norm_\(module.parameters\(\), 2\)"):
        to_torch_optimizer(net, to_torch(net))


def test_optimizers_that_pytorch_lacks_are_named():
    refused = {
        "no optimizer Lion": (fnn.Lion(), {}),
        "bias_correction=False": (fnn.Adam(bias_correction=False), {}),
        "has weight decay and the network an L2 penalty": (fnn.AdamW(), {"l2": 0.1}),
        "no optimizer LBFGS": (fnn.LBFGS(), {}),
    }
    for message, (optimizer, options) in refused.items():
        net = compiled("float64", optimizer, options)
        with pytest.raises(ValueError, match=message):
            to_torch_optimizer(net, to_torch(net))


def test_an_uncompiled_network_and_another_module_are_refused():
    net = fnn.Sequential([fnn.Dense(2, 1)])
    with pytest.raises(RuntimeError, match="call compile"):
        to_torch_optimizer(net, to_torch(net))
    with pytest.raises(ValueError, match=r"module must have the parameter '0\.weight' of shape"):
        to_torch_optimizer(compiled("float32", fnn.Adam()), torch.nn.Linear(4, 4))


def module_and(make):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    return module, make(module)


REFUSED = {
    "weight_decay is 0.1 for '0.bias'": lambda m: torch.optim.Adam(
        m.parameters(), weight_decay=0.1
    ),
    "maximize is True": lambda m: torch.optim.Adam(m.parameters(), maximize=True),
    "momentum of RMSprop is 0.5": lambda m: torch.optim.RMSprop(m.parameters(), momentum=0.5),
    "the optimizer has no parameter '2.weight'": lambda m: torch.optim.SGD(m[0].parameters(), 0.1),
    "eps is 1e-08 in one group of parameters and 0.001": lambda m: torch.optim.Adam(
        [{"params": m[0].parameters()}, {"params": m[2].parameters(), "eps": 1e-3}]
    ),
    "weight_decay is 0 and 0.1 for different weights": lambda m: torch.optim.SGD(
        [{"params": [m[0].weight], "weight_decay": 0.1},
         {"params": [m[0].bias, *m[2].parameters()]}], 0.1
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_optimizers_that_fastnn_lacks_are_refused(message):
    module, optimizer = module_and(REFUSED[message])
    with pytest.raises(ValueError, match=message):
        from_torch(module, loss="mean_squared_error", optimizer=optimizer)


def test_other_classes_of_optimizers_are_named():
    module, optimizer = module_and(lambda m: torch.optim.Adagrad(m.parameters()))
    with pytest.raises(TypeError, match=r"must be SGD, Adam, AdamW or RMSprop .*, got Adagrad"):
        from_torch(module, loss="mean_squared_error", optimizer=optimizer)


def test_loss_and_optimizer_go_together():
    module, optimizer = module_and(lambda m: torch.optim.Adam(m.parameters()))
    with pytest.raises(ValueError, match="loss and optimizer must be given together"):
        from_torch(module, optimizer=optimizer)
