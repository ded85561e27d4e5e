"""The installed distribution is what pyproject.toml says it is."""

from __future__ import annotations

import importlib
import importlib.util
import re
import tomllib
from importlib import metadata, resources
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import fastnn

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {
    "cli",
    "sklearn",
    "onnx",
    "torch",
    "mpi",
    "joblib",
    "dask",
    "plot",
    "frames",
    "tables",
    "formula",
    "test",
    "clients",
    "formats",
    "bench",
    "docs",
    "all",
}


def required(extra=None):
    """Names that an installation requires, those of an extra included; extras of extras too."""
    found = set()
    for text in metadata.requires("fastnn"):
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or (extra and marker.evaluate({"extra": extra})):
            if requirement.name == "fastnn":
                found.update(*(required(inner) for inner in requirement.extras))
            else:
                found.add(requirement.name)
    return found


def test_version_is_that_of_the_distribution():
    assert fastnn.__version__ == metadata.version("fastnn")


def test_version_has_an_entry_in_the_changelog():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(fastnn.__version__)}\b", changelog, re.MULTILINE)


def test_version_is_that_of_the_citation():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [fastnn.__version__]
    assert re.findall(r"^license: (.*)$", citation, re.MULTILINE) == [PROJECT["license"]]


def test_conda_recipe_has_the_version_and_the_requirements():
    recipe = (ROOT / "tools" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    assert f"  version: {fastnn.__version__}\n" in recipe
    bounds = [re.sub("(>=)", r" \1", text) for text in PROJECT["dependencies"]]
    bounds.append(f"python {PROJECT['requires-python']}")
    run = recipe.partition("  run:\n")[2].partition("  run_constraints:\n")[0]
    assert sorted(re.findall("- (.*)", run)) == sorted(bounds)


def test_conda_recipe_has_the_bounds_of_what_is_optional_and_of_the_build():
    recipe = (ROOT / "tools" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    conda = {"matplotlib": "matplotlib-base", "torch": "pytorch", "dask": "dask-core"}
    extras = ("sklearn", "plot", "tables", "frames", "formula", "onnx", "torch", "joblib", "dask")
    optional = {text for extra in extras for text in PROJECT["optional-dependencies"][extra]}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    for text in [*optional, *build["requires"]]:
        name, _, bound = text.partition(">=")
        if not name.startswith("fastnn["):
            assert f"    - {conda.get(name, name).lower()} >={bound}\n" in recipe


def test_every_extra_is_explained():
    page = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
    table = page.partition("## Extras")[2].partition("\n## ")[0]
    names = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    assert {name for cell in names for name in re.findall(r"\w+", cell)} == EXTRAS


def test_types_are_published():
    assert resources.files("fastnn").joinpath("py.typed").is_file()


def test_run_time_requirements_are_few():
    assert required() == {"numpy", "scipy", "safetensors", "tqdm"}


def test_extras():
    assert set(PROJECT["optional-dependencies"]) == EXTRAS


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        ("sklearn", {"scikit-learn"}),
        ("plot", {"matplotlib"}),
        ("cli", {"scikit-learn", "matplotlib"}),
        ("test", {"pytest", "hypothesis", "mpmath", "scikit-learn", "matplotlib"}),
        ("bench", {"asv", "virtualenv"}),
        ("docs", {"sphinx", "myst-parser"}),
        ("all", {"scikit-learn", "matplotlib", "pytest", "asv", "sphinx"}),
    ],
)
def test_extra_brings(extra, names):
    assert names <= required(extra)


def test_oldest_requirements_are_the_highest_bounds_of_extras_and_their_extras():
    path = ROOT / "tools" / "oldest_requirements.py"
    specification = importlib.util.spec_from_file_location("oldest_requirements", path)
    tool = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)
    project = {
        "name": "fastnn",
        "dependencies": ["numpy>=2.0"],
        "optional-dependencies": {"a": ["numpy>=1.26", "x-y>=3"], "b": ["fastnn[a,c]"], "c": []},
    }
    assert tool.constraints(project, []) == ["numpy==2.0"]
    assert tool.constraints(project, ["b"]) == ["numpy==2.0", "x-y==3"]
    oldest = tool.constraints(PROJECT, [*EXTRAS])
    assert len(oldest) == len({name.partition("==")[0] for name in oldest}) > 10


def test_every_module_of_the_distribution_can_be_imported():
    """One that needs the package of an extra may say so instead."""
    package = Path(fastnn.__file__).parent
    files = [file.relative_to(package).with_suffix("") for file in package.rglob("*.py")]
    names = {".".join(("fastnn", *file.parts)) for file in files if file.name != "__main__"}
    assert len(names) > 100
    for name in sorted(names):
        try:
            importlib.import_module(name.removesuffix(".__init__"))
        except ImportError as error:
            assert "pip install 'fastnn[" in str(error), name  # noqa: PT017


def test_command_is_installed():
    (command,) = metadata.entry_points(group="console_scripts", name="fastnn")
    assert callable(command.load())


def test_licence_is_in_the_distribution():
    files = metadata.files("fastnn") or []
    editable = any("__editable__" in str(file) for file in files)
    assert editable or any(file.name == "LICENSE" for file in files)
    assert metadata.metadata("fastnn")["License-Expression"] == PROJECT["license"] == "BSD-3-Clause"


def test_sources_of_the_compiled_core_are_in_the_source_distribution():
    patterns = (ROOT / "MANIFEST.in").read_text(encoding="utf-8")
    packaged = re.search(r"^recursive-include fastnn (.*)$", patterns, re.MULTILINE)[1].split()
    assert "README.md" in packaged
    folder = ROOT / "fastnn" / "backend" / "compiled"
    if not folder.is_dir():
        pytest.skip("this is a checkout without the package, beside an installed wheel")
    for file in folder.rglob("*"):
        if file.suffix in {".pyx", ".pxd", ".pxi", ".h"}:
            assert f"*{file.suffix}" in packaged, file.name


def test_readmes_of_folders_are_not_in_the_wheel():
    files = metadata.files("fastnn") or []
    assert not [file for file in files if file.parts[0] == "fastnn" and file.suffix == ".md"]
