import hashlib
import os
import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.index import positioned_reads
from pipeline.index.fine_layout import HEADER_BYTES, record_dtype, shard_size
from pipeline.index.fine_store import FineStore
from pipeline.index.fine_writer import FineWriter
from pipeline.index.hits import CoarseHit
from pipeline.rerank import rerank
from pipeline.storage import Store
from schemas.errors import IndexCorruptError, StorageError
from schemas.manifest import FINE_DIR, VersionManifest
from schemas.scoring import Fusion, ScoringParams
from schemas.tables import TokenShape, clips_schema
from tests.tables_factory import TINY, make_tables

RECORD = record_dtype(TINY, "fp16").itemsize


def manifest_of(shards, shape=TINY, codec="fp16"):
    facts = dict.fromkeys(("model", "model_id", "weights_sha256", "sampler", "metric", "index_type", "milvus"), "x")
    return VersionManifest(
        **facts,
        collection="c",
        alias="a",
        tables="t",
        created_utc="now",
        version=1,
        token_shape=shape,
        scoring=ScoringParams(fusion=Fusion(), frame_mix=((1.0,),)),
        codec=codec,
        clips=sum(shard.clips for shard in shards),
        videos=1,
        bytes_per_clip=1,
        shards=shards,
    )


@pytest.fixture
def made(tmp_path):
    return make_tables(Store(str(tmp_path / "tables")), num_videos=5, clips_per_video=4)


def table_of(made):
    return pa.Table.from_pylist(made.clips, clips_schema(made.info.token_shape, made.info.model_id))


def write(folder, table, codec="fp16", shard_bytes=1 << 20, shape=TINY, step=7):
    """Write in uneven parts; gives the manifest and the addresses."""
    writer = FineWriter(folder / FINE_DIR, shape, codec, shard_bytes)
    addresses = []
    for start in range(0, len(table), step):
        addresses += writer.append(table.slice(start, step))
    return manifest_of(writer.close(), shape, codec), addresses


