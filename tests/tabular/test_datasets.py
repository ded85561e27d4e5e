"""Bundled data sets."""

import sys

import pytest

from fastnn.tabular.datasets import NAMES, load
from fastnn.tabular.splitting import guess_task

SHAPES = {  # as the documentation of scikit-learn gives them
    "digits": (1797, 64, 10),
    "breast_cancer": (569, 30, 2),
    "wine": (178, 13, 3),
    "iris": (150, 4, 3),
    "diabetes": (442, 10, None),
}


@pytest.mark.parametrize("name", NAMES)
def test_bundled_data_have_their_published_shape(name):
    data = load(name)
    n, n_features, n_classes = SHAPES[name]
    assert data.X.shape == (n, n_features)
    assert len(data.feature_names) == n_features
    assert (data.class_names and len(data.class_names)) == n_classes


@pytest.mark.parametrize("name", NAMES)
def test_task_of_bundled_data_is_guessed_from_their_target(name):
    data = load(name)
    assert guess_task(data.table().column("target")) == data.task


def test_table_holds_class_names():
    data = load("iris")
    assert (
        data.table().column("target").to_numpy()[50] == data.class_names[data.y[50]] == "versicolor"
    )


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"name must be one of digits, .*, got 'mnist'"):
        load("mnist")


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"fastnn\[sklearn\]"):
        load("iris")
