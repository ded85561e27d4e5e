"""Training from sources of rows that do not fit into memory."""

import os
import pickle

import numpy as np
import pytest

import fastnn as fnn

RNG = np.random.default_rng(0)
N = 1000
X = RNG.normal(size=(N, 4)).astype(np.float32)
LABELS = (X[:, 0] > X[:, 1]).astype(np.int64)
NUMBERS = X[:, 0] - 2.0 * X[:, 2]
WEIGHTS = RNG.random(N)
TASKS = {
    "classes": ("cross_entropy", LABELS, None),
    "weighed classes": ("cross_entropy", LABELS, WEIGHTS),
    "numbers": ("mean_squared_error", NUMBERS, None),
    "weighed numbers": ("huber", NUMBERS, WEIGHTS),
    "missing numbers": ("mean_squared_error", np.where(NUMBERS > 1, np.nan, NUMBERS), None),
}


def network(loss="cross_entropy", dtype="float32", **options):
    outputs = 2 if loss == "cross_entropy" else 1
    layers = [fnn.Dense(4, 6, activation="tanh"), fnn.Dropout(0.1), fnn.Dense(6, outputs)]
    net = fnn.Sequential(layers, dtype=dtype, seed=3)
    missing = None if loss == "cross_entropy" else "nan"
    net.compile(loss, "adam", l2=0.1, missing=missing, **options)
    return net


def cut(sizes, *columns):
    """The rows of arrays in chunks of some sizes, which repeat."""
    chunks, start, i = [], 0, 0
    while start < N:
        stop = start + sizes[i % len(sizes)]
        chunks.append(tuple(c[start:stop] for c in columns if c is not None))
        start, i = stop, i + 1
    return chunks


def measures(history):
    return {name: history[name] for name in ("loss", "val_loss") if name in history}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_buffer_that_holds_all_rows_gives_the_bits_of_memory(backend, name, dtype):
    loss, y, weights = TASKS[name]
    one, other = network(loss, dtype), network(loss, dtype)
    held_out = X[:300], np.nan_to_num(y[:300]) if y.dtype.kind == "f" else y[:300]
    source = fnn.Chunks(cut([170, 1, 90], X, y, weights), buffer_rows=N)
    expected = one.fit(X, y, sample_weight=weights, epochs=3, validation_data=held_out)
    history = other.fit(source, epochs=3, validation_data=fnn.Chunks([held_out]))
    np.testing.assert_array_equal(other.get_flat(), one.get_flat())
    assert measures(history)["val_loss"] == measures(expected)["val_loss"]
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-12)


def test_rows_in_order_give_the_bits_of_memory(backend):
    one, other = network(), network()
    one.fit(X, LABELS, epochs=2, shuffle=False, batch_size=30)
    source = fnn.Chunks(cut([7, 130], X, LABELS), buffer_rows=100)
    other.fit(source, epochs=2, shuffle=False, batch_size=30)
    np.testing.assert_array_equal(other.get_flat(), one.get_flat())
    assert other.get_state()["training"]["step"] == one.get_state()["training"]["step"]


@pytest.mark.parametrize("buffer_rows", [32, 33, 100, 500, 999])
def test_the_sizes_of_chunks_change_no_bit(buffer_rows):
    values = []
    for sizes in ([1], [1000], [64], [33, 5, 400]):
        net = network()
        net.fit(fnn.Chunks(cut(sizes, X, LABELS), buffer_rows=buffer_rows), epochs=2)
        values.append(net.get_flat().tobytes())
    assert len(set(values)) == 1


