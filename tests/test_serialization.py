"""fastnn's file: what goes in comes out, and no damaged file does anything but FormatError."""

import io
import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import serialization
from fastnn.serialization import FormatError, load, save

STRUCTURE = {"layers": [{"kind": "dense", "rate": 0.1}, None, True], "name": "é", "seed": 2**64 - 1}


def small_arrays():
    return {
        "dense_1.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "empty": np.zeros((0, 4)),
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.fastnn"


@pytest.fixture
def saved(path):
    save(path, STRUCTURE, small_arrays())
    return path


def write_raw(path, header, data=b""):
    """A safetensors file with any header, right or wrong."""
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def header_of(path):
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:end]), raw[end:]


def with_metadata(path, **changes):
    """Write a small file whose metadata is changed; None removes an entry."""
    save(path, {}, {})
    header, data = header_of(path)
    metadata = header["__metadata__"] | changes
    header["__metadata__"] = {key: value for key, value in metadata.items() if value is not None}
    write_raw(path, header, data)


def with_structure(path, text):
    with_metadata(path, structure=text, checksum=serialization._checksum(text, {}))


# ------------------------------------------------------------------ round trip


def test_structure_comes_back_equal(saved):
    assert load(saved)[0] == STRUCTURE


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u8", "?"])
def test_arrays_come_back_equal_with_their_dtype(path, dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    save(path, {}, {"a": array})
    loaded = load(path)[1]["a"]
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (2, 0, 1), (2, 3, 4)])
def test_shapes_come_back(path, shape):
    save(path, {}, {"a": np.ones(shape)})
    assert load(path)[1]["a"].shape == shape


def test_nan_inf_and_signed_zero_come_back_bit_for_bit(path):
    array = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    save(path, {}, {"a": array})
    assert load(path)[1]["a"].tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda a: a[::-1, ::2], lambda a: a.astype(">f8")]
)
def test_any_layout_is_taken(path, layout):
    array = layout(np.arange(12.0).reshape(3, 4))
    save(path, {}, {"a": array})
    np.testing.assert_array_equal(load(path)[1]["a"], array)


def test_loaded_arrays_are_writable_and_contiguous(saved):
    flags = load(saved)[1]["dense_1.weight"].flags
    assert flags.writeable
    assert flags.c_contiguous


def test_file_objects_hold_the_bytes_of_a_file(saved):
    memory = io.BytesIO()
    save(memory, STRUCTURE, small_arrays())
    assert memory.getvalue() == saved.read_bytes()


@pytest.mark.parametrize("opened", [io.BytesIO, lambda data: io.BufferedReader(io.BytesIO(data))])
def test_file_objects_are_read_from_their_position(saved, opened):
    file = opened(b"before" + saved.read_bytes())
    file.read(6)
    structure, arrays = load(file)
    assert structure == STRUCTURE
    np.testing.assert_array_equal(arrays["dense_1.weight"], small_arrays()["dense_1.weight"])


def test_error_of_a_file_object_names_its_type():
    with pytest.raises(FormatError, match="<BytesIO>: not a fastnn file"):
        load(io.BytesIO(b"nonsense"))


@pytest.mark.parametrize("opened", [io.StringIO, lambda: io.TextIOWrapper(io.BytesIO())])
def test_text_files_are_refused(opened):
    with opened() as file, pytest.raises(TypeError, match="binary mode"):
        load(file)
    with opened() as file, pytest.raises(TypeError, match="binary mode"):
        save(file, {}, {})


def test_file_without_arrays(path):
    save(path, {"only": "structure"}, {})
    assert load(path) == ({"only": "structure"}, {})


def test_safetensors_reads_the_arrays(saved):
    from safetensors.numpy import load_file

    np.testing.assert_array_equal(
        load_file(saved)["dense_1.weight"], small_arrays()["dense_1.weight"]
    )


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab\u2028é"), inner),
    max_leaves=20,
)


@settings(max_examples=50, deadline=None)
@given(structure=st.dictionaries(st.text("xyz"), json_values))
def test_any_json_structure_comes_back_equal(tmp_path_factory, structure):
    path = tmp_path_factory.mktemp("json") / "m"
    save(path, structure, {})
    assert load(path)[0] == structure


# ---------------------------------------------------------------- what save refuses


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        ({"a": [1, {"b": float("nan")}]}, r"structure\['a'\]\[1\]\['b'\] is nan"),
        ({"a": float("inf")}, "is inf"),
        ({"a": 2**64}, "64 bits"),
        ({"a": "\ud800"}, "Unicode"),
    ],
)
def test_save_refuses_values_json_cannot_carry(path, structure, message):
    with pytest.raises(ValueError, match=message):
        save(path, structure, {})
    assert not path.exists()


@pytest.mark.parametrize("structure", [[1], None, {"a": {1, 2}}, {"a": np.float32(1)}, {1: "a"}])
def test_save_refuses_types_json_lacks(path, structure):
    with pytest.raises(TypeError):
        save(path, structure, {})


