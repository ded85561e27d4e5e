"""Networks in forked and spawned processes, in several Python threads, and beside other OpenMP."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from programs import chain, data_for, initial_storage, targets_for
from teams import TASKS, n_tasks, team

import fastnn as fnn
from fastnn import backend as backends
from fastnn import optimizers
from fastnn.facts.losses import LOSSES

# Large enough that a step is shared between OpenMP's threads where there are several.
ROWS, WIDTHS = 512, (64, 256, 256, 10)

needs_compiled = pytest.mark.skipif(
    "compiled" not in backends.available(), reason="nothing compiled here"
)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
needs_linux = pytest.mark.skipif(not TASKS.exists(), reason="threads are counted on Linux alone")
fork_beside_threads = pytest.mark.filterwarnings(
    "ignore:This process.*multi-threaded:DeprecationWarning"
)


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, WIDTHS[0])).astype(np.float32), rng.integers(0, 10, ROWS)


def trained(seed: int = 0, dtype: str = "float32") -> np.ndarray:
    """All parameters of a network after a few epochs."""
    net = fnn.Sequential(
        [
            fnn.Dense(n_in, n_out, activation="relu" if n_out != WIDTHS[-1] else None)
            for n_in, n_out in itertools.pairwise(WIDTHS)
        ],
        seed=seed,
        dtype=dtype,
    )
    net.compile(loss="cross_entropy", optimizer="adam")
    x, y = data()
    net.fit(x, y, epochs=3, batch_size=256)
    return net.get_flat()


def trained_on(n_threads: int) -> np.ndarray:
    if n_threads == 1:
        return trained()
    with team(n_threads):
        return trained()


# ---------------------------------------------------------------- processes


def send(connection, function) -> None:
    connection.send(function())
    connection.close()


def in_child(method, function):
    """What a function returns in a child process."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this platform")
    context = multiprocessing.get_context(method)
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=send, args=(there, function))
    child.start()
    try:
        assert here.poll(600), "the child process hangs"
        return here.recv()
    finally:
        child.join(10)
        if child.is_alive():
            child.kill()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["fork", "spawn"])
@fork_beside_threads
def test_a_child_process_trains_to_the_same_bits(method, threads):
    """Whether the child uses one thread or a team; the parent's team exists before and after."""
    with team(2):
        expected = trained()
        assert np.array_equal(in_child(method, functools.partial(trained_on, threads)), expected)
        assert np.array_equal(trained(), expected)


@needs_fork
@fork_beside_threads
def test_a_child_of_a_child_trains_to_the_same_bits():
    with team(2):
        expected = trained()
        grandchild = functools.partial(in_child, "fork", functools.partial(trained_on, 2))
        assert np.array_equal(in_child("fork", grandchild), expected)


@needs_fork
@needs_compiled
@fork_beside_threads
def test_a_forked_child_uses_one_thread():
    with team(2):
        assert in_child("fork", fnn.get_num_threads) == 1


FORK_FIRST = """
import numpy as np
from teams import team
from test_threads import in_child, trained, trained_on
with team(2):
    child = in_child("fork", lambda: trained_on(2))
    assert np.array_equal(child, trained())
"""


def run_in_new_process(code, **environment):
    path = os.pathsep.join(
        [*map(str, Path(__file__).parents[:2]), os.environ.get("PYTHONPATH", "")]
    )
    environment = {**os.environ, "PYTHONPATH": path, **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_fork
def test_a_child_forked_before_the_first_team_trains_to_the_same_bits():
    run_in_new_process(FORK_FIRST)


# ----------------------------------------------------------- Python threads


def test_networks_train_side_by_side_in_python_threads():
    expected = [trained(seed) for seed in range(4)]
    with team(2), ThreadPoolExecutor(4) as pool:
        results = list(pool.map(trained, range(4)))
    for found, wanted in zip(results, expected, strict=True):
        assert np.array_equal(found, wanted)


def test_one_network_in_several_python_threads_predicts_the_same():
    x, _ = data()
    net = fnn.Sequential([fnn.Dense(64, 300, activation="tanh"), fnn.Dense(300, 10)])
    expected = net.predict(x)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: net.predict(x), range(40)):
            assert np.array_equal(found, expected)


def test_one_network_in_several_python_threads_trains_one_step_at_a_time():
    x, y = data()
    nets = []
    for workers in (1, 4):
        net = fnn.Sequential([fnn.Dense(64, 30, activation="tanh"), fnn.Dense(30, 10)], seed=0)
        net.compile(loss="cross_entropy", optimizer="adam")
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda _, net=net: net.train_step(x, y), range(20)))
        nets.append(net)
    assert np.array_equal(nets[0].get_flat(), nets[1].get_flat())


