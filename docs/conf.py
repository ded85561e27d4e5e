"""Sphinx configuration."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from course_order import PAGES

project = "fastnn"
author = "The fastnn developers"
copyright = "2026, The fastnn developers"
release = version = metadata.version("fastnn")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # formulas without network: MathJax is copied into the site
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "gallery", "README.md"]
nitpicky = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "course",
    "filename_pattern": r"\.py$",  # every page is run
    "subsection_order": [f"gallery/{section}" for section in PAGES],
    "within_subsection_order": "course_order.Order",
    "copyfile_regex": "",
    "image_scrapers": ("drawings", "matplotlib"),
    "image_srcset": ["2x"],
    "capture_repr": (),
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "doc_module": ("fastnn",),
    "reset_modules": ("matplotlib",),
}

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
default_role = "code"

html_theme = "furo"
html_theme_options = {"light_css_variables": {"code-font-size": "80%"}}  # 100 columns fit
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"fastnn {version}"


def escape_bars(app, what, name, obj, options, lines):
    """Docstrings write |x| for a magnitude, which reStructuredText takes for a substitution."""
    lines[:] = [line if "``" in line else line.replace("|", "\\|") for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", escape_bars)
