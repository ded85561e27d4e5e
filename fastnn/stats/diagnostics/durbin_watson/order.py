"""The order of the observations of a regression, from the argument `order_by`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn._shared.arrays import as_real
from fastnn._shared.warnings import warn
from fastnn.stats.regression.inputs import is_table


def order_of(
    order_by: object, design: np.ndarray, names: Sequence[str], table: object = None
) -> np.ndarray:
    """Indices that sort the rows of a design.

    Parameters
    ----------
    order_by : (n,) array_like or str
        Numbers or times, or the name of a column of the design or of the table.
    design : (n, p) array
    names : sequence of str
        Names of the columns of the design.
    table : DataFrame, optional
        Table that the design was read from.

    Returns
    -------
    (n,) array of int

    Raises
    ------
    TypeError, ValueError
        If `order_by` names no column, has another length, or holds missing values.

    Warns
    -----
    UserWarning
        If several rows have the same key.
    """
    keys = _keys(order_by, design, names, table)
    if keys.shape != (len(design),):
        raise ValueError(f"order_by must have shape ({len(design)},), got {keys.shape}")
    if np.isnat(keys).any() if keys.dtype.kind in "mM" else np.isnan(keys).any():
        raise ValueError("order_by must not hold missing values")
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    ties = int(np.sum(ordered[1:] == ordered[:-1]))
    if ties:
        warn(
            f"order_by has {ties} ties; tied rows keep the order of the data, and the statistic "
            "depends on that order"
        )
    return order


def _keys(order_by: Any, design: np.ndarray, names: Sequence[str], table: Any) -> np.ndarray:
    """Numbers or times to sort by."""
    if isinstance(order_by, str):
        if is_table(table) and order_by in list(table.columns):
            order_by = table[order_by]
        elif order_by in names:
            order_by = design[:, list(names).index(order_by)]
        else:
            raise ValueError(
                f"order_by must be an array or name one of {', '.join(names)}, got {order_by!r}"
            )
    order_by = _without_zone(order_by)
    keys = np.asarray(order_by)
    return keys if keys.dtype.kind in "mM" else as_real(order_by, "order_by")


def _without_zone(times: Any) -> Any:
    """Periods and times with a time zone as times of NumPy; other values unchanged."""
    dtype, accessor = getattr(times, "dtype", None), getattr(times, "dt", times)  # of a Series
    if hasattr(dtype, "freq"):
        return accessor.to_timestamp()
    if getattr(dtype, "tz", None) is not None:
        return accessor.tz_convert(None)
    return times
