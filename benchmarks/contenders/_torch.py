"""PyTorch as its documentation says: eager, fused Adam, inference mode, out= where there is one."""

from __future__ import annotations

from benchmarks.works import SLOPE, Work, array, batch, labels, samples, weights

from ._base import Contender, Job, Setting, flat


class Torch(Contender):
    def __init__(self, setting: Setting) -> None:
        import torch

        self.torch = torch
        torch.set_num_threads(setting.threads)
        torch.set_num_interop_threads(1)
        self.version = torch.__version__

    def network(self, work: Work):
        """The network as a module."""
        torch = self.torch
        activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[work.activation]
        modules = []
        for weight, bias in weights(work):
            linear = torch.nn.Linear(*weight.shape, dtype=getattr(torch, work.dtype))
            linear.weight.data = torch.tensor(weight.T.copy())
            linear.bias.data = torch.tensor(bias)
            modules += [linear, activation()]
        return torch.nn.Sequential(*modules[:-1])

    def _trainer(self, work: Work):
        """A function of a batch that takes one step, and one that reads the parameters."""
        net = self.network(work)
        optimizer = self.torch.optim.Adam(
            net.parameters(), lr=work.learning_rate, eps=work.epsilon, fused=True
        )
        cross_entropy = self.torch.nn.functional.cross_entropy

        def train(x, y):
            optimizer.zero_grad(set_to_none=True)
            loss = cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        def parameters():
            linear = [m for m in net if hasattr(m, "weight")]
            return flat([(m.weight.detach().numpy().T, m.bias.detach().numpy()) for m in linear])

        return train, parameters

    def step(self, work: Work):
        train, parameters = self._trainer(work)
        x, y = map(self.torch.from_numpy, batch(work))
        return [Job("eager", lambda: train(x, y), parameters)]

    def predict(self, work: Work):
        net, x = self.network(work).eval(), self.torch.from_numpy(batch(work)[0])
        return [Job("eager", self.inferred(lambda: net(x)))]

    predictor = predict

    def step_bfloat16(self, work: Work):
        train, parameters = self._trainer(work)
        x, y = map(self.torch.from_numpy, batch(work))

        def run():
            with self.torch.autocast("cpu", dtype=self.torch.bfloat16):
                return train(x, y).float()

        return [Job("autocast", run, parameters)]

    def predictor_bfloat16(self, work: Work):
        """Under autocast, and with everything in bfloat16, converted before the clock starts."""
        torch = self.torch
        net, x = self.network(work).eval(), torch.from_numpy(batch(work)[0])
        narrow, narrow_x = self.network(work).eval().to(torch.bfloat16), x.to(torch.bfloat16)

        def cast():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return net(x).float()

        return [
            Job("autocast", self.inferred(cast)),
            Job("weights in bfloat16", self.inferred(lambda: narrow(narrow_x).float())),
        ]

    def inferred(self, f):
        """`f` in inference mode."""

        def run():
            with self.torch.inference_mode():
                return f()

        return run

    def fit(self, work: Work):
        torch = self.torch
        train, parameters = self._trainer(work)
        x, y = map(torch.from_numpy, samples(work))

        def epoch():
            order = torch.randperm(len(x)) if work.shuffle else torch.arange(len(x))
            for rows in order.split(work.rows):
                train(x[rows], y[rows])

        return [Job("loop", epoch, parameters)]

    def cross_entropy(self, work: Work):
        torch = self.torch
        z, y = torch.from_numpy(array(work)).requires_grad_(), torch.from_numpy(labels(work))

        def autograd():
            loss = torch.nn.functional.cross_entropy(z, y)
            return loss.detach(), torch.autograd.grad(loss, z)[0]

        return [Job("autograd", autograd)]

    def logsumexp(self, work: Work):
        z = self.torch.from_numpy(array(work))
        out = self.torch.empty(len(z), dtype=z.dtype)
        return [
            Job("returned", self.inferred(lambda: self.torch.logsumexp(z, 1))),
            Job("out=", self.inferred(lambda: self.torch.logsumexp(z, 1, out=out))),
        ]

    def function(self, work: Work):
        f, into = self._activations()[work.activation]
        x = self.torch.from_numpy(array(work))
        out = self.torch.empty_like(x)
        jobs = [Job("returned", self.inferred(lambda: f(x)))]
        if into is not None:
            jobs.append(Job("out=", self.inferred(lambda: into(x, out=out))))
        return jobs

    def derivative(self, work: Work):
        f, _ = self._activations()[work.activation]
        x = self.torch.from_numpy(array(work)).requires_grad_()
        one = self.torch.ones_like(x)
        return [Job("autograd", lambda: self.torch.autograd.grad(f(x), x, one)[0])]

    def _activations(self):
        """By name: the function, and the one that takes out=, where there is one."""
        torch, nn = self.torch, self.torch.nn.functional
        return {
            "exp": (torch.exp, torch.exp),
            "sigmoid": (torch.sigmoid, torch.sigmoid),
            "tanh": (torch.tanh, torch.tanh),
            "swish": (nn.silu, None),
            "relu": (torch.relu, None),
            "leaky_relu": (lambda x: nn.leaky_relu(x, SLOPE), None),
            "hard_swish": (nn.hardswish, None),
        }


contender = Torch
