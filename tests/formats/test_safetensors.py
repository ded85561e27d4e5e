"""Parameters under the names of PyTorch: dicts and files of safetensors, sound and hostile."""

import io
import json
import pickle
import random
import zipfile

import numpy as np
import pytest
from random_networks import network
from safetensors.numpy import load_file, save_file

import fastnn as fnn
from fastnn.formats import from_safetensors, from_state_dict, to_safetensors, to_state_dict


def chain(dtype="float32", seed=0):
    layers = [fnn.Dense(3, 5, "tanh"), fnn.LayerNorm(5), fnn.Dense(5, 2)]
    return fnn.Sequential(layers, dtype=dtype, seed=seed)


def prediction(net, X):
    return net.predict(X if len(X) > 1 else X[0])


def test_dense_weights_are_transposed():
    net = chain()
    tensors = to_state_dict(net)
    np.testing.assert_array_equal(tensors["0.weight"], net.parameters["dense_1.weight"].T)
    assert tensors["0.weight"].flags.c_contiguous
    assert list(tensors) == ["0.weight", "0.bias", "2.weight", "2.bias", "3.weight", "3.bias"]


@pytest.mark.parametrize("seed", range(8))
def test_round_trip_of_files_is_exact(dtype, tmp_path, seed):
    net, X = network(seed, dtype)
    to_safetensors(net, tmp_path / "net.safetensors")
    found = prediction(from_safetensors(tmp_path / "net.safetensors"), X)
    for name, values in prediction(net, X).items():
        np.testing.assert_array_equal(found[name], values)


def test_the_library_reads_what_fastnn_writes(dtype, tmp_path):
    net = chain(dtype)
    to_safetensors(net, tmp_path / "net.safetensors")
    found = load_file(tmp_path / "net.safetensors")
    expected = to_state_dict(net)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_fastnn_reads_what_the_library_writes(tmp_path):
    save_file(to_state_dict(chain(seed=1)), tmp_path / "net.safetensors")
    net = from_safetensors(tmp_path / "net.safetensors", chain())
    np.testing.assert_array_equal(net.core.snapshot(), chain(seed=1).core.snapshot())


def test_like_stays_and_its_copy_starts_training_afresh(rng):
    like = chain()
    like.compile("mean_squared_error", "adam")
    like.train_step(np.ones((4, 3)), np.ones((4, 2)))
    before = like.core.snapshot()
    net = from_state_dict(to_state_dict(chain(seed=1)), like)
    np.testing.assert_array_equal(like.core.snapshot(), before)
    assert net.core.state.step == 0
    assert not any(slot.any() for slot in net.core.slots.values())
    net.train_step(np.ones((4, 3)), np.ones((4, 2)))


