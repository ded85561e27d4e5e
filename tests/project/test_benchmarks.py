"""The comparison with other libraries: what it counts, compares, times and writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastnn import backend

sys.path.append(str(Path(__file__).parents[2]))  # last: fastnn is the one that is installed

from benchmarks import (
    KERNEL_CHOICES,
    clock,
    compare,
    contenders,
    peers,
    report,
    roofline,
    solvers,
)
from benchmarks.contenders import Setting
from benchmarks.works import Work, difference, works

NEAR = ("fastnn", "scikit-learn", "numpy", "scipy")  # those that load in no time

needs_compiled = pytest.mark.skipif(
    "compiled" not in backend.available() or os.environ.get("FASTNN_BACKEND") == "reference",
    reason="compares the compiled backend",
)


@pytest.fixture
def near(monkeypatch):
    """Only the libraries that load in no time."""
    monkeypatch.setattr(peers, "CONTENDERS", {name: contenders.CONTENDERS[name] for name in NEAR})


def test_the_rows_have_different_names():
    names = [work.name for work in works("float32")]
    assert len(set(names)) == len(names)


def test_only_selects_rows_by_name():
    assert [work.kind for work in works("float32", "^step.*batch 32$")] == ["step"]


def test_a_step_has_three_products_less_the_gradient_of_the_input():
    work = Work("step", "float32", (3, 5, 2), 7)
    first, second = 2 * 7 * 3 * 5, 2 * 7 * 5 * 2
    assert work.flops == 2 * first + 3 * second


def test_a_narrow_work_has_a_method_of_its_own():
    work = Work("predictor", "float32", (3, 2), 7, precision="int8")

    class Library(contenders.Contender):
        def predictor(self, work):
            return ["plain"]

        def predictor_int8(self, work):
            return ["int8"]

    assert Library().jobs(work) == ["int8"]
    assert work.name.endswith(", int8")


def test_the_chart_has_a_panel_for_each_processor(tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks import chart

    chart.main([str(tmp_path / "chart.svg")])
    text = (tmp_path / "chart.svg").read_text(encoding="utf-8")
    for file in chart.RESULTS.glob("*.json"):
        assert file.stem.replace("-", " ") in text


def test_the_share_of_the_peak_is_that_of_the_precision():
    section = report.Section(Setting(1, "float32"), peaks=roofline.Peaks(1e9, 1e9, 2e9, 4e9))
    for precision, share in (("", 0.5), ("bfloat16", 0.25), ("int8", 0.125)):
        row = report.Row("x", "predictor", 1e9, 0, {"fastnn": 2.0}, precision=precision)
        assert section.share_of_peak(row) == share


def test_regressions_are_compared_in_float64_alone():
    assert [w.kind for w in works("float64", " 1,000 x 5")] == [
        "least_squares",
        "linear_regression",
    ]
    assert not list(works("float32", " 1,000 x 5"))


def test_difference_is_relative_in_norm():
    assert difference([np.array([3.0, 4.5])], [np.array([3.0, 4.0])]) == pytest.approx(0.1)


@pytest.mark.parametrize("actual", [[np.ones(2)], [np.full(3, np.nan)], []])
def test_results_that_do_not_fit_differ_infinitely(actual):
    assert difference(actual, [np.ones(3)]) == np.inf


def _blas_architecture(module, **environment):
    """What NumPy's BLAS takes the processor for in a process that imports a module."""
    code = (
        f"import {module}, numpy, threadpoolctl;"
        "print([p.get('architecture') for p in threadpoolctl.threadpool_info()])"
    )
    free = {name: value for name, value in os.environ.items() if name not in KERNEL_CHOICES}
    done = subprocess.run(
        [sys.executable, "-c", code], env=free | environment, cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("module", ["benchmarks.peers", "benchmarks.compare", "benchmarks.common"])
def test_numpy_chooses_its_own_kernels(module):
    free = _blas_architecture("numpy")
    if _blas_architecture("numpy", OPENBLAS_CORETYPE="Prescott") == free:
        pytest.skip("this NumPy does not obey OPENBLAS_CORETYPE")
    assert _blas_architecture(module, OPENBLAS_CORETYPE="Prescott") == free


def test_the_least_time_is_that_of_one_call():
    calls = []
    seconds = clock.least_time(lambda: calls.append(1), 0.01)
    assert 0 < seconds < 1e-4
    assert len(calls) > 100


def test_single_calls_are_timed_one_by_one():
    assert clock.single_calls(lambda: None, 50).shape == (50,)


@needs_compiled
def test_the_libraries_agree(near, capfd, dtype):
    only = "^fit.*digits|4,096 x 10| 1,000 elements|1,000 x 5"
    assert peers.main(["--quick", "--only", only, "--dtype", dtype]) == 0
    output = capfd.readouterr().out
    assert all(f"{name} " in output for name in NEAR)


@needs_compiled
def test_what_differs_is_not_timed(near, capfd, monkeypatch):
    monkeypatch.setattr(peers, "tolerance", lambda work: -1.0)
    assert peers.main(["--quick", "--only", "logsumexp, 128"]) == 1
    assert "differs from fastnn" in capfd.readouterr().err


@needs_compiled
def test_what_is_not_installed_is_named(near, capfd, monkeypatch):
    monkeypatch.setitem(contenders.CONTENDERS, "scipy", ("no_such_library", "_scipy"))
    assert peers.main(["--quick", "--only", "logsumexp, 128"]) == 0
    assert "scipy: not installed" in capfd.readouterr().out


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_more_threads_than_processors_are_refused():
    with pytest.raises(SystemExit, match="need as many processors"):
        peers.main(["--threads", str(len(os.sched_getaffinity(0)) + 1)])


@pytest.fixture
def section():
    """A section with a row of which one contender is slower and one is faster."""
    section = report.Section(Setting(1, "float32"), "v4", roofline.Peaks(1e11, 1e10))
    work = next(works("float32", "^step"))
    section.rows[work.name] = report.Row.of(work)
    section.rows[work.name].times = {"fastnn": 2e-6, "jax": 1e-6, "torch": 5e-6}
    return section


def test_a_row_that_is_lost_is_marked(section):
    text = report.markdown(section)
    assert "**0.50** slower" in text
    assert " 2.5 " in text


def test_a_failure_is_told(section):
    next(iter(section.rows.values())).failures["jax"] = "differs"
    assert "jax was not timed: differs" in report.markdown(section)


def test_writing_replaces_one_section_and_nothing_else(tmp_path, section):
    page = tmp_path / "page.md"
    page.write_text("before\n")
    report.write(page, section)
    page.write_text(page.read_text() + "after\n")
    once = page.read_text()
    report.write(page, section)
    assert page.read_text() == once
    assert once.startswith("before\n")
    assert once.endswith("after\n")


def test_results_survive_a_file(tmp_path, section):
    results = report.Results()
    results.section(section.setting).rows.update(section.rows)
    results.save(tmp_path / "results.json")
    loaded = report.Results.load(tmp_path / "results.json").section(section.setting)
    assert loaded.rows == section.rows


@needs_compiled
def test_every_case_of_the_suite_is_compared(capsys):
    cases = list(compare.cases())
    suites = {suite.__name__ for suite, _, _ in cases}
    assert {"Elementwise", "DenseProduct", "Predict", "Step", "Fit"} <= suites


@needs_compiled
def test_a_case_that_is_not_faster_is_listed(capsys, monkeypatch):
    monkeypatch.setattr(compare, "_round", lambda *case: [2.0, 1.0])
    assert compare.main(["--only", r"AdamUpdate|Update.time_update\(adam, 1, float32"]) == 1
    assert "  0.50  Update" in capsys.readouterr().out


def test_solvers_reach_losses_in_their_order():
    optimizer, options = solvers.METHODS["LBFGS"]
    times = solvers.measure(optimizer, options, seeds=1, seconds=0.05)
    assert np.all(np.diff(times[np.isfinite(times)]) >= 0)


def test_scikit_learns_network_starts_where_ours_does():
    pytest.importorskip("sklearn")
    X, y = solvers.task()
    net = solvers.network("lbfgs")
    model = solvers.regressor(net, X, y)
    layers = (model.coefs_, model.intercepts_)
    theirs = [part.ravel() for pair in zip(*layers, strict=True) for part in pair]
    assert np.array_equal(np.concatenate(theirs), net.get_flat())


def test_searches_are_timed_for_each_model():
    pytest.importorskip("sklearn")
    from benchmarks import searches

    X, y = searches.task()
    for search in searches.SEARCHES.values():
        for Model in searches.MODELS.values():
            model = Model((4,), max_iter=1, random_state=0)
            assert searches.seconds(search(model, 1), X[:200], y[:200], 1) > 0
