"""Files are replaced as a whole, keep their permissions, and are never replaced by another kind."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import sys
import threading

import pytest

from fastnn._shared import writing
from fastnn._shared.writing import check_destination, is_same_file, write_file

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX files")


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old"
    path.write_bytes(b"old")
    return path


def test_parts_are_written_one_after_another(tmp_path):
    write_file(tmp_path / "new", [b"ab", memoryview(b"cd")])
    assert (tmp_path / "new").read_bytes() == b"abcd"
    assert os.listdir(tmp_path) == ["new"]


# ---------------------------------------------------------------------- permissions


@pytest.mark.parametrize("rights", [0o600, 0o640, 0o604, 0o777])
def test_file_and_temporary_file_have_the_permissions_of_the_old_file(old, rights):
    old.chmod(rights)
    seen = []

    def parts():
        seen.extend(mode(old.parent / name) for name in os.listdir(old.parent))
        yield b"new"

    write_file(old, parts())
    assert seen == [rights, rights]
    assert mode(old) == rights


def test_temporary_file_never_has_more_permissions_than_the_old_file(old, monkeypatch):
    old.chmod(0o600)
    created = []
    chmod = os.chmod

    def watched(path, rights):
        created.append(mode(path))
        chmod(path, rights)

    monkeypatch.setattr(os, "chmod", watched)
    write_file(old, [b"new"])
    assert created == [0o600]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="changes the owner")
def test_file_keeps_its_owner(old):
    os.chown(old, 12345, 54321)
    write_file(old, [b"new"])
    assert (old.stat().st_uid, old.stat().st_gid) == (12345, 54321)


# -------------------------------------------------------------------- other kinds of files


def test_pipe_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write_file(pipe, [b"ab", b"cd"])
    reader.join(10)
    assert received == [b"abcd"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def node(path, original):
    """A device node like another one; tests never write to the machine's own nodes."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.stat(original).st_rdev)
        with open(path, "rb"):
            pass
    except OSError:
        pytest.skip("device nodes cannot be made here")


def test_character_device_is_written_to_and_stays(tmp_path):
    node(tmp_path / "null", "/dev/null")
    write_file(tmp_path / "null", [b"data"])
    assert stat.S_ISCHR(os.stat(tmp_path / "null").st_mode)
    assert os.listdir(tmp_path) == ["null"]


