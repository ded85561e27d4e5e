"""Times as whole numbers of steps, from the argument `time`.

Numbers are measured in their smallest difference.  Dates are measured in calendar months where all
of them have the same place in their month, otherwise in days, and in seconds where the time of day
varies.  Successive quarters are then three months apart, although their days differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn._shared.arrays import as_real

_WHOLE = 1e-6  # largest distance of a number of steps from an integer
_SATURDAY = 5  # weekdays are counted from Monday
_THURSDAY = 3  # of the first of January 1970
_MONTH, _DAY = np.timedelta64(1, "M"), np.timedelta64(1, "D")
_MIXED = "time must have one kind of values, numbers or dates"


def steps_of(time: Any, codes: np.ndarray) -> np.ndarray:
    """Times as whole numbers of the smallest difference within a group.

    Parameters
    ----------
    time : (n,) array_like
        Numbers, periods, dates or times.
    codes : (n,) array of int
        Number of the group of each row.

    Returns
    -------
    (n,) array of int

    Raises
    ------
    TypeError, ValueError
        If times are neither, are missing, are equal within a group, or are not whole multiples of
        their smallest difference.
    """
    values = _numbers(time)
    if values.shape != codes.shape:
        raise ValueError(f"time must have shape {codes.shape}, got {values.shape}")
    values = values - values.min()
    order = np.lexsort((values, codes))
    within = np.diff(values[order])[np.diff(codes[order]) == 0]
    if not len(within):
        raise ValueError("no group has two rows: there are no differences")
    if within.min() == 0:
        raise ValueError("time has equal values within a group, expected one row for each time")
    steps = values / within.min()
    whole = np.rint(steps)
    if np.abs(steps - whole).max() > _WHOLE:
        raise ValueError(
            f"time must be whole multiples of its smallest difference, {within.min():g}; "
            "number the periods 0, 1, 2, ..."
        )
    return whole.astype(int)


def _numbers(time: Any) -> np.ndarray:
    """Times as numbers: as they are, or in the unit of the calendar."""
    dtype, accessor = getattr(time, "dtype", None), getattr(time, "dt", time)  # of a Series
    if hasattr(dtype, "freq"):  # periods
        if np.asarray(time.isna()).any():
            raise ValueError("time must not hold missing values")
        ordinals = time.astype("int64") if hasattr(time, "astype") else accessor.asi8
        return np.asarray(ordinals, np.int64)
    if getattr(dtype, "tz", None) is not None:
        return _in_calendar(_stamps(accessor.tz_localize(None)), _stamps(accessor.tz_convert(None)))
    array = _stamps(time)
    if array.dtype.kind == "M":
        return _in_calendar(array, array)
    values = array.astype(np.int64) if array.dtype.kind == "m" else as_real(array, "time")
    missing = np.isnat(array) if array.dtype.kind == "m" else ~np.isfinite(values)
    if missing.any():
        raise ValueError("time must not hold missing values")
    return values


def _stamps(time: Any) -> np.ndarray:
    """The values as an array; dates of Python become times of NumPy, periods of pandas numbers."""
    array = np.asarray(time)
    if array.dtype != object or not array.size:
        return array
    if len({getattr(value, "freqstr", None) for value in array.flat} - {None}) == 1:
        return np.array([getattr(value, "ordinal", np.nan) for value in array.flat])
    kinds = {hasattr(value, "isoformat") for value in array.flat if value is not None}
    if kinds == {True} and not any(getattr(value, "tzinfo", None) for value in array.flat):
        return array.astype("datetime64[us]")
    if True in kinds:
        raise TypeError(f"{_MIXED} without time zones; pass a pandas Series of one type")
    return array


def _in_calendar(local: np.ndarray, instants: np.ndarray) -> np.ndarray:
    """Dates in months, days, or units of time.

    Parameters
    ----------
    local : (n,) array of datetime64
        Times of the clock.
    instants : (n,) array of datetime64
        The same in universal time, whose differences are those of time itself.
    """
    if np.isnat(local).any():
        raise ValueError("time must not hold missing values")
    days = local.astype("datetime64[D]")
    if len(np.unique(local - days)) > 1:  # the time of day varies
        return instants.astype(np.int64)
    months = days.astype("datetime64[M]")
    if any(np.array_equal(days, place(days, months)) for place in _PLACES):
        return months.astype(np.int64)
    numbers = days.astype(np.int64)
    if not _is_weekend(days).any() and np.diff(np.unique(numbers)).min(initial=2) == 1:
        return np.busday_count("1970-01-01", days)
    return numbers


def _weekdays(days: np.ndarray) -> np.ndarray:
    """0 for Monday to 6 for Sunday."""
    return (days.astype(np.int64) + _THURSDAY) % 7


def _is_weekend(days: np.ndarray) -> np.ndarray:
    return np.asarray(_weekdays(days) >= _SATURDAY)


def _last_of(months: np.ndarray) -> np.ndarray:
    """The last day of each month."""
    return (months + _MONTH).astype("datetime64[D]") - _DAY


def _same_day(days: np.ndarray, months: np.ndarray) -> np.ndarray:
    """The day of the month that is the largest of all, or the last day of a shorter month."""
    first = months.astype("datetime64[D]")
    return np.minimum(first + (days - first).max(), _last_of(months))


def _first_business_day(days: np.ndarray, months: np.ndarray) -> np.ndarray:
    return np.asarray(np.busday_offset(months.astype("datetime64[D]"), 0, roll="forward"))


def _last_business_day(days: np.ndarray, months: np.ndarray) -> np.ndarray:
    return np.asarray(np.busday_offset(_last_of(months), 0, roll="backward"))


_PLACES: tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], ...] = (
    _same_day,
    _first_business_day,
    _last_business_day,
)
"""Places in a month: the same day (the last one, if it is the 31st), or a business day."""
