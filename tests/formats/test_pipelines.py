"""Estimators convert inside pipelines by skl2onnx, without any registration."""

import numpy as np
import pytest

from fastnn.formats import from_onnx

pytest.importorskip("sklearn")
runtime = pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")
runtime.set_default_logger_severity(4)

from skl2onnx.common.data_types import (  # noqa: E402
    BooleanTensorType,
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.neural_network import MLPClassifier as SklearnClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import MinMaxScaler, StandardScaler  # noqa: E402

from fastnn.estimators import MLPClassifier, MLPRegressor  # noqa: E402
from fastnn.tabular import Recipe, TabularClassifier, TabularRegressor  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::UserWarning:skl2onnx",
    "ignore::DeprecationWarning",
)  # fmt: skip
TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


def run(model, feed):
    """The outputs of a model by name."""
    session = runtime.InferenceSession(model.SerializeToString())
    names = [end.name for end in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


def error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def rows(dtype, n=60):
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, (n, 4)).astype(dtype)
    return X, (X - 3) @ rng.normal(size=(4, 3))


TARGETS = {
    "three classes": lambda z: z.argmax(axis=1) * 2 - 1,
    "two classes": lambda z: (z[:, 0] > 0).astype(int),
    "texts": lambda z: np.array(["grün", "rot", "blau"])[z.argmax(axis=1)],
    "truth values": lambda z: z[:, 0] > 0,
    "whole floats": lambda z: z.argmax(axis=1) + 1.0,
}


def classifier(dtype, target, **options):
    """A fitted pipeline with its rows."""
    X, z = rows(dtype)
    network = MLPClassifier((6,), "gelu", max_iter=5, random_state=0, **options)
    return make_pipeline(StandardScaler(), network).fit(X, TARGETS[target](z)), X


@pytest.mark.parametrize("target", TARGETS)
def test_a_pipeline_gives_label_and_probabilities(target, dtype):
    model, X = classifier(dtype, target)
    options = {id(model[-1]): {"zipmap": False}}
    found = run(skl2onnx.to_onnx(model, X[:1], options=options), {"X": X})
    assert [*found] == ["label", "probabilities"]
    assert found["probabilities"].dtype == dtype
    assert (found["label"] == model.predict(X)).all()
    assert error(found["probabilities"], model.predict_proba(X)) < TOLERANCE[dtype]


@pytest.mark.parametrize("target", TARGETS)
def test_zipmap_is_on_unless_it_is_switched_off(target):
    model, X = classifier("float32", target)
    found = run(skl2onnx.to_onnx(model, X[:1]), {"X": X})
    assert [*found] == ["output_label", "output_probability"]
    maps = found["output_probability"]
    assert [*maps[0]] == model.classes_.tolist()
    assert error(np.array([[*row.values()] for row in maps]), model.predict_proba(X)) < 2e-6


def test_zipmap_by_columns():
    model, X = classifier("float32", "texts")
    options = {id(model[-1]): {"zipmap": "columns"}}
    found = run(skl2onnx.to_onnx(model, X[:1], options=options), {"X": X})
    assert [*found] == ["output_label", "sblau", "sgrün", "srot"]
    columns = np.hstack([*found.values()][1:])
    assert error(columns, model.predict_proba(X)) < 2e-6


def test_options_by_class_and_alone():
    model, X = classifier("float32", "two classes")
    network, options = model[-1], {MLPClassifier: {"zipmap": False}}
    found = run(skl2onnx.to_onnx(network, X[:1], options=options), {"X": X})
    assert (found["label"] == network.predict(X)).all()


def test_an_option_that_does_not_exist_is_refused():
    model, X = classifier("float32", "two classes")
    with pytest.raises(NameError, match="Option 'none'"):
        skl2onnx.to_onnx(model, X[:1], options={id(model[-1]): {"none": 1}})


def test_several_labels_of_a_row(dtype):
    X, z = rows(dtype)
    model = MLPClassifier((6,), max_iter=5, random_state=0).fit(X, (z > 0).astype(int))
    found = run(skl2onnx.to_onnx(model, X[:1]), {"X": X})
    assert (found["label"] == model.predict(X)).all()
    assert error(found["probabilities"], model.predict_proba(X)) < TOLERANCE[dtype]


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_a_regressor(loss, outputs, dtype):
    X, z = rows(dtype)
    y = np.exp(z / 20)[:, :outputs]
    y = y[:, 0] if outputs == 1 else y
    model = make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(6,), loss=loss, max_iter=5)
    ).fit(X, y)
    found = run(skl2onnx.to_onnx(model, X[:1]), {"X": X})
    expected = model.predict(X).reshape(len(X), -1)
    assert error(found["variable"], expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
def test_older_opsets(opset):
    model, X = classifier("float32", "three classes")
    options = {id(model[-1]): {"zipmap": False}}
    proto = skl2onnx.to_onnx(model, X[:1], options=options, target_opset=opset)
    assert error(run(proto, {"X": X})["probabilities"], model.predict_proba(X)) < 2e-6


def test_columns_of_a_frame_through_a_transformer():
    pd = pytest.importorskip("pandas")
    X, z = rows("float32")
    frame = pd.DataFrame(X, columns=list("abcd"))
    scaled = ColumnTransformer([("one", StandardScaler(), ["a", "b"]),
                                ("two", MinMaxScaler(), ["c", "d"])])  # fmt: skip
    model = make_pipeline(scaled, MLPRegressor(hidden_layer_sizes=(6,), max_iter=5)).fit(
        frame, z[:, 0]
    )
    types = [(name, FloatTensorType([None, 1])) for name in "abcd"]
    proto = skl2onnx.convert_sklearn(model, initial_types=types)
    found = run(proto, {name: X[:, i : i + 1] for i, name in enumerate("abcd")})
    assert error(found["variable"][:, 0], model.predict(frame)) < 2e-6


def test_an_estimator_that_is_not_fitted_is_refused():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError, match="not fitted"):
        skl2onnx.to_onnx(MLPClassifier(), np.zeros((1, 2), np.float32))


