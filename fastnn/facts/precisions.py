"""One row for each precision of the products of dense layers.

Parameters, optimizer state, sums and losses are of the network's dtype in every precision; a
precision says what a product multiplies.  Both engines and `fastnn.network` read the rows.  A
further kind of instruction, such as AMX or Arm's BFMMLA, has the same row: it packs other blocks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """What dense layers multiply.

    Attributes
    ----------
    name : str
    multiplicand, accumulator : str
        Types of the operands and of the sums; "" stands for the dtype of the network.
    packing : int
        Numbers in a word of the packed operands, which follow each other along the sum.
    dtype : str
        The only dtype of networks that can have it; "" for any.
    least_width : int
        Layers with fewer inputs or outputs multiply in the network's dtype: rounding and packing
        would take longer than the product gains.
    least_rows : int
        The same, of calls with fewer rows: batches in training, samples in prediction.
    instructions : tuple of str
        Instruction sets (as in `FASTNN_ISA`) with an instruction for it; the others compute the
        same numbers from several instructions.
    """

    name: str
    multiplicand: str = ""
    accumulator: str = ""
    packing: int = 1
    dtype: str = ""
    least_width: int = 0
    least_rows: int = 0
    instructions: tuple[str, ...] = ()

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether layers with a weight of this shape have it."""
        return self.packing > 1 and min(shape) >= self.least_width


ROWS = (
    Precision("float32"),
    Precision(
        "bfloat16",
        multiplicand="bfloat16",
        accumulator="float32",
        packing=2,
        dtype="float32",
        least_width=64,
        least_rows=32,
        instructions=("v4b",),
    ),
)

PRECISIONS = {row.name: row for row in ROWS}


def get(name: object) -> Precision:
    """The row of a precision; ValueError names those there are."""
    if not isinstance(name, str) or name not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {name!r}")
    return PRECISIONS[name]
