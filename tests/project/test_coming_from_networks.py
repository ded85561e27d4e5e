"""Names on the pages for people who come from scikit-learn, PyTorch and Keras exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import fastnn as fnn

DOCS = Path(__file__).parents[2] / "docs"
SCIKIT, FRAMEWORKS = DOCS / "coming-from-scikit-learn.md", DOCS / "coming-from-frameworks.md"


def tables(page):
    """Each table of a page: a list of rows, each a dict from title to cell."""
    rows, titles, made = [], None, []
    for line in [*page.read_text(encoding="utf-8").splitlines(), ""]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            if rows:
                made.append(rows)
            rows, titles = [], None
        elif titles is None:
            titles = cells
        elif not set(line) <= set("|-: "):
            rows.append(dict(zip(titles, cells, strict=True)))
    return made


# ------------------------------------------------------------------------------ scikit-learn


def kinds(title):
    """What the table with this first column says of each name: same, more or new."""
    (rows,) = (rows for rows in tables(SCIKIT) if title in rows[0])
    return {row[title].strip("`"): row["here"] for row in rows}


def parameters_of(*classes):
    """Parameters of constructors with their defaults."""
    return {
        name: parameter.default
        for cls in classes
        for name, parameter in inspect.signature(cls).parameters.items()
    }


@pytest.fixture(scope="module")
def neural():
    """scikit-learn's classes, and ours."""
    theirs = pytest.importorskip("sklearn.neural_network")
    from fastnn import estimators

    return (
        (theirs.MLPClassifier, theirs.MLPRegressor),
        (estimators.MLPClassifier, estimators.MLPRegressor),
    )


def test_parameters_of_the_table_are_those_of_both(neural):
    theirs, ours = (parameters_of(*classes) for classes in neural)
    said = kinds("parameter")
    assert set(said) == set(ours)
    assert {name for name, kind in said.items() if kind != "new"} >= set(theirs) & set(ours)
    import sklearn

    if tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9):
        assert {name for name, kind in said.items() if kind != "new"} == set(theirs)


def test_defaults_are_the_same(neural):
    for their, our in zip(*neural, strict=True):
        theirs, ours = parameters_of(their), parameters_of(our)
        assert {k: v for k, v in theirs.items() if k in ours} == {
            k: v for k, v in ours.items() if k in theirs
        }


@pytest.mark.filterwarnings("ignore")
def test_attributes_of_the_table_are_those_of_fitted_objects(neural):
    X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
    theirs, ours = (
        {
            name
            for cls in classes
            for name in dir(cls(max_iter=2).fit(X, y))
            if name.endswith("_") and not name.startswith("_")
        }
        for classes in neural
    )
    said = set(kinds("attribute")) - {"feature_names_in_"}  # X has no names here
    assert said == ours
    same = {name for name, kind in kinds("attribute").items() if kind != "new"}
    assert same - {"feature_names_in_"} == theirs


# ------------------------------------------------------------------------- PyTorch and Keras


def code_of(title):
    """Pieces of code in the columns with this title."""
    return [
        code
        for rows in tables(FRAMEWORKS)
        for row in rows
        for code in re.findall(r"`([^`]+)`", row[title])
    ]


def faults_of(code):
    """Names of a piece of code that fastnn or a network does not have, with their arguments."""
    for part in ast.walk(ast.parse(code, mode="eval")):
        if isinstance(part, ast.Name) and part.id not in ("net", "X", "y", "x"):
            if not hasattr(fnn, part.id):
                yield part.id
        elif isinstance(part, ast.Attribute) and not hasattr(fnn.Network, part.attr):
            yield part.attr
        elif isinstance(part, ast.Call):
            owner = part.func
            is_method = isinstance(owner, ast.Attribute)
            place = fnn.Network if is_method else fnn
            called = getattr(place, owner.attr if is_method else owner.id, None)
            if called is None:
                continue
            try:
                first = [None] if is_method else []
                named = {key.arg: None for key in part.keywords}
                inspect.signature(called).bind(*first, *part.args, **named)
            except TypeError as error:
                yield str(error)


@pytest.mark.parametrize("code", code_of("fastnn"))
def test_names_of_fastnn_exist_and_take_their_arguments(code):
    assert not [*faults_of(code)]


def test_the_check_of_names_finds_faults():
    for code in ("Nothing(2)", "net.absent(X)", "Dense(4, 8, margin=1)", "net.fit(X, y, 1, 2, 3)"):
        assert [*faults_of(code)], code


def test_every_layer_loss_and_optimizer_is_on_the_page():
    names = {
        node.id
        for code in code_of("fastnn")
        for node in ast.walk(ast.parse(code, mode="eval"))
        if isinstance(node, ast.Name)
    }
    own = {
        "AbsDifference", "Activation", "BinaryStep", "Layer", "PiecewiseLinear", "Scale",
        "ZeroIndicator", "AMSGrad", "CenteredRMSprop", "BiasCorrection", "Constant", "CosineLog",
        "FlatCosine", "LevenbergMarquardt",
    }  # fmt: skip
    from fastnn import layers, losses, optimizers, schedules

    public = {
        name
        for name in fnn.__all__
        if isinstance(getattr(fnn, name), type)
        and issubclass(
            getattr(fnn, name),
            layers.Layer | losses.Loss | optimizers.Optimizer | schedules.Schedule,
        )
    }
    assert public - names <= own


def resolved(path, roots):
    """The object of a library with this path, looked for in its modules."""
    parts = path.partition("(")[0].split(".")
    for root in roots:
        try:
            item = importlib.import_module(root)
            for part in parts[1:] if parts[0] == root else parts:
                item = getattr(item, part)
        except AttributeError:
            continue
        return item
    raise AssertionError(f"{path} is nowhere in {roots}")


IS_NAME = re.compile(r"[A-Za-z_][\w.]*(\([^)]*\))?")


@pytest.mark.parametrize("path", sorted(set(code_of("PyTorch"))))
def test_names_of_pytorch_exist(path):
    pytest.importorskip("torch")
    if not IS_NAME.fullmatch(path) or path.startswith(("loss.", "module", "no_grad")):
        pytest.skip("a piece of code, and no name")
    if path == "DataLoader":
        path = "utils.data.DataLoader"
    assert resolved(path, ["torch.nn", "torch"]) is not None


@pytest.mark.parametrize("path", sorted(set(code_of("Keras"))))
def test_names_of_keras_exist(path):
    pytest.importorskip("keras")
    assert resolved(path, ["keras", "keras.layers"]) is not None
