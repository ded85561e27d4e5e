"""From the columns of a table to three arrays: numbers, positions in bins, and codes of categories.

`TableEncoder` has one encoder for each column that a network learns from.  Each is fitted once and
then a constant: it has numbers and text only, which the file of a model holds as JSON.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from fastnn._shared.numbers import check_choice, check_integer
from fastnn.tabular import stored
from fastnn.tabular.conversion import refuse_infinite
from fastnn.tabular.quantiles import edges_of, median_and_scale, positions
from fastnn.tabular.roles import Decision, Decisions
from fastnn.tabular.table import Booleans, DataError, Numbers, Table, Texts, Times, listing

__all__ = ["SCALINGS", "Encoded", "Settings", "TableEncoder"]

SCALINGS = ("robust", "columns", "common", "none")
"""Values of the parameter `scaling`."""

_RELATIVE_ROUNDING = 1e-14  # a smaller standard deviation, relative to the mean, is rounding error
_CLIP = 3.0
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Settings:
    """What the encoders of all columns have in common.

    Parameters
    ----------
    bins : int, default 16
        Largest number of bins of a column of numbers; 0 for no positions.
    scaling : {"robust", "columns", "common", "none"}, default "robust"
        "robust": ``(x - median) / IQR`` with a smooth clip.  "columns": ``(x - mean) / deviation``.
        "common": the same with one mean and one deviation for all columns.  "none": no change.
    min_rows : int, default 2
        A level of a category that occurs in fewer rows is rare, and becomes the level "other".
    max_levels : int, default 10_000
        Largest number of levels of a category; the less frequent ones become "other" as well.
    signs : bool, default True
        Whether a category of two levels is one number, -1 or 1.
    """

    bins: int = 16
    scaling: str = "robust"
    min_rows: int = 2
    max_levels: int = 10_000
    signs: bool = True

    def __post_init__(self) -> None:
        check_integer(self.bins, "bins", 0, 10_000)
        check_choice(self.scaling, "scaling", SCALINGS)
        check_integer(self.min_rows, "min_rows", 1)
        check_integer(self.max_levels, "max_levels", 1)


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


# ---------------------------------------------------------------- single columns


@dataclass(frozen=True)
class Scaled:
    """A linear transformation of numbers, with or without a smooth clip, and their bins.

    With a clip, t = (x - center) / scale becomes t / sqrt(1 + (t / 3)**2), which is near t for
    small t and below 3 for all t.  A scale of 0 stands for a column without spread: 0.
    """

    center: float
    scale: float
    clips: bool = True
    edges: tuple[float, ...] = ()

    @classmethod
    def fit(cls, values: np.ndarray, settings: Settings) -> Scaled:
        """The transformation of finite numbers (N,) in float64.

        Raises
        ------
        OverflowError
            If their range or their deviation is not finite in float64.
        """
        if not len(values):
            return cls(0.0, 0.0)
        is_robust = settings.scaling == "robust"
        ordered = np.sort(values) if is_robust or settings.bins else values
        with np.errstate(over="ignore", invalid="ignore"):
            width = float(ordered[-1]) - float(ordered[0])
            if is_robust:
                center, scale = median_and_scale(ordered)
            else:
                center, scale = _mean_and_deviation(values, settings.scaling)
        if not (math.isfinite(width) and math.isfinite(center) and math.isfinite(scale)):
            raise OverflowError("the numbers are too large to scale")
        return cls(center, scale, is_robust, edges_of(ordered, settings.bins))

    @property
    def bins(self) -> int:
        """Number of bins; 0 where there are no positions."""
        return max(len(self.edges) - 1, 0)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The transformed numbers (N,) in float64; 0 for nan."""
        if self.scale == 0:
            return np.zeros(len(values))
        with np.errstate(over="ignore"):
            t = (values - self.center) / self.scale
        if self.clips:
            t /= _CLIP
            np.clip(t, -1e8, 1e8, out=t)  # beyond, the result is 3 in float64, and t * t overflows
            t *= _CLIP / np.sqrt(1 + t * t)
        return np.nan_to_num(t, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)

    def positions(self, values: np.ndarray) -> np.ndarray:
        """The positions (N,) in float64; that of the center for nan."""
        return positions(values, np.array(self.edges), self.center)

    def describe(self) -> str:
        """The transformation as text."""
        if self.scale == 0:
            return "0"
        text = f"(x - {self.center:.6g}) / {self.scale:.6g}"
        if self.center == 0 and self.scale == 1:
            text = "x"
        text += ", clipped" * self.clips
        return text + (f", and a position in {self.bins} bins" if self.bins else "")

    def to_state(self) -> dict[str, Any]:
        """The transformation as data for JSON."""
        return {
            "center": self.center,
            "scale": self.scale,
            "clips": self.clips,
            "edges": list(self.edges),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Scaled:
        """The transformation from data that `to_state` has returned."""
        edges = state["edges"]
        scale = stored.finite(state["scale"])
        if scale < 0:
            raise ValueError(f"the scale {scale} is negative")
        if edges and len(edges) < 3:
            raise ValueError("a column has one bin")
        return cls(
            stored.finite(state["center"]),
            scale,
            stored.flag(state["clips"]),
            tuple(map(float, stored.ascending(edges, int | float))) if edges else (),
        )


def _mean_and_deviation(values: np.ndarray, scaling: str) -> tuple[float, float]:
    if scaling == "none":
        return 0.0, 1.0
    mean, deviation = float(values.mean()), float(values.std())
    return (mean, deviation) if scaling == "common" else rounded_scale(mean, deviation)


def _fit_scaled(table: Table, name: str, values: np.ndarray, settings: Settings) -> Scaled:
    try:
        return Scaled.fit(values, settings)
    except OverflowError as error:
        raise DataError(f"{table.name}, column {name!r}: {error}") from error


def rounded_scale(mean: float, deviation: float) -> tuple[float, float]:
    """Mean and scale of a column; the scale of a constant column is 1.

    The standard deviation of a constant is not always 0, because its mean is rounded.
    """
    return mean, deviation if not deviation <= _RELATIVE_ROUNDING * abs(mean) else 1.0


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
        return [self.name, *self._indicator()]

    @property
    def bins(self) -> list[tuple[str, int]]:
        return [(self.name, self.scaled.bins)] if self.scaled.bins else []

    levels = 0

    def write(self, table: Table, column: Numbers, out: _Target) -> None:
        """Write the inputs of a column."""
        refuse_infinite(table, self.name, column.values)
        out.numbers(self.scaled.apply(column.values))
        if self.indicates:
            out.numbers(column.missing())
        if self.scaled.bins:
            out.positions(self.scaled.positions(column.values))

    def describe(self) -> str:
        """The transformation of the column as text."""
        return self.scaled.describe() + ", and whether it is missing" * self.indicates

    def to_state(self) -> dict[str, Any]:
        return {"scaled": self.scaled.to_state()}

    @classmethod
    def from_state(cls, name: str, indicates: bool, state: Mapping[str, Any]) -> NumberEncoder:
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
        name = f"{self.name} is {self.texts[1]}" if self.texts else self.name
        return [name, *self._indicator()]

    def write(self, table: Table, column: Booleans | Texts, out: _Target) -> None:
        """Write the inputs of a column."""
        if isinstance(column, Booleans):
            signs = np.array([-1, 1, 0], np.int8)[column.codes]
        else:
            codes, n_other = _codes(column, self.texts)
            signs = np.array([-1, 1, 0, 0], np.int8)[codes]
            out.count_unseen(self.name, n_other)
        out.numbers(signs)
        if self.indicates:
            out.numbers(column.missing())

    def describe(self) -> str:
        """The transformation of the column as text."""
        first, second = self.texts or ("false", "true")
        text = f"-1 for {first!r}, 1 for {second!r}" if self.texts else "-1 for false, 1 for true"
        return text + ", and whether it is missing" * self.indicates

    def to_state(self) -> dict[str, Any]:
        return {"texts": list(self.texts)}

    @classmethod
    def from_state(cls, name: str, indicates: bool, state: Mapping[str, Any]) -> SignEncoder:
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

    def write(self, table: Table, column: Texts, out: _Target) -> None:
        """Write the codes of a column."""
        codes, n_other = _codes(column, self.texts)
        out.codes(codes)
        out.count_unseen(self.name, n_other)

    def describe(self) -> str:
        """The transformation of the column as text."""
        missing = ", missing" * self.indicates
        return f"one of {len(self.texts)} levels: {listing(map(repr, self.texts), 6)}{missing}"

    def to_state(self) -> dict[str, Any]:
        return {"texts": list(self.texts)}

    @classmethod
    def from_state(cls, name: str, indicates: bool, state: Mapping[str, Any]) -> CategoryEncoder:
        return cls(name, indicates, stored.different_texts(state["texts"]))


def _codes(column: Texts, texts: Sequence[str]) -> tuple[np.ndarray, int]:
    """The index of each text (N,), and the number of rows whose text is not among `texts`."""
    index = {text: i for i, text in enumerate(texts)}
    other = len(texts) + 1
    table = [index.get(level.strip(), other) for level in column.levels.tolist()]
    codes = np.array([*table, len(texts)], np.int32)[column.codes]
    return codes, int(np.count_nonzero(codes == other))


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


_CYCLES = {"month": 12, "weekday": 7, "hour": 24}


@dataclass(frozen=True)
class DateEncoder(_Part):
    """Dates: the days since 1970 as a number, and cyclic parts as sine and cosine."""

    scaled: Scaled
    cycles: tuple[str, ...]
    kind = "date"
    levels = 0

    @property
    def names(self) -> list[str]:
        parts = [f"{wave} of {self.name} {part}" for part in self.cycles for wave in ("sin", "cos")]
        return [f"{self.name} in days", *parts, *self._indicator()]

    @property
    def bins(self) -> list[tuple[str, int]]:
        return [(f"{self.name} in days", self.scaled.bins)] if self.scaled.bins else []

    def write(self, table: Table, column: Times, out: _Target) -> None:
        """Write the inputs of a column."""
        days = _days(column.values)
        out.numbers(self.scaled.apply(days))
        for part in self.cycles:
            turn = _cyclic(column.values, part) * (2 * np.pi / _CYCLES[part])
            for wave in (np.sin, np.cos):
                out.numbers(np.nan_to_num(wave(turn), nan=0.0))
        if self.indicates:
            out.numbers(column.missing())
        if self.scaled.bins:
            out.positions(self.scaled.positions(days))

    def describe(self) -> str:
        """The transformation of the column as text."""
        cycles = f", {', '.join(self.cycles)} as sine and cosine" if self.cycles else ""
        missing = ", and whether it is missing" * self.indicates
        return f"days: {self.scaled.describe()}{cycles}{missing}"

    def to_state(self) -> dict[str, Any]:
        return {"scaled": self.scaled.to_state(), "cycles": list(self.cycles)}

    @classmethod
    def from_state(cls, name: str, indicates: bool, state: Mapping[str, Any]) -> DateEncoder:
        cycles = stored.different_texts(state["cycles"])
        if not set(cycles) <= set(_CYCLES):
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
    parts = {part: _cyclic(values, part) for part in _CYCLES}
    return tuple(part for part, cyclic in parts.items() if (cyclic != cyclic[:1]).any())


ColumnEncoder = NumberEncoder | SignEncoder | CategoryEncoder | DateEncoder

_KINDS: dict[str, Any] = {
    kind.kind: kind for kind in (NumberEncoder, SignEncoder, CategoryEncoder, DateEncoder)
}


class _Target:
    """The arrays that encoders fill from the left, one column at a time."""

    def __init__(self, encoded: Encoded) -> None:
        self._encoded = encoded
        self._next = {"numbers": 0, "positions": 0, "codes": 0}

    def _add(self, name: str, values: np.ndarray) -> None:
        getattr(self._encoded, name)[:, self._next[name]] = values
        self._next[name] += 1

    def numbers(self, values: np.ndarray) -> None:
        self._add("numbers", values)

    def positions(self, values: np.ndarray) -> None:
        self._add("positions", values)

    def codes(self, values: np.ndarray) -> None:
        self._add("codes", values)

    def count_unseen(self, name: str, count: int) -> None:
        if count:
            self._encoded.unseen[name] = count


def _with_common_scale(columns: list[ColumnEncoder]) -> list[ColumnEncoder]:
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


# ---------------------------------------------------------------------- tables


class TableEncoder:
    """Encoders for all columns of a table that a network learns from.

    Parameters
    ----------
    decisions : Decisions
        Roles of the columns, from `decide`.
    settings : Settings, optional
    **options
        Parameters of `Settings`, such as ``bins=48``, instead of `settings`.

    Attributes
    ----------
    columns : tuple of encoders
        One for each column that is used, after `fit`.

    Notes
    -----
    Scaling: Holzmueller, Grinsztajn & Steinwart (2024), "Better by default: strong pre-tuned MLPs
    and boosted trees on tabular data".  Bins: Gorishniy, Rubachev & Babenko (2022), "On embeddings
    for numerical features in tabular deep learning"; edges that equal values make coincide are
    spent on the other rows.
    """

    def __init__(
        self, decisions: Decisions, settings: Settings | None = None, **options: Any
    ) -> None:
        if settings is not None and options:
            raise TypeError("settings and its parameters exclude each other")
        self.decisions = decisions
        self.settings = Settings(**options) if settings is None else settings
        self.columns: tuple[ColumnEncoder, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TableEncoder):
            return NotImplemented
        return (self.decisions, self.columns) == (other.decisions, other.columns)

    __hash__ = None  # type: ignore[assignment]

    def fit(self, table: Table) -> TableEncoder:
        """Fit the encoders to a table, and return this object.

        Raises
        ------
        DataError
            If a column is absent or does not fit its role, or a number is infinite or too large;
            the message names the column or the cell.
        """
        used = table.select(self.decisions.names)
        masks: set[bytes] = set()
        columns = [self._fit_column(used, decision, masks) for decision in self.decisions.used]
        if self.settings.scaling == "common":
            columns = _with_common_scale(columns)
        self.columns = tuple(columns)
        return self

    def _fit_column(self, table: Table, decision: Decision, masks: set[bytes]) -> ColumnEncoder:
        """The encoder of one column; `masks` has the missing values of the columns before it."""
        column = decision.convert(table)
        name, settings = decision.column, self.settings
        missing = column.missing()
        mask = np.packbits(missing).tobytes()
        is_often = settings.min_rows <= int(missing.sum()) < len(missing)
        indicates = is_often and mask not in masks
        masks.add(mask)
        if isinstance(column, Texts):
            return _fit_category(column, name, settings, indicates)
        if isinstance(column, Booleans):
            return SignEncoder(name, indicates)
        present = column.take(~missing) if missing.any() else column
        if isinstance(present, Numbers):
            refuse_infinite(table, name, column.to_numpy())
            return NumberEncoder(
                name, indicates, _fit_scaled(table, name, present.values, settings)
            )
        days = _fit_scaled(table, name, _days(present.values), settings)
        return DateEncoder(name, indicates, days, _cycles(present.values))

    # ------------------------------------------------------------------ shapes

    @property
    def number_names(self) -> list[str]:
        """Names of the d columns of `Encoded.numbers`."""
        return [name for column in self.columns for name in column.names]

    @property
    def position_names(self) -> list[str]:
        """Names of the q columns of `Encoded.positions`, which are among `number_names`."""
        return [name for column in self.columns for name, _ in column.bins]

    @property
    def bins(self) -> tuple[int, ...]:
        """Number of bins of each column of `Encoded.positions`."""
        return tuple(bins for column in self.columns for _, bins in column.bins)

    @property
    def code_names(self) -> list[str]:
        """Names of the c columns of `Encoded.codes`."""
        return [column.name for column in self.columns if column.levels]

    @property
    def levels(self) -> tuple[int, ...]:
        """Number of codes of each column of `Encoded.codes`: its levels, missing, and other."""
        return tuple(column.levels for column in self.columns if column.levels)

    # ------------------------------------------------------------- application

    def transform(self, table: Table, dtype: DTypeLike = np.float32) -> Encoded:
        """The rows of a table as arrays.

        Parameters
        ----------
        table : Table
            The columns may have any order; columns that no encoder needs are ignored.
        dtype : dtype, default float32
            Of `numbers` and `positions`.

        Raises
        ------
        DataError
            If a column is absent or does not fit its role, or a number is infinite; the message
            names the column or the cell.
        """
        used = table.select(self.decisions.names)
        n = len(table)
        encoded = Encoded(
            np.empty((n, sum(len(column.names) for column in self.columns)), dtype),
            np.empty((n, sum(len(column.bins) for column in self.columns)), dtype),
            np.empty((n, len(self.code_names)), np.int32),
        )
        target = _Target(encoded)
        for decision, column in zip(self.decisions.used, self.columns, strict=True):
            column.write(used, decision.convert(used), target)  # type: ignore[arg-type]
        return encoded

    def unseen(self, table: Table) -> dict[str, int]:
        """For each category with such rows, the number of rows whose level is "other"."""
        counts = {}
        for decision, column in zip(self.decisions.used, self.columns, strict=True):
            texts = getattr(column, "texts", ())
            if texts:
                values = decision.convert(table)
                assert isinstance(values, Texts)
                _, count = _codes(values, texts)
                if count:
                    counts[decision.column] = count
        return counts

    def describe(self) -> list[tuple[str, str]]:
        """The name and the transformation of each column."""
        return [(column.name, column.describe()) for column in self.columns]

    # ------------------------------------------------------------------- files

    def to_state(self) -> dict[str, Any]:
        """The encoder as data for JSON; `from_state` makes an equal encoder from them."""
        return {
            "decisions": self.decisions.to_state(),
            "columns": [
                {
                    "kind": column.kind,
                    "name": column.name,
                    "indicates": column.indicates,
                    **column.to_state(),
                }
                for column in self.columns
            ],
        }

    @classmethod
    def from_state(cls, state: Any) -> TableEncoder:
        """An encoder from data that `to_state` has returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the data do not describe an encoder.
        """
        encoder = cls(Decisions.from_state(state["decisions"]))
        columns = []
        for entry in state["columns"]:
            if entry["kind"] not in _KINDS:
                raise ValueError(f"{entry['kind']!r:.60} is no kind of encoder")
            kind = _KINDS[entry["kind"]]
            columns.append(
                kind.from_state(stored.text(entry["name"]), stored.flag(entry["indicates"]), entry)
            )
        if [column.name for column in columns] != encoder.decisions.names:
            raise ValueError("the encoders are not those of the columns")
        for decision, column in zip(encoder.decisions.used, columns, strict=True):
            if column.kind not in _ENCODERS_OF[decision.role]:
                raise ValueError(f"{decision.column!r:.60} has another encoder than its role")
        encoder.columns = tuple(columns)
        return encoder


_ENCODERS_OF = {
    "number": ("number",),
    "boolean": ("sign",),
    "category": ("category", "sign"),
    "date": ("date",),
}
