import os

import pytest

from pipeline.index.build_lock import only_build, only_switch
from pipeline.index.switch import publish, rollback
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import list_versions, live_manifest, live_version, read_manifest, version_store
from pipeline.storage import Store
from schemas.errors import IndexCorruptError, IndexMissingError, StorageError
from schemas.manifest import LivePointer


def alias_target(index, manifest):
    vectors = VectorStore.open("lite", index.root)
    found = vectors.resolve_alias(manifest.alias)
    vectors.close()
    return found


def pointer(index):
    return LivePointer.model_validate_json(index.read("live.json"))


def test_an_index_that_does_not_exist_says_what_to_run(index):
    with pytest.raises(IndexMissingError, match="holds no index: run 'reelsift index build"):
        live_manifest(index)
    with pytest.raises(IndexMissingError, match="run 'reelsift index build' first"):
        publish(index)
    assert list_versions(index) == []
    assert not os.path.exists(index.root)


def test_a_version_is_not_live_until_it_is_published(build, index):
    build()
    with pytest.raises(IndexMissingError, match="has no published version: run 'reelsift index publish"):
        live_manifest(index)
    assert publish(index).live
    assert live_manifest(index) == read_manifest(index, 1)


def test_publish_goes_forward_and_back_and_alias_and_pointer_agree(build, index):
    build(), build()
    for version, previous in ((2, None), (1, 2), (2, 1)):
        summary = publish(index, version)
        assert (summary.version, summary.live) == (version, True)
        assert pointer(index) == LivePointer(version=version, previous=previous)
        manifest = live_manifest(index)
        assert manifest.version == version
        assert alias_target(index, manifest) == manifest.collection
        assert [entry.live for entry in list_versions(index)] == [version == 1, version == 2]


def test_publishing_the_live_version_changes_nothing(build, index):
    build()
    publish(index)
    before = os.stat(index.path("live.json")).st_mtime_ns
    assert publish(index, 1).live
    assert publish(index).live
    assert os.stat(index.path("live.json")).st_mtime_ns == before


@pytest.mark.parametrize("damage", ["lose", "cut", "collection"])
def test_publishing_the_live_version_looks_at_it_as_at_any_other(build, index, damage):
    build()
    publish(index)
    manifest = read_manifest(index, 1)
    if damage == "collection":
        lose_collection(index, manifest)
    else:
        shard = index.path(f"versions/1/fine/{manifest.shards[0].name}")
        os.unlink(shard) if damage == "lose" else os.truncate(shard, 5000)
    with pytest.raises(IndexCorruptError):
        publish(index, 1)
    assert live_version(index) == 1


def test_a_version_that_is_not_there_is_named_with_those_that_are(build, index):
    build(), build()
    with pytest.raises(IndexMissingError, match="has no version 7; it has: 1, 2"):
        publish(index, 7)


def lose_shard(index, manifest):
    os.unlink(index.path(f"versions/2/fine/{manifest.shards[0].name}"))


def cut_shard(index, manifest):
    os.truncate(index.path(f"versions/2/fine/{manifest.shards[0].name}"), 5000)


def lose_collection(index, manifest):
    vectors = VectorStore.open("lite", index.root)
    vectors.drop(manifest.collection)
    vectors.close()


def empty_collection(index, manifest):
    vectors = VectorStore.open("lite", index.root)
    vectors.create(manifest.collection, manifest.token_shape.dim)
    vectors.flush_and_load(manifest.collection, "FLAT")
    vectors.close()


def lose_frames(index, manifest):
    vectors = VectorStore.open("lite", index.root)
    vectors.drop(manifest.frames.collection)
    vectors.close()


def empty_frames(index, manifest):
    vectors = VectorStore.open("lite", index.root)
    vectors.create_frames(manifest.frames.collection, manifest.token_shape.dim)
    vectors.flush_and_load(manifest.frames.collection, "FLAT")
    vectors.close()


def break_manifest(index, manifest):
    index.write("versions/2/manifest.json", b'{"version": 2}')


@pytest.mark.parametrize(
    "damage",
    [lose_shard, cut_shard, lose_collection, empty_collection, lose_frames, empty_frames, break_manifest],
)
def test_a_damaged_version_is_not_published_and_the_live_one_stays(build, index, damage):
    build(), build()
    first = publish(index, 1)
    damage(index, read_manifest(index, 2))
    with pytest.raises(IndexCorruptError) as refused:
        publish(index, 2)
    assert "\n" not in str(refused.value)
    assert live_version(index) == 1
    assert alias_target(index, read_manifest(index, 1)) == first.collection


def test_a_pointer_that_does_not_parse_is_named(build, index):
    build()
    index.write("live.json", b"{")
    with pytest.raises(IndexCorruptError, match=r"live.json is damaged"):
        live_manifest(index)


def test_a_pointer_to_a_version_that_is_gone_is_an_error_of_its_own(build, index):
    build()
    publish(index)
    os.unlink(index.path("versions/1/manifest.json"))
    with pytest.raises(IndexMissingError, match=r"live\.json names version 1, but .* has no version 1"):
        live_manifest(index)


def test_the_folder_of_a_version_is_a_store(index):
    assert version_store(index, 3).root == Store(index.path("versions/3")).root


def test_a_rollback_makes_the_version_live_that_was_before_and_a_second_one_undoes_it(build, index):
    build(), build(), build()
    for number in (1, 3):
        publish(index, number)
    for replaced, version in ((3, 1), (1, 3)):
        summary = rollback(index)
        assert (summary.version, summary.replaced, summary.live) == (version, replaced, True)
        assert pointer(index) == LivePointer(version=version, previous=replaced)
        assert alias_target(index, live_manifest(index)) == summary.collection
        assert [(entry.live, entry.previous) for entry in list_versions(index)] == [
            (version == 1, version == 3),
            (False, False),
            (version == 3, version == 1),
        ]
    assert rollback(index, 2).replaced == 3
    assert pointer(index) == LivePointer(version=2, previous=3)


def test_without_a_version_before_there_is_nothing_to_roll_back_to(build, index):
    with pytest.raises(IndexMissingError, match=r"^[^\n]* has no published version: there is nothing to roll back"):
        rollback(index)
    assert not os.path.exists(index.root)
    build(), build()
    publish(index, 1)
    with pytest.raises(IndexMissingError, match=r"^[^\n]*no version was live before version 1[^\n]*$"):
        rollback(index)
    assert pointer(index) == LivePointer(version=1)


def test_a_damaged_version_is_not_rolled_back_to(build, index):
    build(), build()
    publish(index, 2)
    publish(index, 1)
    cut_shard(index, read_manifest(index, 2))
    with pytest.raises(IndexCorruptError, match="manifest says"):
        rollback(index)
    assert pointer(index) == LivePointer(version=1, previous=2)


def test_one_switch_at_a_time_and_a_build_does_not_hold_it_up(build, index):
    build()
    with only_switch(index), pytest.raises(StorageError, match=r"^another publish, rollback or gc is under [^\n]*$"):
        publish(index)
    assert live_version(index) is None
    with only_build(index):
        assert publish(index).live


def test_sizes_and_dates_of_a_version_are_told(build, index):
    build()
    (entry,), manifest = list_versions(index), read_manifest(index, 1)
    fine = sum(os.path.getsize(index.path(f"versions/1/fine/{shard.name}")) for shard in manifest.shards)
    assert (entry.fine_bytes, entry.created_utc) == (fine, manifest.created_utc)
    assert entry.milvus_bytes == 4 * manifest.token_shape.dim * (entry.clips + entry.frame_rows)
