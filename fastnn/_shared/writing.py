"""The one function that writes files."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterable
from typing import BinaryIO

__all__ = ["check_destination", "is_file_object", "is_same_file", "write_file"]

Destination = str | os.PathLike[str] | BinaryIO
"""What users give as a place to write to: a path, or a file that is open for binary writing."""

Parts = Iterable[bytes | memoryview]
"""The contents of a file, in pieces."""

_RUN = secrets.token_hex(4)
"""Distinguishes this process from an earlier one with the same id."""

_TEMPORARY = re.compile(
    r"\..*\.([0-9a-f]{8})\.([0-9]{1,10})\.([0-9a-f]{8})[0-9a-f]{8}\.fnn-tmp", re.DOTALL
)
"""Names of temporary files: the place of the process, its id and its run."""

_DESCRIPTORS = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev/fd|proc/self/fd)/([0-9]{1,9})")

_FOLDERS_WITHOUT_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF)
"""Errors of systems and folders for which fsync is not possible."""


def write_file(destination: Destination, parts: Parts) -> None:
    """Write a file completely, or leave the old one as it is.

    A regular file is written to a temporary file in the same folder, which then replaces it: a
    reader sees the old contents or the new ones, also after a crash.  The temporary file has the
    permissions of the old file from the start.  A symbolic link is followed and stays.  Pipes
    and character devices are written to in place.  Temporary files that a killed process left
    in the folder are removed.

    Parameters
    ----------
    destination : str, path-like or binary file object
        A file object is written to at its position, and neither flushed nor closed.
    parts : iterable of bytes or memoryview
        The contents.

    Raises
    ------
    TypeError
        If a file object is for text.
    OSError
        If the destination cannot be written, with its path as ``filename``: a folder, a socket,
        a block device, or a loop of symbolic links.
    """
    if is_file_object(destination):
        _write_to_object(destination, parts)
        return
    path = os.fsdecode(destination)  # type: ignore[arg-type]
    status = check_destination(path)
    try:
        descriptor = _inherited(path)
        if descriptor is not None:
            with open(os.dup(descriptor), "wb") as file:
                file.writelines(parts)
        elif status is not None and not stat.S_ISREG(status.st_mode):
            _write_in_place(path, status, parts)
        else:
            _replace(os.path.realpath(path), status, parts)
    except OSError as error:
        if error.errno is None:
            raise
        # Name the caller's path, not the temporary file.
        raise OSError(error.errno, error.strerror, path) from None


def is_file_object(value: object) -> bool:
    """Whether a value is no path but has the methods of a file.

    Raises
    ------
    TypeError
        If it is a file for text.
    """
    if isinstance(value, (str, bytes, os.PathLike)):
        return False
    if isinstance(value, io.TextIOBase):
        raise TypeError(
            f"path is a text file, {type(value).__name__}; open it in binary mode ('wb' or 'rb')"
        )
    return hasattr(value, "write") or hasattr(value, "read")


def check_destination(path: str) -> os.stat_result | None:
    """Check whether `write_file` can write to a path.

    Returns
    -------
    os.stat_result or None
        The status of the file; None if there is none yet.

    Raises
    ------
    OSError
        As `write_file` raises it, without writing anything.
    """
    if _inherited(path) is not None:
        return None
    try:
        status = os.stat(path)
    except FileNotFoundError:
        status = None
    if os.path.basename(path) in ("", ".", "..") or (status and stat.S_ISDIR(status.st_mode)):
        if not path:
            raise FileNotFoundError(errno.ENOENT, "the path is empty", path)
        raise IsADirectoryError(errno.EISDIR, "is a folder, expected a file name", path)
    if status is None or stat.S_ISREG(status.st_mode):
        _check_folder(path)
    elif stat.S_ISSOCK(status.st_mode):
        raise OSError(errno.ENXIO, "is a socket, expected a file", path)
    elif stat.S_ISBLK(status.st_mode):
        raise OSError(errno.EINVAL, "is a block device, expected a file", path)
    if status is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "cannot be written", path)
    return status


def _check_folder(path: str) -> None:
    """Raise OSError unless a new file can be made beside `path`."""
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "the folder of the file does not exist", path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "the folder of the file cannot be written", path)


def is_same_file(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two paths name one regular file, even one that does not exist yet."""
    try:
        first, second = os.stat(one), os.stat(other)
    except FileNotFoundError:
        return os.path.realpath(one) == os.path.realpath(other)
    except OSError:
        return False
    return stat.S_ISREG(first.st_mode) and os.path.samestat(first, second)


