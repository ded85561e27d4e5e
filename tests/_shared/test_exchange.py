"""Arrays of other libraries: DLPack, Arrow and the buffer protocol, without a copy."""

import array
import ctypes

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from fastnn import stats, tabular
from fastnn._shared.arrays import as_floating, as_labels, as_real


class Lent:
    """An array that offers its memory by DLPack alone; `device` is what it claims."""

    def __init__(self, values, device=None):
        self.values, self.device = values, device
        self.ndim, self.shape = values.ndim, values.shape

    def __dlpack__(self, **options):
        assert self.device is None, "memory of another device must not be asked for"
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device or self.values.__dlpack_device__()

    def __len__(self):
        return len(self.values)


class OfArrow:
    """An object of Arrow's PyCapsule interface, and of no other protocol."""

    def __init__(self, values, method):
        setattr(type(self), method, lambda _, schema=None: getattr(values, method)(schema))


def capsule(values, method):
    return type("Capsule", (OfArrow,), {})(values, method)


def read_only(values):
    values.flags.writeable = False
    return values


def misaligned(values):
    raw = np.empty(values.nbytes + 1, np.uint8)
    view = raw[1:].view(values.dtype).reshape(values.shape)
    view[...] = values
    return view


def reversed_twice(values):
    return np.ascontiguousarray(values[::-1, ::-1])[::-1, ::-1]


def every_other(values):
    wide = np.zeros((values.shape[0] * 2, values.shape[1] * 3), values.dtype)
    wide[::2, ::3] = values
    return wide[::2, ::3]


LAYOUTS = {
    "read-only": read_only,
    "column by column": np.asfortranarray,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "misaligned": misaligned,
    "negative strides": reversed_twice,
    "not contiguous": every_other,
}
PACKAGES = {"array": lambda x: x, "memoryview": memoryview, "DLPack": Lent}
# NumPy 2.0, which lends the memory here, refuses read-only arrays: DLPack had no word for them.
LENDS_READ_ONLY = np.lib.NumpyVersion(np.__version__) >= "2.1.0"
NOT_IN_DLPACK = {"byte-swapped"} if LENDS_READ_ONLY else {"byte-swapped", "read-only"}


def net_of(dtype, inputs=3):
    net = fnn.Sequential(
        [fnn.Dense(inputs, 4, activation="tanh"), fnn.Dense(4, 1)], dtype=dtype, seed=0
    )
    net.compile("mean_squared_error", "adam")
    return net


# ------------------------------------------------------------------ layouts


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_predicts_and_trains_as_a_plain_array(backend, dtype, rng, layout, package):
    if package == "DLPack" and layout in NOT_IN_DLPACK:
        pytest.skip("this array cannot be handed over by DLPack")
    X, y = rng.normal(size=(6, 3)).astype(dtype), rng.normal(size=(6, 1)).astype(dtype)
    laid = LAYOUTS[layout](X.copy())
    before = laid.tobytes()
    packed = PACKAGES[package](laid)
    plain, other = net_of(dtype), net_of(dtype)
    np.testing.assert_array_equal(other.predict(packed), plain.predict(X))
    assert other.train_step(packed, y) == plain.train_step(X, y)
    plain.fit(X, y, epochs=2, batch_size=4)
    other.fit(packed, LAYOUTS[layout](y.copy()), epochs=2, batch_size=4)
    np.testing.assert_array_equal(other.predict(X), plain.predict(X))
    assert laid.tobytes() == before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_functions_take_every_layout(backend, dtype, rng, layout):
    x = rng.normal(size=(5, 4)).astype(dtype)
    laid = LAYOUTS[layout](x.copy())
    packed = laid if layout in NOT_IN_DLPACK else Lent(laid)
    np.testing.assert_array_equal(F.softmax(packed), F.softmax(x))
    np.testing.assert_array_equal(F.gelu(packed), F.gelu(x))


# ------------------------------------------------------------------ DLPack


@pytest.mark.parametrize("kind", ["float32", "float64", "int8", "int64", "uint16", "bool"])
def test_memory_of_dlpack_is_not_copied(kind):
    values = np.arange(6).reshape(3, 2).astype(kind)
    result = as_real(Lent(values), "X")
    np.testing.assert_array_equal(result, values)
    assert np.shares_memory(result, values)


@pytest.mark.skipif(not LENDS_READ_ONLY, reason="NumPy 2.0 lends no read-only array")
def test_read_only_dlpack_stays_read_only():
    values = read_only(np.arange(3.0))
    assert not as_floating(Lent(values), "x").flags.writeable


def test_labels_of_dlpack_are_not_copied():
    labels = np.arange(4)
    assert np.shares_memory(as_labels(Lent(labels), "labels"), labels)


