"""What a contender is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.works import CHECK_STEPS, Work


@dataclass(frozen=True)
class Setting:
    """What all contenders have in common in one run."""

    threads: int
    dtype: str
    isa: str = ""


@dataclass(frozen=True)
class Job:
    """One way of doing some work.

    Attributes
    ----------
    label : str
        How it is done, where there are several ways.
    run : function
        What is timed: does the work once and waits for it.
    parameters : function, optional
        What training changed, as one vector; training is compared by it.
    """

    label: str
    run: Callable[[], Any]
    parameters: Callable[[], np.ndarray] | None = None

    def results(self, work: Work) -> list[np.ndarray]:
        """What is compared: outputs, or the losses and the update of the first steps."""
        if self.parameters is None:
            outcome = self.run()
            parts = outcome if isinstance(outcome, (tuple, list)) else [outcome]
            return [np.array(part) for part in parts]
        before = self.parameters()
        losses = [float(self.run()) for _ in range(CHECK_STEPS)] if work.kind == "step" else []
        if work.kind == "fit":
            self.run()
        return [np.array(losses), self.parameters() - before]


class Contender:
    """A library: a method for each kind of work it can do, returning the ways it has.

    The fastest way counts.  A library that has no function for a work has no method, or
    returns no job.
    """

    version: str
    isa: str = ""
    """Instruction set it was told or chose to use, where that is known."""

    def jobs(self, work: Work) -> Sequence[Job]:
        """The ways of doing a work; none if this library has no function for it."""
        name = f"{work.kind}_{work.precision}" if work.precision else work.kind
        method = getattr(self, name, None)
        return [] if method is None else method(work)


def flat(layers: Sequence[tuple[Any, Any]]) -> np.ndarray:
    """Weights and biases of all layers as one float64 vector."""
    return np.concatenate([np.asarray(a, np.float64).ravel() for pair in layers for a in pair])
