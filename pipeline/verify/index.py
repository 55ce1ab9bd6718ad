"""The published version of an index against the tables: the same clips, the right bytes, the right addresses.

Of the other versions that are kept: that nothing of a deleted video is in them, neither in Milvus nor in the shards.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipeline.index.fine_layout import HEADER_BYTES, check_header, record_dtype
from pipeline.index.intent import describe, read_intent
from pipeline.index.task_list import read_tasks
from pipeline.index.unfinished import MARKER
from pipeline.index.vector_store import VectorStore
from pipeline.index.version_rows import VersionRows
from pipeline.index.versions import folder_numbers, live_manifest, read_manifest, version_numbers, version_store
from pipeline.storage import Store
from pipeline.verify.report import Findings
from schemas.errors import IndexCorruptError, StorageError
from schemas.manifest import FINE_DIR, VERSIONS_DIR, FineShard, VersionManifest
from schemas.tables import TablesInfo

_CHUNK_BYTES = 32 << 20
# Ids of one question to Milvus.
_IDS = 500
_NAMED = 3


def check_index(index: Store, info: TablesInfo, found: Findings) -> int | None:
    """Add what is wrong with the published version; its number.

    Args:
        index: the index.
        info: the settings of the tables.
        found: what is known of the tables by now, `clip_ids` above all.

    Raises:
        IndexMissingError: no version is published.
        StorageError: the index cannot be read.
        VectorStoreError: Milvus is away.
    """
    try:
        manifest = live_manifest(index)
    except IndexCorruptError as error:
        found.problems.append(str(error))
        return None
    for name in ("model_id", "token_shape"):
        made, now = getattr(manifest, name), getattr(info, name)
        if made != now:
            found.problems.append(f"index version {manifest.version}: {name} is {made}, that of the tables {now}")
    try:
        if intent := read_intent(index):
            found.problems.append(describe(index, intent))
    except IndexCorruptError as error:
        found.problems.append(str(error))
    addresses = _check_version(index, manifest, found)
    if addresses is not None:
        _check_ids(manifest, addresses, found)
    if found.deleted:
        _check_others(index, manifest.version, found)
    found.orphans += [
        f"{VERSIONS_DIR}/{number}: a build that was killed or is under way"
        for number in folder_numbers(index)
        if version_store(index, number).exists(MARKER)
    ]
    return manifest.version


def _check_others(index: Store, live: int, found: Findings) -> None:
    """Equal ids in shards and Milvus, and no deleted video in Milvus: then there is none in the shards either."""
    for number in version_numbers(index):
        if number != live:
            _check_version(index, read_manifest(index, number), found)


def _check_version(index: Store, manifest: VersionManifest, found: Findings) -> dict[str, tuple[int, int]] | None:
    store = version_store(index, manifest.version)
    addresses = _check_shards(store, manifest, found)
    _check_milvus(index, manifest, addresses, found)
    if manifest.tasks_object:
        try:
            read_tasks(store, manifest)
        except IndexCorruptError as error:
            found.problems.append(f"index version {manifest.version}: {error}")
    wanted = {shard.name for shard in manifest.shards}
    for name in store.names(FINE_DIR):
        if name not in wanted:
            found.problems.append(
                f"{VERSIONS_DIR}/{manifest.version}/{FINE_DIR}/{name}: no shard of its manifest, and may hold what was "
                "deleted: remove it"
            )
    return addresses


def _check_shards(store: Store, manifest: VersionManifest, found: Findings) -> dict[str, tuple[int, int]] | None:
    """Shard and row of every clip, as the records themselves say; None where a shard cannot be read."""
    addresses: dict[str, tuple[int, int]] = {}
    whole = True
    for number, shard in enumerate(manifest.shards):
        name = f"{VERSIONS_DIR}/{manifest.version}/{FINE_DIR}/{shard.name}"
        try:
            with _local(store, shard) as path:
                clips = _read_shard(path, number, shard, manifest)
        except IndexCorruptError as error:
            found.problems.append(f"{name}: {error}")
            whole = False
            continue
        if (holes := clips.count("")) != shard.holes:
            found.problems.append(f"{name}: it has {holes} holes, its manifest says {shard.holes}")
        for row, clip in enumerate(clips):
            if not clip:
                continue
            if clip in addresses:
                found.problems.append(f"{name} row {row}: clip {clip} is at {addresses[clip]} too")
            addresses[clip] = (number, row)
    return addresses if whole else None


@contextmanager
def _local(store: Store, shard: FineShard) -> Iterator[Path]:
    """A shard as a local file. The cache of searches is no witness: it may hold what the store has lost."""
    if not store.is_remote:
        yield Path(store.path(f"{FINE_DIR}/{shard.name}"))
        return
    with tempfile.TemporaryDirectory(prefix="reelsift-verify-") as folder:
        path = Path(folder) / shard.name
        try:
            store.download(f"{FINE_DIR}/{shard.name}", path)
        except StorageError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            raise IndexCorruptError("is missing: restore it, or build the index anew") from None
        yield path


def _read_shard(path: Path, number: int, shard: FineShard, manifest: VersionManifest) -> list[str]:
    """The clip ids of a shard, in order, after its bytes have proven right; "" for a hole."""
    dtype = record_dtype(manifest.token_shape, manifest.codec)
    chunk = max(1, _CHUNK_BYTES // dtype.itemsize) * dtype.itemsize
    digest = hashlib.sha256()
    ids: list[str] = []
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
            digest.update(head)
            while data := file.read(chunk):
                digest.update(data)
                ids += _ids(data, dtype)
    except FileNotFoundError:
        raise IndexCorruptError("is missing: restore it, or build the index anew") from None
    except OSError as error:
        raise IndexCorruptError(f"cannot be read: {error.strerror}") from error
    if digest.hexdigest() != shard.sha256:
        raise IndexCorruptError(
            f"has sha256 {digest.hexdigest()[:12]}, its manifest says {shard.sha256[:12]}: restore it, or build anew"
        )
    check_header(head, manifest.token_shape, manifest.codec, number, shard.name)
    return ids


def _ids(data: bytes, dtype: np.dtype) -> list[str]:
    records = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
    ids = [text.decode(errors="replace") for text in records["clip_id"].tolist()]
    # A record without a name that is not all zeros is no hole: something of a clip is still in it.
    return [
        clip or ("a hole that is not empty" if records[row].tobytes().strip(b"\0") else "")
        for row, clip in enumerate(ids)
    ]


def _check_ids(manifest: VersionManifest, addresses: dict[str, tuple[int, int]], found: Findings) -> None:
    where = f"index version {manifest.version}"
    if len(addresses) != manifest.clips:
        found.problems.append(f"{where}: its shards hold {len(addresses)} clips, its manifest says {manifest.clips}")
    clip_ids = found.clip_ids or set()
    lost, strange = clip_ids - addresses.keys(), addresses.keys() - clip_ids
    if lost:
        found.problems.append(
            f"{where} lacks {len(lost)} clips of the tables ({_some(lost)}): run 'reelsift index update', or "
            "build and publish anew"
        )
    if strange:
        found.problems.append(f"{where} has {len(strange)} clips that the tables do not have ({_some(strange)})")


def _check_milvus(
    index: Store, manifest: VersionManifest, addresses: dict[str, tuple[int, int]] | None, found: Findings
) -> None:
    expected = {manifest.collection: manifest.clips}
    if manifest.frames:
        expected[manifest.frames.collection] = manifest.frames.rows
    vectors = VectorStore.open(manifest.milvus, index.root)
    try:
        present = vectors.collections()
        for collection, rows in expected.items():
            where = f"Milvus ({vectors.place}), {collection}"
            if collection not in present:
                found.problems.append(f"{where}: the collection is missing: build the index anew")
            elif (count := vectors.count(collection)) != rows:
                found.problems.append(f"{where}: {count} rows, the manifest says {rows}: build the index anew")
        if addresses is not None and manifest.collection in present:
            _check_addresses(vectors, manifest, addresses, found)
        if found.deleted and manifest.collection in present:
            for row in VersionRows(vectors, manifest).of_videos(sorted(found.deleted)):
                found.problems.append(
                    f"Milvus ({vectors.place}), {manifest.collection}: clip {row.clip_id} is of the deleted video "
                    f"{row.video_id}"
                )
    finally:
        vectors.close()


def _check_addresses(
    vectors: VectorStore, manifest: VersionManifest, addresses: dict[str, tuple[int, int]], found: Findings
) -> None:
    """With equal counts, every clip of the shards in Milvus means the same clips in both."""
    clips = list(addresses)
    where = f"Milvus ({vectors.place}), {manifest.collection}"
    for start in range(0, len(clips), _IDS):
        wanted = clips[start : start + _IDS]
        stored = vectors.addresses(manifest.collection, wanted)
        for clip in wanted:
            if clip not in stored:
                found.problems.append(f"{where}: clip {clip} is missing: build the index anew")
            elif stored[clip] != addresses[clip]:
                found.problems.append(f"{where}: clip {clip} leads to {stored[clip]}, its record is {addresses[clip]}")


def _some(clips: set[str]) -> str:
    first = sorted(clips)[:_NAMED]
    return ", ".join(first) + (", ..." if len(clips) > _NAMED else "")
