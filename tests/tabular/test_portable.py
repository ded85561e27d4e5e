"""Models of tables as files of C, which take rows as tables have them."""

import ctypes
import io
import re
import warnings

import numpy as np
import pytest
from c_code import COMPILERS, compiled, run

from fastnn import formats, tabular
from fastnn.tabular import Options, Recipe

pytestmark = pytest.mark.skipif(not COMPILERS, reason="needs a C compiler")

CITIES = ["Rom", "São Paulo", "sao paulo", 'a"*/', "42", "日本"]
N = 200


def rows_of_c(rng, n):
    """Random rows as C has them; nan is missing, and the last of a city is unknown."""
    return np.column_stack(
        [
            np.where(rng.random(n) < 0.1, np.nan, rng.normal(100, 30, n)),
            np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, len(CITIES), n)),
            np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 2, n)),
            rng.integers(0, 2, n),
            np.where(rng.random(n) < 0.1, np.nan, rng.integers(-400_000, 900_000, n) / 24),
            np.full(n, np.nan),
        ]
    )


def table_of(rows, levels):
    """The same rows as a table."""
    area, city, new, old, when, _ = rows.T
    texts = [None if np.isnan(i) else levels[int(i)] for i in city]
    hours = np.round(np.nan_to_num(when) * 24).astype("timedelta64[h]")
    return {
        "area": area,
        "int": texts,
        "is new": [None if np.isnan(x) else bool(x) for x in new],
        "old?": np.array(["no", "yes"])[old.astype(int)],
        "when": np.where(np.isnan(when), np.datetime64("NaT", "h"), np.datetime64(0, "h") + hours),
    }


def data(rng):
    """A table with a number and classes that depend on its columns, without unknown cities."""
    rows = rows_of_c(rng, N)
    table = table_of(rows, CITIES)
    price = np.nan_to_num(rows[:, 0], nan=90) + 20 * np.nan_to_num(rows[:, 1]) + rng.normal(size=N)
    kind = np.where(price > np.median(price), "high", np.where(rows[:, 3] > 0, "mid", "low"))
    return table, price, kind


SMALL = Recipe(hidden=(20,), epochs=3, folds=2)
BLEND = Recipe(hidden=(12,), epochs=2, folds=2, candidates=3)
NETWORK = Options(hidden=(9,), epochs=3)


def model(how, target, rng, dtype="float32"):
    table, price, kind = data(rng)
    y = price if target == "price" else kind
    if how == "estimator":
        if target == "kind":
            return tabular.TabularClassifier(SMALL, random_state=0, dtype=dtype).fit(table, y)
        y = np.maximum(np.round(y / 10), 0)
        return tabular.TabularRegressor(
            SMALL, loss="poisson", random_state=0, dtype=dtype
        ).fit(table, y)  # fmt: skip
    if how == "quantiles":
        return tabular.fit({**table, target: y}, target, preset=BLEND, loss="quantile")
    options = {"options": NETWORK} if how == "network" else {"preset": how, "dtype": dtype}
    return tabular.fit({**table, target: y}, target, **options)


CASES = [
    (how, target) for how in (SMALL, BLEND, "network", "estimator") for target in ("price", "kind")
]
IDS = [f"{name}-{target}" for name in ("bag", "blend", "network", "estimator")
       for target in ("price", "kind")]  # fmt: skip
CASES.append(("quantiles", "price"))
IDS.append("quantiles-price")


@pytest.mark.parametrize(("how", "target"), CASES, ids=IDS)
def test_predictions_are_those_of_the_model(how, target, tmp_path, rng):
    trained = model(how, target, rng)
    formats.to_c(trained, tmp_path / "m.c")
    run(compiled(tmp_path / "m.c", "-DMODEL_TEST"))
    options = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    functions = ctypes.CDLL(str(compiled(tmp_path / "m.c", "-shared", "-fPIC", *options)))
    rows = rows_of_c(np.random.default_rng(7), 100)
    rows[:, 1][rows[:, 1] == len(CITIES) - 1] = len(CITIES)  # no level
    table = table_of(rows, [*sorted(CITIES), "unknown"])
    with warnings.catch_warnings(action="ignore"):
        is_class = target == "kind"
        expected = trained.predict_proba(table) if is_class else trained.predict(table)
    expected = expected.reshape(100, -1)
    own = np.ascontiguousarray(rows[:, :5])
    found = np.full(expected.shape, np.nan)
    functions.model_predict_batch(
        ctypes.c_void_p(own.ctypes.data), ctypes.c_void_p(found.ctypes.data), ctypes.c_size_t(100)
    )
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)
    if is_class:
        classes = [functions.model_predict_class(ctypes.c_void_p(row.ctypes.data)) for row in own]
        assert np.mean(classes == expected.argmax(axis=1)) > 0.98


def text_of(trained, **options):
    """The text of the file of a model."""
    file = io.BytesIO()
    formats.to_c(trained, file, **options)
    return file.getvalue().decode("ascii")


def test_file_names_columns_levels_and_classes(rng):
    text = text_of(model("network", "kind", rng), name="flat", test=False)
    names = re.findall(r"^    (FLAT_\w+) = (\d+)", text, re.MULTILINE)
    assert [f"{name} {value}" for name, value in names] == [
        "FLAT_AREA 0", "FLAT_INT 1", "FLAT_IS_NEW 2", "FLAT_OLD 3", "FLAT_WHEN 4",
        "FLAT_INPUTS 5", "FLAT_OUTPUTS 3",
        "FLAT_INT_42 0", "FLAT_INT_ROM 1", "FLAT_INT_SAO_PAULO 2", "FLAT_INT_A 3",
        "FLAT_INT_SAO_PAULO_2 4", "FLAT_INT_LEVEL_6 5", "FLAT_INT_OTHER 6",
        "FLAT_OLD_NO 0", "FLAT_OLD_YES 1", "FLAT_OLD_OTHER 2",
        "FLAT_CLASS_HIGH 0", "FLAT_CLASS_LOW 1", "FLAT_CLASS_MID 2",
    ]  # fmt: skip


def test_text_depends_on_the_model_alone(rng):
    trained = model(SMALL, "price", rng)
    assert text_of(trained) == text_of(trained)


def test_networks_in_double_agree_in_more_digits(tmp_path, rng):
    trained = model(SMALL, "kind", rng, "float64")
    formats.to_c(trained, tmp_path / "m.c")
    printed = run(compiled(tmp_path / "m.c", "-DMODEL_TEST"))
    assert float(re.search(r"largest error (\S+),", printed)[1]) < 1e-11


@pytest.mark.parametrize("compiler", COMPILERS)
def test_missing_values_are_found_by_compilers_that_ignore_nan(tmp_path, rng, compiler):
    formats.to_c(model("network", "kind", rng), tmp_path / "m.c")
    run(compiled(tmp_path / "m.c", "-DMODEL_TEST", "-Ofast", compiler=compiler))


def test_columns_of_an_array_have_names(rng):
    X = rng.normal(size=(60, 3))
    trained = tabular.TabularRegressor(SMALL, random_state=0).fit(X, X.sum(axis=1))
    assert re.findall(r"^    (MODEL_\w+) = [012],", text_of(trained), re.MULTILINE)[:3]


def test_models_that_are_not_fitted_are_refused():
    with pytest.raises(ValueError, match="not fitted yet"):
        text_of(tabular.TabularClassifier())
