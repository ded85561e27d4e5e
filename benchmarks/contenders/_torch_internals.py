"""PyTorch below its documented interface: bare operators without autograd, a frozen trace."""

from __future__ import annotations

from benchmarks.works import SLOPE, Work, array, batch, labels

from ._base import Contender, Job, Setting
from ._torch import Torch


class TorchInternals(Contender):
    def __init__(self, setting: Setting) -> None:
        self._public = Torch(setting)
        self.torch = self._public.torch
        self.version = self._public.version

    def predict(self, work: Work):
        net, x = self._public.network(work).eval(), self.torch.from_numpy(batch(work)[0])
        traced = self.torch.jit.freeze(self.torch.jit.trace(net, x, check_trace=False))
        return [Job("frozen trace", self._public.inferred(lambda: traced(x)))]

    predictor = predict

    def cross_entropy(self, work: Work):
        torch, aten = self.torch, self.torch.ops.aten
        z, y = torch.from_numpy(array(work)), torch.from_numpy(labels(work))
        one, mean = torch.ones((), dtype=z.dtype), 1  # reductions: none, mean, sum

        def operators():
            logs = aten._log_softmax.default(z, 1, False)
            loss, total = aten.nll_loss_forward.default(logs, y, None, mean, -100)
            g = aten.nll_loss_backward.default(one, logs, y, None, mean, -100, total)
            return loss, aten._log_softmax_backward_data.default(g, logs, 1, z.dtype)

        return [Job("aten", self._public.inferred(operators))]

    def function(self, work: Work):
        bare, aten = self.torch._C._nn, self.torch.ops.aten
        x = self.torch.from_numpy(array(work))
        out = self.torch.empty_like(x)
        into = {
            "swish": lambda: bare.silu(x, out=out),
            "relu": lambda: aten.relu.out(x, out=out),
            "leaky_relu": lambda: bare.leaky_relu(x, SLOPE, out=out),
            "hard_swish": lambda: bare.hardswish(x, out=out),
        }.get(work.activation)
        return [] if into is None else [Job("out=", self._public.inferred(into))]

    def derivative(self, work: Work):
        """From x alone: the backward operator on ones, after the value if it needs that."""
        torch, aten = self.torch, self.torch.ops.aten
        x = torch.from_numpy(array(work))
        one, out, value = torch.ones_like(x), torch.empty_like(x), torch.empty_like(x)
        plain, into = {
            "sigmoid": (
                lambda: aten.sigmoid_backward.default(one, torch.sigmoid(x)),
                lambda: aten.sigmoid_backward.grad_input(
                    one, torch.sigmoid(x, out=value), grad_input=out
                ),
            ),
            "tanh": (
                lambda: aten.tanh_backward.default(one, torch.tanh(x)),
                lambda: aten.tanh_backward.grad_input(
                    one, torch.tanh(x, out=value), grad_input=out
                ),
            ),
            "swish": (
                lambda: aten.silu_backward.default(one, x),
                lambda: aten.silu_backward.grad_input(one, x, grad_input=out),
            ),
            "relu": (
                lambda: aten.threshold_backward.default(one, x, 0.0),
                lambda: aten.threshold_backward.grad_input(one, x, 0.0, grad_input=out),
            ),
            "leaky_relu": (
                lambda: aten.leaky_relu_backward.default(one, x, SLOPE, False),
                lambda: aten.leaky_relu_backward.grad_input(one, x, SLOPE, False, grad_input=out),
            ),
            "hard_swish": (
                lambda: aten.hardswish_backward.default(one, x),
                lambda: aten.hardswish_backward.out(one, x, out=out),
            ),
        }[work.activation]
        inferred = self._public.inferred
        return [Job("returned", inferred(plain)), Job("out=", inferred(into))]


contender = TorchInternals
