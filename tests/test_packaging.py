"""The four import names are generic, so it is checked that they are ours, in this environment and in the wheel."""

import importlib
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("schemas", "models", "pipeline", "jobs")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_the_checkout_and_no_strangers(name):
    assert Path(importlib.import_module(name).__file__).is_relative_to(ROOT)
    assert set(packages_distributions().get(name, [])) <= {"reelsift"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The files of a wheel built from a copy with strays in it."""
    copy = tmp_path_factory.mktemp("wheel")
    for name in NAMES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for stray in ("models_backup", "pipelines", "tests"):
        (copy / stray).mkdir()
        (copy / stray / "__init__.py").touch()
    build = "import setuptools.build_meta as b; print(b.build_wheel('.'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(copy / done.stdout.split()[-1]) as archive:
        return archive.namelist()


def test_a_wheel_brings_the_four_names_only(wheel):
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == set(NAMES)


def test_a_wheel_holds_every_source_and_the_shipped_model(wheel):
    sources = {path.relative_to(ROOT).as_posix() for name in NAMES for path in (ROOT / name).rglob("*.py")}
    bundles = {path.relative_to(ROOT).as_posix() for path in (ROOT / "models" / "bundles").rglob("*.*")}
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.jinja")}
    page = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline" / "serving" / "http" / "page").iterdir()}
    protos = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.proto")}
    assert sources | bundles | templates | page | protos <= set(wheel)
    assert templates
    assert page


def test_the_index_refuses_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "Private :: Do Not Upload" in project["classifiers"]


def test_every_dependency_is_pinned_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pinned = [line.split("==")[0].lower().replace("_", "-") for line in lines]
    assert all("==" in line and "/" not in line for line in lines)
    assert len(set(pinned)) == len(pinned)
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {line.split(">=")[0].split("[")[0].lower().replace("_", "-") for line in wanted}
    assert names <= set(pinned)
