"""Models for tables, and estimators, as models of ONNX of their own: what onnxruntime computes."""

import numpy as np
import pytest

from fastnn import tabular
from fastnn.formats import to_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
runtime.set_default_logger_severity(4)

QUICK = tabular.Recipe(hidden=(8,), epochs=3, folds=2, bins=4)
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}


def table(n=90):
    """Numbers with gaps, a category with gaps, a category of two levels, and truth values."""
    rng = np.random.default_rng(0)
    size = rng.normal(100, 30, n)
    size[::9] = np.nan
    city = rng.choice(["Rom", "Ulm", "Köln"], n).astype(object)
    city[::7] = None
    return {
        "size": size,
        "rooms": rng.integers(1, 6, n),
        "city": city,
        "kind": rng.choice(["new", "old"], n),
        "garden": rng.random(n) < 0.5,
    }


def targets(rows):
    return np.nan_to_num(rows["size"], nan=90.0) + 20 * (rows["city"] == "Rom") + rows["rooms"]


def feed(rows):
    """The rows as the inputs of a model of ONNX."""
    texts = {name: [["" if v is None else v] for v in rows[name]] for name in ("city", "kind")}
    numbers = {n: np.asarray(rows[n], float)[:, None] for n in ("size", "rooms", "garden")}
    return {**numbers, **{name: np.array(v, object) for name, v in texts.items()}}


def run(model, rows):
    session = runtime.InferenceSession(model.SerializeToString())
    names = [end.name for end in session.get_outputs()]
    return dict(zip(names, session.run(None, feed(rows)), strict=True))


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "quantile"])
def test_a_regression_gives_the_numbers_of_predict(backend, dtype, loss):
    rows = table()
    options = {"quantiles": (0.1, 0.5, 0.9)} if loss == "quantile" else {}
    data = rows | {"y": targets(rows)}
    model = tabular.fit(data, "y", preset=QUICK, loss=loss, dtype=dtype, **options)
    expected = model.predict(rows).reshape(90, -1)
    (found,) = run(to_onnx(model), rows).values()
    assert found.dtype == np.float64
    assert np.abs(found - expected).max() < TOLERANCE[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("classes", [("low", "high"), (1, 2, 3)])
def test_a_classification_gives_label_and_probabilities(backend, dtype, classes):
    rows = table()
    order = np.argsort(np.argsort(targets(rows))) * len(classes) // 90
    data = rows | {"y": np.array(classes)[order]}
    model = tabular.fit(data, "y", preset=QUICK, dtype=dtype, task="classification")
    found = run(to_onnx(model), rows)
    assert [*found] == ["label", "probabilities"]
    assert (found["label"].astype(str) == model.predict(rows).astype(str)).all()
    error = np.abs(found["probabilities"] - model.predict_proba(rows)).max()
    assert error < TOLERANCE[dtype]


def test_unseen_levels_and_gaps_are_those_of_the_model():
    rows = table()
    model = tabular.fit(rows | {"y": targets(rows)}, "y", preset=QUICK)
    strange = {name: values.copy() for name, values in rows.items()}
    strange["city"][:] = "Oslo"
    strange["size"][:] = np.nan
    with pytest.warns(UserWarning, match="90 rows with a category that the training did not have"):
        expected = model.predict(strange)
    (found,) = run(to_onnx(model), strange).values()
    np.testing.assert_allclose(found[:, 0], expected, rtol=2e-6)


def test_the_estimators_are_written_like_models():
    pytest.importorskip("sklearn")
    import pandas as pd

    rows = pd.DataFrame(table())
    y = targets(table())
    model = tabular.TabularRegressor(QUICK, random_state=0).fit(rows, y)
    (found,) = run(to_onnx(model), table()).values()
    np.testing.assert_allclose(found[:, 0], model.predict(rows), rtol=2e-6)


def test_a_perceptron_reads_rows():
    pytest.importorskip("sklearn")
    from fastnn.estimators import MLPClassifier

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    network = MLPClassifier((6,), solver="lbfgs", max_iter=20, random_state=0)
    with pytest.warns(Warning, match="converge"):
        network.fit(X, np.array(["a", "b", "c"])[X.argmax(axis=1)])
    session = runtime.InferenceSession(to_onnx(network).SerializeToString())
    label, probabilities = session.run(None, {"X": X})
    assert (label == network.predict(X)).all()
    np.testing.assert_allclose(probabilities, network.predict_proba(X), atol=1e-12)


def test_what_cannot_be_written_is_named():
    rows = table() | {"day": np.array("2024-01-01", "M8[D]") + np.arange(90)}
    model = tabular.fit(rows | {"y": targets(rows)}, "y", preset=QUICK)
    with pytest.raises(ValueError, match="column 'day' has dates"):
        to_onnx(model)
    dense = tabular.fit(table() | {"y": targets(table())}, "y", preset="network")
    with pytest.raises(ValueError, match="one dense network: export its network alone"):
        to_onnx(dense)
    with pytest.raises(ValueError, match="probabilities is for networks"):
        to_onnx(model, probabilities=True)
