"""Whether an executor can run a program, and why not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from fastnn.program import CUSTOM_LOSS, Program


@dataclass(frozen=True)
class Support:
    """Whether an executor can run a program: true without a reason against it."""

    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason


def support(
    program: Program,
    executor: str,
    dtypes: Collection[DTypeLike],
    kinds: Collection[str],
    activations: Collection[str],
    losses: Collection[str],
) -> Support:
    """Compare what a program needs with what an executor has.

    Parameters
    ----------
    program : Program
    executor : str
        Its name in the reason.
    dtypes : collection of dtype
    kinds : collection of str
        Kinds of operations.
    activations, losses : collection of str
        Custom losses are never among them: every executor calls Python for these.
    """
    functions = [o.attributes["function"] for o in program.operations if o.kind == "activation"]
    needs: tuple[tuple[str, Collection[object], Collection[object]], ...] = (
        ("dtype", [program.dtype], [np.dtype(dtype) for dtype in dtypes]),
        ("operation", [operation.kind for operation in program.operations], kinds),
        ("activation", functions, activations),
        ("loss", [h.loss for h in program.heads if h.loss != CUSTOM_LOSS], losses),
    )
    for what, needed, offered in needs:
        for thing in needed:
            if thing not in offered:
                return Support(f"{executor} has no {what} {thing}")
    return Support()
