"""Sources of rows that do not fit into memory: they are read in chunks, once in each epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastnn._shared.numbers import check_integer

__all__ = ["Chunk", "Chunks", "Source", "SourceError"]

BUFFER_ROWS = 1 << 16
"""Rows among which a row is shuffled, where the caller names no number."""


class SourceError(ValueError):
    """A source does not hold what it should; the message names the place."""


@dataclass(frozen=True)
class Chunk:
    """Some rows of a source.

    Attributes
    ----------
    X, y, sample_weight
        As `Network.fit` takes them.
    where : str
        The place in the source, for errors.
    columns : tuple of str, optional
        Names of the columns of X, for errors.
    """

    X: Any
    y: Any
    sample_weight: Any
    where: str
    columns: tuple[str, ...] = ()


class Source(ABC):
    """Rows that are read in chunks.

    Attributes
    ----------
    buffer_rows : int
        Rows among which a row is shuffled.
    n_rows : int or None
        Number of all rows, where it is known.
    """

    buffer_rows: int
    n_rows: int | None = None

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """The chunks of one pass, in the order of the source."""

    @abstractmethod
    def identity(self) -> str:
        """What a checkpoint compares of two sources."""


class Chunks(Source):
    """Chunks from a function or a sequence of the caller, as training data of `Network.fit`.

    Parameters
    ----------
    chunks : function or iterable
        A function without arguments that returns a new iterator over chunks for each epoch, or an
        object that can be iterated over again and again, such as a list.  Each chunk is (X, y) or
        (X, y, sample_weight), as `Network.fit` takes them, with rows of any number; their widths
        and dtypes must not differ.
    buffer_rows : int, default 65536
        The shuffle buffer: so many rows are in memory, and a row is shuffled among them.

    Raises
    ------
    TypeError, ValueError
        If `chunks` can be iterated over once only, or `buffer_rows` is less than 1.

    Examples
    --------
    >>> import numpy as np, fastnn as fnn
    >>> def chunks():
    ...     draw = np.random.default_rng(0)
    ...     for _ in range(10):
    ...         X = draw.normal(size=(100, 2))
    ...         yield X, X.sum(axis=1)
    >>> net = fnn.Sequential([fnn.Dense(2, 1)])
    >>> net.compile(loss="mean_squared_error", optimizer="adam")
    >>> net.fit(fnn.Chunks(chunks, buffer_rows=500), epochs=3).epochs
    3
    """

    def __init__(
        self,
        chunks: Callable[[], Iterable[Any]] | Iterable[Any],
        *,
        buffer_rows: int = BUFFER_ROWS,
    ) -> None:
        if not callable(chunks):
            if not isinstance(chunks, Iterable):
                raise TypeError(
                    "chunks must be a function that returns an iterator, or an iterable, got "
                    f"{type(chunks).__name__}"
                )
            if iter(chunks) is chunks:
                raise TypeError(
                    "chunks must be iterable again for each epoch, and an iterator is empty after "
                    "the first: pass the function that makes it"
                )
        self._make = chunks
        self.buffer_rows = check_integer(buffer_rows, "buffer_rows", 1)

    def chunks(self) -> Iterator[Chunk]:
        """The chunks of one pass; `SourceError` for one that is no tuple of arrays."""
        made = self._make() if callable(self._make) else self._make
        for i, chunk in enumerate(made):
            if not isinstance(chunk, (tuple, list)) or len(chunk) not in (2, 3):
                raise SourceError(
                    f"chunk {i} must be (X, y) or (X, y, sample_weight), got {type(chunk).__name__}"
                )
            X, y, *rest = chunk
            yield Chunk(X, y, rest[0] if rest else None, f"chunk {i}")

    def identity(self) -> str:
        """The buffer alone: the chunks of a function are not compared."""
        return f"chunks, buffer of {self.buffer_rows} rows"