def test_classes_that_are_no_whole_numbers_are_refused():
    model, X = classifier("float32", "three classes")
    model[-1].classes_ = np.array([0.5, 1, 2])
    model[-1]._labels = type(model[-1]._labels)(model[-1].classes_, False, True)
    with pytest.raises(ValueError, match=r"whole numbers or text in ONNX, got \[0.5"):
        skl2onnx.to_onnx(model, X[:1])


# ----------------------------------------------------------------------- tables


def people(n=240):
    """A frame with every kind of column but dates, missing values, and a target."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 9, n).round(),
            "size": rng.exponential(size=n),
            "one": np.ones(n),
            "city": rng.choice(["Rom", "Ulm", "Bonn", "Köln"], n),
            "sex": rng.choice(["m", "f"], n),
            "grade": rng.integers(0, 4, n),
            "member": rng.choice([True, False], n),
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[3::11, ["city", "sex"]] = None
    y = np.where((frame["size"] > 0.7) ^ (frame["city"] == "Rom"), "yes", "no")
    return frame, y


TYPES = {
    "age": DoubleTensorType, "size": DoubleTensorType, "one": DoubleTensorType,
    "city": StringTensorType, "sex": StringTensorType, "grade": Int64TensorType,
    "member": BooleanTensorType,
}  # fmt: skip


def feed_of(frame):
    """The columns as onnxruntime takes them; text that is missing is empty."""
    texts = {name for name, kind in TYPES.items() if kind is StringTensorType}
    return {
        name: (frame[name].fillna("") if name in texts else frame[name]).to_numpy().reshape(-1, 1)
        for name in frame
    }


def converted(model, frame, **options):
    types = [(name, TYPES[name]([None, 1])) for name in frame]
    proto = skl2onnx.convert_sklearn(
        model, initial_types=types, options={id(model): {"zipmap": False, **options}}
    )
    return run(proto, feed_of(frame))


@pytest.mark.parametrize("bins", [0, 16])
@pytest.mark.parametrize("candidates", [1, 2])
def test_a_classifier_for_tables_converts_with_its_preprocessing(bins, candidates, dtype):
    frame, y = people()
    recipe = Recipe(folds=2, epochs=3, bins=bins, candidates=candidates)
    columns = {"grade": "category", "one": "number"}
    model = TabularClassifier(recipe, columns=columns, dtype=dtype, random_state=0).fit(frame, y)
    later = people(100)[0]
    later.loc[0, "city"], later.loc[1, "grade"] = "Genf", 9  # levels that the model has not seen
    later.loc[2, "size"] = 1e300
    found = converted(model, later)
    assert (found["label"] == model.predict(later)).all()
    assert error(found["probabilities"], model.predict_proba(later)) < 2e-6


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "quantile"])
def test_a_regressor_for_tables(loss):
    X, z = rows("float64", 200)
    X[::5, 2] = np.nan
    model = TabularRegressor(Recipe(folds=2, epochs=3), loss=loss, random_state=0)
    model.fit(X, np.abs(z[:, 0]))
    found = run(skl2onnx.to_onnx(model, X[:1]), {"X": X})
    assert error(found["variable"], model.predict(X).reshape(len(X), -1)) < 2e-6


def test_dates_are_refused_by_name():
    frame, y = people()
    frame["day"] = np.datetime64("2024-01-01") + np.arange(len(frame)).astype("timedelta64[D]")
    model = TabularClassifier(Recipe(folds=1, epochs=2), random_state=0).fit(frame, y)
    types = [(name, TYPES.get(name, StringTensorType)([None, 1])) for name in frame]
    with pytest.raises(ValueError, match="column 'day' has dates"):
        skl2onnx.convert_sklearn(model, initial_types=types)


def test_a_column_that_is_absent_is_named():
    frame, y = people()
    model = TabularClassifier(Recipe(folds=1, epochs=2), random_state=0).fit(frame, y)
    with pytest.raises(ValueError, match="nor one named 'city'"):
        converted(model, frame.drop(columns="city"))


# ---------------------------------------------------------------------- back


def test_the_perceptron_of_scikit_learn_comes_back_through_onnx(dtype):
    X, z = rows(dtype)
    for target in ("three classes", "two classes"):
        model = SklearnClassifier((6,), max_iter=5, random_state=0).fit(X, TARGETS[target](z))
        proto = skl2onnx.to_onnx(model, X[:1], options={"zipmap": False})
        found = from_onnx(proto).predict(X)
        expected = model.predict_proba(X)
        assert error(found, expected) < TOLERANCE[dtype]
