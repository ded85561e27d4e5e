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

__all__ = ["KINDS", "PRESETS", "Recipe", "get"]

_ROWS_OF_BATCH = (16, 256)
_BATCHES_OF_EPOCH = 40
_MANY_ROWS = 20_000
_BINS, _WHOLE, _FOLDS, _LAYERS = (16, 48), (64, 128), (10, 5), (3, 2)
"""For fewer than `_MANY_ROWS` rows, and for more."""

_MOST_EMBEDDED = 1 << 24
"""Numbers in the table of the piecewise-linear embeddings: many columns have few bins."""

_LEAST_BINS = 4
"""Columns that would have fewer bins have none."""

_WIDTH = 128
"""Of the hidden layers."""

_EPOCHS_OF_SIMPLE, _STEPS_OF_SIMPLE = 24, 2000
"""Epochs of a linear or an additive model; more where they have fewer steps."""


KINDS = ("network", "additive", "linear")
"""What a recipe may make."""


@dataclass(frozen=True)
class Recipe:
    """How the networks of a model for tables are built and trained.

    Parameters
    ----------
    hidden : sequence of int, optional
        Widths of the hidden layers.  By default three of 128, and two of 128 for 20,000 rows and
        more.  With an empty sequence the model is additive: a sum of one function of each column,
        which is linear with ``bins=0``.
    activation : str, optional
        Activation of the hidden layers.  By default "selu" for classification and "mish" for
        regression.
    dropout : float, default 0.1
        Rate of the dropout after each hidden layer, in [0, 1).
    bins : int, optional
        Largest number of bins of the piecewise-linear embedding of a number; 0 for none.  By
        default 16, and 48 for 20,000 rows and more; fewer for thousands of columns, and none for
        tens of thousands.
    whole : int, optional
        Whole numbers with at most so many different values have a bin between each two of them.
        By default 64, and 128 for 20,000 rows and more.
    epochs : int, default 32
        Number of epochs; the networks of a bag have the parameters of the one that is best on the
        held-out rows of all.
    batch_size : int, optional
        Rows of a batch.  By default a fortieth of the rows, as a power of two from 16 to 256.
    rate_factor : float, default 0.8
        Factor of the learning rate, which follows the schedule `CosineLog`.
    weight_decay : float, default 0
        Decoupled weight decay of `AdamW`.
    folds : int, optional
        Number of networks of a bag.  Each holds out another part of the rows.  With 1, one
        network holds out the share `validation` of the rows.  By default 10, and 5 for 20,000
        rows and more.
    validation : float, default 0.2
        Share of the held-out rows for one network, in (0, 1).
    refit : bool, optional
        For one network: train again on all rows, for the number of epochs that was best.  By
        default for fewer than 20,000 rows.
    candidates : int, default 1
        Number of bags that are trained, with other hyperparameters each from the second on.
        Bags are chosen and weighted by their predictions of the held-out rows.
    simple_models : bool, default True
        Whether a linear and an additive model are trained beside them, on the same folds.  They
        are weighted in the same way: a table of few or noisy rows often has no more to learn.

    Raises
    ------
    TypeError, ValueError
        If a parameter has a wrong type or value; the message begins with its name.
    """

    hidden: Sequence[int] | None = None
    activation: str | None = None
    dropout: float = 0.1
    bins: int | None = None
    whole: int | None = None
    epochs: int = 32
    batch_size: int | None = None
    rate_factor: float = 0.8
    weight_decay: float = 0.0
    folds: int | None = None
    validation: float = 0.2
    refit: bool | None = None
    candidates: int = 1
    simple_models: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.hidden, int):
            raise TypeError(f"hidden must be a sequence of widths, got {self.hidden!r}")
        if self.hidden is not None:
            replace_fields(self, hidden=tuple(check_integer(w, "hidden", 1) for w in self.hidden))
        if self.activation is not None:
            check_choice(self.activation, "activation", ACTIVATIONS)
        check_number(self.dropout, "dropout", 0.0, below=1.0)
        if self.bins is not None:
            check_integer(self.bins, "bins", 0)
        if self.whole is not None:
            check_integer(self.whole, "whole", 0)
        check_integer(self.epochs, "epochs", 1)
        if self.batch_size is not None:
            check_integer(self.batch_size, "batch_size", 1)
        check_number(self.rate_factor, "rate_factor", above=0.0)
        check_number(self.weight_decay, "weight_decay", 0.0)
        if self.folds is not None:
            check_integer(self.folds, "folds", 1)
        check_number(self.validation, "validation", above=0.0, below=1.0)
        if self.refit is not None:
            check_flag(self.refit, "refit")
        check_integer(self.candidates, "candidates", 1)
        check_flag(self.simple_models, "simple_models")

    @property
    def kind(self) -> str:
        """What the recipe makes, one of `KINDS`."""
        if self.hidden is None or self.hidden:
            return KINDS[0]
        return KINDS[2 if self.bins == 0 else 1]

    def for_rows(self, n_rows: int) -> Recipe:
        """The recipe with the widths of its hidden layers for a training on `n_rows` rows."""
        if self.hidden is not None:
            return self
        return replace(self, hidden=(_WIDTH,) * _LAYERS[n_rows >= _MANY_ROWS])

    def bins_of_number(self, n_rows: int, n_numbers: int = 1) -> int:
        """Largest number of bins of a number.

        Parameters
        ----------
        n_rows : int
            Rows of the training.
        n_numbers : int, default 1
            Columns of numbers.
        """
        return self._limited(self.bins, _BINS, n_rows, n_numbers)

    def values_of_number(self, n_rows: int, n_numbers: int = 1) -> int:
        """Largest number of different whole numbers that have a bin between each two of them.

        Parameters
        ----------
        n_rows : int
            Rows of the training.
        n_numbers : int, default 1
            Columns of numbers.
        """
        return self._limited(self.whole, _WHOLE, n_rows, n_numbers)

    def _limited(
        self, number: int | None, defaults: tuple[int, int], n_rows: int, n_numbers: int
    ) -> int:
        """The number, or by default as many as the table of the first layer has room for."""
        if number is not None:
            return number
        width = ([*(self.for_rows(n_rows).hidden or ()), 1])[0]
        room = _MOST_EMBEDDED // (width * max(n_numbers, 1)) - 1
        return min(defaults[n_rows >= _MANY_ROWS], room) if room >= _LEAST_BINS else 0

    def networks_of_bag(self, n_rows: int) -> int:
        """Number of networks of a bag for a training on `n_rows` rows."""
        return min(_FOLDS[n_rows >= _MANY_ROWS] if self.folds is None else self.folds, n_rows)

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

    def simple(self, n_rows: int) -> list[Recipe]:
        """The recipes of a linear and an additive model, with the same folds."""
        steps = -(-n_rows // self.rows_of_batch(n_rows))
        epochs = self.epochs
        if epochs >= _EPOCHS_OF_SIMPLE:
            epochs = max(_EPOCHS_OF_SIMPLE, -(-_STEPS_OF_SIMPLE // steps))
        additive = replace(self, hidden=(), dropout=0.0, epochs=epochs, candidates=1)
        return [replace(additive, bins=0), additive]


PRESETS = {
    "fast": Recipe(folds=1, epochs=24, rate_factor=1.0),
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
