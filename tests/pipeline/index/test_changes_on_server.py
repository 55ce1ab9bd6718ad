"""Delete and update on a real Milvus server, which searches as it was a moment ago."""

import uuid
from contextlib import closing

import numpy as np
import pytest

from pipeline.both_stages import Stages
from pipeline.index.build import build_index
from pipeline.index.delete import delete_videos
from pipeline.index.intent import read_intent
from pipeline.index.switch import publish
from pipeline.index.update import update_index
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import live_manifest, open_fine, version_store
from pipeline.ranking import EncodedQuery
from pipeline.storage import Store
from pipeline.verify.run import verify
from schemas.config import VerifyConfig
from schemas.index_config import DeleteConfig, IndexConfig, UpdateConfig
from tests.tables_factory import make_tables


@pytest.fixture(params=["local", "s3"])
def index(request, tmp_path, monkeypatch):
    """Where the fine shards are: beside the tables, or in an object store with a cache."""
    if request.param == "local":
        return Store(str(tmp_path / uuid.uuid4().hex))
    monkeypatch.setenv("REELSIFT_CACHE", str(tmp_path / "cache"))
    return Store(f"s3://{request.getfixturevalue('s3_env').bucket}/{uuid.uuid4().hex}/index")


def test_no_search_finds_a_deleted_clip_from_the_moment_that_the_command_ends(milvus_server, tmp_path, model, index):
    tables = Store(str(tmp_path / "tables"))
    settings = {"shape": model.token_shape, "model_id": model.model_id, "model": model.name}
    made = make_tables(tables, **settings)
    places = {"tables": tables.root, "index": index.root}
    build_index(IndexConfig(**places, milvus=milvus_server, frames="yes"))
    publish(index)
    manifest, fine = open_fine(index, live_manifest(index))
    text_D = np.full(model.token_shape.dim, model.token_shape.dim**-0.5, np.float32)
    query = EncodedQuery(text_D, text_D)
    with closing(VectorStore.open(manifest.milvus, index.root)) as vectors, closing(fine):
        gone = made.clips[0]["video_id"]
        delete_videos(DeleteConfig(**places, video_id=(gone,)))
        # With what a replica knew before it follows.
        recalled, scored = Stages(vectors, fine, manifest, "both", 12, 12).find(query)
        assert len(recalled.hits) == len(scored.scores) == 9
        assert gone not in {hit.video_id for hit in recalled.hits}
        make_tables(tables, 2, seed=1, **settings)
        update_index(UpdateConfig(**places))
        recalled, _ = Stages(vectors, fine, manifest, "both", 12, 12).find(query)
        assert len(recalled.hits) == 9
        newest, fresh = open_fine(index, live_manifest(index))
        with closing(fresh):
            assert newest.revision == 3
            recalled, scored = Stages(vectors, fresh, newest, "both", 20, 20).find(query)
            assert len(recalled.hits) == len(scored.scores) == 15
    assert verify(VerifyConfig(**places)).problems == []
    # What only the revisions before named is gone, wherever it was.
    store, manifest = version_store(index, 1), live_manifest(index)
    assert store.names("fine", hidden=True) == sorted(shard.name for shard in manifest.shards)
    assert store.names("") == ["manifest.json", manifest.tasks_object.name]
    assert read_intent(index) is None
