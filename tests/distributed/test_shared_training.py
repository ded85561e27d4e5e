"""One training by several processes: the bits of one, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest
from thread_ranks import run, values

import fastnn as fnn
from fastnn import backend as backends
from fastnn import distributed
from fastnn.distributed.shards import children, cover, cuts, shards_of, total

N = 47
RNG = np.random.default_rng(5)
X = RNG.normal(size=(N, 5))
Y = {"a": RNG.integers(0, 3, N), "b": RNG.normal(size=(N, 2))}
WEIGHTS = RNG.uniform(0.5, 2, N)


def two_heads(optimizer="adam", dtype="float32", seed=1):
    """A network with dropout, a penalty and two outputs."""
    x = fnn.Input(5)
    h = fnn.Dropout(0.3)(fnn.Dense(5, 24, activation="relu")(x))
    h = fnn.Dense(24, 16, activation="tanh")(h)
    net = fnn.Network(
        x, {"a": fnn.Dense(16, 3)(h), "b": fnn.Dense(16, 2)(h)}, dtype=dtype, seed=seed
    )
    net.compile(
        loss={"a": "cross_entropy", "b": "mean_squared_error"}, optimizer=optimizer, l2=1e-3
    )
    return net


def trained(communicator, backend, optimizer="adam", dtype="float32", rows=None, **options):
    """Parameters, losses and the optimizer's state after a training."""
    with backends.use(backend):
        net = two_heads(optimizer, dtype)
    rows = slice(None) if rows is None else rows
    weights = options.pop("sample_weight", None)
    history = net.fit(
        X[rows],
        {name: y[rows] for name, y in Y.items()},
        sample_weight=None if weights is None else weights[rows],
        communicator=communicator,
        **{"epochs": 2, "batch_size": 18, **options},
    )
    state = net.get_state()
    return state["parameters"], *state["slots"].values(), np.array(history["loss"])


def are_equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


