"""``fastnn demo``: training on images of handwritten digits, and a look at the result."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastnn.cli import INTERRUPTED
from fastnn.cli._arguments import naming_flags
from fastnn.cli._commands import finish
from fastnn.cli._source import check_output, curve_path
from fastnn.cli._text import can_print
from fastnn.tabular import Options, datasets
from fastnn.tabular.learning import Training, split_and_fit

MODEL = Path("digits.fastnn")
OPTIONS = Options(
    hidden=(256,),
    dropout=0.5,
    learning_rate=4e-3,
    batch_size=64,
    epochs=60,
    validation=0.1,
    test=0.2,
)

_SIDE = 8  # the images are 8 by 8 pixels
_WHITE = 16.0  # the largest value of a pixel
_ACROSS = 4  # images side by side
_SHADES = " ░▒▓█"
_PLAIN_SHADES = " .:*#"

_NEXT = f"""\
Next:
  fastnn info {MODEL}                what the model is, and how it was trained
  fastnn train --dataset wine              another data set; fastnn train --help tells more
  fastnn train data.csv --target COLUMN    your own table
  fastnn predict model.fastnn data.csv     apply what you trained
  fastnn bench                             how fast this machine is"""


def run(arguments: argparse.Namespace) -> int:
    """Carry out ``fastnn demo``."""
    curve = curve_path(None, MODEL)
    check_output(str(MODEL), [])
    data = datasets.load("digits")
    with naming_flags():
        options = replace(OPTIONS, seed=arguments.seed)
    print(f"Learning to read {len(data.X):,} images of handwritten digits, 8 by 8 pixels each.\n")
    training = split_and_fit(data.table(), "target", options, verbose=int(not arguments.quiet))
    finish(training, MODEL, curve)
    print(f"\n{gallery(training, data.X)}")
    if training.is_interrupted:
        return INTERRUPTED
    print(f"\n{_NEXT}")
    return 0


def gallery(training: Training, images: np.ndarray) -> str:
    """Some images of the test part with the predicted digits; wrong predictions come last."""
    rows = training.rows["test"]
    table = training.table.take(rows)
    true = table.column(training.model.target).to_numpy()
    probabilities = training.model.predict_proba(table)
    confidence = probabilities.max(axis=1)
    predicted = np.array(training.model.classes)[probabilities.argmax(axis=1)]
    wrong = np.flatnonzero(predicted != true)
    selections = [np.flatnonzero(predicted == true)[:_ACROSS], wrong[:_ACROSS]]
    titles = ["The first test images it reads right:", f"Of its {len(wrong)} mistakes:"]
    if len(wrong) <= _ACROSS:
        titles[1] = "All its mistakes:"
    shades = _SHADES if can_print(_SHADES, sys.stdout) else _PLAIN_SHADES
    blocks = []
    for title, selection in zip(titles, selections, strict=True):
        if len(selection):
            pictures = [_picture(images[rows[i]], shades) for i in selection]
            captions = [
                f"{true[i]}"
                + f" read as {predicted[i]}" * bool(predicted[i] != true[i])
                + f" ({confidence[i]:.0%})"
                for i in selection
            ]
            lines = ["  ".join(parts) for parts in zip(*pictures, strict=True)]
            lines.append("  ".join(caption.ljust(2 * _SIDE + 2) for caption in captions))
            blocks.append("\n".join([title, *(line.rstrip() for line in lines)]))
    return "\n\n".join(blocks)


def _picture(pixels: np.ndarray, shades: str) -> list[str]:
    """An image as lines of text, two characters to a pixel."""
    levels = np.rint(pixels.reshape(_SIDE, _SIDE) / _WHITE * (len(shades) - 1)).astype(int)
    return ["".join(2 * shades[level] for level in row) + "  " for row in levels]
