"""What a predictor in lower precision is told, and what it costs: a report, data and table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fastnn._shared.fields import entry, real
from fastnn._shared.text import titled

_WHAT = "a report of precision"


@dataclass(frozen=True)
class Calibration:
    """What `Network.predictor` is told beside the precision.

    Attributes
    ----------
    X, y : object
        Rows, and targets or None.
    keep : object
        Layers, by name or position, whose products stay float32.
    """

    X: object
    y: object
    keep: object

    def refuse(self) -> None:
        """Raise ValueError if there is anything: the precision has no use for it."""
        for value, name in ((self.X, "calibrate"), (self.y, "y"), (self.keep or None, "keep")):
            if value is not None:
                other = "" if name == "keep" else ' or "bfloat16"'
                raise ValueError(f'{name} needs precision="int8"{other}')


@dataclass(frozen=True)
class ProductReport:
    """One matrix product of a network: in which precision it runs, and why.

    Attributes
    ----------
    name : str
        Of the call of the layer; `n_in` and `n_out` are the shape of its weight.
    precision : {"float32", "int8"}
    reason : str
        Why it stays float32, else "".
    ranges : {"row", "tensor", ""}
        Whether each row of activations has a range of its own, or all share one range.
    low, high : float
        The range of the activations in the calibration.
    errors : dict of str to float
        For each of "row" and "tensor": root mean square of the change of the product, divided by
        that of the product.
    """

    name: str
    n_in: int
    n_out: int
    precision: str = "float32"
    reason: str = ""
    ranges: str = ""
    low: float = 0.0
    high: float = 0.0
    errors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class OutputChange:
    """How far an output of a network changes by the precision, over the rows of the calibration.

    Attributes
    ----------
    name : str
    largest, mean : float
        Of the absolute differences of all elements.
    spread : float
        The standard deviation of all elements of the float32 output, for comparison.
    """

    name: str
    largest: float
    mean: float
    spread: float


@dataclass(frozen=True)
class PrecisionReport:
    """What the precision of a predictor costs, measured on the data of its calibration.

    ``print(predictor.report)`` shows it as tables.

    Attributes
    ----------
    precision : str
        What was asked for.
    n_rows : int
        Rows of the calibration.
    products : tuple of ProductReport
        In the order of the calculation; `name`, `n_in`, `n_out`, `precision`, `reason` why it
        stays float32, `ranges` ("row" or "tensor": the better of both), `low`, `high`, `errors`.
    outputs : tuple of OutputChange
        `name`, `largest` and `mean` absolute change, and `spread`, the standard deviation of the
        float32 output.
    before, after : dict of str to float
        Loss and scores in float32 and with the predictor; empty without `y`.
    instruction_set : str
        That of the build in use, as `FASTNN_ISA` names it, or "NumPy".
    has_instruction : bool
        Whether it has an instruction for these products.  Without one they have the same bits,
        and are slower than in float32.
    """

    precision: str
    n_rows: int
    products: tuple[ProductReport, ...]
    outputs: tuple[OutputChange, ...]
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    instruction_set: str = "NumPy"
    has_instruction: bool = False

    @property
    def share(self) -> float:
        """Share of the multiply-adds of all products that run in the lower precision."""
        work = [(p.n_in * p.n_out, p.precision == self.precision) for p in self.products]
        return sum(n for n, lower in work if lower) / max(sum(n for n, _ in work), 1)

    def as_dict(self) -> dict[str, Any]:
        """The report in plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: object) -> PrecisionReport:
        """The report that `as_dict` gave.

        Raises
        ------
        ValueError
            If it is no such data.
        """
        products = entry(state, "products", list, _WHAT)
        outputs = entry(state, "outputs", list, _WHAT)
        return cls(
            entry(state, "precision", str, _WHAT),
            entry(state, "n_rows", int, _WHAT),
            tuple(_product(part) for part in products),
            tuple(_change(part) for part in outputs),
            _numbers(state, "before"),
            _numbers(state, "after"),
            entry(state, "instruction_set", str, _WHAT),
            entry(state, "has_instruction", bool, _WHAT),
        )

    def _instruction(self) -> str:
        """Whether these products are fast here."""
        if self.has_instruction:
            return f"{self.instruction_set} has an instruction for it"
        return f"{self.instruction_set} has no instruction for it: the same bits, but slower"

    def __str__(self) -> str:
        lines = [
            f"{self.precision} for {self.share:.1%} of the multiply-adds; "
            f"changes over {self.n_rows:,} rows",
            self._instruction(),
            "",
            *titled(_product_rows(self.products), right={1, 3, 4}),
            "",
            *titled(_output_rows(self.outputs), right={1, 2, 3}),
        ]
        if self.before:
            lines += ["", *titled(_score_rows(self), right={1, 2, 3})]
        return "\n".join(lines)


def _product_rows(products: tuple[ProductReport, ...]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("product", "shape", "precision", "error by row", "by tensor", "")
    ]
    for product in products:
        shape = f"{product.n_in} x {product.n_out}"
        errors = [f"{product.errors[k]:.2%}" if product.errors else "" for k in ("row", "tensor")]
        note = f"ranges by {product.ranges}" if product.ranges else product.reason
        rows.append((product.name, shape, product.precision, *errors, note))
    return rows


def _output_rows(outputs: tuple[OutputChange, ...]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("output", "largest change", "mean change", "standard deviation")
    ]
    for output in outputs:
        numbers = (output.largest, output.mean, output.spread)
        rows.append((output.name, *(f"{number:.3g}" for number in numbers)))
    return rows


def _score_rows(report: PrecisionReport) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("score", "float32", report.precision, "change")]
    for name, before in report.before.items():
        after = report.after[name]
        rows.append((name, f"{before:.6g}", f"{after:.6g}", f"{after - before:+.2g}"))
    return rows


def _product(state: object) -> ProductReport:
    texts = (entry(state, key, str, _WHAT) for key in ("name", "precision", "reason", "ranges"))
    name, precision, reason, ranges = texts
    n_in, n_out = (entry(state, key, int, _WHAT) for key in ("n_in", "n_out"))
    low, high = (float(entry(state, key, float, _WHAT)) for key in ("low", "high"))
    errors = _numbers(state, "errors")
    return ProductReport(name, n_in, n_out, precision, reason, ranges, low, high, errors)


def _change(state: object) -> OutputChange:
    numbers = (float(entry(state, k, float, _WHAT)) for k in ("largest", "mean", "spread"))
    return OutputChange(entry(state, "name", str, _WHAT), *numbers)


def _numbers(state: object, key: str) -> dict[str, float]:
    return {str(k): real(v, f"{_WHAT}: {k}") for k, v in entry(state, key, dict, _WHAT).items()}