@pytest.fixture
def opened(tmp_path, made):
    """A version of several shards of six clips."""
    manifest, addresses = write(tmp_path, table_of(made), shard_bytes=HEADER_BYTES + 6 * RECORD + RECORD // 2)
    store = FineStore(Store(str(tmp_path)), manifest)
    yield store, manifest, addresses
    store.close()


@pytest.mark.parametrize("codec", ["fp16", "fp32"])
def test_what_is_read_is_what_was_written_bit_by_bit(tmp_path, made, codec):
    manifest, addresses = write(tmp_path, table_of(made), codec)
    store = FineStore(Store(str(tmp_path)), manifest)
    order = np.random.default_rng(0).permutation(len(addresses))
    records = store.read([addresses[i] for i in order])
    clips = [made.clips[i] for i in order]
    assert records.clip_ids == [clip["clip_id"] for clip in clips]
    stored = records.clips
    for tokens, column in (
        (stored.frames, "frames"),
        (stored.temporal, "temporal_frames"),
        (stored.patches, "patches"),
    ):
        np.testing.assert_array_equal(tokens.inflated(), np.stack([made.tokens(clip, column) for clip in clips]))
    np.testing.assert_array_equal(stored.mask_BF, np.stack([clip["mask"] for clip in clips]))
    for row, clip in enumerate(clips):
        real = len(clip["frame_times_s"])
        assert records.frame_times_BF[row, :real].tolist() == clip["frame_times_s"]
        assert np.isnan(records.frame_times_BF[row, real:]).all()
    store.close()


def test_shards_are_full_but_the_last_and_their_manifest_tells_the_truth(tmp_path, opened):
    _, manifest, addresses = opened
    assert [shard.clips for shard in manifest.shards] == [6, 6, 6, 2]
    assert addresses == [(i // 6, i % 6) for i in range(20)]
    for shard in manifest.shards:
        data = (tmp_path / FINE_DIR / shard.name).read_bytes()
        assert len(data) == shard.size_bytes == shard_size(TINY, "fp16", shard.clips)
        assert len(data) % 64 == 0
        assert hashlib.sha256(data).hexdigest() == shard.sha256
    assert sorted(os.listdir(tmp_path / FINE_DIR)) == [shard.name for shard in manifest.shards]


def test_the_same_clips_give_the_same_bytes(tmp_path, made):
    one, _ = write(tmp_path / "one", table_of(made), step=7)
    two, _ = write(tmp_path / "two", table_of(made), step=3)
    assert one.shards == two.shards


def test_a_shard_holds_one_clip_even_if_that_is_too_large(tmp_path, made):
    manifest, _ = write(tmp_path, table_of(made), shard_bytes=HEADER_BYTES)
    assert {shard.clips for shard in manifest.shards} == {1}


@given(
    shape=st.builds(TokenShape, frames=st.integers(1, 13), patches=st.integers(1, 9), dim=st.integers(1, 33)),
    codec=st.sampled_from(["fp32", "fp16", "int8", "1bit", "pooled-7", "frames"]),
)
@settings(max_examples=60, deadline=None)
def test_records_are_multiples_of_64_and_their_arrays_are_aligned(shape, codec):
    dtype = record_dtype(shape, codec)
    assert dtype.itemsize % 64 == 0
    assert dtype.itemsize >= sum(dtype[name].itemsize for name in dtype.names)
    for name in dtype.names:
        item = dtype[name].base.alignment
        assert dtype.fields[name][1] % item == 0


def test_reads_of_many_threads_do_not_mix(opened, made):
    store, _, addresses = opened
    rng = np.random.default_rng(0)
    picks = [rng.integers(0, 20, 9) for _ in range(200)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda pick: store.read([addresses[i] for i in pick]), picks))
    for pick, records in zip(picks, results, strict=True):
        assert records.clip_ids == [made.clip_ids[i] for i in pick]
        expected = np.stack([made.tokens(made.clips[i], "frames") for i in pick])
        np.testing.assert_array_equal(records.clips.frames.inflated(), expected)


@pytest.mark.parametrize("codec", ["fp16", "pooled-2"])
def test_the_frames_tier_scores_as_the_codec_frames_would(tmp_path, made, codec):
    text_D = np.random.default_rng(3).normal(size=TINY.dim).astype(np.float32)
    text_D /= np.linalg.norm(text_D)
    eye = tuple(map(tuple, np.eye(TINY.frames).tolist()))
    scores = {}
    for name, tier in ((codec, "frames"), ("frames", "all"), (codec, "all")):
        manifest, addresses = write(tmp_path / name, table_of(made), name)
        store = FineStore(Store(str(tmp_path / name)), manifest)
        hits = [
            CoarseHit(clip, "v", "u", 0.0, 1.0, *address, coarse_score=0.1)
            for clip, address in zip(made.clip_ids, addresses, strict=True)
        ]
        params = ScoringParams(fusion=Fusion(), frame_mix=eye)
        scores[name, tier] = rerank(text_D, hits, store, params, tier=tier).scores
        store.close()
    # The frames of fp16 are more exact than those of the codec `frames`, which are int8.
    np.testing.assert_allclose(scores[codec, "frames"], scores["frames", "all"], atol=0.02 if codec == "fp16" else 0)
    assert not np.allclose(scores[codec, "frames"], scores[codec, "all"], atol=0.05)


def test_the_frames_tier_leaves_the_patches_on_disk(opened, made):
    store, _, addresses = opened
    records = store.read(addresses, "frames")
    assert records.clip_ids == made.clip_ids
    expected = np.stack([made.tokens(clip, "frames") for clip in made.clips])
    np.testing.assert_array_equal(records.clips.frames.inflated(), expected)
    assert records.clips.patches.count == TINY.frames


def test_records_that_are_not_in_memory_are_the_same(opened, made, tmp_path):
    store, manifest, addresses = opened
    order = np.random.default_rng(5).permutation(len(addresses)).tolist() * 3
    for shard in manifest.shards:
        with (tmp_path / FINE_DIR / shard.name).open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert store.read([addresses[i] for i in order]).clip_ids == [made.clip_ids[i] for i in order]


def nothing_in_memory(data, files, offsets, got, first, end):
    got[first:end] = 0
    return end - first


@pytest.mark.parametrize("portion_bytes", [1, 3 * RECORD])
@pytest.mark.parametrize("in_memory", [True, False])
def test_two_threads_give_the_records_of_one(opened, made, monkeypatch, portion_bytes, in_memory):
    store, _, addresses = opened
    monkeypatch.setattr(positioned_reads, "_SHARED_BYTES", 0)
    monkeypatch.setattr(positioned_reads, "_PORTION_BYTES", portion_bytes)
    monkeypatch.setattr(positioned_reads, "_cores", lambda: 2)
    if not in_memory:
        monkeypatch.setattr(positioned_reads, "_in_memory", nothing_in_memory)
    order = np.random.default_rng(6).permutation(len(addresses)).tolist() * 5
    assert store.read([addresses[i] for i in order]).clip_ids == [made.clip_ids[i] for i in order]


def test_a_file_system_that_cannot_tell_what_is_in_memory_gives_the_same_records(opened, made, monkeypatch):
    store, _, addresses = opened
    monkeypatch.setattr(positioned_reads, "_in_memory", nothing_in_memory)
    assert store.read(addresses).clip_ids == made.clip_ids


def test_a_shard_that_cannot_be_read_is_named(opened, monkeypatch):
    store, _, addresses = opened

    def broken(*args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    monkeypatch.setattr(positioned_reads, "_in_memory", nothing_in_memory)
    with pytest.raises(IndexCorruptError, match=r"^cannot read .*shard-00000.bin: Input/output error$"):
        store.read(addresses)


def test_no_address_gives_no_record(opened):
    records = opened[0].read([])
    assert records.clip_ids == []
    assert records.clips.patches.inflated().shape == (0, TINY.frames * TINY.patches, TINY.dim)


@pytest.mark.parametrize("address", [(0, 6), (3, 2), (4, 0), (-1, 0), (0, -1)])
def test_an_address_that_no_record_has_is_corruption(opened, address):
    with pytest.raises(IndexCorruptError, match=f"no row {address[1]} in fine shard {address[0]}"):
        opened[0].read([(0, 0), address])


def test_a_shard_cut_after_it_was_opened_is_named(opened, tmp_path):
    store, manifest, _ = opened
    path = tmp_path / FINE_DIR / manifest.shards[1].name
    os.truncate(path, path.stat().st_size - 1)
    store.read([(1, 4)])
    with pytest.raises(IndexCorruptError, match=f"{path} ends before row 5"):
        store.read([(1, 5)])


def damage_missing(path, other):
    path.unlink()


def damage_short(path, other):
    os.truncate(path, path.stat().st_size - 1)


def damage_long(path, other):
    path.write_bytes(path.read_bytes() + b"x")


def damage_empty(path, other):
    path.write_bytes(b"")


def damage_header(path, other):
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)


def damage_foreign(path, other):
    path.write_bytes(b"\0" * path.stat().st_size)


def damage_swapped(path, other):
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    "damage",
    [damage_missing, damage_short, damage_long, damage_empty, damage_header, damage_foreign, damage_swapped],
)
def test_a_damaged_shard_is_named_when_the_version_is_opened(tmp_path, made, damage):
    manifest, _ = write(tmp_path, table_of(made), shard_bytes=HEADER_BYTES + 6 * RECORD)
    path, other = (tmp_path / FINE_DIR / manifest.shards[i].name for i in (1, 2))
    damage(path, other)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(IndexCorruptError, match=rf"^{path}[^\n]*$"):
        FineStore(Store(str(tmp_path)), manifest)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_version_of_another_codec_is_refused(tmp_path, made):
    manifest, _ = write(tmp_path, table_of(made))
    with pytest.raises(IndexCorruptError):
        FineStore(Store(str(tmp_path)), manifest.model_copy(update={"codec": "fp32"}))


def test_tables_of_another_shape_are_refused(tmp_path, made):
    writer = FineWriter(tmp_path, TokenShape(frames=3, patches=2, dim=16), "fp16", 1 << 20)
    with pytest.raises(StorageError, match=r"column frames is fixed_size_binary.48., not 96 bytes"):
        writer.append(table_of(made))


def test_a_clip_id_that_does_not_fit_is_refused(tmp_path, made):
    made.clips[3]["clip_id"] = "c" * 65
    writer = FineWriter(tmp_path, TINY, "fp16", 1 << 20)
    with pytest.raises(StorageError, match="longer than 64 bytes"):
        writer.append(table_of(made))


def test_more_shards_than_the_limit_of_open_files_are_opened(tmp_path, made):
    manifest, addresses = write(tmp_path, table_of(made), shard_bytes=HEADER_BYTES)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 10, hard))
    try:
        store = FineStore(Store(str(tmp_path)), manifest)
        assert store.read(addresses).clip_ids == made.clip_ids
        store.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