def test_weights_of_elements_by_dlpack(backend, rng):
    X, y, c = rng.normal(size=(6, 3)), rng.normal(size=(6, 2)), rng.random((6, 2))
    net = fnn.Sequential([fnn.Dense(3, 2)], dtype="float64", seed=0)
    net.compile("mean_squared_error", "adam")
    assert net.evaluate(X, y, sample_weight=Lent(c)) == net.evaluate(X, y, sample_weight=c)
    loss = fnn.MeanSquaredError()
    assert loss(X[:, :2], y, Lent(c)) == loss(X[:, :2], y, c)


CUDA = (2, 0)
ON_CUDA = r"{} must be in the memory of the CPU, got Lent on CUDA device 0; .*\.cpu\(\)"


@pytest.mark.parametrize("verb", ["fit", "evaluate", "train_step", "loss_and_gradients"])
def test_networks_refuse_memory_of_a_gpu(backend, rng, verb):
    X, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 1))
    call = getattr(net_of("float64"), verb)
    with pytest.raises(TypeError, match=ON_CUDA.format("X")):
        call(Lent(X, CUDA), y)
    with pytest.raises(TypeError, match=ON_CUDA.format("y")):
        call(X, Lent(y, CUDA))
    with pytest.raises(TypeError, match=ON_CUDA.format("sample_weight")):
        call(X, y, sample_weight=Lent(np.ones(4), CUDA))


def test_predictions_functions_statistics_and_tables_refuse_memory_of_a_gpu(rng):
    x = Lent(rng.normal(size=(4, 3)), CUDA)
    with pytest.raises(TypeError, match=ON_CUDA.format("X")):
        net_of("float64").predict(x)
    with pytest.raises(TypeError, match=ON_CUDA.format("x")):
        F.relu(x)
    with pytest.raises(TypeError, match=ON_CUDA.format("y")):
        stats.linear_regression(rng.normal(size=(4, 1)), Lent(rng.normal(size=4), CUDA))
    with pytest.raises(TypeError, match=ON_CUDA.format("table")):
        tabular.as_table(x)
    with pytest.raises(TypeError, match=ON_CUDA.format("table, column 'a'")):
        tabular.as_table({"a": x})


@pytest.mark.parametrize(
    ("device", "name"), [((8, 0), "Metal"), ((10, 1), "ROCm"), ((99, 0), "DLPack type 99")]
)
def test_other_devices_are_named(device, name):
    with pytest.raises(TypeError, match=f"got Lent on {name} device {device[1]}"):
        as_real(Lent(np.ones(2), device), "X")


@pytest.mark.parametrize("device", [(1, 0), (3, 0), (11, 0), (13, 0)])
def test_devices_that_the_cpu_reads_are_allowed(device):
    class Pinned(Lent):
        def __dlpack__(self, **options):
            return self.values.__dlpack__(**options)

    np.testing.assert_array_equal(as_real(Pinned(np.ones(2), device), "X"), 1.0)


def test_refusal_of_a_library_is_quoted():
    class Lazy:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("Call .compute() first.")

    with pytest.raises(TypeError, match=r"X cannot be read as an array of numbers: Call \.compute"):
        as_real(Lazy(), "X")


def test_dlpack_makes_a_table_and_its_columns(rng):
    values = rng.normal(size=(4, 2))
    table = tabular.as_table(Lent(values), names=["a", "b"])
    expected = tabular.as_table({"a": Lent(values[:, 0]), "b": values[:, 1]})
    assert list(table.columns) == list(expected.columns)
    np.testing.assert_array_equal(table.columns["a"].values, expected.columns["a"].values)


# ------------------------------------------------------------------ buffers


@pytest.mark.parametrize(
    "values", [array.array("d", [1, 2, 3]), (ctypes.c_double * 3)(1, 2, 3), memoryview(b"\1\2\3")]
)
def test_buffers_are_not_copied(values):
    result = as_real(values, "X")
    np.testing.assert_array_equal(result, [1, 2, 3])
    assert np.shares_memory(result, np.frombuffer(values, result.dtype))


# ------------------------------------------------------------------ Arrow


def test_columns_of_arrow_are_not_copied():
    pyarrow = pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    values = np.arange(4.0)
    column = pyarrow.array(values)
    chunks = pyarrow.chunked_array([column])
    for one in (column, chunks, polars.Series(values), capsule(column, "__arrow_c_array__")):
        assert np.shares_memory(as_real(one, "y"), values)


@pytest.mark.parametrize("method", ["__arrow_c_array__", "__arrow_c_stream__"])
def test_tables_of_the_capsule_interface_are_read(backend, method):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("narwhals")
    make = pyarrow.record_batch if method == "__arrow_c_array__" else pyarrow.table
    table = make({"a": [1.0, 2.0], "b": [3, 4], "c": [True, None]})
    with pytest.raises(ValueError, match=r"\[1, 2\] = nan"):
        net_of("float64").predict(capsule(table, method))
    expected = [[1, 3, 1], [2, 4, np.nan]]
    np.testing.assert_array_equal(as_real(capsule(table, method), "X"), expected)


