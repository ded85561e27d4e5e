"""The order of the gallery: sections of `docs/gallery`, and the pages of each."""

from __future__ import annotations

from pathlib import Path

PAGES = {
    "neurons": [
        "one_neuron",
        "xor",
        "threshold_nets",
        "backpropagation_by_hand",
        "every_path_counts",
        "matrix_form",
    ],
    "depth": [
        "activations",
        "vanishing_gradients",
        "watching",
        "shortcuts",
        "softmax_and_logsumexp",
    ],
    "training": ["optimizers", "second_order", "dropout_and_ensembles", "cartpole"],
    "graphs": ["siamese", "multi_task", "parts_of_your_own"],
    "regression": ["regression_and_residuals", "nile"],
    "tables": ["diabetes"],
}


class Order:
    """The place of each page of a section; sphinx-gallery makes one for each folder."""

    def __init__(self, folder: str) -> None:
        self.pages = PAGES.get(Path(folder).name, [])

    def __call__(self, page: str) -> int:
        return self.pages.index(Path(page).stem)
