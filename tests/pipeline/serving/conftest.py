"""A model, and indexes of random tokens of its sizes."""

import pytest
import torch

from models.registry import load_model
from pipeline.index.build import build_index
from pipeline.index.switch import publish
from pipeline.storage import Store
from schemas.index_config import IndexConfig
from tests.tables_factory import make_tables

# Some records a file, so that there are files to divide among shards.
SHARD_BYTES = 1 << 17


@pytest.fixture(scope="package")
def model():
    torch.set_num_threads(1)
    return load_model("random-tiny")


@pytest.fixture(scope="package")
def indexes(tmp_path_factory, model):
    """Two published indexes of the same tables: with frame vectors, and without."""
    root = tmp_path_factory.mktemp("indexes")
    make_tables(Store(str(root / "t")), shape=model.token_shape, model_id=model.model_id, model=model.name)
    for setting in ("yes", "no"):
        build_index(
            IndexConfig(
                tables=str(root / "t"), index=str(root / setting), frames=setting, shard_bytes=SHARD_BYTES,
                fields=("year:int",),
            )
        )  # fmt: skip
        publish(Store(str(root / setting)))
    return root
