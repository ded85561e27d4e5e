"""Files that a user names: a path, standard input as ``-``, or a pipe, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import sys
from collections.abc import Callable
from typing import BinaryIO, cast

from fastnn.tabular.table import DataError

__all__ = ["Source", "display_name", "lacks", "refuse_url"]

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_HEAD = 1 << 16


def lacks(what: str, error: ImportError) -> ImportError:
    """The error for a kind of file whose library is not installed."""
    message = f'{what} are read by pyarrow: pip install "fastnn[tables]"'
    return ImportError(message).with_traceback(error.__traceback__)


def display_name(path: str | os.PathLike[str]) -> str:
    """The name of a file without its folder, as text that can be printed and stored."""
    name = os.fspath(path)
    if not name.startswith(("/dev/", "/proc/")):  # a pipe of the shell has a number for its name
        name = os.path.basename(name)
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def refuse_url(path: str | os.PathLike[str]) -> None:
    """Raise DataError if a path is a URL."""
    if _URL.match(os.fspath(path)):
        raise DataError(f"{path} is a URL; download the file first, and name the copy")


class Source:
    """The bytes of a file, decompressed, which can be read once or again.

    Parameters
    ----------
    path : str or path-like
        ``-`` is standard input.

    Attributes
    ----------
    name : str
        Name in error messages.
    head : bytes
        The first bytes.

    Raises
    ------
    DataError
        If `path` is a URL, or the compressed data are damaged.
    OSError
        If the file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        text = os.fspath(path)
        refuse_url(text)
        self._path = text
        self.name = "standard input" if text == "-" else display_name(text)
        self._rest: BinaryIO | None = self._open()
        self.head = self._read_head(_HEAD)

    def _open(self) -> BinaryIO:
        """The decompressed bytes from the start; for a pipe, only once."""
        if self._path == "-":
            if sys.stdin is None:
                raise DataError("standard input is closed")
            raw = cast(BinaryIO, open(sys.stdin.fileno(), "rb", closefd=False))  # noqa: SIM115
        else:
            raw = open(self._path, "rb")  # noqa: SIM115
        self.can_reopen = self._path != "-" and raw.seekable()
        magic = raw.read(6)
        if raw.seekable():
            raw.seek(-len(magic), os.SEEK_CUR)
        else:
            raw = _joined(magic, raw)
        return _decompressed(magic, raw)

    def _read_head(self, size: int) -> bytes:
        if self._rest is None:
            return b""
        with self.naming():
            head = self._rest.read(size)
        if len(head) < size:
            self._rest.close()
            self._rest = None
        return head

    def grow_head(self) -> bool:
        """Read as many bytes again as `head` has; False at the end of the file."""
        more = self._read_head(len(self.head))
        self.head += more
        return bool(more)

    def close(self) -> None:
        """Close the file; it can be opened again if it is none of a pipe."""
        if self._rest is not None:
            self._rest.close()
            self._rest = None

    def open(self) -> BinaryIO:
        """The decompressed bytes from the start; those of a pipe can be read once."""
        if self.can_reopen:
            self.close()
            return self._open()
        rest, self._rest = self._rest, None
        return _joined(self.head, *([] if rest is None else [rest]))

    def naming(self) -> _Naming:
        """A context in which errors of damaged compressed data name the file."""
        return _Naming(self.name)


class _Naming:
    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        damage = (EOFError, gzip.BadGzipFile, lzma.LZMAError)
        if isinstance(error, damage) or (error is not None and "zlib" in type(error).__module__):
            raise DataError(f"{self._name}: damaged compressed data ({error})") from error


class _Joined(io.RawIOBase):
    """Some bytes, and behind them the first of some streams; `close` closes all streams."""

    def __init__(self, head: bytes, *streams: BinaryIO) -> None:
        self._head = memoryview(head)
        self._streams = streams

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = self._head[: len(buffer)]
        if len(part):
            self._head = self._head[len(part) :]
        elif self._streams:
            part = memoryview(self._streams[0].read(len(buffer)))
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        super().close()


def _joined(head: bytes, *streams: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Joined(head, *streams), 1 << 20))


def _zstandard(raw: BinaryIO) -> BinaryIO:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise lacks("files with Zstandard compression", error) from error
    return cast(BinaryIO, pa.CompressedInputStream(raw, "zstd"))


_COMPRESSIONS: dict[bytes, Callable[[BinaryIO], BinaryIO]] = {
    b"\x1f\x8b": lambda raw: cast(BinaryIO, gzip.GzipFile(fileobj=raw)),
    b"\x28\xb5\x2f\xfd": _zstandard,
    b"BZh": lambda raw: cast(BinaryIO, bz2.BZ2File(raw)),
    b"\xfd7zXZ\x00": lambda raw: cast(BinaryIO, lzma.LZMAFile(raw)),  # noqa: SIM115
}


def _decompressed(magic: bytes, raw: BinaryIO) -> BinaryIO:
    for start, decompress in _COMPRESSIONS.items():
        if magic.startswith(start):
            return _joined(b"", decompress(raw), raw)
    return raw
