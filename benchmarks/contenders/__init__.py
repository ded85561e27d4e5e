"""The libraries that are compared, one module each.

A contender imports its library when it is made, never before: only its own process loads it.
"""

from __future__ import annotations

from importlib import import_module, util

from ._base import Contender, Job, Setting

CONTENDERS = {
    "fastnn": ("fastnn", "_fastnn"),
    "jax": ("jax", "_jax"),
    "torch": ("torch", "_torch"),
    "torch internals": ("torch", "_torch_internals"),
    "onnxruntime": ("onnxruntime", "_onnxruntime"),
    "scikit-learn": ("sklearn", "_sklearn"),
    "statsmodels": ("statsmodels", "_statsmodels"),
    "numpy": ("numpy", "_numpy"),
    "scipy": ("scipy", "_scipy"),
}
"""Name, then the library to import and the module here that uses it."""


def is_installed(name: str) -> bool:
    """Whether the library of a contender is there."""
    return util.find_spec(CONTENDERS[name][0]) is not None


def make(name: str, setting: Setting) -> Contender:
    """The contender of this name, in a process of its own."""
    module = import_module(f"{__name__}.{CONTENDERS[name][1]}")
    contender: Contender = module.contender(setting)
    return contender


__all__ = ["CONTENDERS", "Contender", "Job", "Setting", "is_installed", "make"]