def test_save_refuses_deep_nesting(path):
    deep = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="nested more than 64 deep"):
        save(path, {"a": deep}, {})


@pytest.mark.parametrize("array", [np.array(["x"]), np.array([None]), np.ones(2, complex)])
def test_save_refuses_other_dtypes_and_names_the_array(path, array):
    with pytest.raises(TypeError, match="array 'w' has dtype"):
        save(path, {}, {"w": array})


def test_save_refuses_the_reserved_name(path):
    with pytest.raises(ValueError, match="__metadata__"):
        save(path, {}, {"__metadata__": np.ones(1)})


# ---------------------------------------------------------------------- the writing


def test_failed_save_keeps_the_old_file_and_leaves_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()

    def no_space(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="no space"):
        save(saved, {}, {})
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_save_leaves_only_the_file(saved):
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_new_file_has_the_permissions_of_the_umask(path):
    previous = os.umask(0o027)
    try:
        save(path, {}, {})
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_overwritten_file_keeps_its_permissions(saved):
    saved.chmod(0o600)
    save(saved, {}, {})
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_save_writes_through_a_symbolic_link(saved, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(saved)
    save(link, {"new": 1}, {})
    assert link.is_symlink()
    assert load(saved)[0] == {"new": 1}


def test_save_into_a_missing_folder_raises_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "none" / "m", {}, {})


# ------------------------------------------------------------------- damaged files


def test_missing_file_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_folder_raises_format_error(tmp_path):
    with pytest.raises(FormatError, match="not a regular file"):
        load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="not a regular file"):
        load(tmp_path / "pipe")


def test_error_names_the_file(path):
    path.write_bytes(b"nonsense")
    with pytest.raises(FormatError, match=r"model\.fastnn"):
        load(path)


def test_every_truncation_raises_format_error(saved):
    whole = saved.read_bytes()
    for length in range(len(whole)):
        saved.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            load(saved)


def test_every_flipped_bit_raises_format_error(saved):
    """Also in the arrays and in names: that is what the checksum is for."""
    whole = saved.read_bytes()
    for i in range(len(whole)):
        damaged = bytearray(whole)
        damaged[i] ^= 1 << i % 8
        saved.write_bytes(damaged)
        with pytest.raises(FormatError):
            load(saved)


@pytest.mark.parametrize("seed", range(3))
def test_random_damage_never_raises_anything_but_format_error(saved, seed):
    random = np.random.default_rng(seed)
    whole = np.frombuffer(saved.read_bytes(), np.uint8)
    expected = small_arrays()
    for _ in range(300):
        damaged = whole.copy()
        places = random.integers(len(whole), size=random.integers(1, 9))
        damaged[places] = random.integers(256, size=len(places))
        saved.write_bytes(damaged.tobytes())
        try:
            structure, arrays = load(saved)
        except FormatError:
            continue
        # Only what is no damage may pass: a blank that became another one, say.
        assert structure == STRUCTURE
        assert {k: a.tobytes() for k, a in arrays.items()} == {
            k: a.tobytes() for k, a in expected.items()
        }


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_raise_format_error(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("raw") / "m"
    path.write_bytes(raw)
    with pytest.raises(FormatError):
        load(path)


def test_appended_bytes_raise_format_error(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    with pytest.raises(FormatError):
        load(saved)


def test_foreign_safetensors_file_is_told_apart(path):
    from safetensors.numpy import save_file

    save_file({"a": np.ones(2)}, path)
    with pytest.raises(FormatError, match="that fastnn did not write"):
        load(path)


def test_newer_version_says_so(path):
    with_metadata(path, version="7")
    with pytest.raises(FormatError, match=r"newer fastnn \(format version 7"):
        load(path)


@pytest.mark.parametrize("version", [None, "", "0", "-1", "1.0", " 1", "²", "9" * 5000])
def test_impossible_version_raises_format_error(path, version):
    with_metadata(path, version=version)
    with pytest.raises(FormatError, match="version"):
        load(path)


@pytest.mark.parametrize("key", ["format", "structure", "checksum"])
def test_missing_metadata_raises_format_error(path, key):
    with_metadata(path, **{key: None})
    with pytest.raises(FormatError):
        load(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{",
        "{'a': 1}",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a":' + "[" * 200 + "]" * 200 + "}",
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": ' + "9" * 100_000 + "}",
        '{"a": 18446744073709551616}',
        '{"a": "\\ud800"}',
        '{"\\ud800": 1}',
    ],
    ids=lambda text: text[:24],
)
def test_hostile_structure_with_a_right_checksum_raises_format_error(path, text):
    with_structure(path, text)
    with pytest.raises(FormatError):
        load(path)


def test_structure_that_is_too_long_raises_format_error(path, monkeypatch):
    with_structure(path, json.dumps({"a": "b" * 2000}))
    monkeypatch.setattr(serialization, "_MAX_TEXT", 1000)
    with pytest.raises(FormatError, match="at most 1000"):
        load(path)


