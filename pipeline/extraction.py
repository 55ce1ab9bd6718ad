"""Extraction on Ray Data, the only file that wires it: list -> plan -> decode -> encode -> commit.

One Ray Data row is one task, so the unit of streaming is the unit of commit: a rerun plans only what has no commit.

    tasks (1 row a task)            no resources, from the plan; of a long video 1 row a part
      -> DecodeStage   1:1          CPU actors, each with one killable decoder process
      -> EncodeStage   1:1          GPU actors where there are GPUs
      -> CommitStage   1:1          tasks; writes clips, then videos
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ray
from pydantic import BaseModel

from pipeline import cluster
from pipeline.bind_tables import bind_tables
from pipeline.decode.torchcodec_reader import require_torchcodec
from pipeline.extract_lease import only_driver, refuse_second_driver
from pipeline.folder_kinds import refuse_index
from pipeline.leftover_parts import sweep_parts
from pipeline.long_videos import LongVideos
from pipeline.observe import PeakMemory
from pipeline.pools import Pools, plan_pools
from pipeline.run_account import RunAccount, write_report
from pipeline.run_outcome import Outcome, follow
from pipeline.run_sizes import RunSizes, run_sizes
from pipeline.sampling import require_detector, sampler_name
from pipeline.sources import Source, list_sources, without_tables
from pipeline.stages.commit import CommitStage
from pipeline.stages.cut import clips_a_part
from pipeline.stages.decode import DecodeSettings, DecodeStage
from pipeline.stages.plan import new_sources, pending_tasks, plan_rows, split_rows
from pipeline.status import tables_status
from pipeline.storage import Store
from pipeline.tables import Plan, append_plan, committed_tasks, read_plan
from schemas.config import ExtractConfig
from schemas.errors import StorageError
from schemas.results import ExtractSummary
from schemas.tables import TablesInfo, clips_schema

if TYPE_CHECKING:
    from models.eercf import EercfModel
    from pipeline.stages.encode import EncodeSettings

# Blocks are the unit that Ray Data schedules; beyond this number its own bookkeeping starts to cost.
_MAX_BLOCKS = 2000
_NO_PROGRESS_S = 1800
_TASKS_AN_ACTOR = 8


def extract(config: ExtractConfig) -> ExtractSummary:
    """Bring TABLES up to date with the inputs. Safe to run again at any time, after any kind of death.

    Raises:
        UsageError: the settings contradict the tables (another model, sampler or clip rule).
        InputError: an input cannot be listed.
        StorageError: another driver is at it, the tables cannot be read, or tasks could not be written; a rerun tries
            those again.
    """
    start = time.monotonic()
    store = Store(config.tables)
    refuse_index(store)
    refuse_second_driver(store)
    require_detector(config.clips)
    require_torchcodec(config.decoder)
    # Listing comes first: a mistyped input is told before torch is imported, and leaves no trace in the tables.
    sources = without_tables(list_sources(config.input), store.root)
    from models.registry import load_model  # noqa: PLC0415

    model = load_model(config.model)
    sizes = run_sizes(config, model)
    with only_driver(store), PeakMemory() as memory:
        bind_tables(store, _describe(config, model))
        sweep_parts(store)
        plan = _planned(store, sources, config.videos_per_task)
        tasks = pending_tasks(plan.rows, committed_tasks(store))
        run = _Run(config, model, sizes, RunAccount())
        processed = _run_accounted(store, tasks, run, memory) if tasks else 0
    status = tables_status(store)
    return ExtractSummary(
        **{name: value for name, value in status.model_dump().items() if name in ExtractSummary.model_fields},
        processed=processed,
        seconds=round(time.monotonic() - start, 3),
        peak_rss_bytes=memory.peak_bytes,
        model_id=model.model_id,
    )


@dataclass(frozen=True)
class _Run:
    """What all parts of one run share."""

    config: ExtractConfig
    model: EercfModel
    sizes: RunSizes
    account: RunAccount


def _run_accounted(store: Store, tasks: list[tuple[str, str]], run: _Run, memory: PeakMemory) -> int:
    """Run all that is pending, and leave an account of it beside the tables, however it ends."""
    try:
        return _run_all(store, tasks, run)
    except BaseException as error:
        run.account.error = " ".join(str(error).split())[:300] or type(error).__name__
        raise
    finally:
        budget = run.config.memory_budget_gb
        report = run.account.report(memory.peak_bytes, None if budget is None else int(budget * (1 << 30)))
        # The account is for people: what was extracted counts without it.
        with contextlib.suppress(StorageError):
            write_report(store, report)


def _run_all(store: Store, tasks: list[tuple[str, str]], run: _Run) -> int:
    """Run all that is pending; the number of sources processed.

    A pass over the graph tells which tasks are too much for a worker; the next one does these in smaller pieces.
    """
    longs = LongVideos(store, clips_a_part(run.sizes.task_bytes, run.sizes.decoded_clip_bytes))
    empty = clips_schema(run.model.token_shape, run.model.model_id).empty_table()
    processed = 0
    with _ray(run.sizes) as has:
        while tasks:
            outcome = _run_tasks(list(_rows(tasks, longs)), run, has)
            for task, cut in outcome.cuts.items():
                longs.add(task, cut)
            finished = longs.finish([task for task, _ in tasks], empty)
            for video in finished:
                run.account.add_video(video)
            processed += outcome.processed + len(finished)
            if outcome.errors:
                raise StorageError(
                    f"{len(outcome.errors)} of {len(tasks)} tasks were not committed ({outcome.errors[0]}); "
                    "run the same command to go on"
                )
            if not outcome.split and not outcome.cuts:
                break
            plan = _split(store, outcome.split) if outcome.split else read_plan(store)
            tasks = pending_tasks(plan.rows, committed_tasks(store))
    return processed


def _rows(tasks: Iterable[tuple[str, str]], longs: LongVideos) -> Iterator[dict[str, str]]:
    """The rows of the graph: a task each, but of a long video a part each."""
    for task, sources in tasks:
        parts = longs.work(task)
        for part in [""] if parts is None else parts:
            yield {"task_id": task, "sources": sources, "part": part}


def _planned(store: Store, sources: list[Source], per_task: int | None) -> Plan:
    """The plan, with what is new or changed among the sources appended."""
    while True:
        plan = read_plan(store)
        fresh = new_sources(sources, plan.rows)
        if not fresh:
            return plan
        # When another run or a retry appended first, theirs counts, and only what is still missing is added.
        if append_plan(store, plan, plan_rows(fresh, per_task)):
            return read_plan(store)


def _split(store: Store, tasks: set[str]) -> Plan:
    """The plan, with each source of these tasks in a task of its own."""
    while True:
        plan = read_plan(store)
        rows = split_rows(plan.rows, tasks)
        if not len(rows) or append_plan(store, plan, rows):
            return read_plan(store)


def _describe(config: ExtractConfig, model: EercfModel) -> TablesInfo:
    from models.registry import canonical_model  # noqa: PLC0415

    return TablesInfo(
        model=canonical_model(config.model),
        model_id=model.model_id,
        token_shape=model.token_shape,
        clips=config.clips,
        sampler=sampler_name(model.config.num_frames, config.sampling == "fast"),
        identity=config.identity,
    )


def too_many_bad(summary: BaseModel, max_fraction: float) -> bool:
    """Whether more than this fraction of the sources that are media is quarantined."""
    counts = summary.model_dump()
    media = counts["planned"] - counts["filtered"]
    return bool(media) and counts["quarantined"] / media > max_fraction


@contextlib.contextmanager
def _ray(sizes: RunSizes) -> Iterator[cluster.Resources]:
    has = cluster.connect(object_store_bytes=sizes.store_bytes)
    try:
        yield has
    finally:
        cluster.disconnect()


def _run_tasks(rows: list[dict[str, str]], run: _Run, has: cluster.Resources) -> Outcome:
    """Decode, encode and commit these rows."""
    if not rows:
        return Outcome()  # all parts of the long videos are there, and only their commits are not
    config, sizes = run.config, run.sizes
    try:
        pools = plan_pools(
            has.cpus, has.gpus, sizes.decoders, sizes.encoders, config.gpus_per_encoder, sizes.encode_share
        )
        run.account.pools({"decode": pools.decoders, "encode": pools.encoders, "commit": pools.writers})
        return follow(_wire(rows, run, pools).iter_rows(), rows, run.account)
    except ray.exceptions.RayError as error:
        raise StorageError(f"Ray gave up: {str(error).splitlines()[0][:200]}; run the same command to go on") from error


def _wire(rows: list[dict[str, str]], run: _Run, pools: Pools) -> ray.data.Dataset:
    """The graph, from tasks, or parts of one, to one small result row each."""
    from pipeline.stages.encode import EncodeStage  # noqa: PLC0415

    context = ray.data.DataContext.get_current()
    cluster.quiet_logs()
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = _NO_PROGRESS_S
    return (
        ray.data.from_items(rows, override_num_blocks=min(len(rows), _MAX_BLOCKS))
        .map_batches(
            DecodeStage,
            fn_constructor_args=(_decoding(run),),
            batch_size=1,
            compute=_pool(pools.decoders, len(rows)),
            num_cpus=pools.cpus_per_actor,
        )
        .map_batches(
            EncodeStage,
            fn_constructor_args=(_encoding(run),),
            batch_size=1,
            compute=_pool(pools.encoders, len(rows)),
            num_cpus=pools.cpus_per_actor,
            num_gpus=pools.gpus_per_encoder,
        )
        .map_batches(
            CommitStage,
            fn_constructor_args=(Store(run.config.tables).root,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=pools.writers),
            num_cpus=pools.writer_cpus,
        )
    )


def _pool(size: int, tasks: int) -> ray.data.ActorPoolStrategy:
    # An actor takes seconds to start: where there is work for all of them, they start together, and stay. Else Ray Data
    # ends encoders that wait for the first decoded clips, and starts them again.
    first = min(size, 1 + tasks // _TASKS_AN_ACTOR)
    return ray.data.ActorPoolStrategy(min_size=first, max_size=size, initial_size=first)


def _decoding(run: _Run) -> DecodeSettings:
    config, sizes, model = run.config, run.sizes, run.model.config
    return DecodeSettings(
        clips=config.clips,
        num_frames=model.num_frames,
        image_size=model.preprocess.image_size,
        interpolation=model.preprocess.interpolation,
        timeout_s=config.decode_timeout_s,
        max_source_bytes=config.max_source_bytes,
        cpu_s=config.decode_cpu_s,
        memory_bytes=sizes.child_bytes,
        task_bytes=sizes.task_bytes,
        clip_bytes=sizes.clip_bytes,
        fast=config.sampling == "fast",
        decoder=config.decoder,
        content_tables=config.tables if config.identity == "content" else "",
        model_id=run.model.model_id,
    )


def _encoding(run: _Run) -> EncodeSettings:
    from pipeline.stages.encode import EncodeSettings  # noqa: PLC0415

    return EncodeSettings(
        model=_describe(run.config, run.model).model,
        model_id=run.model.model_id,
        batch_frames=run.sizes.batch_frames,
        precision=run.config.precision,
        clips_a_pass=run.sizes.clips_a_pass,
    )
