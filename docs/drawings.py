"""Puts figures that `fastnn.plot` returns on pages of the gallery; pyplot does not know them."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_DPI = 150
_seen: WeakSet[Figure] = WeakSet()


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the new figures among a page's variables that pyplot does not manage.

    It has to come before the scraper that closes those of pyplot, which are then
    without a manager too.
    """
    paths = []
    for value in block_vars["example_globals"].values():
        if isinstance(value, Figure) and value not in _seen:
            _seen.add(value)
            if value.canvas.manager is None:
                paths.append(block_vars["image_path_iterator"].next())
                value.savefig(paths[-1], dpi=_DPI)
    return figure_rst(paths, gallery_conf["src_dir"])


def _get_sg_image_scraper() -> Any:
    """What sphinx-gallery asks a module for."""
    return scrape