CASES = {
    "plain": {},
    "clipped": {"optimizer": fnn.Momentum(learning_rate=0.05, clip_norm=0.3)},
    "weighed": {"sample_weight": WEIGHTS},
    "weighed by batch": {"sample_weight": WEIGHTS, "weights_mean": "batch"},
    "fewer rows than shards": {"batch_size": 5},
    "in order": {"shuffle": False, "batch_size": 30},
    "validated": {"validation_split": 0.2, "early_stopping": 1, "epochs": 4},
    "class weights": {"class_weight": {"a": "balanced"}},
    "seven shards": {"shards": 7},
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_bits_do_not_depend_on_the_number_of_processes(case, backend):
    alone = trained(distributed.single(), backend, **CASES[case])
    results = values(run(3, lambda c: trained(c, backend, **CASES[case])))
    assert all(are_equal(result, alone) for result in results)


@pytest.mark.parametrize("size", [2, 5, 8])
def test_bits_hold_in_float64_and_up_to_a_process_for_each_shard(size, backend):
    alone = trained(distributed.single(), backend, dtype="float64")
    results = values(run(size, lambda c: trained(c, backend, dtype="float64")))
    assert all(are_equal(result, alone) for result in results)


@pytest.mark.parametrize("ends", [[0, 20, 47], [0, 0, 40, 47, 47]])
@pytest.mark.parametrize("case", ["weighed", "validated", "in order"])
def test_parts_of_any_size_give_the_bits_of_all_rows(ends, case, backend):
    alone = trained(distributed.single(), backend, **CASES[case])

    def work(communicator):
        rows = slice(*ends[communicator.rank : communicator.rank + 2])
        return trained(communicator, backend, rows=rows, partitioned=True, **CASES[case])

    assert all(are_equal(result, alone) for result in values(run(len(ends) - 1, work)))


@pytest.mark.parametrize("size", [2, 4])
def test_row_groups_of_parquet_in_parts_give_the_bits_of_memory(size, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    columns = {f"x{j}": X[:, j] for j in range(5)} | {"y": Y["a"], "w": WEIGHTS}
    pq.write_table(pyarrow.table(columns), tmp_path / "t.parquet", row_group_size=20)
    source = fnn.ParquetRows(tmp_path / "t.parquet", "y", weight="w")

    def work(communicator, rows, partitioned):
        net = fnn.Sequential([fnn.Dense(5, 8, activation="tanh"), fnn.Dense(8, 3)], seed=0)
        net.compile("cross_entropy", "adam")
        x, y, w = rows
        net.fit(
            x, y, sample_weight=w, epochs=2, batch_size=18, communicator=communicator,
            partitioned=partitioned,
        )  # fmt: skip
        return net.get_flat()

    alone = work(distributed.single(), (X, Y["a"], WEIGHTS), False)
    for flat in values(run(size, lambda c: work(c, source.part(c.rank, c.size), True))):
        assert np.array_equal(flat, alone)


def test_one_shard_is_an_ordinary_training(dtype):
    if "compiled" not in backends.available():
        pytest.skip("NumPy sums a mean in another order than a sum")
    plain = trained(None, "compiled", dtype=dtype, sample_weight=WEIGHTS)
    assert are_equal(
        trained(distributed.single(), "compiled", dtype=dtype, sample_weight=WEIGHTS, shards=1),
        plain,
    )


def test_shards_change_rounding_only(backend):
    plain = trained(None, backend, dtype="float64")
    shared = trained(distributed.single(), backend, dtype="float64")
    for one, other in zip(plain, shared, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)


def test_without_shards_processes_agree_to_rounding(backend):
    alone = trained(distributed.single(), backend, dtype="float64", shards=None)
    results = values(run(3, lambda c: trained(c, backend, dtype="float64", shards=None)))
    for result in results:
        assert are_equal(result, results[0])
        for one, other in zip(alone, result, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)


def test_custom_losses_count_by_their_rows(backend):
    def half_of_squares(output, target):
        error = output - target
        return (error**2).mean() / 2, error / error.size

    def parameters(communicator):
        with backends.use(backend):
            net = fnn.Sequential(
                [fnn.Dense(5, 4, activation="tanh"), fnn.Dense(4, 2)], dtype="float64"
            )
        net.compile(loss=half_of_squares)
        net.fit(X, Y["b"], epochs=2, batch_size=11, communicator=communicator)
        return net.get_flat()

    alone = parameters(distributed.single())
    np.testing.assert_allclose(alone, parameters(None), rtol=1e-9, atol=1e-12)
    assert all(np.array_equal(p, alone) for p in values(run(2, parameters)))


def test_memory_maps_and_sparse_inputs_are_read_by_all(backend, tmp_path):
    import scipy.sparse

    np.save(tmp_path / "x.npy", X)

    def parameters(communicator, rows):
        with backends.use(backend):
            net = fnn.Sequential([fnn.Dense(5, 4, activation="tanh"), fnn.Dense(4, 2)])
        net.compile(loss="mean_squared_error")
        net.fit(rows, Y["b"], epochs=2, communicator=communicator)
        return net.get_flat()

    for rows in (np.load(tmp_path / "x.npy", mmap_mode="r"), scipy.sparse.csr_matrix(X)):
        alone = parameters(distributed.single(), rows)
        shared = values(run(2, lambda c, rows=rows: parameters(c, rows)))
        assert all(np.array_equal(p, alone) for p in shared)


# ------------------------------------------------------------------- process 0


def test_process_0_alone_calls_callbacks_and_all_follow(backend, capsys):
    calls = []

    def halve(context):
        calls.append(context.epoch)
        context.scale_learning_rate(0.5)
        return context.epoch == 3

    def work(communicator):
        with backends.use(backend):
            net = two_heads()
        history = net.fit(X, Y, epochs=9, callbacks=halve, verbose=2, communicator=communicator)
        return net.get_flat(), history

    (first, history), (other, same) = values(run(2, work))
    assert calls == [1, 2, 3]
    assert np.array_equal(first, other)
    assert history == same
    assert history.stopped_early
    assert history["learning_rate"][2] == history["learning_rate"][0] / 4
    assert capsys.readouterr().err.count("epoch 2") <= 1


def test_early_stopping_restores_the_best_epoch_everywhere(backend):
    def work(communicator):
        with backends.use(backend):
            net = two_heads(fnn.Adam(learning_rate=0.5))
        history = net.fit(
            X, Y, epochs=12, validation_data=(X, Y), early_stopping=1, communicator=communicator
        )
        return net.get_flat(), history.best_epoch

    (first, best), (other, same) = values(run(2, work))
    assert best == same
    assert np.array_equal(first, other)


@pytest.mark.parametrize("sizes", [(3, 1), (1, 2), (2, 3)])
def test_a_checkpoint_goes_on_with_any_number_of_processes(sizes, backend, tmp_path):
    class Died(Exception):
        pass

    def work(communicator, folder, dies):
        def die(context):
            if dies and context.epoch == 2:
                raise Died

        with backends.use(backend):
            net = two_heads()
        distributed.fit(
            net, X, Y, epochs=4, communicator=communicator, checkpoint=folder, callbacks=die
        )
        return net.get_flat()

    whole = work(distributed.single(), tmp_path / "whole", False)
    folder = tmp_path / "broken"
    outcomes = run(sizes[0], lambda c: work(c, folder, True))
    assert isinstance(outcomes[0], Died)
    assert all(isinstance(outcome, distributed.RankError) for outcome in outcomes[1:])
    assert fnn.load(folder / "checkpoint.fastnn").history.epochs == 1
    resumed = values(run(sizes[1], lambda c: work(c, folder, False)))
    assert all(np.array_equal(flat, whole) for flat in resumed)


def test_a_checkpoint_belongs_to_its_shards_and_its_network(tmp_path):
    def fit(seed=1, **options):
        net = two_heads(seed=seed)
        distributed.fit(
            net, X, Y, epochs=2, communicator=distributed.single(), checkpoint=tmp_path, **options
        )

    fit()
    with pytest.raises(ValueError, match="different are shards"):
        fit(shards=4)
    with pytest.raises(ValueError, match="another training"):
        fit(seed=2)


# -------------------------------------------------------------------- refusals


def messages(size, function):
    """The errors of all processes as text; all must have one."""
    outcomes = run(size, function)
    assert all(isinstance(outcome, Exception) for outcome in outcomes), outcomes
    return [f"{type(outcome).__name__}: {outcome}" for outcome in outcomes]


def fit_with(communicator, inputs=X, targets=Y["b"], loss="mean_squared_error", seed=0, **options):
    net = fnn.Sequential([fnn.Dense(5, 2)], seed=seed)
    net.compile(loss=loss)
    return net.fit(inputs, targets, communicator=communicator, **{"epochs": 1, **options})


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"batch_size": 16}, "batch_size"),
        ({"epochs": 3}, "epochs"),
        ({"shuffle": False}, "shuffle"),
        ({"shards": 4}, "shards"),
        ({"seed": 3}, "network"),
        ({"loss": "huber"}, "network"),
        ({"inputs": X + 1}, "data"),
        ({"inputs": X.astype(np.float32)}, "data"),
        ({"partitioned": True}, "partitioned"),
    ],
)
def test_processes_with_different_programs_are_refused(options, name):
    for text in messages(2, lambda c: fit_with(c, **(options if c.rank else {}))):
        assert text.startswith(f"ValueError: all ranks must have the same {name}")


