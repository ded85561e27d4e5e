"""Models of tables as `fastnn.formats` writes them: columns, steps, networks, and rows to test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.formats._program import read
from fastnn.formats.c.tables import Bag, Column, Number, Probabilities, Step, TableModel
from fastnn.tabular.columns import (
    CYCLES,
    CategoryEncoder,
    ColumnEncoder,
    DateEncoder,
    NumberEncoder,
    SignEncoder,
)
from fastnn.tabular.dense import DenseLearner
from fastnn.tabular.frames import as_table
from fastnn.tabular.learner import Learner
from fastnn.tabular.objectives import Classification
from fastnn.tabular.scaling import Scaled

__all__ = ["table_model"]

_N_ROWS = 8
_SEED = 1234
_MISSING = 0.15
"""Share of missing values in the rows of the self-test."""


def table_model(learner: DenseLearner | Learner, classes: Sequence[Any]) -> TableModel:
    """What a format writes of a learner.

    Parameters
    ----------
    learner : DenseLearner or Learner
    classes : sequence
        The classes in the order of the probabilities; empty for regression.

    Raises
    ------
    ValueError
        If a parameter is not finite.
    """
    encoders = learner.encoder.columns
    labels = tuple(map(str, classes))
    rows = _rows(encoders)
    expected = _expected(learner, rows, bool(labels))
    if isinstance(learner, DenseLearner):
        steps = tuple(step for i, column in enumerate(encoders) for step in _dense(i, column))
        places = None
        bags: tuple[Bag, ...] = (Bag(1.0, 1.0, [read(learner.network, "C")]),)
        units = learner.preprocessor
        number = Number(units.target_scale, units.target_mean)
    else:
        parts = _apart(encoders)
        steps = tuple(step for part in parts.values() for step in part)
        starts = itertools.accumulate(map(len, parts.values()), initial=0)
        places = dict(zip(parts, starts, strict=False))
        blend = learner.blend
        bags = tuple(
            Bag(weight, bag.factor, [read(network, "C") for network in bag.networks])
            for bag, weight in zip(blend.bags, blend.weights, strict=True)
        )
        number = _number(blend.objective)
    result = Probabilities(labels) if labels else number
    columns = tuple(map(_column, encoders))
    return TableModel(columns, steps, places, bags, result, rows, expected)


def _number(objective: Any) -> Number:
    """The result of a regression; of a classification, one that is not used."""
    if isinstance(objective, Classification):
        return Number(1.0, 0.0)
    top = None
    if objective.name == "poisson":
        top = math.log(objective.high / objective.scale)
    return Number(
        objective.scale, objective.centre, objective.low, objective.high, top, objective.n_outputs
    )


def _column(encoder: ColumnEncoder) -> Column:
    """A column as rows of C have it."""
    if isinstance(encoder, DateEncoder):
        return Column(encoder.name, "days since 1970-01-01")
    if isinstance(encoder, NumberEncoder):
        return Column(encoder.name, "a number")
    if encoder.texts:
        return Column(encoder.name, "one of its levels", encoder.texts)
    return Column(encoder.name, "0 for false, 1 for true")


# -------------------------------------------------------------------------- steps


def _dense(i: int, encoder: ColumnEncoder) -> Iterator[Step]:
    """The inputs of a dense network for one column: as numbers, or one for each level."""
    if isinstance(encoder, CategoryEncoder):
        n = len(encoder.texts)
        yield Step(i, "one_hot", (n,), width=n + encoder.indicates)
    else:
        yield from _numbers(i, encoder)


def _apart(encoders: Sequence[ColumnEncoder]) -> dict[str, list[Step]]:
    """The inputs of networks with embeddings, by the names of `construction.build`."""
    numbers: list[Step] = []
    positions: list[Step] = []
    codes: list[Step] = []
    for i, encoder in enumerate(encoders):
        numbers += _numbers(i, encoder)
        if isinstance(encoder, NumberEncoder | DateEncoder) and encoder.scaled.bins:
            positions.append(
                Step(i, "position", (encoder.scaled.center,), edges=encoder.scaled.edges)
            )
        if isinstance(encoder, CategoryEncoder):
            codes.append(Step(i, "code", (len(encoder.texts),)))
    return {"numbers": numbers, "positions": positions, "codes": codes}


def _numbers(i: int, encoder: ColumnEncoder) -> Iterator[Step]:
    """What an encoder writes to the array of numbers."""
    if isinstance(encoder, CategoryEncoder):
        return
    if isinstance(encoder, SignEncoder):
        yield Step(i, "sign" if encoder.texts else "truth")
    else:
        yield _scaled(i, encoder.scaled)
    if isinstance(encoder, DateEncoder):
        for part in encoder.cycles:
            yield Step(i, "sine", (CYCLES[part],))
            yield Step(i, "cosine", (CYCLES[part],))
    if encoder.indicates:
        yield Step(i, "missing")


def _scaled(i: int, scaled: Scaled) -> Step:
    if scaled.scale == 0:
        return Step(i, "nothing")
    return Step(i, "clipped" if scaled.clips else "scaled", (scaled.center, scaled.scale))


# --------------------------------------------------------------------------- rows


def _rows(encoders: Sequence[ColumnEncoder]) -> np.ndarray:
    """Rows of C (N, n_columns) that resemble those of the training, with missing values."""
    rng = np.random.default_rng(_SEED)
    rows = np.empty((_N_ROWS, len(encoders)))
    for i, encoder in enumerate(encoders):
        if isinstance(encoder, NumberEncoder | DateEncoder):
            scaled = encoder.scaled
            rows[:, i] = scaled.center + scaled.scale * rng.standard_normal(_N_ROWS)
            if isinstance(encoder, DateEncoder):
                rows[:, i] = np.round(rows[:, i] * 24) / 24
        else:
            levels = len(encoder.texts) + 1 if encoder.texts else 2
            rows[:, i] = rng.integers(0, levels, _N_ROWS)
    rows[rng.random(rows.shape) < _MISSING] = np.nan
    return rows


def _expected(learner: DenseLearner | Learner, rows: np.ndarray, is_class: bool) -> np.ndarray:
    """What a learner predicts for rows of C."""
    values = {
        encoder.name: _values(encoder, rows[:, i])
        for i, encoder in enumerate(learner.encoder.columns)
    }
    outputs, _ = learner.apply(as_table(values))
    return learner.probabilities(outputs) if is_class else learner.numbers(outputs)


def _values(encoder: ColumnEncoder, numbers: np.ndarray) -> Any:
    """A column of rows of C as a column of a table."""
    if isinstance(encoder, NumberEncoder):
        return numbers
    missing = np.isnan(numbers)
    if isinstance(encoder, DateEncoder):
        hours = np.round(np.nan_to_num(numbers) * 24).astype("timedelta64[h]")
        return np.where(missing, np.datetime64("NaT"), np.datetime64(0, "h") + hours)
    if not encoder.texts:
        return numbers
    other = max(encoder.texts, key=len) + "?"
    texts = [*encoder.texts, other]
    return [None if gone else texts[int(n)] for n, gone in zip(numbers, missing, strict=True)]