@pytest.mark.parametrize("buffer_rows", [32, 100, 1000])
def test_each_row_is_visited_once_in_each_epoch(buffer_rows):
    visited = []

    def loss(output, target):
        visited.extend(target[:, 0].tolist())
        return 0.0, np.zeros_like(output)

    net = fnn.Sequential([fnn.Dense(4, 1)])
    net.compile(fnn.CustomLoss(loss), "sgd")
    rows = np.arange(N, dtype=np.float64)
    net.fit(fnn.Chunks(cut([90], X, rows), buffer_rows=buffer_rows), epochs=2)
    first, second = visited[:N], visited[N:]
    assert sorted(first) == sorted(second) == rows.tolist()
    assert first != second


def test_seeds_and_epochs_have_orders_of_their_own():
    orders = set()
    for seed in (0, 1):
        net = fnn.Sequential([fnn.Dense(4, 2)], seed=0)
        net.compile("cross_entropy", "sgd")
        net.core.seed = seed
        net.fit(fnn.Chunks(cut([90], X, LABELS), buffer_rows=200), epochs=1)
        orders.add(net.get_flat().tobytes())
    assert len(orders) == 2


def test_class_weights_are_those_of_memory():
    one, other = network(), network()
    one.fit(X, LABELS, epochs=2, class_weight=[1, 3], sample_weight=WEIGHTS)
    source = fnn.Chunks(cut([64], X, LABELS, WEIGHTS), buffer_rows=N)
    other.fit(source, epochs=2, class_weight=[1, 3])
    np.testing.assert_array_equal(other.get_flat(), one.get_flat())


def test_early_stopping_and_checkpoints_go_with_a_source(tmp_path):
    source = fnn.Chunks(cut([70], X, LABELS), buffer_rows=128)
    options = {"validation_data": (X[:50], LABELS[:50]), "early_stopping": 2}
    whole, begun, again = network(), network(), network()
    whole.fit(source, epochs=6, **options)
    path = tmp_path / "run.fastnn"

    def stop(context):
        if context.epoch == 3:
            raise LookupError

    with pytest.raises(LookupError):
        begun.fit(source, epochs=6, checkpoint=path, callbacks=stop, **options)
    again.fit(source, epochs=6, checkpoint=path, callbacks=lambda context: None, **options)
    np.testing.assert_array_equal(again.get_flat(), whole.get_flat())
    assert again.history.epochs == whole.history.epochs
    other = fnn.Chunks(cut([70], X, LABELS), buffer_rows=256)
    with pytest.raises(ValueError, match="different are the training data"):
        network().fit(other, epochs=6, checkpoint=path, callbacks=lambda c: None, **options)


# ---------------------------------------------------------------------------------- errors


def changed(i, *chunk):
    """Chunks of the rows, of which one is another."""
    chunks = cut([100], X, LABELS)
    chunks[i] = chunk
    return chunks


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([], "the source has no rows"),
        ([(X[:0], LABELS[:0])], "chunk 0: X must have at least one row"),
        (changed(2, X[:9, :3], LABELS[:9]), r"chunk 2: X must"),
        (changed(3, X[:9].astype(int), LABELS[:9]), "chunk 3: all chunks.*got int64 of width 4"),
        (changed(4, X[:9], LABELS[:8]), "chunk 4: y must have 9 rows"),
        (changed(5, X[:9], LABELS[:9], WEIGHTS[:9]), "chunk 5: .*nothing"),
        (changed(6, np.full((9, 4), np.nan), LABELS[:9]), "chunk 6: X must be finite|chunk 6: X"),
        (changed(7, X[:9], LABELS[:9] + 5), "chunk 7: y"),
        (changed(8, X[:9]), r"chunk 8 must be \(X, y\) or \(X, y, sample_weight\)"),
        (cut([100], X, LABELS, -WEIGHTS), "chunk 0: sample_weight must be >= 0"),
        (cut([100], X, LABELS, 0 * WEIGHTS), "the source leaves nothing to train on"),
    ],
)
def test_a_bad_source_is_an_error_with_its_place(chunks, words):
    with pytest.raises(ValueError, match=words):
        network().fit(fnn.Chunks(chunks, buffer_rows=100))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda net, s: net.fit(s, LABELS), TypeError, "do not go with a source"),
        (lambda net, s: net.fit(X), TypeError, "y must hold real numbers, got NoneType"),
        (lambda net, s: net.fit(s, batch_size=101), ValueError, "buffer_rows must be at least"),
        (lambda net, s: net.fit(s, validation_split=0.1), ValueError, "validation_split"),
        (
            lambda net, s: net.fit(s, communicator=fnn.distributed.single()),
            ValueError,
            "communicator and shards do not go with a source",
        ),
        (lambda net, s: net.fit(s, weights_mean="batch"), ValueError, "weights_mean must be"),
        (lambda net, s: net.fit(s, class_weight="balanced"), ValueError, "class_weight"),
        (lambda net, s: net.fit(X, LABELS, validation_data=s), TypeError, "only where X is one"),
        (lambda net, s: fnn.Chunks(iter([])), TypeError, "iterable again for each epoch"),
        (lambda net, s: fnn.Chunks(3), TypeError, "chunks must be a function"),
        (lambda net, s: fnn.Chunks([], buffer_rows=0), ValueError, "buffer_rows must be"),
    ],
)
def test_what_does_not_go_with_a_source_is_refused(call, error, words):
    net = network()
    before = net.get_flat()
    with pytest.raises(error, match=words):
        call(net, fnn.Chunks(cut([100], X, LABELS), buffer_rows=100))
    np.testing.assert_array_equal(net.get_flat(), before)