def test_processes_with_different_versions_are_refused(monkeypatch):
    from fastnn.network import _together

    facts = _together._facts
    monkeypatch.setattr(
        _together,
        "_facts",
        lambda core, plan, sharing: {
            **facts(core, plan, sharing),
            "version of fastnn": f"1.{sharing.communicator.rank}",
        },
    )
    (text, _) = messages(2, fit_with)
    assert text.endswith("the same version of fastnn, got 1.0 on rank 0 and 1.1 on rank 1")


def test_number_of_features_of_one_process_is_refused_in_all():
    own, other = messages(2, lambda c: fit_with(c, X[:, :4] if c.rank == 0 else X))
    assert own.startswith("ValueError: X must have shape (N, 5), got (47, 4)")
    assert other.startswith("RankError: rank 0, checking the data, raised ValueError: X must have")


def test_nan_in_the_part_of_one_process_is_named_in_all():
    def work(communicator):
        part = X[:20].copy() if communicator.rank == 0 else X[20:].copy()
        if communicator.rank == 1:
            part[7, 2] = np.nan
        return fit_with(communicator, part, Y["b"][: len(part)], partitioned=True)

    other, own = messages(2, work)
    assert own.startswith("ValueError: X must be finite, got X[7, 2] = nan")
    assert other.startswith("RankError: rank 1, checking its rows, raised ValueError: X must be")


