"""Recipes: how the networks of a model for tables are built and trained.

The recipe follows RealMLP (Holzmueller, Grinsztajn & Steinwart 2024, "Better by default") and the
piecewise-linear encoding of Gorishniy, Rubachev & Babenko (2022, "On embeddings for numerical
features in tabular deep learning"); docs/tables.md has what each part is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastnn._shared.config import replace_fields
from fastnn._shared.numbers import check_choice, check_flag, check_integer, check_number
from fastnn.program import ACTIVATIONS

__all__ = ["PRESETS", "Recipe", "get"]

_ROWS_OF_BATCH = (16, 256)
_BATCHES_OF_EPOCH = 40
_BINS = (16, 48)
_MANY_ROWS = 20_000


@dataclass(frozen=True)
class Recipe:
    """How the networks of a model for tables are built and trained.

    Parameters
    ----------
    hidden : sequence of int, default (128, 128, 128)
        Widths of the hidden layers.
    activation : str, optional
        Activation of the hidden layers.  By default "selu" for classification and "mish" for
        regression.
    dropout : float, default 0.1
        Rate of the dropout after each hidden layer, in [0, 1).
    bins : int, optional
        Largest number of bins of the piecewise-linear embedding of a number; 0 for none.  By
        default 16, and 48 for 20,000 rows and more.
    epochs : int, default 64
        Number of epochs; the parameters of the best one on the held-out rows are used.
    batch_size : int, optional
        Rows of a batch.  By default a fortieth of the rows, as a power of two from 16 to 256.
    rate_factor : float, default 1
        Factor of the learning rate, which follows the schedule `CosineLog`.
    weight_decay : float, default 0
        Decoupled weight decay of `AdamW`.
    folds : int, default 5
        Number of networks of a bag.  Each holds out another part of the rows.  With 1, one
        network holds out the share `validation` of the rows.
    validation : float, default 0.2
        Share of the held-out rows for one network, in (0, 1).
    refit : bool, optional
        For one network: train again on all rows, for the number of epochs that was best.  By
        default for fewer than 20,000 rows.
    candidates : int, default 1
        Number of bags that are trained, with other hyperparameters each from the second on.
        Bags are chosen and weighted by their predictions of the held-out rows.

    Raises
    ------
    TypeError, ValueError
        If a parameter has a wrong type or value; the message begins with its name.
    """

    hidden: Sequence[int] = (128, 128, 128)
    activation: str | None = None
    dropout: float = 0.1
    bins: int | None = None
    epochs: int = 64
    batch_size: int | None = None
    rate_factor: float = 1.0
    weight_decay: float = 0.0
    folds: int = 5
    validation: float = 0.2
    refit: bool | None = None
    candidates: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.hidden, int) or not len(self.hidden):
            raise ValueError(f"hidden must have at least one width, got {self.hidden!r}")
        replace_fields(self, hidden=tuple(check_integer(w, "hidden", 1) for w in self.hidden))
        if self.activation is not None:
            check_choice(self.activation, "activation", ACTIVATIONS)
        check_number(self.dropout, "dropout", 0.0, below=1.0)
        if self.bins is not None:
            check_integer(self.bins, "bins", 0)
        check_integer(self.epochs, "epochs", 1)
        if self.batch_size is not None:
            check_integer(self.batch_size, "batch_size", 1)
        check_number(self.rate_factor, "rate_factor", above=0.0)
        check_number(self.weight_decay, "weight_decay", 0.0)
        check_integer(self.folds, "folds", 1)
        check_number(self.validation, "validation", above=0.0, below=1.0)
        if self.refit is not None:
            check_flag(self.refit, "refit")
        check_integer(self.candidates, "candidates", 1)

    def bins_of_number(self, n_rows: int) -> int:
        """Largest number of bins of a number for a training on `n_rows` rows."""
        if self.bins is not None:
            return self.bins
        return _BINS[n_rows >= _MANY_ROWS]

    def refits(self, n_rows: int) -> bool:
        """Whether one network is trained again on all of `n_rows` rows."""
        return self.folds == 1 and (n_rows < _MANY_ROWS if self.refit is None else self.refit)

    def rows_of_batch(self, n_rows: int) -> int:
        """Rows of a batch for a training on `n_rows` rows."""
        if self.batch_size is not None:
            return self.batch_size
        least, most = _ROWS_OF_BATCH
        size = least
        while size < most and 1.5 * size * _BATCHES_OF_EPOCH <= n_rows:
            size *= 2
        return size


PRESETS = {
    "fast": Recipe(folds=1, epochs=24),
    "balanced": Recipe(),
    "best": Recipe(candidates=4),
}
"""The recipes by name."""


def get(preset: Any, **changes: Any) -> Recipe:
    """The recipe of a preset, with some parameters changed.

    Parameters
    ----------
    preset : {"fast", "balanced", "best"} or Recipe
    **changes
        Parameters of `Recipe`; those that are None are ignored.

    Raises
    ------
    TypeError, ValueError
        If the preset or a parameter is wrong.
    """
    if not isinstance(preset, Recipe):
        preset = PRESETS[check_choice(preset, "preset", tuple(PRESETS))]
    return replace(preset, **{name: value for name, value in changes.items() if value is not None})