def test_a_solver_takes_no_source():
    net = fnn.Sequential([fnn.Dense(4, 2)])
    net.compile("cross_entropy", "lbfgs")
    with pytest.raises(ValueError, match="takes all rows at once"):
        net.fit(fnn.Chunks(cut([100], X, LABELS)))


def test_a_loss_that_is_not_finite_names_the_batch_of_the_epoch():
    rows = np.where(np.arange(N)[:, None] < 700, X, 3e38).astype(np.float32)
    net = fnn.Sequential([fnn.Dense(4, 1)])
    net.compile("mean_squared_error", "sgd")
    with pytest.raises(fnn.TrainingError, match="epoch 1, batch 8 "):
        net.fit(
            fnn.Chunks(cut([100], rows, NUMBERS), buffer_rows=200), batch_size=100, shuffle=False
        )


# --------------------------------------------------------------------------------- Parquet


@pytest.fixture
def parquet(tmp_path):
    """A function that writes the rows as a Parquet file and returns its path."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    def write(name="rows.parquet", group=300, rows=slice(None), **columns):
        table = {f"x{j}": X[rows, j] for j in range(4)}
        table |= {"y": LABELS[rows], "w": WEIGHTS[rows]} | columns
        pq.write_table(pa.table(table), tmp_path / name, row_group_size=group)
        return tmp_path / name

    return write


def test_parquet_gives_the_bits_of_memory_whatever_its_row_groups(backend, parquet):
    expected = network()
    expected.fit(X, LABELS, sample_weight=WEIGHTS, epochs=2)
    for group in (1000, 300, 17):
        source = fnn.ParquetRows(parquet(group=group), "y", weight="w", buffer_rows=N)
        assert (source.n_rows, source.features) == (N, ("x0", "x1", "x2", "x3"))
        net = network()
        net.fit(source, epochs=2, validation_data=source)
        np.testing.assert_array_equal(net.get_flat(), expected.get_flat())


def test_several_files_are_one(parquet):
    one, other = network(), network()
    parts = [parquet(f"{i}.parquet", rows=slice(i * 250, i * 250 + 250)) for i in range(4)]
    one.fit(fnn.ParquetRows(parquet(), "y", features=["x3", "x0", "x1", "x2"], buffer_rows=99))
    other.fit(fnn.ParquetRows(parts, "y", features=["x3", "x0", "x1", "x2"], buffer_rows=99))
    np.testing.assert_array_equal(other.get_flat(), one.get_flat())


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_parts_are_all_rows_in_their_order(size, parquet):
    paths = [
        parquet("0.parquet", 170, rows=slice(0, 700)),
        parquet("1.parquet", rows=slice(700, N)),
    ]
    source = fnn.ParquetRows(paths, "y", weight="w")
    parts = [source.part(rank, size) for rank in range(size)]
    for i, rows in enumerate([X, LABELS, WEIGHTS]):
        np.testing.assert_array_equal(np.concatenate([part[i] for part in parts]), rows)


def test_parts_without_rows_have_the_columns_of_the_others(parquet):
    source = fnn.ParquetRows(parquet(group=N), ["x2", "x3"], features=["x0", "x1"])
    assert [part.shape for part in source.part(1, 2)[:2]] == [(0, 2), (0, 2)]
    assert source.part(1, 2)[2] is None
    with pytest.raises(ValueError, match="rank must be below size, 2, got 2"):
        source.part(2, 2)


def test_several_targets_are_the_rows_of_y(parquet):
    net = fnn.Sequential([fnn.Dense(2, 2)])
    net.compile("mean_squared_error", "sgd")
    source = fnn.ParquetRows(parquet(), ["x2", "x3"], features=["x0", "x1"])
    other = fnn.Sequential([fnn.Dense(2, 2)])
    other.compile("mean_squared_error", "sgd")
    net.fit(source, epochs=2)
    other.fit(X[:, :2], X[:, 2:], epochs=2)
    np.testing.assert_array_equal(net.get_flat(), other.get_flat())


def with_gap(column, place):
    return [None if i == place else value for i, value in enumerate(column.tolist())]


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({}, {"target": "z"}, "rows.parquet has no column 'z'"),
        ({}, {"features": ["x0", "q"]}, "rows.parquet has no column 'q'"),
        ({"x1": ["a"] * N}, {}, "rows.parquet: column 'x1' must hold numbers, and it holds string"),
        ({"x2": with_gap(X[:, 2], 650)}, {}, "row group 2: column 'x2' has 1 missing values"),
        ({"x3": np.where(np.arange(N) == 350, np.inf, X[:, 3])}, {}, "row group 1: .*column 'x3'"),
        ({"y": LABELS + 5 * (np.arange(N) == 950)}, {}, "row group 3: y"),
    ],
)
def test_errors_name_the_file_the_row_group_and_the_column(parquet, columns, options, words):
    path, options = parquet(**columns), {"target": "y", "weight": "w"} | options
    with pytest.raises(fnn.SourceError, match=words):
        network().fit(fnn.ParquetRows(path, **options), epochs=1)


def test_a_file_that_changes_or_is_cut_off_is_an_error(parquet):
    path = parquet()
    source = fnn.ParquetRows(path, "y", weight="w")

    def touch(context):
        os.utime(path, ns=(0, 0))

    with pytest.raises(fnn.SourceError, match=r"rows\.parquet has changed"):
        network().fit(source, epochs=2, callbacks=touch)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(fnn.SourceError, match=r"rows\.parquet is no Parquet file"):
        fnn.ParquetRows(path, "y")
    path.write_bytes(b"")
    with pytest.raises(fnn.SourceError, match=r"rows\.parquet is no Parquet file"):
        fnn.ParquetRows(path, "y")


def test_a_damaged_row_group_is_named(parquet):
    path = parquet()
    data = bytearray(path.read_bytes())
    data[60:2000] = bytes(1940)
    path.write_bytes(data)
    with pytest.raises(fnn.SourceError, match=r"rows\.parquet, row group 0 cannot be read"):
        network().fit(fnn.ParquetRows(path, "y", weight="w"), epochs=1)


def test_a_source_of_files_can_be_pickled(parquet):
    source = pickle.loads(pickle.dumps(fnn.ParquetRows(parquet(), "y", weight="w")))
    assert network().fit(source, epochs=1).epochs == 1
