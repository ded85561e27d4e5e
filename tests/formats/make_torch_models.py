"""Export small models by PyTorch's own exporters, for `test_onnx_of_torch.py`.

Run it where torch and onnxscript are installed: ``python tests/formats/make_torch_models.py``.  It
writes ``data/torch_models.npz``: for each model and exporter the file of ONNX as bytes, the
inputs, and what PyTorch computes.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

DATA = Path(__file__).parent / "data" / "torch_models.npz"


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter = nn.Linear(5, 8)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
            for _ in range(2)
        )
        self.leave = nn.Linear(8, 2)

    def forward(self, x):
        x = self.enter(x)
        for block in self.blocks:
            x = x + block(x)
        return self.leave(x)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.3))
        self.kind, self.size = nn.Linear(8, 3), nn.Linear(8, 1)

    def forward(self, x):
        h = self.trunk(x)
        return torch.softmax(self.kind(h), dim=-1), self.size(h)


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(5, 6), nn.SiLU())
        self.score = nn.Linear(6, 1)

    def forward(self, a, b):
        return torch.sigmoid(self.score(torch.abs(self.encode(a) - self.encode(b))))


class Joined(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(5, 4), nn.Linear(5, 4, bias=False)
        self.last = nn.Linear(9, 2)

    def forward(self, x):
        h = torch.cat([self.left(x) * torch.sigmoid(self.right(x)), x], dim=1)
        return self.last((h + torch.relu(h)) / 2)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.randn(5))
        self.register_buffer("deviation", torch.rand(5) + 0.5)
        self.net = nn.Sequential(nn.Linear(5, 7), nn.Mish(), nn.Linear(7, 1))

    def forward(self, x):
        return self.net((x - self.mean) / self.deviation).squeeze(1)


class Pictures(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(12, 6), nn.Hardswish(), nn.Linear(6, 3))

    def forward(self, x):
        return torch.log_softmax(self.net(x.view(x.size(0), -1)), dim=1)


class Code(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.last = nn.Linear(4, 2)

    def forward(self, code):
        return self.last(torch.relu(self.table(code).flatten(1)))


def activations():
    """A chain of all activations that both libraries have."""
    functions = [
        nn.ReLU(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.SELU(), nn.SiLU(), nn.GELU(),
        nn.GELU(approximate="tanh"), nn.Mish(), nn.Hardswish(), nn.Softplus(), nn.Softsign(),
        nn.Sigmoid(), nn.Tanh(), nn.PReLU(),
    ]  # fmt: skip
    layers = [layer for function in functions for layer in (nn.Linear(5, 5), function)]
    return nn.Sequential(*layers)


ROWS = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
MODELS = {
    "sequential": (lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2)), (ROWS,)),
    "nested": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Linear(5, 8), nn.Sequential(nn.ELU(0.5), nn.Dropout(0.2))),
            nn.Linear(8, 2),
            nn.Softmax(dim=1),
        ),
        (ROWS,),
    ),
    "activations": (activations, (ROWS,)),
    "residual": (Residual, (ROWS,)),
    "two_heads": (TwoHeads, (ROWS,)),
    "siamese": (Siamese, (ROWS, ROWS.flip(0) / 2)),
    "joined": (Joined, (ROWS,)),
    "scaled": (Scaled, (ROWS,)),
    "pictures": (Pictures, (ROWS[:, :1, None].repeat(1, 3, 4) * torch.linspace(-1, 1, 4),)),
    "code": (Code, (torch.tensor([[0], [6], [3]]),)),
    "double": (
        lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2)).double(),
        (ROWS.double(),),
    ),
}


def exported(model, inputs, dynamo):
    """The bytes of the model's file."""
    names = [f"x{i}" for i in range(len(inputs))]
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        path = Path(folder, "model.onnx")
        if dynamo:
            batch = torch.export.Dim("batch", min=2)
            torch.onnx.export(
                model, inputs, path, dynamo=True, input_names=names, verbose=False,
                dynamic_shapes=tuple({0: batch} for _ in inputs), external_data=False,
            )  # fmt: skip
            return path.read_bytes()
        buffer = io.BytesIO()
        axes = {name: {0: "batch"} for name in names}
        torch.onnx.export(
            model, inputs, buffer, dynamo=False, input_names=names, dynamic_axes=axes,
            opset_version=17,
        )  # fmt: skip
        return buffer.getvalue()


def main():
    """Write all models, inputs and outputs to one file."""
    arrays = {}
    for name, (make, inputs) in MODELS.items():
        torch.manual_seed(0)
        model = make().eval()
        with torch.no_grad():
            outputs = model(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        for exporter in ("dynamo", "torchscript"):
            contents = exported(model, inputs, exporter == "dynamo")
            arrays[f"{name}/{exporter}"] = np.frombuffer(contents, np.uint8)
        for kind, tensors in (("x", inputs), ("y", outputs)):
            for i, tensor in enumerate(tensors):
                arrays[f"{name}/{kind}{i}"] = tensor.numpy()
    arrays["torch"] = np.array(torch.__version__)
    DATA.parent.mkdir(exist_ok=True)
    np.savez_compressed(DATA, **arrays)


if __name__ == "__main__":
    main()
