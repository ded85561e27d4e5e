"""The counter-based random numbers that dropout uses, in plain NumPy.

Threefry2x32 with 13 rounds: a keyed bijection of 64-bit counters whose outputs
pass all of TestU01's BigCrush.  A number depends on its counter and the key alone,
not on the order of evaluation, so both backends and any number of threads give the same mask.

References
----------
Salmon, Moraes, Dror & Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", SC '11.
"""

from __future__ import annotations

import numpy as np

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
KEY_PARITY = 0x1BD11BDA
ROUNDS = 13


def threefry2x32(
    key: tuple[int, int], counter0: np.ndarray, counter1: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two random words per counter; counters and words are uint32, and broadcast."""
    schedule = [np.uint32(key[0]), np.uint32(key[1])]
    schedule.append(np.uint32(KEY_PARITY ^ key[0] ^ key[1]))
    x0, x1 = np.broadcast_arrays(counter0 + schedule[0], counter1 + schedule[1])
    for i in range(ROUNDS):
        x0 = x0 + x1
        x1 = _rotate_left(x1, ROTATIONS[i % 8]) ^ x0
        if i % 4 == 3:
            injection = i // 4 + 1
            x0 = x0 + schedule[injection % 3]
            x1 = x1 + schedule[(injection + 1) % 3] + np.uint32(injection)
    return x0, x1


def _rotate_left(words: np.ndarray, bits: int) -> np.ndarray:
    return (words << np.uint32(bits)) | (words >> np.uint32(32 - bits))


def dropout_mask(
    n_rows: int, n_columns: int, rate: float, key: int, step: int, first_row: int = 0
) -> np.ndarray:
    """Which elements dropout keeps: (n_rows, n_columns) of bool.

    Element (r, j) is kept iff its random word is at least rate 2^32.  The word is number
    (j // 16) % 2 of the two that counter ((j // 32) * 16 + j % 16, r) gives under the key
    (key, step): sixteen counters serve two whole vectors of sixteen elements.  The first row of a
    part of a batch is number `first_row`.
    """
    groups = -(-n_columns // 32)
    counter = np.arange(groups * 16, dtype=np.uint32)
    row = np.arange(first_row, first_row + n_rows, dtype=np.uint32)[:, np.newaxis]
    with np.errstate(over="ignore"):
        words = threefry2x32((key, step & 0xFFFFFFFF), counter, row)  # steps wrap at 2**32
    halves = [word.reshape(n_rows, groups, 1, 16) for word in words]
    in_order = np.concatenate(halves, axis=2).reshape(n_rows, groups * 32)[:, :n_columns]
    threshold = np.uint64(round(rate * 2**32))
    return in_order >= threshold


def dropout(x: np.ndarray, rate: float, key: int, step: int, out: np.ndarray) -> None:
    """Write x / (1 - rate) where kept, else 0, into out; backward is the same call on dy."""
    dropout_of_part(x, rate, key, step, out, 0)


def dropout_of_part(
    x: np.ndarray, rate: float, key: int, step: int, out: np.ndarray, first_row: int
) -> None:
    """`dropout` of rows from `first_row` of a batch on."""
    n_rows, n_columns = x.shape
    mask = dropout_mask(n_rows, n_columns, rate, key, step, first_row)
    scale = x.dtype.type(1 / (1 - rate))
    with np.errstate(all="ignore"):
        out[...] = np.where(mask, x * scale, 0)
