"""A manifest whose parts do not fit is told in one line, where it is read."""

import pytest

from pipeline.index.fine_layout import shard_size
from pipeline.index.manifest_check import check_manifest
from pipeline.index.versions import read_manifest
from pipeline.storage import Store
from schemas.errors import IndexCorruptError
from schemas.manifest import FineShard, FramesCollection, VersionManifest
from schemas.scoring import Fusion, ScoringParams
from tests.tables_factory import TINY

SHARD = FineShard(name="shard-00000.bin", clips=3, size_bytes=shard_size(TINY, "fp16", 3), sha256="", holes=1)
WHOLE = VersionManifest(
    version=1, model="m", model_id="m-1", weights_sha256="", sampler="uniform", token_shape=TINY,
    scoring=ScoringParams(fusion=Fusion(), frame_mix=((1.0,),)), codec="fp16", metric="IP", index_type="FLAT",
    milvus="lite", collection="c", alias="a", clips=2, videos=1, bytes_per_clip=1, shards=[SHARD], tables="t",
    created_utc="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "is of format 2, this release reads 1"),
        ({"index_type": "TREE"}, "unknown index_type 'TREE'"),
        ({"frames": FramesCollection(collection="f", rows=1, index_type="x")}, "unknown index_type 'x'"),
        ({"codec": "fp32"}, "which is not what codec fp32 makes"),
        ({"codec": "int3"}, "does not know"),
        ({"shards": []}, "its shards hold 0 clips, it says 2"),
        ({"clips": 3}, "its shards hold 2 clips, it says 3"),
        ({"version": 2}, "it is of version 2, its folder is that of 1"),
    ],
)
def test_what_no_build_writes_is_refused_in_one_line(changes, says):
    check_manifest(WHOLE, 1, "manifest.json")
    with pytest.raises(IndexCorruptError, match=says) as caught:
        check_manifest(WHOLE.model_copy(update=changes), 1, "manifest.json")
    assert "\n" not in str(caught.value)


def test_a_manifest_is_checked_where_it_is_read(tmp_path):
    index = Store(str(tmp_path))
    index.write("versions/1/manifest.json", WHOLE.model_dump_json().encode())
    assert read_manifest(index, 1) == WHOLE
    index.write("versions/2/manifest.json", WHOLE.model_dump_json().encode())
    with pytest.raises(IndexCorruptError, match=r"versions/2/manifest\.json is damaged \(it is of version 1"):
        read_manifest(index, 2)
