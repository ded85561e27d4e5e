"""Sphinx configuration."""

from importlib import metadata

project = "fastnn"
author = "The fastnn developers"
copyright = "2026, The fastnn developers"
release = version = metadata.version("fastnn")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
default_role = "code"

html_theme = "alabaster"
html_title = f"fastnn {version}"
html_theme_options = {
    "description": "Neural networks on CPUs, in numbers you can check",
    "fixed_sidebar": True,
    "page_width": "1080px",
}


def escape_bars(app, what, name, obj, options, lines):
    """Docstrings write |x| for a magnitude, which reStructuredText takes for a substitution."""
    lines[:] = [line if "``" in line else line.replace("|", "\\|") for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", escape_bars)
