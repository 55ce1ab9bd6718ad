"""Deletes the clips of videos: from the tables, and from every version of an index that is kept."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pipeline.erase import clips_of
from pipeline.extract_lease import only_driver
from pipeline.index.build_lock import only_build, only_switch
from pipeline.index.fine_holes import check_shards
from pipeline.index.finish import finish
from pipeline.index.intent import begin, read_intent
from pipeline.index.milvus_places import MilvusPlaces
from pipeline.index.own_tables import require_own_tables
from pipeline.index.unfinished import MARKER, read_marker, remove
from pipeline.index.version_rows import ClipRow, VersionRows
from pipeline.index.versions import folder_numbers, read_manifest, version_numbers, version_store
from pipeline.storage import Store
from pipeline.tables import require_info
from pipeline.video_choice import Chosen, choose_videos
from schemas.errors import IndexMissingError
from schemas.index_config import DeleteConfig
from schemas.intent import DELETE, INTENT, Intent, VersionChange
from schemas.manifest import LITE, LIVE_POINTER, MANIFEST, VersionManifest
from schemas.results import DeleteSummary


def delete_videos(config: DeleteConfig) -> DeleteSummary:
    """Delete the clips of the videos that are meant. When this returns, no search finds them any more.

    Raises:
        UsageError: no video is meant, or one that the tables do not have, or the index is one of other tables; nothing
            was changed.
        IndexMissingError: there is no index; the one that was meant would keep the clips. Nothing was changed.
        IndexCorruptError: a shard that a clip is to go from is missing or damaged; nothing was changed.
        StorageError: a video is pending, or a build or an extraction is under way, and nothing was changed; or the
            storage refuses: the same command goes on.
        VectorStoreError: a Milvus is away: before the first step nothing was changed; later the same command goes on.
    """
    tables, index = Store(config.tables), Store(config.index)
    require_info(tables)
    # Before the lock, which would make a folder of an index that is none.
    _require_index(index)
    require_own_tables(tables, index)
    choose_videos(tables, config.video_id, config.uri, config.where)
    if config.dry_run:
        return _plan(tables, index, config)[1]
    with only_build(index):
        finish(index)
        _remove_unfinished(index)
        with only_driver(tables):
            intent, summary = _plan(tables, index, config)
        if summary.clips or len(summary.uris) > summary.already:
            with only_switch(index):
                begin(index, intent)
            finish(index)
    return summary


def _require_index(index: Store) -> None:
    if not (folder_numbers(index) or index.exists(INTENT) or index.exists(LIVE_POINTER)):
        raise IndexMissingError(
            f"{index.root} holds no index, and nothing was deleted: is --index right? It must name the index of these "
            "tables, so that their clips go from its versions too"
        )


def _plan(tables: Store, index: Store, config: DeleteConfig) -> tuple[Intent, DeleteSummary]:
    chosen = choose_videos(tables, config.video_id, config.uri, config.where)
    videos = list(chosen.uris)
    changes = _changes(index, videos)
    in_tables = clips_of(tables, set(videos))
    intent = Intent(
        action=DELETE,
        tables=tables.root,
        video_ids=videos,
        tasks=[],
        changes=changes,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return intent, _summary(index, chosen, changes, in_tables, dry_run=config.dry_run)


def _changes(index: Store, videos: Sequence[str]) -> list[VersionChange]:
    changes = []
    with MilvusPlaces(index) as places:
        for number in version_numbers(index):
            manifest = read_manifest(index, number)
            rows = list(VersionRows(places.get(manifest.milvus), manifest).of_videos(videos))
            if rows:
                change = change_of(manifest, rows)
                check_shards(version_store(index, number), manifest, change.holes)
                changes.append(change)
    return changes


def change_of(manifest: VersionManifest, rows: Sequence[ClipRow]) -> VersionChange:
    """The change of a version that loses these clips."""
    holes: dict[int, list[int]] = {}
    for row in rows:
        if manifest.covers(row.shard, row.row):
            holes.setdefault(row.shard, []).append(row.row)
    return VersionChange(
        version=manifest.version,
        revision=manifest.revision + 1,
        videos=len({row.video_id for row in rows}),
        clip_ids=[row.clip_id for row in rows],
        holes=holes,
    )


def _summary(
    index: Store, chosen: Chosen, changes: Sequence[VersionChange], in_tables: int, *, dry_run: bool
) -> DeleteSummary:
    return DeleteSummary(
        uris=list(chosen.uris.values()),
        already=len(chosen.already),
        clips=in_tables + sum(len(change.clip_ids) for change in changes),
        clips_in_tables=in_tables,
        clips_in_versions={change.version: len(change.clip_ids) for change in changes},
        versions=version_numbers(index),
        unfinished_intent=read_intent(index) is not None,
        dry_run=dry_run,
    )


def _remove_unfinished(index: Store) -> None:
    """What killed builds left may hold the clips as well."""
    with MilvusPlaces(index) as places:
        for number in folder_numbers(index):
            store = version_store(index, number)
            if store.exists(MARKER) and not store.exists(MANIFEST):
                there, _ = read_marker(store) or (LITE, "")
                remove(index, number, there, places.get(there))
