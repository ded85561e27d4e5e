"""Layers that look up rows of a table: embeddings of codes, piecewise-linear ones of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn._shared.numbers import check_choice, check_integer
from fastnn.facts.operations import COMBINATIONS
from fastnn.initializers import Initializer, Normal, fitting, named
from fastnn.layers._base import Layer
from fastnn.program import ProgramBuilder

Sizes = int | Sequence[int]

_MOST_ROWS = 2**24
"""Rows of a column: float32 holds every integer up to here."""


class TableLayer(Layer):
    """A layer with one table, of which each column of the input has a part."""

    operation: ClassVar[str]

    def __init__(
        self,
        sizes: tuple[int, ...],
        width: int,
        combine: str,
        weight: Initializer | Mapping[str, object] | ArrayLike,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._sizes = sizes
        self.width = check_integer(width, "width", 1)
        self.combine = check_choice(combine, "combine", COMBINATIONS)
        self._weight_is_auto = isinstance(weight, str) and weight == "auto"
        rule = self._automatic_initializer() if self._weight_is_auto else weight
        self._weight = fitting(rule, "weight", (sum(sizes), self.width))

    def _automatic_initializer(self) -> Initializer:
        """The initializer of weights that are not given."""
        raise NotImplementedError

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """``weight``: a row of `width` numbers for each row of each column."""
        return {"weight": (sum(self._sizes), self.width)}

    @property
    def initializers(self) -> dict[str, Initializer]:
        """The initializer in use, "auto" resolved."""
        return {"weight": self._weight}

    @property
    def n_in(self) -> int:
        """Number of columns of the input."""
        return len(self._sizes)

    @property
    def weight(self) -> np.ndarray:
        """Live view of the table; an assignment copies into it."""
        return self.parameters["weight"]

    @weight.setter
    def weight(self, values: ArrayLike) -> None:
        self.parameters["weight"] = values

    def rows_of(self, column: int) -> np.ndarray:
        """Live view of the rows of one column of the input, (size of the column, width)."""
        column = check_integer(column, "column", 0, len(self._sizes) - 1)
        start = sum(self._sizes[:column])
        return self.weight[start : start + self._sizes[column]]

    def output_width(self, widths: Sequence[int], labels: Sequence[str]) -> int:
        """The width of a row, or of the rows of all columns side by side."""
        self.check_width(len(self._sizes), widths[0], labels[0])
        return self.width if self.combine == "sum" else self.width * len(self._sizes)

    def emit(
        self,
        builder: ProgramBuilder,
        name: str,
        inputs: Sequence[int],
        parameters: Sequence[int],
    ) -> int:
        """Append the operation; its output is the buffer ``<name>.A``."""
        return builder.add(
            self.operation, inputs, f"{name}.A", parameters,
            sizes=self._sizes, combine=self.combine,
        )  # fmt: skip

    def _common_options(self) -> dict[str, Any]:
        weight = "auto" if self._weight_is_auto else self._weight.config
        return {"width": self.width, "combine": self.combine, "weight": weight}

    def _shown_for(self, default: str) -> list[str]:
        """The sizes, and the arguments that differ from their defaults."""
        shown = [_shortened(self._sizes), str(self.width)]
        if self.combine != default:
            shown.append(f"combine={self.combine!r}")
        if not self._weight_is_auto:
            shown.append(f"weight={named(self._weight)}")
        return shown


class Embedding(TableLayer):
    """Embedding of codes: each code of each column has a trainable vector.

    Column j of the input has the codes 0 to ``sizes[j] - 1``.  The layer looks up rows; with
    ``combine="sum"`` its output is that of a dense layer without bias on the one-hot encoded
    columns, without the products by zeros and ones.

    Parameters
    ----------
    sizes : int or sequence of int
        Number of codes of each column, at least 1 and at most 2**24; an integer is one column.
    width : int
        Width of a vector.
    combine : {"concatenate", "sum"}, default "concatenate"
        The vectors of the columns side by side, (N, n_columns * width), or their
        sum, (N, width).
    weight : str, Initializer or (sum(sizes), width) array_like, default "auto"
        Initial vectors, those of one column after those of another.  "auto" is `Normal`, N(0, 1).
    trainable : bool, default True
        False freezes the vectors.
    name : str, optional
        Name of the layer.  A network names unnamed layers embedding_1, embedding_2...
    dtype : {"float32", "float64"}, default "float32"
        Dtype of calls on arrays; the dtype of a network replaces it.
    seed : int, optional
        Seed of the initial values.

    Notes
    -----
    The input is an input of the network with integers, as any real dtype, such as
    ``fnn.Input(n_columns)``.  A network refuses other numbers, with their column and row, where
    it checks its inputs (``check_finite=True``, the default).  Where nothing is checked, a number
    out of range has the vector of the nearest code, and nan that of code 0.  No gradient passes
    to the input.

    Each vector receives the sum of the gradients of the samples with its code, in the order of
    the samples.  Optimizers treat the table as any weight: their state and weight decay change
    vectors whose code is not in the batch too.

    Examples
    --------
    >>> import fastnn as fnn
    >>> layer = fnn.Embedding([2, 3], 1, weight=[[1.0], [2.0], [10.0], [20.0], [30.0]])
    >>> layer([[1, 0], [0, 2]])
    array([[ 2., 10.],
           [ 1., 30.]], dtype=float32)
    """

    kind = "embedding"
    operation = "embedding"

    def __init__(
        self,
        sizes: Sizes,
        width: int,
        combine: str = "concatenate",
        *,
        weight: Initializer | Mapping[str, object] | ArrayLike = "auto",
        trainable: bool = True,
        name: str | None = None,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__(
            _sizes(sizes, "sizes"), width, combine, weight,
            trainable=trainable, name=name, dtype=dtype, seed=seed,
        )  # fmt: skip

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each column."""
        return self._sizes

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the constructor, without the values of arrays."""
        return {"sizes": list(self._sizes), **self._common_options()}

    def _automatic_initializer(self) -> Initializer:
        return Normal()

    def _shown(self) -> list[str]:
        return self._shown_for("concatenate")


class PiecewiseLinear(TableLayer):
    """Piecewise-linear embedding of numbers that are positions between the edges of bins.

    Column j of the input has ``bins[j]`` bins.  A position is the number of a bin plus the
    fraction within it: from 0, the lowest edge, to ``bins[j]``, the highest; positions beyond are
    at these edges.  Each bin has a trainable vector W_k, and position u has the vector

        sum_k (2 min(max(u - k, 0), 1) - 1) W_k,

    which is continuous, and linear within each bin.  That is a dense layer without bias on the
    piecewise-linear encoding of the numbers; the layer looks up two rows of prefix sums for each
    number instead.

    Parameters
    ----------
    bins : int or sequence of int
        Number of bins of each column, at least 1 and at most 2**24; an integer is one column.
    width : int
        Width of a vector.
    combine : {"sum", "concatenate"}, default "sum"
        The sum of the vectors of all columns, (N, width), or the vectors side by
        side, (N, n_columns * width).
    weight : str, Initializer or (sum(bins), width) array_like, default "auto"
        Initial vectors, those of one column after those of another.  "auto" draws normal values
        for outputs of about unit variance: of variance 1 / sum(bins), or side by side
        1 / bins[j].
    trainable : bool, default True
        False freezes the vectors.
    name : str, optional
        Name of the layer.  A network names unnamed layers piecewise_linear_1,
        piecewise_linear_2...
    dtype : {"float32", "float64"}, default "float32"
        Dtype of calls on arrays; the dtype of a network replaces it.
    seed : int, optional
        Seed of the initial values.

    Notes
    -----
    Compute positions in float64: ``k = searchsorted(edges[1:-1], x, side="right")`` is the number
    of the bin, ``(x - edges[k]) / (edges[k + 1] - edges[k])`` the fraction within it.
    The derivative with respect to a position is 2 W_b within bin b, and 0 beyond the bins.
    The output for nan is nan.

    References
    ----------
    Gorishniy, Rubachev & Babenko (2022), "On embeddings for numerical features in tabular deep
    learning", arXiv:2203.05556; their encoding e is in [0, 1], here 2 e - 1.

    Examples
    --------
    >>> import fastnn as fnn
    >>> layer = fnn.PiecewiseLinear(2, 1, weight=[[1.0], [10.0]])
    >>> layer([[0.0], [0.5], [1.0], [1.75], [2.0]])
    array([[-11.],
           [-10.],
           [ -9.],
           [  6.],
           [ 11.]], dtype=float32)
    """

    kind = "piecewise_linear"
    operation = "piecewise_linear"

    def __init__(
        self,
        bins: Sizes,
        width: int,
        combine: str = "sum",
        *,
        weight: Initializer | Mapping[str, object] | ArrayLike = "auto",
        trainable: bool = True,
        name: str | None = None,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__(
            _sizes(bins, "bins"), width, combine, weight,
            trainable=trainable, name=name, dtype=dtype, seed=seed,
        )  # fmt: skip

    @property
    def bins(self) -> tuple[int, ...]:
        """Number of bins of each column."""
        return self._sizes

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the constructor, without the values of arrays."""
        return {"bins": list(self._sizes), **self._common_options()}

    def _automatic_initializer(self) -> Initializer:
        if self.combine == "sum":
            return Normal(sum(self._sizes) ** -0.5)
        return _UnitVariance(self._sizes)

    def _shown(self) -> list[str]:
        return self._shown_for("sum")