def test_columns_of_vectors_are_not_copied():
    pyarrow = pytest.importorskip("pyarrow")
    values = np.arange(6.0)
    vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values), 2)
    tensors = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(values.reshape(3, 2))
    for column in (vectors, pyarrow.chunked_array([vectors]), tensors):
        result = as_real(column, "X")
        np.testing.assert_array_equal(result, values.reshape(3, 2))
        assert np.shares_memory(result, values)
    np.testing.assert_array_equal(as_real(vectors[1:], "X"), values.reshape(3, 2)[1:])
    two = pyarrow.chunked_array([vectors[:1], vectors[1:]])
    np.testing.assert_array_equal(as_real(two, "X"), values.reshape(3, 2))


def test_missing_vector_is_refused():
    pyarrow = pytest.importorskip("pyarrow")
    column = pyarrow.array([[1.0, 2.0], None], pyarrow.list_(pyarrow.float64(), 2))
    with pytest.raises(ValueError, match="X must have no missing vectors, got 1"):
        as_real(column, "X")


@pytest.mark.parametrize("library", ["pyarrow", "polars"])
def test_frames_and_columns_train_as_arrays(backend, dtype, rng, library):
    module = pytest.importorskip(library)
    X, y = rng.normal(size=(6, 3)).astype(dtype), rng.normal(size=6).astype(dtype)
    columns = dict(zip("abc", X.T, strict=True))
    if library == "pyarrow":
        table, target, weights = module.table(columns), module.array(y), module.array(y**2)
    else:
        table, target, weights = module.DataFrame(columns), module.Series(y), module.Series(y**2)
    plain, other = net_of(dtype), net_of(dtype)
    plain.fit(X, y, epochs=2, sample_weight=y**2)
    other.fit(table, target, epochs=2, sample_weight=weights)
    np.testing.assert_array_equal(other.predict(table), plain.predict(X))


# ------------------------------------------------------------------ other libraries


def test_tensors_of_torch_train_as_arrays(backend, dtype, rng):
    torch = pytest.importorskip("torch")
    X, y = rng.normal(size=(6, 3)).astype(dtype), rng.normal(size=(6, 1)).astype(dtype)
    assert np.shares_memory(as_real(torch.from_numpy(X), "X"), X)
    plain, other = net_of(dtype), net_of(dtype)
    plain.fit(X, y, epochs=2)
    other.fit(torch.from_numpy(X), torch.from_numpy(y), epochs=2)
    np.testing.assert_array_equal(other.predict(torch.from_numpy(X)), plain.predict(X))


def test_tensors_of_torch_that_cannot_be_read_are_refused_with_the_way_out():
    torch = pytest.importorskip("torch")
    x = torch.ones(2, 3)
    refused = {
        r"detach\(\)": x.clone().requires_grad_(),
        "BFloat16; convert it to float32 first": x.bfloat16(),
        "Float8.*; convert it to float32 first": x.to(torch.float8_e4m3fn),
        r"to_dense\(\)": x.to_sparse(),
        "meta": x.to("meta"),
        r"resolve_neg\(\)": torch.ones(2, 3, dtype=torch.complex64).conj().imag,
        "must hold real numbers, got dtype complex64": x.to(torch.complex64),
    }
    for message, tensor in refused.items():
        with pytest.raises(TypeError, match=f"^X .*{message}"):
            net_of("float32").predict(tensor)


def test_bfloat16_of_jax_is_refused_with_the_way_out():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with pytest.raises(TypeError, match=r"X .* got dtype bfloat16; convert it to float32 first"):
        as_real(np.ones(3, ml_dtypes.bfloat16), "X")


def test_arrays_of_jax_are_not_copied(backend):
    jax = pytest.importorskip("jax")
    X = jax.numpy.arange(6.0).reshape(2, 3)
    assert np.shares_memory(as_real(X, "X"), np.from_dlpack(X))
    np.testing.assert_array_equal(
        net_of("float32").predict(X), net_of("float32").predict(np.array(X))
    )


# ------------------------------------------------------------------ results


def test_predictions_offer_their_memory_by_dlpack(backend, dtype, rng):
    output = net_of(dtype).predict(rng.normal(size=(4, 3)).astype(dtype))
    assert output.__dlpack_device__() == (1, 0)
    assert np.shares_memory(np.from_dlpack(output), output)


def test_torch_takes_predictions_without_a_copy(backend, dtype, rng):
    torch = pytest.importorskip("torch")
    output = net_of(dtype).predict(rng.normal(size=(4, 3)).astype(dtype))
    tensor = torch.from_dlpack(output)
    tensor[0, 0] = 7.0
    assert output[0, 0] == 7.0


def test_no_library_is_imported_for_arrays():
    import subprocess
    import sys

    code = (
        "import sys, numpy as np, fastnn as f\n"
        "f.Sequential([f.Dense(2, 1)]).predict(memoryview(np.ones((3, 2))))\n"
        "print(*{'torch', 'jax', 'pyarrow', 'polars', 'narwhals', 'pandas'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
