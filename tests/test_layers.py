"""Imports point one way, schemas <- models <- pipeline <- jobs, and Ray's parts are wired in one place each."""

import ast
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("schemas", "models", "pipeline", "jobs")
# Which files may use which part of Ray; the rest of Ray (ray.init, actors) is free above NO_RAY.
RAY_PARTS = {
    "ray.data": lambda path: (
        path
        in (
            "pipeline/extraction.py",
            "pipeline/training/streaming.py",
            "pipeline/training/ray_job.py",
        )
    ),
    "ray.serve": lambda path: path.startswith("pipeline/serving/"),
    "ray.train": lambda path: path.startswith("pipeline/training"),
}
NO_RAY = ("schemas/", "models/", "pipeline/stages/", "pipeline/search.py", "pipeline/index/", "pipeline/synthetic/")


def names_used(tree):
    """Every module that a file imports, and `ray.x` for every attribute x of the module ray."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ray":
            yield f"ray.{node.attr}"


def is_within(name, package):
    return name == package or name.startswith(f"{package}.")


def violations(path, source):
    """What a file of one of the four packages does that it may not do."""
    layer = LAYERS.index(PurePosixPath(path).parts[0])
    found = []
    for name in sorted(set(names_used(ast.parse(source)))):
        top = name.split(".")[0]
        if top in LAYERS[layer + 1 :]:
            found.append(f"{path} imports {name}, which lies above it")
        if top in ("tests", "benchmarks"):
            found.append(f"{path} imports {name}, which is not shipped")
        if top == "ray" and path.startswith(NO_RAY):
            found.append(f"{path} uses {name}, but must run without Ray")
        found += [f"{path} uses {name}" for part, may in RAY_PARTS.items() if is_within(name, part) and not may(path)]
    return found


def sources():
    return {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for layer in LAYERS
        for path in sorted((ROOT / layer).rglob("*.py"))
    }


def test_imports_point_one_way_and_ray_stays_in_its_files():
    assert [line for path, source in sources().items() for line in violations(path, source)] == []


def test_init_files_hold_a_docstring_only():
    inits = {path: ast.parse(source) for path, source in sources().items() if path.endswith("__init__.py")}
    assert len(inits) >= len(LAYERS)
    for path, tree in inits.items():
        assert ast.get_docstring(tree), path
        assert len(tree.body) == 1, f"{path} runs code at import"


def test_every_folder_of_code_is_a_package():
    folders = {PurePosixPath(path).parent.as_posix() for path in sources()}
    assert [folder for folder in folders if not (ROOT / folder / "__init__.py").exists()] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("schemas/a.py", "import models.towers"),
        ("models/a.py", "def f():\n    from pipeline.storage import Store"),
        ("pipeline/a.py", "from jobs import cli"),
        ("pipeline/a.py", "from tests.servers import s3"),
        ("models/a.py", "import ray"),
        ("pipeline/stages/a.py", "import ray"),
        ("pipeline/search.py", "from ray import serve"),
        ("pipeline/a.py", "import ray.data"),
        ("pipeline/a.py", "from ray.serve.handle import DeploymentHandle"),
        ("pipeline/a.py", "import ray\nray.data.range(3)"),
        ("pipeline/extraction.py", "from ray import train"),
    ],
)
def test_a_planted_violation_is_found(path, source):
    assert violations(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("pipeline/extraction.py", "import ray\nray.data.range(3)"),
        ("pipeline/serving/app.py", "from ray import serve"),
        ("pipeline/training.py", "from ray.train import report"),
        ("pipeline/cluster.py", "import ray\nray.init()"),
        ("jobs/a.py", "from pipeline.search import Searcher"),
    ],
)
def test_what_is_allowed_is_allowed(path, source):
    assert violations(path, source) == []
