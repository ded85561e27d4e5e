"""fastnn beside other libraries: the same work, the same weights, one at a time.

    python -m benchmarks.peers --write docs/benchmarks.md

Each library runs in a process of its own, on the same cores, and the processes take turns.  Results
are compared before anything is timed.  docs/benchmarks.md says how to read what it prints.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

if __package__ is None:  # run as a script: make the other modules importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import report, roofline
from benchmarks.child import Child, ChildError
from benchmarks.contenders import CONTENDERS, Setting, is_installed
from benchmarks.works import Work, difference, tolerance, works

OURS = "fastnn"
ONE_THREAD = "1 thread"  # fastnn again, for the gain of several threads
_ROUNDS = 5
_ROUND_SECONDS = 0.08  # of each contender
_QUICK = (1, 0.002)
_SETTLING_SECONDS = 0.2  # idle threads of a pool spin for a while before they sleep
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; the exit status is 1 if a contender failed or results differ."""
    options = _parser().parse_args(arguments)
    results = report.Results.load(options.results) if options.results else report.Results()
    failures = 0
    for threads in options.threads:
        for dtype in options.dtype:
            setting = Setting(threads, dtype, options.isa)
            section = results.section(setting)
            failures += compare(setting, section, options.only, options.quick)
            if options.results:
                results.save(options.results)
            if options.write:
                report.write(options.write, section)
            print("\n" + report.markdown(section), flush=True)
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1], metavar="N",
                        help="threads of every library, one table each (default: 1)")  # fmt: skip
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=["float32", "float64"])
    parser.add_argument("--only", default="", metavar="REGEX", help="rows whose names match")
    parser.add_argument("--isa", default="", choices=["v2", "v3", "v4", "v4b", "baseline"],
                        help="instruction set of fastnn; others take their best")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="see that it works, in seconds")
    parser.add_argument("--results", type=Path, metavar="JSON",
                        help="keep rows here, beside those of earlier runs")  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="MARKDOWN",
                        help="replace the tables in this page")  # fmt: skip
    return parser


def compare(setting: Setting, section: report.Section, only: str, quick: bool) -> int:
    """Run all rows of one setting into `section`; returns the number of failures."""
    with _pinned(setting.threads), _children(setting, section) as children:
        if OURS not in children:
            return 1
        section.isa = children[OURS].isa
        section.peaks = roofline.measure(setting.threads, setting.dtype, section.isa)
        failures = section.n_failed_to_start
        for work in works(setting.dtype, only, quick):
            row = _compare(work, children, setting.threads, quick)
            if row is not None:
                section.rows[work.name] = row
                failures += len(row.failures)
                print(report.line(row), flush=True)
    return failures


@contextmanager
def _pinned(threads: int) -> Iterator[None]:
    """As many processors as threads, and no thread pool larger; what is started inherits it."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    if cores is not None and len(cores) < threads:
        raise SystemExit(f"{threads} threads need as many processors; here are {len(cores)}")
    try:
        if cores is not None:
            os.sched_setaffinity(0, cores[:threads])
        yield
    finally:
        if cores is not None:
            os.sched_setaffinity(0, cores)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@contextmanager
def _children(setting: Setting, section: report.Section) -> Iterator[dict[str, Child]]:
    """The contenders that are installed; `section` learns which, and which are not."""
    children: dict[str, Child] = {}
    section.absent = [name for name in CONTENDERS if not is_installed(name)]
    section.n_failed_to_start = 0
    try:
        for name in CONTENDERS:
            if name in section.absent:
                print(f"{name}: not installed", flush=True)
                continue
            try:
                children[name] = Child(name, setting)
            except ChildError as error:
                section.n_failed_to_start += 1
                section.absent.append(name)
                print(f"{name} does not start: {error}", file=sys.stderr, flush=True)
        section.versions = {name: child.version for name, child in children.items()}
        if setting.threads > 1 and OURS in children:
            children[ONE_THREAD] = Child(OURS, Setting(1, setting.dtype, setting.isa))
        yield children
    finally:
        for child in children.values():
            child.close()


def _compare(
    work: Work, children: dict[str, Child], threads: int, quick: bool
) -> report.Row | None:
    """One row: results first, then times, by turns. None if fastnn has no such function."""
    row = report.Row.of(work)
    ready = _agreeing(work, children, row)
    if OURS not in ready:
        if not row.failures:
            print(f"{work.name}: not in this fastnn", flush=True)
        return row if row.failures else None
    rounds, seconds = _QUICK if quick else (_ROUNDS, _ROUND_SECONDS)
    for _ in range(rounds):
        for name in ready:
            if threads > 1 and not quick:
                time.sleep(_SETTLING_SECONDS)
            least = children[name].time(seconds)
            row.times[name] = min(least, row.times.get(name, least))
    for name in ready:
        row.ways[name] = children[name].chosen()
        if work.is_latency and name != ONE_THREAD and not quick:
            row.latencies[name] = children[name].latencies()
        children[name].release()
    return row


def _agreeing(work: Work, children: dict[str, Child], row: report.Row) -> list[str]:
    """The contenders that do this work, each prepared, with the results of fastnn."""
    ready: list[str] = []
    expected = None
    for name, child in children.items():
        try:
            results = child.prepare(work)
        except ChildError as error:
            row.failures[name] = str(error).strip().splitlines()[-1]
            print(f"{work.name}: {name} fails: {error}", file=sys.stderr, flush=True)
            continue
        if not results:
            continue
        if name == OURS:
            expected = results[0][1]
        if expected is None:
            continue
        problems = [
            f"{label} differs from fastnn by {error:.1e}, more than {tolerance(work):.0e}"
            for label, arrays in results
            if not (error := difference(arrays, expected)) <= tolerance(work)
        ]
        if problems:
            row.failures[name] = "; ".join(problems)
            print(f"{work.name}: {name}: {row.failures[name]}", file=sys.stderr, flush=True)
            child.release()
        else:
            ready.append(name)
    return ready


if __name__ == "__main__":
    sys.exit(main())
