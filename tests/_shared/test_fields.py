"""Entries of a structure from a file are checked by name."""

from __future__ import annotations

import math

import pytest

from fastnn._shared.fields import check_kind, entry, real


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (None, "not a graph: expected a dict, got NoneType"),
        ([], "not a graph: expected a dict, got list"),
        ({}, "not a graph: it has no 'width'"),
        ({"width": "3"}, "not a graph: 'width' must be an integer, got '3'"),
        ({"width": True}, "'width' must be an integer, got True"),
        ({"width": 3.0}, "'width' must be an integer, got 3.0"),
    ],
)
def test_entry_that_does_not_fit_is_named(structure, message):
    with pytest.raises(ValueError, match=message):
        entry(structure, "width", int, "a graph")


@pytest.mark.parametrize(
    ("value", "kinds"),
    [(3, int), (3, float), (2.5, float), ((1, 2), list), ({}, dict), (None, (str, type(None)))],
)
def test_entry_of_a_kind_is_returned(value, kinds):
    assert entry({"key": value}, "key", kinds, "a graph") is value


@pytest.mark.parametrize("value", ["text", b"bytes", {}, None, 3])
def test_only_lists_and_tuples_are_lists(value):
    with pytest.raises(ValueError, match="must be a list"):
        check_kind(value, list, "calls")


@pytest.mark.parametrize(("text", "number"), [("inf", math.inf), ("-inf", -math.inf)])
def test_text_stands_for_infinities(text, number):
    assert real(text, "loss") == number


def test_text_stands_for_nan():
    assert math.isnan(real("nan", "loss"))


@pytest.mark.parametrize("value", ["x", "1.5", "Infinity", None, True, [], 10**400])
def test_other_values_are_no_numbers(value):
    with pytest.raises(ValueError, match="loss"):
        real(value, "loss")
