"""Calls of the ``fastnn`` command within the test's process, and files to call it on."""

from __future__ import annotations

import csv

import numpy as np

from fastnn.cli import main


def run(*words):
    return main([str(word) for word in words])


def train(*words):
    assert run("train", *words, "--quiet", "--plot", "none") == 0


def refusal(capsys, *words):
    """The one line a command that must fail says on stderr."""
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert err.startswith("fastnn: error: ")
    assert err.count("\n") == 1
    assert not out
    return err


def write_csv(name, header, *columns):
    with open(name, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *zip(*columns, strict=True)])
    return name


def people_csv():
    """A CSV file with numbers and text whose last column follows from the others."""
    rng = np.random.default_rng(0)
    ages, cities = rng.integers(18, 80, 240), rng.choice(["Rom", "Ulm", "Bonn"], 240)
    labels = np.where((ages > 45) ^ (cities == "Ulm"), "yes", "no")
    return write_csv("people.csv", ("age", "city", "label"), ages, cities, labels)


def houses_csv():
    """A CSV file whose last column is a number far from 0."""
    rng = np.random.default_rng(0)
    area, rooms = rng.uniform(30, 200, 200), rng.integers(1, 7, 200)
    price = 100_000 + 3_000 * area + 5_000 * rooms
    return write_csv("houses.csv", ("area", "rooms", "price"), area, rooms, price)