def tensor(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    "declared",
    [
        tensor(shape=(2**40,), offsets=(0, 2**42)),
        tensor(shape=(2**62,)),
        tensor(shape=(2**64,)),
        tensor(shape=(-1,)),
        tensor(shape=(1.5,)),
        tensor(offsets=(4, 0)),
        tensor(offsets=(0, 2**64)),
        tensor(shape=(2,)),
        tensor(shape=(1,) * 100),
        tensor(shape=(0, 2**62), offsets=(0, 0)),
        tensor(shape=(0, 2**63, 2), offsets=(0, 0)),
        tensor(shape=(0, 2**31, 2**31, 2**31), offsets=(0, 0)),
        tensor(dtype="BF16", shape=(2,)),
        tensor(dtype="F8_E4M3", shape=(4,)),
        tensor(dtype="object"),
        tensor(dtype=["F32"]),
        {},
        7,
        None,
    ],
    ids=str,
)
def test_hostile_array_declaration_raises_format_error(path, declared):
    save(path, {}, {})
    header, _ = header_of(path)
    is_empty = isinstance(declared, dict) and declared.get("data_offsets") == [0, 0]
    write_raw(path, header | {"a": declared}, b"" if is_empty else b"\0" * 4)
    with pytest.raises(FormatError):
        load(path)


@pytest.mark.parametrize("length", [0, 2, 2**31, 2**63, 2**64 - 1])
def test_hostile_header_length_raises_format_error(path, length):
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(FormatError):
        load(path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_declared_sizes_take_no_memory(path):
    """A file of some hundred bytes that claims 4 TB is refused within 1 GB of address space."""
    save(path, {}, {})
    header, _ = header_of(path)
    write_raw(path, header | {"a": tensor(shape=(2**40,), offsets=(0, 2**42))}, b"\0" * 4)
    program = (
        "import resource, sys, safetensors, fastnn.serialization as s\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "try: s.load(sys.argv[1])\n"
        "except s.FormatError: print('refused')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True, text=True, check=False,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.stdout == "refused\n", result.stderr


def run_limited(program, path, megabytes=1024):
    """Run a program with a limit of its address space; what it printed."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({megabytes << 20},) * 2)\n"
    start = "import sys, os, numpy, fastnn.serialization as s\n"
    result = subprocess.run(
        [sys.executable, "-c", start + limit + program, str(path)],
        capture_output=True, text=True, check=False,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, (result.returncode, result.stderr)
    return result.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_loading_more_than_the_memory_raises_memory_error(path):
    """A sound header and 4 GB that the disk does not store."""
    save(path, {}, {})
    header, _ = header_of(path)
    write_raw(path, header | {"a": tensor(shape=(2**30,), offsets=(0, 2**32))})
    os.truncate(path, os.path.getsize(path) + 2**32)
    program = (
        "try: s.load(sys.argv[1])\n"
        "except MemoryError: print('MemoryError')\n"
    )  # fmt: skip
    assert run_limited(program, path) == "MemoryError\n"


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_saving_needs_no_second_copy_of_the_arrays(path):
    program = (
        "a = numpy.ones(28_000_000)\n"
        "s.save(sys.argv[1], {}, {'a': a})\n"
        "print(os.path.getsize(sys.argv[1]) > a.nbytes)\n"
    )
    assert run_limited(program, path, 640) == "True\n"


@pytest.mark.skipif(os.name != "posix", reason="signals of a memory map")
def test_file_that_becomes_shorter_while_it_is_read_raises_format_error(path):
    save(path, {}, {"a": np.ones(1 << 20)})
    program = (
        "import os, sys, fastnn.serialization as s\n"
        "check = s._check_metadata\n"
        "def shorten(metadata):\n"
        "    os.truncate(sys.argv[1], 10_000)\n"
        "    return check(metadata)\n"
        "s._check_metadata = shorten\n"
        "try: s.load(sys.argv[1])\n"
        "except s.FormatError: print('refused')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "refused\n")


def test_repeated_name_in_the_header_raises_format_error(path):
    save(path, {}, {"a": np.ones(1, np.float32)})
    header, data = header_of(path)
    text = json.dumps(header)[:-1] + ', "a": ' + json.dumps(header["a"]) + "}"
    write_raw(path, text.encode(), data)
    with pytest.raises(FormatError, match="repeated"):
        load(path)


def test_gap_between_arrays_raises_format_error(path):
    save(path, {}, {"a": np.ones(1, np.float32)})
    header, data = header_of(path)
    header["a"]["data_offsets"] = [4, 8]
    write_raw(path, header, b"\0" * 4 + data)
    with pytest.raises(FormatError, match="begins at 4, expected 0"):
        load(path)


def test_pickles_are_not_executed(path, tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FormatError):
        load(path)
    assert not (tmp_path / "exploded").exists()


def test_importing_the_module_does_not_import_safetensors():
    program = "import sys, fastnn.serialization; print('safetensors' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"


def test_error_of_writing_names_the_path_and_not_the_temporary_file(path, monkeypatch):
    def refuse(temporary, *_):
        raise PermissionError(13, "Permission denied", temporary)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError) as caught:
        save(path, {}, {})
    assert caught.value.filename == str(path)