@needs_compiled
def test_python_goes_on_during_a_compiled_call():
    """Another thread runs while the engine computes: it has let go of the GIL."""
    program = chain((300, 400, 300, 10), "gelu")
    with backends.use("compiled"):
        engine = backends.new_engine(program, initial_storage(program))
    inputs, _ = data_for(program, 20_000)
    ticks, done = itertools.count(), threading.Event()

    def tick():
        while not done.is_set():
            next(ticks)
            time.sleep(1e-4)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        before = next(ticks)
        engine.forward(inputs)
        during = next(ticks) - before
    finally:
        done.set()
        thread.join()
    assert during > 5


# ------------------------------------------------------------------- OpenMP

COUNT_TASKS = """
import numpy as np
import fastnn as fnn
from teams import n_tasks
from test_threads import trained
net = fnn.Sequential([fnn.Dense(2, 2)])
net.compile(loss="mean_squared_error")
before = n_tasks()
net.train_step(np.zeros((4, 2)), np.zeros((4, 2)))
small = n_tasks()
trained()
print(before, small, n_tasks())
"""


@needs_linux
@needs_compiled
@pytest.mark.parametrize("offered", [1, 3])
def test_threads_start_with_the_work_and_not_before(offered):
    environment = {"OMP_NUM_THREADS": str(offered), "OPENBLAS_NUM_THREADS": "1"}
    output = run_in_new_process(COUNT_TASKS, FASTNN_BACKEND="compiled", **environment)
    before, small, large = map(int, output.split())
    assert small == before
    assert large == before + offered - 1


LIFTED_LIMIT = """
import fastnn
from teams import n_tasks
from test_threads import trained
from threadpoolctl import threadpool_limits
fastnn.get_num_threads()  # brings in OpenMP, but not yet the float64 kernels
with threadpool_limits(1):
    trained(dtype="float64")
with threadpool_limits(3, user_api="openmp"):
    before = n_tasks()
    trained(dtype="float64")
    print(n_tasks() - before)
"""


@needs_linux
@needs_compiled
def test_a_limit_at_the_first_use_ends_with_its_block():
    pytest.importorskip("threadpoolctl")
    output = run_in_new_process(LIFTED_LIMIT, FASTNN_BACKEND="compiled", OPENBLAS_NUM_THREADS="1")
    assert int(output) == 2


def small():
    net = fnn.Sequential([fnn.Dense(4, 3)])
    net.compile("cross_entropy", fnn.Adam(0.1))
    return net, np.ones((8, 4), np.float32), np.arange(8) % 3


def test_other_threads_wait_until_fit_has_ended(backend):
    net, x, y = small()
    with ThreadPoolExecutor(1) as pool:
        waiting = []

        def look(context):
            waiting.append(pool.submit(net.predict, x))
            time.sleep(0.05)
            assert not waiting[0].done()
            context.stop()

        net.fit(x, y, epochs=3, callbacks=look)
        assert np.array_equal(waiting[0].result(10), net.predict(x))


def test_a_callback_uses_the_network_it_watches(backend):
    net, x, y = small()
    seen = []
    net.fit(x, y, epochs=2, callbacks=lambda context: seen.append(net.predict(x)))
    assert not np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[1], net.predict(x))


def test_steps_of_several_threads_are_taken_one_after_another(backend):
    net, x, y = small()
    with ThreadPoolExecutor(4) as pool:
        losses = list(pool.map(lambda _: net.train_step(x, y), range(200)))
    assert net.get_state()["training"]["step"] == 200
    expected, _, _ = small()
    for _ in range(200):
        expected.train_step(x, y)
    assert len(losses) == 200
    assert np.array_equal(net.get_flat(), expected.get_flat())


@contextlib.contextmanager
def ctrl_c_after(seconds):
    """Interrupts this thread in the block, however late the machine lets the timer run."""
    here = threading.get_ident()
    timer = threading.Timer(seconds, lambda: signal.pthread_kill(here, signal.SIGINT))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads")
def test_ctrl_c_ends_the_wait_for_another_thread(backend):
    net, x, _ = small()
    held, done = threading.Event(), threading.Event()

    def hold():
        with net.core.lock:
            held.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    with pytest.raises(KeyboardInterrupt), ctrl_c_after(0.1):
        net.predict(x)
    done.set()
    holder.join(10)
    assert net.predict(x).shape == (8, 3)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads")
def test_ctrl_c_ends_a_long_prediction(backend):
    net = fnn.Sequential([fnn.Dense(256, 512, activation="relu"), fnn.Dense(512, 1)])
    many = np.broadcast_to(np.float32(1), (4_000_000, 256))
    with pytest.raises(KeyboardInterrupt), ctrl_c_after(0.2):
        net.predict(many)
    assert net.predict(many[:2]).shape == (2, 1)


