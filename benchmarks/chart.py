"""Draws the ratios that `benchmarks.peers` kept, and the share of the peak that fastnn reaches.

    python -m benchmarks.chart docs/images/peers.svg

It reads every file of benchmarks/results, one for each processor, that ``peers --results`` wrote.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from benchmarks.report import Results, Row, Section

RESULTS = Path(__file__).parent / "results"
KINDS = ("step", "predictor", "fit")
PEERS = {
    "jax": ("#CC79A7", "^"),
    "torch": ("#D55E00", "o"),
    "onnxruntime": ("#0083CC", "s"),
    "scikit-learn": ("#009E73", "D"),
}
INK = "#767676"
"""Legible on white and on black paper; the background is transparent."""


def networks(sections: Sequence[Section]) -> list[str]:
    """Names of the works on networks, in the order of the tables, narrow ones last."""
    rows = [row for section in sections for row in section.in_order() if row.kind in KINDS]
    rows = [row for row in rows if any(peer in row.times for peer in PEERS)]
    names = dict.fromkeys(row.name for row in sorted(rows, key=lambda row: row.precision))
    return list(names)


def label(name: str) -> str:
    """A shorter name: layers of equal width are counted."""
    words = name.replace(" relu", "").replace(" tanh", "").replace("predictor", "predict")
    words = words.replace("1024-1024-1024-1024", "1024 x 4").replace(", batch ", ", ")
    return words.replace("an epoch of ", "")


def draw(path: Path, processors: dict[str, list[Section]]) -> None:
    """A pair of panels for each processor: ratios on a logarithmic axis, and shares of the peak.

    Parameters
    ----------
    path : Path
        The suffix chooses the format.
    processors : dict of str to list of Section
        Sections of one thread, by the name of the processor.
    """
    names = {processor: networks(sections) for processor, sections in processors.items()}
    heights = [len(rows) + 2.5 for rows in names.values()]
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "fastnn"})
    figure = Figure(figsize=(9.5, 0.27 * sum(heights) + 0.7), layout="constrained")
    figure.patch.set_alpha(0)
    grid = figure.add_gridspec(len(names), 2, width_ratios=(3, 1), height_ratios=heights)
    for i, (processor, sections) in enumerate(processors.items()):
        ratios, shares = figure.add_subplot(grid[i, 0]), figure.add_subplot(grid[i, 1])
        for axes in (ratios, shares):
            _prepare(axes, len(names[processor]))
        for section in sections:
            _section(ratios, shares, section, names[processor])
        ratios.set_yticks(range(len(names[processor])), [label(name) for name in names[processor]])
        shares.set_yticks(range(len(names[processor])), [""] * len(names[processor]))
        ratios.set_title(f"{processor}: {_peaks(sections)}", loc="left", color=INK, fontsize=9)
        shares.set_title("share of the peak, %", loc="left", color=INK, fontsize=9)
    _legend(figure)
    date = {"metadata": {"Date": None}} if path.suffix == ".svg" else {}
    figure.savefig(path, transparent=True, **date)


def _prepare(axes: Any, n_rows: int) -> None:
    axes.patch.set_alpha(0)
    axes.set_ylim(n_rows - 0.4, -0.6)
    axes.tick_params(colors=INK, labelsize=8, length=2)
    axes.grid(axis="x", color=INK, alpha=0.25, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(INK)


def _section(ratios: Any, shares: Any, section: Section, names: Sequence[str]) -> None:
    is_double = section.setting.dtype == "float64"
    offset = 0.2 if is_double else -0.05
    for i, name in enumerate(names):
        row = section.rows.get(name)
        if row is None or "fastnn" not in row.times:
            continue
        for peer, (colour, marker) in PEERS.items():
            ratio = _ratio(row, peer)
            if ratio:
                face = "none" if is_double else colour
                ratios.scatter(ratio, i + offset, s=30, c=face, edgecolors=colour, marker=marker)
        share = 100 * section.share_of_peak(row)
        face = "none" if is_double else "#56B4E9"
        shares.barh(i + offset, share, height=0.25, color=face, edgecolor="#56B4E9")
    ratios.set_xscale("log")
    ratios.axvline(1, color=INK, linewidth=1)
    ticks = (0.5, 1, 2, 5, 10, 20, 50)
    ratios.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ratios.set_xticks([], minor=True)
    ratios.set_xlim(0.4, 90)
    shares.set_xlim(0, 100)


def _ratio(row: Row, peer: str) -> float:
    """Time of a peer, at its best, by that of fastnn; 0 where it was not measured."""
    ways = [row.times[name] for name in row.times if name.split(" internals")[0] == peer]
    return min(ways) / row.times["fastnn"] if ways else 0.0


def _peaks(sections: Sequence[Section]) -> str:
    parts = [f"{s.peaks.flops / 1e9:.0f} GFLOP/s in {s.setting.dtype}" for s in sections]
    for precision in ("bfloat16", "int8"):
        peak = max(getattr(section.peaks, precision) for section in sections)
        if peak:
            parts.append(f"{peak / 1e9:.0f} in {precision}")
    return "peak " + ", ".join(parts)


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=peer)
        for peer, (colour, marker) in PEERS.items()
    ]
    marks.append(Line2D([], [], color=INK, marker="o", linestyle="", label="filled: float32"))
    hollow = Line2D([], [], color=INK, marker="o", linestyle="", label="hollow: float64")
    hollow.set_markerfacecolor("none")
    title = "Time of another library / time of fastnn, one thread (right of 1: fastnn is faster)"
    legend = figure.legend(
        handles=[*marks, hollow], title=title, loc="outside upper left", ncols=len(PEERS) + 2,
        frameon=False, labelcolor=INK, fontsize=8, title_fontsize=9, alignment="left",
    )  # fmt: skip
    legend.get_title().set_color(INK)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw what benchmarks/results has into the file that is named."""
    (path,) = sys.argv[1:] if arguments is None else arguments
    processors = {}
    for file in sorted(RESULTS.glob("*.json"), reverse=True):
        sections = [s for s in Results.load(file) if s.setting.threads == 1 and not s.setting.isa]
        processors[file.stem.replace("-", " ")] = sections
    draw(Path(path), processors)


if __name__ == "__main__":
    main()
