"""Tables of what `benchmarks.peers` measured, and the file that keeps them between runs."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.contenders import CONTENDERS, Setting
from benchmarks.roofline import Peaks
from benchmarks.works import REGRESSIONS, Work, works

_OURS = "fastnn"
_COLUMNS = (*(name for name in CONTENDERS if name != _OURS), "1 thread")
_GROUPS = {
    "Training steps": ("step",),
    "Prediction": ("predict", "predictor"),
    "An epoch of fit": ("fit",),
    "Losses and sums": ("cross_entropy", "logsumexp"),
    "Functions of each element": ("function", "derivative"),
    "Linear regression": REGRESSIONS,
}


@dataclass
class Row:
    """What one work took.

    Attributes
    ----------
    times : dict of float
        Seconds, by contender.
    ways : dict of str
        The way that was fastest, by contender.
    latencies : dict of list
        Percentiles 50, 99, 99.9 of single calls in seconds, by contender.
    failures : dict of str
        Why a contender was not timed.
    """

    name: str
    kind: str
    flops: float
    least_bytes: float
    times: dict[str, float] = field(default_factory=dict)
    ways: dict[str, str] = field(default_factory=dict)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    precision: str = ""

    @classmethod
    def of(cls, work: Work) -> Row:
        """An empty row."""
        return cls(work.name, work.kind, work.flops, work.least_bytes, precision=work.precision)


@dataclass
class Section:
    """All rows of one setting, and where they were measured."""

    setting: Setting
    isa: str = ""
    peaks: Peaks = field(default_factory=lambda: Peaks(0.0, 0.0))
    versions: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    n_failed_to_start: int = 0
    machine: str = ""
    date: str = ""
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What tells it from other sections."""
        threads = f"{self.setting.threads} thread{'s' * (self.setting.threads != 1)}"
        isa = f", {self.setting.isa}" if self.setting.isa else ""
        return f"{threads}, {self.setting.dtype}{isa}"

    def share_of_peak(self, row: Row) -> float:
        """What fastnn reaches of the peak of the instruction it multiplies with; 0 if unknown."""
        peak = getattr(self.peaks, row.precision or "flops")
        ours = row.times.get(_OURS)
        return row.flops / ours / peak if ours and peak else 0.0

    def in_order(self) -> Iterator[Row]:
        """The rows in the order of `works`."""
        for work in works(self.setting.dtype):
            if work.name in self.rows:
                yield self.rows[work.name]


class Results:
    """Sections by title, and their file."""

    def __init__(self) -> None:
        self._sections: dict[str, Section] = {}

    def section(self, setting: Setting) -> Section:
        """The section of a setting, with the rows it has so far."""
        new = Section(setting)
        section = self._sections.setdefault(new.title, new)
        section.machine, section.date = _machine(), datetime.date.today().isoformat()
        return section

    @classmethod
    def load(cls, path: Path) -> Results:
        """The results of earlier runs; none if there is no such file."""
        results = cls()
        for title, data in (json.loads(path.read_text()) if path.exists() else {}).items():
            data["setting"] = Setting(**data["setting"])
            data["peaks"] = Peaks(**data["peaks"])
            data["rows"] = {name: Row(**row) for name, row in data["rows"].items()}
            results._sections[title] = Section(**data)
        return results

    def __iter__(self) -> Iterator[Section]:
        return iter(self._sections.values())

    def save(self, path: Path) -> None:
        """Write everything to a file."""
        data = {title: asdict(section) for title, section in self._sections.items()}
        path.write_text(json.dumps(data, indent=1))


def _machine() -> str:
    """Processor and number of cores."""
    info = Path("/proc/cpuinfo")
    models = [line.split(":", 1)[1].strip() for line in
              (info.read_text().splitlines() if info.exists() else [])
              if line.startswith("model name")]  # fmt: skip
    if not models:
        return f"{platform.processor() or platform.machine()}, {platform.system()}"
    return f"{models[0]}, {len(models)} processors, {platform.system()}"


def line(row: Row) -> str:
    """One row while the others are still running."""
    if _OURS not in row.times:
        return f"{row.name}: {row.failures}"
    parts = [f"{name} {_ratio(row, name)}" for name in _COLUMNS if name in row.times]
    parts += [f"{name} FAILED" for name in row.failures]
    ours = f"{row.name}: {duration(row.times[_OURS])}"
    return f"{ours}; {', '.join(parts)}" if parts else ours


