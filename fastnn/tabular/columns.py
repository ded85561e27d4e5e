"""Encoders of single columns: what a network gets for each kind of column.

Each encoder is fitted once and then a constant: it has numbers and text only, which the file of a
model holds as JSON.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from fastnn.tabular import stored
from fastnn.tabular.conversion import refuse_infinite
from fastnn.tabular.scaling import Scaled, Settings, rounded_scale
from fastnn.tabular.table import Booleans, Column, DataError, Numbers, Table, Texts, Times, listing

__all__ = [
    "CYCLES",
    "KINDS",
    "CategoryEncoder",
    "ColumnEncoder",
    "DateEncoder",
    "Encoded",
    "NumberEncoder",
    "Rows",
    "SignEncoder",
    "Unseen",
    "Write",
    "Writer",
    "codes_of",
    "fit_column",
    "with_common_scale",
]

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, eq=False)
class Encoded:
    """The rows of a table as arrays; the order of the columns is that of `TableEncoder`.

    Attributes
    ----------
    numbers : (N, d) array
        Scaled numbers, signs (-1, 1), indicators of missing values (0, 1) and parts of dates.
    positions : (N, q) array
        Position of a number among the bins of its column, in [0, bins]: the index of the bin plus
        the fraction within the bin.
    codes : (N, c) array of int32
        Index of a level for each category.  With K levels of the training, K stands for a missing
        value and K + 1 for every other level.
    unseen : dict of str to int
        For each category with such rows, the number of rows whose level is "other".
    """

    numbers: np.ndarray
    positions: np.ndarray
    codes: np.ndarray
    unseen: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class _Part:
    """What the encoders of a column have in common: the name, and an indicator of missing values.

    `names`, `bins` and `levels` say which columns of the arrays the encoder writes.
    """

    name: str
    indicates: bool

    kind: ClassVar[str]

    def _indicator(self) -> list[str]:
        return [f"{self.name} is missing"] if self.indicates else []


@dataclass(frozen=True)
class NumberEncoder(_Part):
    """A column of numbers."""

    scaled: Scaled
    kind = "number"

    @property
    def names(self) -> list[str]:
        """Names of the columns of `Encoded.numbers` that it writes."""
        return [self.name, *self._indicator()]

    @property
    def bins(self) -> list[tuple[str, int]]:
        """Name and number of bins of the column of `Encoded.positions` that it writes."""
        return [(self.name, self.scaled.bins)] if self.scaled.bins else []

    levels = 0

    def bind(self, table: Table, column: Numbers, unseen: Unseen) -> Write:
        """The function that writes the inputs of some rows of a column."""
        positions = self.scaled.bind_positions(len(column))

        def write(rows: Rows, out: Writer) -> None:
            values = column.values[rows]
            refuse_infinite(table, self.name, values, rows)
            out.numbers(self.scaled.apply(values))
            if self.indicates:
                out.numbers(np.isnan(values))
            if self.scaled.bins:
                out.positions(positions(values))

        return write

    def describe(self) -> str:
        """The transformation of the column as text."""
        return self.scaled.describe() + ", and whether it is missing" * self.indicates

    def to_state(self) -> dict[str, Any]:
        """The encoder as data for JSON, without its name."""
        return {"scaled": self.scaled.to_state()}

    @classmethod
    def from_state(cls, name: str, indicates: bool, state: Mapping[str, Any]) -> NumberEncoder:
        """The encoder from data that `to_state` has returned."""
        return cls(name, indicates, Scaled.from_state(state["scaled"]))


@dataclass(frozen=True)
class SignEncoder(_Part):
    """Truth values, or a category of two levels: -1 for the first, 1 for the second, otherwise 0.

    `texts` is empty for truth values.
    """

    texts: tuple[str, ...] = ()
    kind = "sign"
    bins: ClassVar[list[tuple[str, int]]] = []
    levels = 0

    @property
    def names(self) -> list[str]:
        """Names of the columns of `Encoded.numbers` that it writes."""
        name = f"{self.name} is {self.texts[1]}" if self.texts else self.name
        return [name, *self._indicator()]

    def bind(self, table: Table, column: Booleans | Texts, unseen: Unseen) -> Write:
        """The function that writes the inputs of some rows of a column."""
        if isinstance(column, Booleans):
            signs = np.array([-1, 1, 0], np.int8)[column.codes]
        else:
            codes = _known_codes(self.name, column, self.texts, unseen)
            signs = np.array([-1, 1, 0, 0], np.int8)[codes]

        def write(rows: Rows, out: Writer) -> None:
            out.numbers(signs[rows])
            if self.indicates:
                out.numbers(column.codes[rows] < 0)

        return write

    def describe(self) -> str:
        """The transformation of the column as text."""
        first, second = self.texts or ("false", "true")
        text = f"-1 for {first!r}, 1 for {second!r}" if self.texts else "-1 for false, 1 for true"
        return text + ", and whether it is missing" * self.indicates

    def to_state(self) -> dict[str, Any]:
        """The encoder as data for JSON, without its name."""
        return {"texts": list(self.texts)}

    @classmethod
    def from_state(cls, name: str, indicates: bool, state: Mapping[str, Any]) -> SignEncoder:
        """The encoder from data that `to_state` has returned."""
        texts = stored.different_texts(state["texts"])
        if len(texts) not in (0, 2):
            raise ValueError(f"a sign has {len(texts)} levels")
        return cls(name, indicates, texts)


@dataclass(frozen=True)
class CategoryEncoder(_Part):
    """A category: the index of its level; K is a missing value, K + 1 every other level."""

    texts: tuple[str, ...]
    kind = "category"
    names: ClassVar[list[str]] = []
    bins: ClassVar[list[tuple[str, int]]] = []

    @property
    def levels(self) -> int:
        """Number of different codes."""
        return len(self.texts) + 2

    def bind(self, table: Table, column: Texts, unseen: Unseen) -> Write:
        """The function that writes the codes of some rows of a column."""
        codes = _known_codes(self.name, column, self.texts, unseen)

        def write(rows: Rows, out: Writer) -> None:
            out.codes(codes[rows])

        return write

    def describe(self) -> str:
        """The transformation of the column as text."""
        missing = ", missing" * self.indicates
        return f"one of {len(self.texts)} levels: {listing(map(repr, self.texts), 6)}{missing}"

    def to_state(self) -> dict[str, Any]:
        """The encoder as data for JSON, without its name."""
        return {"texts": list(self.texts)}

    @classmethod
    def from_state(cls, name: str, indicates: bool, state: Mapping[str, Any]) -> CategoryEncoder:
        """The encoder from data that `to_state` has returned."""
        return cls(name, indicates, stored.different_texts(state["texts"]))


def codes_of(column: Texts, texts: Sequence[str]) -> tuple[np.ndarray, int]:
    """The index of each text (N,), and the number of rows whose text is not among `texts`."""
    index = {text: i for i, text in enumerate(texts)}
    other = len(texts) + 1
    table = [index.get(level.strip(), other) for level in column.levels.tolist()]
    codes = np.array([*table, len(texts)], np.int32)[column.codes]
    return codes, int(np.count_nonzero(codes == other))


def _known_codes(name: str, column: Texts, texts: Sequence[str], unseen: Unseen) -> np.ndarray:
    """`codes_of`; the number of rows with another text goes to `unseen`."""
    codes, n_other = codes_of(column, texts)
    if n_other:
        unseen[name] = n_other
    return codes


def _fit_category(
    column: Texts, name: str, settings: Settings, indicates: bool
) -> CategoryEncoder | SignEncoder:
    """The encoder of a category; levels in ascending order, so that rows may have any order."""
    counts: Counter[str] = Counter()
    for level, count in zip(column.levels.tolist(), column.counts().tolist(), strict=True):
        if count:
            counts[level.strip()] += count
    frequent = [level for level, count in counts.items() if count >= settings.min_rows]
    levels = sorted(frequent or counts)
    if len(levels) > settings.max_levels:
        levels = sorted(sorted(levels, key=lambda level: -counts[level])[: settings.max_levels])
    has_missing = bool(column.missing().any())
    if settings.signs and len(levels) == 2 and len(counts) == 2:
        return SignEncoder(name, indicates, tuple(levels))
    return CategoryEncoder(name, has_missing, tuple(levels))


CYCLES = {"month": 12, "weekday": 7, "hour": 24}
"""Parts of a date that repeat, and the number of steps of each."""


@dataclass(frozen=True)
class DateEncoder(_Part):
    """Dates: the days since 1970 as a number, and cyclic parts as sine and cosine."""

    scaled: Scaled
    cycles: tuple[str, ...]
    kind = "date"
    levels = 0

    @property
    def names(self) -> list[str]:
        """Names of the columns of `Encoded.numbers` that it writes."""
        parts = [f"{wave} of {self.name} {part}" for part in self.cycles for wave in ("sin", "cos")]
        return [f"{self.name} in days", *parts, *self._indicator()]

    @property
    def bins(self) -> list[tuple[str, int]]:
        """Name and number of bins of the column of `Encoded.positions` that it writes."""
        return [(f"{self.name} in days", self.scaled.bins)] if self.scaled.bins else []

    def bind(self, table: Table, column: Times, unseen: Unseen) -> Write:
        """The function that writes the inputs of some rows of a column."""
        positions = self.scaled.bind_positions(len(column))

        def write(rows: Rows, out: Writer) -> None:
            values = column.values[rows]
            days = _days(values)
            out.numbers(self.scaled.apply(days))
            for part in self.cycles:
                turn = _cyclic(values, part) * (2 * np.pi / CYCLES[part])
                for wave in (np.sin, np.cos):
                    out.numbers(np.nan_to_num(wave(turn), nan=0.0))
            if self.indicates:
                out.numbers(np.isnat(values))
            if self.scaled.bins:
                out.positions(positions(days))

        return write

    def describe(self) -> str:
        """The transformation of the column as text."""
        cycles = f", {', '.join(self.cycles)} as sine and cosine" if self.cycles else ""
        missing = ", and whether it is missing" * self.indicates
        return f"days: {self.scaled.describe()}{cycles}{missing}"

    def to_state(self) -> dict[str, Any]:
        """The encoder as data for JSON, without its name."""
        return {"scaled": self.scaled.to_state(), "cycles": list(self.cycles)}

    @classmethod
    def from_state(cls, name: str, indicates: bool, state: Mapping[str, Any]) -> DateEncoder:
        """The encoder from data that `to_state` has returned."""
        cycles = stored.different_texts(state["cycles"])
        if not set(cycles) <= set(CYCLES):
            raise ValueError(f"{cycles!r:.60} are no cycles of a date")
        return cls(name, indicates, Scaled.from_state(state["scaled"]), cycles)


def _days(values: np.ndarray) -> np.ndarray:
    """Days since 1970 in float64; nan for NaT."""
    days: np.ndarray = (values - np.datetime64(0, "us")) / _DAY
    return days


def _cyclic(values: np.ndarray, part: str) -> np.ndarray:
    """The month from 0, the day of the week from Monday as 0, or the hour; nan for NaT."""
    if part == "month":
        months = values.astype("datetime64[M]")
        result = (months - months.astype("datetime64[Y]")) / np.timedelta64(1, "M")
    elif part == "weekday":
        result = ((values.astype("datetime64[D]") - np.datetime64("1969-12-29")) / _DAY) % 7
    else:
        result = (values - values.astype("datetime64[D]")) / np.timedelta64(1, "h")
    cyclic: np.ndarray = result
    return cyclic


def _cycles(values: np.ndarray) -> tuple[str, ...]:
    """The cyclic parts of times (N,) that vary."""
    parts = {part: _cyclic(values, part) for part in CYCLES}
    return tuple(part for part, cyclic in parts.items() if (cyclic != cyclic[:1]).any())


ColumnEncoder = NumberEncoder | SignEncoder | CategoryEncoder | DateEncoder

KINDS: dict[str, Any] = {
    kind.kind: kind for kind in (NumberEncoder, SignEncoder, CategoryEncoder, DateEncoder)
}


class Writer:
    """Some rows of the arrays that encoders fill from the left, one column at a time."""

    def __init__(self, encoded: Encoded, rows: slice) -> None:
        self._encoded = encoded
        self._rows = rows
        self._next = {"numbers": 0, "positions": 0, "codes": 0}

    def _add(self, name: str, values: np.ndarray) -> None:
        getattr(self._encoded, name)[self._rows, self._next[name]] = values
        self._next[name] += 1

    def numbers(self, values: np.ndarray) -> None:
        """Write the next column of numbers."""
        self._add("numbers", values)

    def positions(self, values: np.ndarray) -> None:
        """Write the next column of positions."""
        self._add("positions", values)

    def codes(self, values: np.ndarray) -> None:
        """Write the next column of codes."""
        self._add("codes", values)


Rows = np.ndarray | slice
"""Rows of a table: their indices, or a slice with a start and a stop."""

Write = Callable[[Rows, Writer], None]
"""Writes the inputs of some rows of a column."""

Unseen = dict[str, int]
"""For each category with such rows, the number of rows whose level is "other"."""


def with_common_scale(columns: list[ColumnEncoder]) -> list[ColumnEncoder]:
    """The encoders, with the mean and deviation of all numbers together; columns of one length."""
    of_numbers = [column.scaled for column in columns if isinstance(column, NumberEncoder)]
    if not of_numbers:
        return columns
    means, deviations = np.array([(scaled.center, scaled.scale) for scaled in of_numbers]).T
    pooled = math.sqrt(float(np.mean(deviations**2) + means.var()))
    center, scale = rounded_scale(float(means.mean()), pooled)
    return [
        replace(column, scaled=replace(column.scaled, center=center, scale=scale))
        if isinstance(column, NumberEncoder)
        else column
        for column in columns
    ]


def fit_column(
    table: Table, name: str, column: Column, settings: Settings, indicates: bool
) -> ColumnEncoder:
    """The encoder of a column.

    Parameters
    ----------
    table : Table
        For the messages of errors.
    name : str
    column : Numbers, Booleans, Texts or Times
    settings : Settings
    indicates : bool
        Whether an input tells where the column is missing.

    Raises
    ------
    DataError
        If a number is infinite, or the numbers are too large to scale.
    """
    if isinstance(column, Texts):
        return _fit_category(column, name, settings, indicates)
    if isinstance(column, Booleans):
        return SignEncoder(name, indicates)
    missing = column.missing()
    present = column.take(~missing) if missing.any() else column
    if isinstance(present, Numbers):
        refuse_infinite(table, name, column.to_numpy())
        return NumberEncoder(name, indicates, _fit_scaled(table, name, present.values, settings))
    days = _fit_scaled(table, name, _days(present.values), settings)
    return DateEncoder(name, indicates, days, _cycles(present.values))


def _fit_scaled(table: Table, name: str, values: np.ndarray, settings: Settings) -> Scaled:
    try:
        return Scaled.fit(values, settings)
    except OverflowError as error:
        raise DataError(f"{table.name}, column {name!r}: {error}") from error
