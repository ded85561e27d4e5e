"""The dropout layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn._shared.numbers import check_number
from fastnn.layers._base import Layer
from fastnn.program import ProgramBuilder


class Dropout(Layer):
    """Dropout: in training, each element is set to 0 with probability `rate`.

    The other elements are multiplied by 1 / (1 - rate), so that prediction uses
    every unit unchanged.  The mask is a function of the seed, the optimizer
    step and the position of the element: it is the same on every backend, for any
    number of threads, and after training is saved and resumed.

    Parameters
    ----------
    rate : float
        Probability of dropping an element, 0 <= rate < 1.
    name, dtype, seed
        See `Layer`.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov (2014), "Dropout: a
    simple way to prevent neural networks from overfitting".
    """

    kind = "dropout"

    def __init__(
        self,
        rate: float,
        *,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype, seed=seed)
        self.rate = check_number(rate, "rate", 0.0, below=1.0)

    @property
    def is_random(self) -> bool:
        """True: the masks are random."""
        return True

    @property
    def options(self) -> dict[str, Any]:
        """The rate."""
        return {"rate": self.rate}

    def emit(
        self,
        builder: ProgramBuilder,
        name: str,
        inputs: Sequence[int],
        parameters: Sequence[int],
    ) -> int:
        """Append the dropout with a separate key; its output is the buffer ``<name>.A``."""
        seed = builder.seed if self.seed is None else self.seed
        # The third word separates keys from the generators of initial values.
        sequence = np.random.SeedSequence([seed, len(builder.operations), 1])
        key = int(sequence.generate_state(1)[0])
        return builder.add("dropout", inputs, f"{name}.A", rate=self.rate, key=key)