def _write_to_object(file: object, parts: Parts) -> None:
    if not hasattr(file, "write"):
        raise TypeError(f"path is a {type(file).__name__}, which cannot be written to")
    for part in parts:
        view = memoryview(part).cast("B")
        while len(view):  # an unbuffered file may take a part of the bytes
            written = file.write(view)
            if not isinstance(file, io.RawIOBase):
                break
            if not written:
                raise BlockingIOError(errno.EAGAIN, "the file object takes no more bytes")
            view = view[written:]


def _inherited(path: str) -> int | None:
    """The descriptor of this process that a path such as /dev/stdout names, or None.

    What is behind it may be a file that others write to as well: it is neither replaced nor
    truncated.
    """
    if os.name != "posix":
        return None
    match = _DESCRIPTOR.fullmatch(path)
    return int(match[1]) if match else _DESCRIPTORS.get(path)


def _write_in_place(path: str, status: os.stat_result, parts: Parts) -> None:
    """Write to a pipe or a character device."""
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
    with open(descriptor, "wb") as file:
        if stat.S_IFMT(os.fstat(descriptor).st_mode) != stat.S_IFMT(status.st_mode):
            raise OSError(errno.EBUSY, "became another kind of file")
        file.writelines(parts)


def _replace(path: str, old: os.stat_result | None, parts: Parts) -> None:
    """Write a temporary file beside `path`, a path without links, and rename it to `path`."""
    folder, name = os.path.split(path)
    _remove_stale(folder)
    mark = f"{_place()}.{os.getpid()}.{_RUN}{secrets.token_hex(4)}"
    temporary = os.path.join(folder, f".{name[:40]}.{mark}.fnn-tmp")
    try:
        with open(_create(temporary, old), "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _fsync_folder(folder)


def _create(path: str, old: os.stat_result | None) -> int:
    """A descriptor of a new file with the owner and the permissions of an old one."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    if old is None:
        return os.open(path, flags, 0o666)
    mode = stat.S_IMODE(old.st_mode) & 0o777
    descriptor = os.open(path, flags, mode & 0o700)
    try:
        if hasattr(os, "fchown"):
            own = os.fstat(descriptor)
            if (own.st_uid, own.st_gid) != (old.st_uid, old.st_gid):
                try:
                    os.fchown(descriptor, old.st_uid, old.st_gid)
                except PermissionError:
                    # Another group must not get the rights of the old one.
                    mode = mode & ~0o070 | mode & (mode & 0o007) << 3
        os.chmod(path, mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _fsync_folder(folder: str) -> None:
    """Make a rename in a folder outlast a crash of the machine, where the system can."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _FOLDERS_WITHOUT_FSYNC:
            raise


def _place() -> str:
    """A digest of where process ids have their meaning: the machine and the container."""
    if os.name != "posix":
        return f"{0:08x}"
    place = os.uname().nodename
    with contextlib.suppress(OSError):
        place += f" {os.stat('/proc/self/ns/pid').st_ino}"
    return f"{zlib.crc32(place.encode()):08x}"


def _remove_stale(folder: str) -> None:
    """Remove temporary files of processes that no longer run, as far as that is possible."""
    if os.name != "posix":  # os.kill would end processes there
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match and match[1] == _place() and not _runs(int(match[2]), match[3]):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                    os.unlink(entry.path)


def _runs(process: int, run: str) -> bool:
    """Whether the process that made a temporary file runs."""
    if process == os.getpid():
        return run == _RUN
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it belongs to another user
        return True
    return True
