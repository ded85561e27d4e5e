"""Draw images/engine.svg, the picture of a training step in docs/engine.md.

    python docs/draw_engine.py [file]

The suffix of the file chooses the format.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

THREADS = ("#4477aa", "#cc6677")
INK, FAINT, PAPER = "#222222", "#999999", "white"
ROWS_TOP, ROW, GAP = 6.0, 0.5, 0.08
BLOCKS = 4  # of rows for each thread, in the picture


def box(ax, x, y, width, height, color, alpha=1.0):
    style = {"facecolor": color, "alpha": alpha, "edgecolor": PAPER, "linewidth": 1.2}
    ax.add_patch(Rectangle((x, y), width, height, **style))


def text(ax, x, y, words, size=10, color=INK, **options):
    options = {"ha": "center", "va": "center", **options}
    ax.text(x, y, words, fontsize=size, color=color, **options)


def arrow(ax, start, stop, color=INK, curve=0.0):
    ax.add_patch(
        FancyArrowPatch(
            start, stop, arrowstyle="-|>", mutation_scale=11, color=color, linewidth=1.3,
            connectionstyle=f"arc3,rad={curve}", shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip


def block_bottom(number):
    """Lower edge of a block of rows, counted from the top."""
    return ROWS_TOP - (number + 1) * ROW - number * GAP


def phase_one(ax):
    """Buffers side by side, their rows shared out; one block on its way there and back."""
    columns = (
        (0.9, 1.0, "$X$"), (2.4, 1.5, "$A_1$"), (4.4, 1.0, "$A_2$"), (5.9, 0.5, "loss"),
        (6.9, 1.0, "$dZ_2$"), (8.4, 1.5, "$dZ_1$"),
    )  # fmt: skip
    current = 1
    for x, width, name in columns:
        text(ax, x + width / 2, ROWS_TOP + 0.28, name, 12)
        for number in range(2 * BLOCKS):
            under_way = number % BLOCKS == current
            box(ax, x, block_bottom(number), width, ROW, THREADS[number // BLOCKS],
                1.0 if under_way else 0.3)  # fmt: skip
    for thread in range(2):
        y = block_bottom(thread * BLOCKS + current) + ROW / 2
        for (x, width, _), (after, _, _) in itertools.pairwise(columns):
            arrow(ax, (x + width + 0.04, y), (after - 0.04, y))
        first, last = block_bottom(thread * BLOCKS) + ROW, block_bottom((thread + 1) * BLOCKS - 1)
        ax.plot([0.68, 0.6, 0.6, 0.68], [first, first, last, last], color=INK, linewidth=1)
        text(ax, 0.34, (first + last) / 2, f"thread {thread}", 10, THREADS[thread], rotation=90)
    bottom = block_bottom(2 * BLOCKS - 1)
    text(ax, 5.4, ROWS_TOP + 0.95, "Phase 1: each thread its rows", 14, weight="bold")
    text(ax, 3.2, bottom - 0.35, "forward", 11)
    text(ax, 8.2, bottom - 0.35, "backward", 11)
    text(ax, 5.4, bottom - 0.95, "a block of rows passes through all operations\n"
         "while it is in cache, then the next block", 10)  # fmt: skip


def barrier(ax, x, words):
    ax.plot([x, x], [ROWS_TOP + 0.35, block_bottom(2 * BLOCKS - 1)], color=INK, linewidth=3)
    text(ax, x, block_bottom(2 * BLOCKS - 1) - 0.35, words, 10)


def phase_two(ax, left):
    """A weight cut into tiles, shared out; one tile with the columns it is a sum over."""
    size, n_rows, n_columns = 0.5, 4, 5
    top = 4.3
    chosen = (1, 3)
    height = 2.15
    for row in range(n_rows):
        for column in range(n_columns):
            thread = (column * n_rows + row) * 2 // (n_rows * n_columns)
            box(ax, left + 1.9 + column * size, top - (row + 1) * size, size, size,
                THREADS[thread], 1.0 if (row, column) == chosen else 0.3)  # fmt: skip
    x_tile = left + 1.9 + chosen[1] * size
    y_tile = top - (chosen[0] + 1) * size
    # X' to the left of the tile's row, dZ above its column: the whole batch each.
    box(ax, left, y_tile, 1.6, size, FAINT, 0.5)
    box(ax, x_tile, top + 0.25, size, 1.25, FAINT, 0.5)
    text(ax, left + 0.8, y_tile + size / 2, "$X'$", 12)
    text(ax, x_tile + size / 2, top + 0.25 + 0.625, "$dZ$", 12)
    arrow(ax, (left + 1.64, y_tile + size / 2), (x_tile - 0.03, y_tile + size / 2))
    arrow(ax, (x_tile + size / 2, top + 0.22), (x_tile + size / 2, y_tile + size + 0.03))
    text(ax, left + 2.4, ROWS_TOP + 0.95, "Phase 2: each thread its tiles", 14, weight="bold")
    text(ax, left + 1.9 + n_columns * size / 2, top - n_rows * size - 0.25, "$dW$", 12)
    y = top - height - 0.55
    for number, words in enumerate(
        ("1.  $dW$ of the tile, over the whole batch", "2.  the gradient of the L2 penalty",
         "3.  the optimizer's update of $W$")
    ):  # fmt: skip
        text(ax, left + 0.2, y - 0.36 * number, words, 10, ha="left")


def draw(path):
    figure = Figure(figsize=(13.2, 6.2))
    ax = figure.subplots()
    ax.set_xlim(0, 16.6)
    ax.set_ylim(-0.25, 7.4)
    ax.set_aspect("equal")
    ax.axis("off")
    phase_one(ax)
    barrier(ax, 10.55, "barrier")
    phase_two(ax, 11.2)
    barrier(ax, 16.2, "barrier")
    # The same file from the same script: no date, no random names.
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with matplotlib.rc_context({"svg.hashsalt": "engine"}):
        figure.savefig(path, dpi=110, bbox_inches="tight", metadata=metadata)


if __name__ == "__main__":
    default = Path(__file__).parent / "images" / "engine.svg"
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