@dataclass(frozen=True)
class _UnitVariance(Initializer):
    """Normal values of variance 1 / size in the rows of a column."""

    name: ClassVar[str] = "unit_variance"
    sizes: tuple[int, ...]

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Initial values: a new float64 array of `shape`."""
        deviations = np.repeat(np.array(self.sizes) ** -0.5, self.sizes)
        return rng.normal(0.0, 1.0, shape) * deviations[:, None]


def _sizes(sizes: Sizes, name: str) -> tuple[int, ...]:
    """Sizes of columns as a tuple; errors name the column."""
    values = sizes.tolist() if isinstance(sizes, np.ndarray) else sizes
    if not isinstance(values, Sequence):
        return (check_integer(values, name, 1, _MOST_ROWS),)
    if not values:
        raise ValueError(f"{name} is empty, expected a number for each column of the input")
    return tuple(
        check_integer(size, f"{name}[{j}]", 1, _MOST_ROWS) for j, size in enumerate(values)
    )


def _shortened(sizes: tuple[int, ...]) -> str:
    """Sizes in the repr of a layer: one number, a list, or the first ones of many."""
    if len(sizes) == 1:
        return str(sizes[0])
    shown = ", ".join(map(str, sizes[:8]))
    return f"[{shown}, ...]" if len(sizes) > 8 else f"[{shown}]"