def test_other_names(tmp_path):
    names = {"0.weight": "encoder.weight", "0.bias": "encoder.bias"}
    net = chain(seed=1)
    tensors = to_state_dict(net, names)
    assert list(tensors)[:3] == ["encoder.weight", "encoder.bias", "2.weight"]
    found = from_state_dict(tensors, chain(), names)
    np.testing.assert_array_equal(found.core.snapshot(), net.core.snapshot())
    to_safetensors(net, tmp_path / "net.safetensors", names)
    found = from_safetensors(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(found.core.snapshot(), net.core.snapshot())


def test_names_that_do_not_fit():
    with pytest.raises(ValueError, match=r"names has '9\.weight', expected '0\.weight'"):
        to_state_dict(chain(), {"9.weight": "a"})
    with pytest.raises(ValueError, match="names gives two parameters one name"):
        to_state_dict(chain(), {"0.weight": "0.bias"})
    with pytest.raises(TypeError, match="names must be a mapping"):
        to_state_dict(chain(), ["a"])


def changed(**tensors):
    return {**to_state_dict(chain()), **{k.replace("_", "."): v for k, v in tensors.items()}}


def test_missing_extra_and_wrong_tensors_are_named():
    missing = to_state_dict(chain())
    del missing["2.bias"]
    with pytest.raises(ValueError, match=r"there is no tensor '2\.bias': the layers need"):
        from_state_dict(missing, chain())
    with pytest.raises(ValueError, match=r"a tensor '5\.bias' that no layer has"):
        from_state_dict(changed(**{"5_bias": np.ones(2)}), chain())
    with pytest.raises(ValueError, match=r"'0\.bias' must have shape \(5,\), got \(4,\)"):
        from_state_dict(changed(**{"0_bias": np.ones(4)}), chain())
    with pytest.raises(TypeError, match=r"'0\.bias' must hold floating-point numbers, got int64"):
        from_state_dict(changed(**{"0_bias": np.ones(5, int)}), chain())
    with pytest.raises(ValueError, match=r"'0\.bias' must be finite"):
        from_state_dict(changed(**{"0_bias": np.full(5, np.nan)}), chain())
    with pytest.raises(ValueError, match=r"'0\.bias' must be within the range of float32"):
        from_state_dict(changed(**{"0_bias": np.full(5, 1e300)}), chain())
    with pytest.raises(TypeError, match="tensors must be a mapping from names, got list"):
        from_state_dict([], chain())


def test_tensors_of_pytorch_are_read():
    torch = pytest.importorskip("torch")
    tensors = {name: torch.from_numpy(v) for name, v in to_state_dict(chain(seed=1)).items()}
    found = from_state_dict(tensors, chain())
    np.testing.assert_array_equal(found.core.snapshot(), chain(seed=1).core.snapshot())
    half = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    with pytest.raises(TypeError, match=r"tensor '0\.weight' .*convert it to float32 first"):
        from_state_dict(half, chain())


# ------------------------------------------------------------------ hostile files


def parts():
    """The entries of the header and the bytes after it."""
    file = io.BytesIO()
    to_safetensors(chain(), file)
    raw = file.getvalue()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def joined(entries, data):
    header = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return io.BytesIO(len(header).to_bytes(8, "little") + header + data)


def with_entry(name="0.weight", **changes):
    entries, data = parts()
    entries[name] |= changes
    return joined(entries, data)


def described(change):
    entries, data = parts()
    description = json.loads(entries["__metadata__"]["fastnn.network"])
    change(description)
    entries["__metadata__"]["fastnn.network"] = json.dumps(description)
    return joined(entries, data)


def widen(description):
    layer = description["structure"]["graph"]["layers"][2]["config"]
    layer["n_out"] = 2**24


HOSTILE = {
    "cut off": lambda: io.BytesIO(b"abc"),
    "a header of 1125899906842624 bytes": lambda: io.BytesIO((2**50).to_bytes(8, "little") + b"{}"),
    "the header is not a JSON object": lambda: joined([1], b""),
    "not a safetensors file, or damaged": lambda: joined(b"{" * 2000, b""),
    "the arrays take 168 bytes, but the file has 160": lambda: joined(parts()[0], parts()[1][:-8]),
    "of shape .1099511627776, 1048576. has 60 bytes": lambda: with_entry(shape=[2**40, 2**20]),
    r"'0\.weight' begins at 0, expected 20": lambda: with_entry(data_offsets=[0, 60]),
    "has dtype 'BF16', which fastnn does not read; convert": lambda: with_entry(dtype="BF16"),
    "has dtype 'F8_E4M3'": lambda: with_entry(dtype="F8_E4M3"),
    "is no list of sizes": lambda: with_entry(shape=[-5, -3]),
    "does not describe a network": lambda: described(lambda d: d.pop("structure")),
    "does not describe a network: .*the layers have": lambda: described(widen),
    "does not describe a network: .*no layer 'Evil'": lambda: described(
        lambda d: d["structure"]["graph"]["layers"][0].update({"class": "Evil"})
    ),
}


@pytest.mark.parametrize("message", HOSTILE)
def test_hostile_files_are_refused(message):
    with pytest.raises(fnn.FormatError, match=message):
        from_safetensors(HOSTILE[message]())


def test_a_file_without_layers_needs_them(tmp_path):
    save_file(to_state_dict(chain()), tmp_path / "net.safetensors")
    with pytest.raises(fnn.FormatError, match="has parameters and no layers: pass like="):
        from_safetensors(tmp_path / "net.safetensors")


def test_files_of_pickles_are_refused_with_the_way_out():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps({}))
    for data in (archive.getvalue(), pickle.dumps({"a": 1}, protocol=2), pickle.dumps({})):
        with pytest.raises(fnn.FormatError, match=r"file of torch\.save: .*weights_only=True"):
            from_safetensors(io.BytesIO(data), chain())


def test_damaged_bytes_end_in_a_network_or_a_sentence():
    file = io.BytesIO()
    to_safetensors(chain(), file)
    raw, draw = bytearray(file.getvalue()), random.Random(0)
    for _ in range(300):
        data = bytearray(raw)
        for _ in range(draw.choice((1, 1, 3))):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            from_safetensors(io.BytesIO(bytes(data[: draw.choice((len(data), 40, 900))])))
        except (fnn.FormatError, ValueError, TypeError):
            continue


def test_nothing_is_written_where_a_network_is_refused(tmp_path):
    net = chain()
    net.parameters["dense_1.bias"] = np.full(5, np.inf)
    with pytest.raises(ValueError, match=r"'dense_1\.bias' is not finite"):
        to_safetensors(net, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())
