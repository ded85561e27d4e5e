"""Scikit-learn's own tests of its multilayer perceptrons, with fastnn's in their place.

The file of tests is that of the installed scikit-learn.  Its two classes are replaced when it is
read, and nothing else.
"""

from pathlib import Path

import pytest
import sklearn
import sklearn.neural_network

from fastnn import estimators

THEIRS = Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
IMPORT = "from sklearn.neural_network import MLPClassifier, MLPRegressor"

PRIVATE = {"test_gradient": "it calls _loss_grad_lbfgs, a private method"}
"""Tests that call what no user of scikit-learn may call."""

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(
        tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9),
        reason="the parameters are those of scikit-learn 1.9",
    ),
]


@pytest.fixture
def global_random_seed():
    """What scikit-learn's own conftest gives to its tests."""
    return 42


def read_tests(path):
    """The tests in a file, read with fastnn's classes."""
    source = path.read_text()
    assert source.count(IMPORT) == 1
    source = source.replace(
        IMPORT, f"from {estimators.__name__} import MLPClassifier, MLPRegressor"
    )
    names = {"__name__": "test_mlp"}
    exec(compile(source, str(path), "exec"), names)
    return {name: value for name, value in names.items() if name.startswith("test_")}


TESTS = read_tests(THEIRS) if THEIRS.exists() else {}

for name, test in TESTS.items():
    if name in PRIVATE:
        test = pytest.mark.xfail(reason=PRIVATE[name], raises=AttributeError, strict=True)(test)
    globals()[name] = test


def test_their_tests_were_read():
    assert len(TESTS) >= 40
    assert TESTS.keys() >= PRIVATE.keys()
