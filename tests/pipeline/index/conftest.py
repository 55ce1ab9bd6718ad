"""What the tests of the index share: the shipped model, and tables that claim to come from it."""

import pytest

from pipeline.storage import Store
from tests.tables_factory import make_tables


@pytest.fixture(scope="session")
def model():
    from models.registry import load_model

    return load_model("random-tiny")


@pytest.fixture
def tables(tmp_path, model):
    """Twelve clips of four videos in two tasks."""
    return make_tables(
        Store(str(tmp_path / "tables")), shape=model.token_shape, model_id=model.model_id, model=model.name
    )


@pytest.fixture
def index(tmp_path):
    return Store(str(tmp_path / "index"))


@pytest.fixture
def build(tmp_path, tables, index):
    """Build the next version of `index` from `tables`."""
    from pipeline.index.build import build_index
    from schemas.index_config import IndexConfig

    def run(progress=lambda done, total, doing: None, say=lambda line: None, **changes):
        settings = {"tables": str(tmp_path / "tables"), "index": index.root, "batch_rows": 5} | changes
        return build_index(IndexConfig.of(settings), progress, say)

    return run
