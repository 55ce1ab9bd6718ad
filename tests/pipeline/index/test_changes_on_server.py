"""Delete and update on a real Milvus server, which searches as it was a moment ago."""

import uuid
from contextlib import closing

import numpy as np

from pipeline.both_stages import find
from pipeline.index.build import build_index
from pipeline.index.delete import delete_videos
from pipeline.index.update import update_index
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import live_manifest, open_fine, publish
from pipeline.ranking import EncodedQuery
from pipeline.storage import Store
from pipeline.verify.run import verify
from schemas.config import DeleteConfig, IndexConfig, UpdateConfig, VerifyConfig
from tests.tables_factory import make_tables


def test_no_search_finds_a_deleted_clip_from_the_moment_that_the_command_ends(milvus_server, tmp_path, model):
    tables, index = Store(str(tmp_path / "tables")), Store(str(tmp_path / uuid.uuid4().hex))
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
        recalled, scored = find(vectors, fine, manifest, query, "both", 12, 12)
        assert len(recalled.hits) == len(scored.scores) == 9
        assert gone not in {hit.video_id for hit in recalled.hits}
        make_tables(tables, 2, seed=1, **settings)
        update_index(UpdateConfig(**places))
        recalled, _ = find(vectors, fine, manifest, query, "both", 12, 12)
        assert len(recalled.hits) == 9
        newest, fresh = open_fine(index, live_manifest(index))
        with closing(fresh):
            assert newest.revision == 3
            recalled, scored = find(vectors, fresh, newest, query, "both", 20, 20)
            assert len(recalled.hits) == len(scored.scores) == 15
    assert verify(VerifyConfig(**places)).problems == []