def test_a_loss_that_is_nan_names_row_and_process(backend):
    bad = X.copy()
    bad[31] = np.nan
    with pytest.raises(fnn.TrainingError, match="nan in row 31, on rank 0 at epoch 1"):
        fit_with(distributed.single(), bad, check_finite=False, shuffle=False)
    for text in messages(3, lambda c: fit_with(c, bad, check_finite=False, shuffle=False)):
        assert text.startswith("TrainingError: the loss became nan in row 31, on rank 2 at epoch 1")


def test_an_error_of_user_code_in_one_process_ends_all(backend):
    def work(communicator):
        def fails_in_process_1(output, target):
            if communicator.rank == 1:
                raise ZeroDivisionError("by nothing")
            return 0.0, output * 0

        return fit_with(communicator, loss=fails_in_process_1)

    other, own = messages(2, work)
    assert own.startswith("ZeroDivisionError: by nothing")
    assert other == "RankError: rank 1, step 1, raised ZeroDivisionError: by nothing"


def test_dtypes_of_parts_must_agree():
    def work(communicator):
        dtype = [np.float64, np.float32][communicator.rank]
        return fit_with(communicator, X.astype(dtype), partitioned=True)

    for text in messages(2, work):
        assert "must have one dtype on all ranks, got float64 on rank 0, float32 on rank 1" in text


def test_targets_as_long_as_the_inputs_of_a_process():
    own, other = messages(2, lambda c: fit_with(c, X, Y["b"][: N - c.rank], partitioned=True))[::-1]
    assert "47 of X and 46 of" in own
    assert "rank 1, checking its rows" in other


def test_a_process_that_is_missing_is_named():
    outcomes = run(2, lambda c: None if c.rank == 1 else fit_with(c), limit=0.2)
    assert isinstance(outcomes[0], distributed.RankError)
    assert outcomes[0].rank == 1


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"shards": 0}, ValueError, "shards"),
        ({"shards": 2.5}, TypeError, "shards"),
        ({"partitioned": "yes"}, TypeError, "partitioned"),
        ({"communicator": 4}, TypeError, "communicator must be one"),
        ({"communicator": None, "shards": 4}, ValueError, "need a communicator"),
        ({"communicator": None, "partitioned": True}, ValueError, "need a communicator"),
    ],
)
def test_arguments_are_checked(options, error, text):
    communicator = distributed.single()
    with pytest.raises(error, match=text):
        fit_with(**{"communicator": communicator, **options})


def test_shards_are_at_least_as_many_as_processes():
    for text in messages(3, lambda c: fit_with(c, shards=2)):
        assert text == "ValueError: shards must be at least the number of processes, 3, got 2"


def test_a_solver_takes_no_communicator():
    net = fnn.Sequential([fnn.Dense(5, 2)])
    net.compile(loss="mean_squared_error", optimizer="lbfgs")
    with pytest.raises(ValueError, match="no solver"):
        net.fit(X, Y["b"], communicator=distributed.single())


# ------------------------------------------------------------------------ tree


@pytest.mark.parametrize("n_shards", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("n_rows", [1, 4, 8, 100])
def test_the_tree_of_sums_does_not_depend_on_who_holds_a_shard(n_shards, n_rows):
    """The sum is written as text: brackets show its order."""

    def text(node):
        if node[1] - node[0] == 1:
            return str(node[0])
        left, right = children(node)
        return text(left) if right[0] >= n_filled else f"({text(left)}+{text(right)})"

    n_filled = min(n_rows, n_shards)
    expected = text((0, n_shards))
    for size in range(1, n_shards + 1):
        nodes = [
            node
            for rank in range(size)
            for node in cover(shards_of(rank, size, n_shards), (0, n_shards), n_filled)
        ]
        parts = {node: text(node) for node in nodes}
        joined = total((0, n_shards), n_filled, parts, lambda a, b: f"({a}+{b})")
        assert joined == expected


@pytest.mark.parametrize(("n_rows", "n_shards"), [(1, 8), (8, 8), (37, 8), (64, 3)])
def test_shards_have_all_rows_and_equal_sizes(n_rows, n_shards):
    sizes = np.diff(cuts(n_rows, n_shards))
    assert sizes.sum() == n_rows
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(sizes) <= 0).all()
