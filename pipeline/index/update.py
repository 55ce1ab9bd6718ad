"""Brings a version up to date with its tables, without a rebuild: new tasks are added, changed videos are replaced."""

from collections import Counter
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.index.build_lock import only_build, only_switch
from pipeline.index.delete import change_of
from pipeline.index.field_values import check_videos
from pipeline.index.fine_holes import check_shards
from pipeline.index.finish import finish
from pipeline.index.intent import begin
from pipeline.index.milvus_places import MilvusPlaces
from pipeline.index.new_clips import check_new_clips
from pipeline.index.own_tables import strange_tasks
from pipeline.index.task_list import read_tasks
from pipeline.index.version_rows import VersionRows
from pipeline.index.versions import live_manifest, read_manifest, version_store
from pipeline.storage import Store
from pipeline.tables import current_videos, read_plan_part, read_videos, require_info
from schemas.errors import ModelMismatchError, UsageError
from schemas.index_config import UpdateConfig
from schemas.intent import UPDATE, Intent
from schemas.manifest import VersionManifest
from schemas.results import UpdateSummary
from schemas.tables import DELETED, PLAN_DIR, TablesInfo


def update_index(config: UpdateConfig) -> UpdateSummary:
    """Add what was committed since, and take out what was replaced or deleted since. Readers take it up by themselves.

    Raises:
        IndexMissingError: there is no such version, or none is published.
        IndexCorruptError: the version does not know its tasks, or is damaged, or the tables hold other clips than their
            commits say; in the last case nothing was changed.
        ModelMismatchError: the tables are of another model.
        UsageError: the version was built from other tables, or a filterable field of it cannot take a value of a new
            clip; nothing was changed.
        StorageError: a build is under way, or tables or index cannot be read or written: the same command goes on.
        VectorStoreError: Milvus is away: the same command goes on.
    """
    tables, index = Store(config.tables), Store(config.index)
    info = require_info(tables)
    # Before the lock, which would make a folder of an index that is none.
    _wanted(index, config)
    with only_build(index):
        finished = finish(index, shard_bytes=config.shard_bytes, batch_rows=config.batch_rows)
        before = _wanted(index, config)
        _check_model(before, info)
        _check_tables(tables, index, before)
        intent = _plan(tables, index, before)
        if intent:
            with only_switch(index):
                begin(index, intent)
            finish(index, shard_bytes=config.shard_bytes, batch_rows=config.batch_rows)
        after = read_manifest(index, before.version)
    return UpdateSummary(
        version=after.version,
        revision=after.revision,
        tasks=len(intent.tasks) if intent else 0,
        clips_added=after.clips - before.clips + _gone(intent),
        clips_removed=_gone(intent),
        clips=after.clips,
        shards=len(after.shards),
        finished=f"{finished.action} of {finished.created_utc}" if finished else None,
    )


def _gone(intent: Intent | None) -> int:
    return sum(len(change.clip_ids) for change in intent.changes) if intent else 0


def _wanted(index: Store, config: UpdateConfig) -> VersionManifest:
    return live_manifest(index) if config.version is None else read_manifest(index, config.version)


def _check_tables(tables: Store, index: Store, manifest: VersionManifest) -> None:
    """The tables may have been moved or copied since: it is by their tasks that they are known."""
    strange = strange_tasks(tables, index, manifest)
    if strange:
        raise UsageError(
            f"index version {manifest.version} holds {len(strange)} tasks that {tables.root} never planned, and would "
            f"come to hold a mixture: it was built from {manifest.tables}; update it from there, or build a new version"
        )


def _check_model(manifest: VersionManifest, info: TablesInfo) -> None:
    if (manifest.model_id, manifest.token_shape) != (info.model_id, info.token_shape):
        raise ModelMismatchError(
            f"index version {manifest.version} is of model {manifest.model_id}, the tables are of {info.model_id}: "
            "build a new version"
        )


def _plan(tables: Store, index: Store, manifest: VersionManifest) -> Intent | None:
    """What is to be done, or None when the version is up to date."""
    by_task = current_videos(tables)
    added = sorted(by_task.keys() - read_tasks(version_store(index, manifest.version), manifest))
    _check_new(tables, {task: by_task[task] for task in added}, manifest)
    changed = _planned_again(tables)
    videos = {video for task in added for video in by_task[task] if video in changed} | _deleted(tables)
    with MilvusPlaces(index) as places:
        rows = list(VersionRows(places.get(manifest.milvus), manifest).of_videos(sorted(videos)))
    # What an update that was killed has written leads behind the shards, and goes before anything else.
    there = [row for row in rows if manifest.covers(row.shard, row.row)]
    if not added and not there:
        return None
    change = change_of(manifest, there)
    check_shards(version_store(index, manifest.version), manifest, change.holes)
    return Intent(
        action=UPDATE,
        tables=tables.root,
        video_ids=[],
        tasks=added,
        changes=[change],
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _check_new(tables: Store, by_task: dict[str, list[str]], manifest: VersionManifest) -> None:
    """What cannot be written must not get into the journal, from which it would be tried again and again."""
    videos = read_videos(tables)
    videos = videos.filter(pc.is_in(videos["task_id"], pa.array(list(by_task), pa.string())))
    # First, and of all videos: they are few bytes, their clips are many.
    check_videos(videos, manifest.fields)
    counts = dict(zip(videos["video_id"].to_pylist(), videos["clip_count"].to_pylist(), strict=True))
    check_new_clips(tables, by_task, counts, manifest)


def _planned_again(tables: Store) -> set[str]:
    """Videos with more than one row in the plan: changed or retried, so that the version may have clips of before."""
    times: Counter[str] = Counter()
    for name in tables.names(PLAN_DIR, ".parquet"):
        times.update(read_plan_part(tables, name)["video_id"].to_pylist())
    return {video for video, count in times.items() if count > 1}


def _deleted(tables: Store) -> set[str]:
    """Videos that another index of these tables was told to delete."""
    rows = read_videos(tables).select(["video_id", "reason"]).to_pylist()
    return {row["video_id"] for row in rows if row["reason"] == DELETED}