def test_device_without_space_raises_and_stays(tmp_path):
    node(tmp_path / "full", "/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        write_file(tmp_path / "full", [b"data"])
    assert caught.value.filename == str(tmp_path / "full")
    assert stat.S_ISCHR(os.stat(tmp_path / "full").st_mode)


def test_socket_is_refused_and_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket has a limit of some hundred bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        with pytest.raises(OSError, match="is a socket"):
            write_file("s", [b"data"])
        assert stat.S_ISSOCK(os.stat("s").st_mode)


@pytest.mark.parametrize("name", ["new/", "new/.", "sub", "sub/", ".", ".."])
def test_names_of_folders_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkdir("sub")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_file(name, [b"data"])
    assert os.listdir() == ["sub"]


def test_file_with_a_slash_behind_it_is_refused(old):
    with pytest.raises(NotADirectoryError):
        write_file(f"{old}/", [b"new"])
    assert old.read_bytes() == b"old"


# ------------------------------------------------------------------------------ links


def test_links_are_followed_and_stay(old, tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("old")
    write_file(tmp_path / "one", [b"new"])
    assert (tmp_path / "one").is_symlink()
    assert (tmp_path / "two").is_symlink()
    assert old.read_bytes() == b"new"


def test_link_to_a_file_that_does_not_exist_makes_that_file(tmp_path):
    (tmp_path / "link").symlink_to("new")
    write_file(tmp_path / "link", [b"new"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "new").read_bytes() == b"new"


def test_loop_of_links_is_refused_and_stays(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links") as caught:
        write_file(tmp_path / "one", [b"data"])
    assert caught.value.filename == str(tmp_path / "one")
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]
    assert (tmp_path / "one").is_symlink()


# ----------------------------------------------------------------------- crashes


def kill_while_writing(path):
    """Kill a process that has written a part of the file."""
    program = (
        "import os, signal, sys\n"
        "from fastnn._shared.writing import write_file\n"
        "def parts():\n"
        "    yield b'half'\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_file(sys.argv[1], parts())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -9


def test_killed_writer_leaves_the_old_file_and_its_temporary_file_is_removed_later(old):
    kill_while_writing(old)
    assert old.read_bytes() == b"old"
    assert len(os.listdir(old.parent)) == 2
    write_file(old.parent / "another", [b"data"])
    assert sorted(os.listdir(old.parent)) == ["another", "old"]


def temporary(folder, process, place=None, run="0" * 8):
    name = f".m.{place or writing._place()}.{process}.{run}{'0' * 8}.fnn-tmp"
    (folder / name).write_bytes(b"")
    return name


def test_temporary_files_of_processes_that_run_stay(tmp_path):
    own = temporary(tmp_path, os.getpid(), run=writing._RUN)
    another = temporary(tmp_path, os.getppid())
    write_file(tmp_path / "m", [b"data"])
    assert sorted(os.listdir(tmp_path)) == sorted([own, another, "m"])


def test_temporary_files_of_another_machine_stay(tmp_path):
    name = temporary(tmp_path, 2**22 + 1, place="0" * 8)
    write_file(tmp_path / "m", [b"data"])
    assert sorted(os.listdir(tmp_path)) == sorted([name, "m"])


def test_temporary_file_of_an_earlier_process_with_the_same_id_is_removed(tmp_path):
    temporary(tmp_path, os.getpid())
    write_file(tmp_path / "m", [b"data"])
    assert os.listdir(tmp_path) == ["m"]


def test_file_and_folder_are_forced_to_the_disk(tmp_path, monkeypatch):
    kinds = []
    fsync = os.fsync

    def watched(descriptor):
        kinds.append(stat.S_IFMT(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_file(tmp_path / "m", [b"data"])
    assert kinds == [stat.S_IFREG, stat.S_IFDIR]


# -------------------------------------------------------------------- file objects


def test_file_objects_are_written_at_their_position(tmp_path):
    memory = io.BytesIO(b"ab")
    memory.seek(1)
    write_file(memory, [b"cd"])
    assert memory.getvalue() == b"acd"


def test_unbuffered_file_that_takes_parts_gets_everything():
    class Slow(io.RawIOBase):
        received = b""

        def writable(self):
            return True

        def write(self, data):
            self.received += bytes(data[:2])
            return min(2, len(data))

    slow = Slow()
    write_file(slow, [b"abc", b"defgh"])
    assert slow.received == b"abcdefgh"


def test_text_files_are_refused():
    with pytest.raises(TypeError, match="open it in binary mode"):
        write_file(io.StringIO(), [b"data"])


def test_standard_output_by_its_path_is_written_at_its_position(tmp_path):
    program = (
        "import os, sys\n"
        "from fastnn._shared.writing import write_file\n"
        "os.write(1, b'before ')\n"
        "write_file('/dev/stdout', [b'data'])\n"
        "os.write(1, b' after')\n"
    )
    with open(tmp_path / "out", "wb") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True)
    assert (tmp_path / "out").read_bytes() == b"before data after"


# ------------------------------------------------------------------------- checks


def test_check_writes_nothing(tmp_path):
    assert check_destination(str(tmp_path / "new")) is None
    assert os.listdir(tmp_path) == []


def test_paths_of_one_file_are_recognised(old, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("old")
    assert is_same_file("link", old)
    assert is_same_file("new", tmp_path / "new")
    assert not is_same_file("new", old)
    assert not is_same_file("/dev/null", "/dev/null")