def markdown(section: Section) -> str:
    """The section as Markdown: where and with what, then a table for each kind of work."""
    versions = ", ".join(f"{name} {version}" for name, version in section.versions.items())
    parts = [
        f"### {section.title[0].upper()}{section.title[1:]}",
        f"{section.machine}; Python {platform.python_version()}; {section.date}.\n{versions}; "
        f"fastnn's build is {section.isa}.",
    ]
    if section.absent:
        parts.append(f"Not measured, because not installed: {', '.join(section.absent)}.")
    parts.append(_peaks(section))
    rows = list(section.in_order())
    for title, kinds in _GROUPS.items():
        group = [row for row in rows if row.kind in kinds]
        if group:
            parts += [f"**{title}**", _table(_group_cells(group, section))]
    latencies = [row for row in rows if row.latencies]
    if latencies:
        parts += ["**Single calls, a row each**", _table(_latency_cells(latencies))]
    failures = [(row, name) for row in rows for name in row.failures]
    parts += [f"{row.name}: {name} was not timed: {row.failures[name]}." for row, name in failures]
    return "\n\n".join(parts) + "\n"


def _peaks(section: Section) -> str:
    peaks = section.peaks
    flops = f"{peaks.flops / 1e9:.0f} GFLOP/s" if peaks.flops else "not measured"
    if peaks.bfloat16:
        flops += (
            f" in {section.setting.dtype}, {peaks.bfloat16 / 1e9:.0f} in bfloat16, "
            f"{peaks.int8 / 1e9:.0f} in int8"
        )
    return (
        f"Peak of multiply-adds in registers, all threads: {flops}; copying 128 MiB a thread: "
        f"{peaks.bandwidth / 1e9:.1f} GB/s, read and written."
    )


def _group_cells(rows: Sequence[Row], section: Section) -> list[list[str]]:
    columns = [name for name in _COLUMNS if any(name in row.times for row in rows)]
    has_peak = section.peaks.flops and any(row.flops for row in rows)
    cells = [["", "fastnn", "rate", *["of peak"] * bool(has_peak), *columns]]
    for row in rows:
        ours = row.times.get(_OURS)
        line = [row.name, duration(ours) if ours else "failed", _rate(row)]
        if has_peak:
            share = section.share_of_peak(row)
            line.append(f"{100 * share:.0f} %" if share else "")
        cells.append(line + [_ratio(row, name) for name in columns])
    return cells


def _latency_cells(rows: Sequence[Row]) -> list[list[str]]:
    cells = [["", "", "p50", "p99", "p99.9"]]
    for row in rows:
        for name, percentiles in row.latencies.items():
            cells.append([row.name, name, *map(duration, percentiles)])
    return cells


def _rate(row: Row) -> str:
    """Floating-point operations, or bytes where there are no matrix products, per second."""
    if _OURS not in row.times:
        return ""
    if row.flops:
        return f"{row.flops / row.times[_OURS] / 1e9:.3g} GFLOP/s"
    return f"{row.least_bytes / row.times[_OURS] / 1e9:.3g} GB/s"


def _ratio(row: Row, name: str) -> str:
    """How many times longer a contender takes; marked where it takes less."""
    if name in row.failures:
        return "failed"
    if name not in row.times or _OURS not in row.times:
        return ""
    ratio = row.times[name] / row.times[_OURS]
    return f"{ratio:.3g}" if ratio >= 1 else f"**{ratio:.2f}** slower"


def _table(cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is aligned as plain text as well."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for line in [cells[0], rule, *cells[1:]]:
        padded = [line[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        lines.append("| " + " | ".join(padded) + " |")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds with three digits and a unit."""
    for unit, factor in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)):
        if seconds * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def write(path: Path, section: Section) -> None:
    """Replace the section between its markers in a page, or add it at the end."""
    begin, end = f"<!-- begin: {section.title} -->", f"<!-- end: {section.title} -->"
    page = path.read_text() if path.exists() else ""
    block = f"{begin}\n\n{markdown(section)}\n{end}"
    if begin in page:
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{path} has {begin!r} and no {end!r}")
        path.write_text(before + block + after)
    else:
        path.write_text(f"{page.rstrip()}\n\n{block}\n".lstrip())