@needs_compiled
@pytest.mark.parametrize("n", [1, 3])
def test_threadpoolctl_sees_and_limits_the_threads(n):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(n, user_api="openmp"), backends.use("compiled"):
        assert backends.load(backends.instruction_set(), np.float32).max_threads() == n


def openmp_library():
    """The OpenMP library of the compiled core, as GCC's programs call it."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    for library in threadpoolctl.threadpool_info():
        if library["prefix"] == "libgomp" and "site-packages" not in library["filepath"]:
            return ctypes.CDLL(library["filepath"])
    pytest.skip("the compiled core does not use GCC's OpenMP here")


@needs_compiled
def test_inside_another_parallel_region_a_call_uses_one_thread():
    """Each thread of a foreign OpenMP team trains a network of its own."""
    with team(2):
        expected = [trained(seed) for seed in range(3)]
        library = openmp_library()
        seeds, found, errors = itertools.count(), {}, []

        @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        def region(_):
            assert library.omp_in_parallel()
            seed = next(seeds)
            try:
                before = n_tasks()
                found[seed] = trained(seed)
                assert n_tasks() <= before, "a team inside a team"
            except BaseException as error:
                errors.append(error)

        library.GOMP_parallel(region, None, 3, 0)
    assert not errors
    assert sorted(found) == [0, 1, 2]
    for seed, wanted in enumerate(expected):
        assert np.array_equal(found[seed], wanted)


def test_a_number_beyond_all_limits_is_no_limit():
    before = fnn.get_num_threads()
    try:
        fnn.set_num_threads(10**12)
        trained()
        assert fnn.get_num_threads() >= before
    finally:
        fnn.set_num_threads(before)


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_set_num_threads_refuses(n, error):
    with pytest.raises(error, match="n must be"):
        fnn.set_num_threads(n)


def bits_of(loss: str, optimizer: str, threads: int) -> bytes:
    """All parameters after a step of a large batch."""
    row = LOSSES[loss]
    rng = np.random.default_rng(1)
    net = fnn.Sequential([fnn.Dense(64, 256, activation="tanh"), fnn.Dense(256, 10)], seed=2)
    net.compile(loss, optimizer)
    x, y = data()[0], targets_for(row, rng, ROWS, WIDTHS[-1], np.float32)
    with team(threads):
        for _ in range(2):
            net.train_step(x, y)
    return net.get_flat().tobytes()


@needs_compiled
@pytest.mark.parametrize("optimizer", optimizers.names())
def test_every_optimizer_has_the_same_bits_in_any_team(optimizer):
    one, four = (bits_of("cross_entropy", optimizer, threads) for threads in (1, 4))
    assert one == four


@needs_compiled
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_has_the_same_bits_in_any_team(loss):
    one, four = (bits_of(loss, "sgd", threads) for threads in (1, 4))
    assert one == four


def test_overlapping_blocks_restore_the_limit():
    before = backends.get_num_threads()
    first, second = backends.at_most_threads(1), backends.at_most_threads(1)
    inside, leave = threading.Event(), threading.Event()

    def overlap():
        with second:
            inside.set()
            leave.wait(60)

    other = threading.Thread(target=overlap)
    with first:
        other.start()
        inside.wait(60)
    assert backends.get_num_threads() == before
    leave.set()
    other.join()
    assert backends.get_num_threads() == before


def test_a_limit_holds_in_its_own_thread_only():
    before = backends.get_num_threads()
    seen = []
    with backends.at_most_threads(1):
        other = threading.Thread(target=lambda: seen.append(backends.get_num_threads()))
        other.start()
        other.join()
        seen.append(backends.get_num_threads())
    assert seen == [before, 1]


@pytest.mark.skipif(not TASKS.exists(), reason="counts the threads of the process")
@pytest.mark.skipif("compiled" not in backends.available(), reason="no compiled core")
def test_a_limit_holds_for_the_teams_of_a_call():
    code = """
import numpy as np
import fastnn as fnn
from fastnn import backend
from teams import n_tasks, team
net = fnn.Sequential([fnn.Dense(64, 256)])
X = np.ones((20_000, 64), np.float32)
with team(2):
    before = n_tasks()
    with backend.at_most_threads(1):
        net.predict(X)
    alone = n_tasks() - before
    net.predict(X)
    print(alone, n_tasks() - before)
"""
    said = run_in_new_process(code, FASTNN_BACKEND="compiled")
    assert said.split() == ["0", "1"]
