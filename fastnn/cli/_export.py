"""The commands export and import, and what info shows of files of other programs."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastnn import formats
from fastnn._shared.safetensors import opened, read_header
from fastnn._shared.text import aligned
from fastnn.cli._source import check_output
from fastnn.cli._text import show
from fastnn.formats.torch_in import WAY_OUT
from fastnn.network import Network
from fastnn.serialization import FORMAT
from fastnn.tabular.model import Model, load_any

ENDINGS = {".onnx": "onnx", ".c": "c", ".pt2": "torch", ".safetensors": "safetensors"}
"""The format of each ending of a file."""

_WRITERS: Mapping[str, Callable[[Any, str], Any]] = {
    "onnx": lambda item, path: formats.to_onnx(item, path),
    "c": lambda item, path: formats.to_c(item, path),
    "torch": lambda item, path: formats.to_torch(item, path),
    "safetensors": lambda item, path: formats.to_safetensors(item, path),
}
_OF_NETWORKS = {"torch": "to_torch", "safetensors": "to_safetensors"}
"""The functions that write networks, and no preparation of the columns of a table."""

_OF_PICKLES = (".pt", ".pth", ".pt2", ".bin", ".ckpt")
_MOST_SHOWN = 40


def export(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn export``."""
    kind = arguments.to or _kind_of(arguments.output, "OUT", tuple(ENDINGS), "--to")
    check_output(arguments.output, [arguments.model])
    item = load_any(arguments.model)
    if isinstance(item, Model) and arguments.network_only:
        item = item.network
    if isinstance(item, Model) and kind in _OF_NETWORKS:
        raise ValueError(
            f"{arguments.model} prepares the columns of a table, which {_OF_NETWORKS[kind]} does "
            "not write: --to onnx and --to c take the model whole, --network-only exports the "
            "network behind the preparation"
        )
    _WRITERS[kind](item, arguments.output)
    show("\n".join(aligned([("model", _described(item)), (kind, arguments.output)])))
    return 0


def import_(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn import``."""
    kind = _kind_of(arguments.file, "FILE", (".onnx", ".safetensors"))
    check_output(arguments.to, [arguments.file, arguments.like])
    if kind == "onnx":
        if arguments.like is not None:
            raise ValueError("--like is for files of safetensors; a file of ONNX has its layers")
        net = formats.from_onnx(arguments.file)
    else:
        net = formats.from_safetensors(arguments.file, _like(arguments.like))
    net.save(arguments.to)
    show("\n".join(aligned([("network", _described(net)), ("model", arguments.to)])))
    return 0


def _like(path: str | None) -> Network | None:
    """The network of the layers that a file of safetensors does not have."""
    if path is None:
        return None
    item = load_any(path)
    return item.network if isinstance(item, Model) else item


def _kind_of(path: str, what: str, endings: tuple[str, ...], option: str = "") -> str:
    """The format of a file by its ending.

    Raises
    ------
    ValueError
        If it has no ending of a format; for files of pickles with the way out.
    """
    ending = Path(path).suffix.lower()
    if ending in endings:
        return ENDINGS[ending]
    expected = f"{', '.join(endings[:-1])} or {endings[-1]}"
    if ending in _OF_PICKLES and ".pt2" not in endings:
        raise ValueError(f"{path} is a file of PyTorch: {WAY_OUT}")
    more = f", or choose the format with {option}" if option else ""
    raise ValueError(f"{what} must end in {expected}{more}, got {path!r}")


def _described(item: Model | Network) -> str:
    networks = [item] if isinstance(item, Network) else item.learner.networks
    parameters = sum(network.n_parameters for network in networks)
    number = "" if len(networks) == 1 else f"{len(networks)} networks, "
    widths = " -> ".join(
        "+".join(str(tensor.width) for tensor in ends)
        for ends in (networks[0].graph.inputs, networks[0].graph.outputs)
    )
    return f"{number}{widths}, {parameters:,} parameters, {networks[0].dtype}"


# ------------------------------------------------------------------------------ info


def is_foreign(path: str) -> bool:
    """Whether another program's format has the ending of a file, and fastnn has not saved it."""
    ending = Path(path).suffix.lower()
    if ending != ".safetensors":
        return ending == ".onnx"
    with opened(path) as (file, size):
        metadata, _ = read_header(file, size, "safetensors")
    return metadata.get("format") != FORMAT


def show_foreign(path: str, in_json: bool) -> None:
    """Print what a file of ONNX or safetensors holds."""
    facts = _onnx_facts(path) if path.lower().endswith(".onnx") else _tensor_facts(path)
    if in_json:
        print(json.dumps(facts))
        return
    tables = {
        key: facts.pop(key) for key in ("inputs", "outputs", "nodes", "tensors") if key in facts
    }
    rows = [(key, _shown(value)) for key, value in facts.items()]
    for key, entries in tables.items():
        items = list(entries.items())
        rows += [(key if i == 0 else "", f"{name}  {_shown(value)}") for i, (name, value) in
                 enumerate(items[:_MOST_SHOWN])]  # fmt: skip
        if len(items) > _MOST_SHOWN:
            rows.append(("", f"and {len(items) - _MOST_SHOWN} more"))
    show("\n".join(aligned(rows)))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " x ".join("N" if n is None else str(n) for n in value) or "a number"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _onnx_facts(path: str) -> dict[str, Any]:
    from fastnn.formats.onnx_model import load

    model = load(path)
    return {
        "format": "ONNX",
        "producer": model.producer,
        "name": model.name,
        "opset": model.opset,
        "parameters": sum(int(array.size) for array in model.constants.values()),
        "inputs": {end.name: list(end.shape or ()) for end in model.inputs},
        "outputs": {end.name: list(end.shape or ()) for end in model.outputs},
        "nodes": dict(Counter(node.operator for node in model.nodes).most_common()),
    }


def _tensor_facts(path: str) -> dict[str, Any]:
    from fastnn.formats.state_dicts import read_safetensors

    metadata, tensors = read_safetensors(path)
    return {
        "format": "safetensors",
        "layers": "described" if "fastnn.network" in metadata else "not described",
        "parameters": sum(int(array.size) for array in tensors.values()),
        "dtype": ", ".join(sorted({str(array.dtype) for array in tensors.values()})),
        "tensors": {name: list(array.shape) for name, array in tensors.items()},
    }
