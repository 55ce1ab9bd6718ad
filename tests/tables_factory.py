"""Real TABLES objects with random unit tokens, for tests of whatever reads tables. No video and no model is run."""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.storage import Store
from pipeline.tables import write_parquet
from schemas import ids
from schemas.tables import (
    CLIPS_DIR,
    DONE,
    PLAN_DIR,
    PLAN_SCHEMA,
    TABLES_INFO,
    VIDEOS_DIR,
    VIDEOS_SCHEMA,
    TablesInfo,
    TokenShape,
    clips_schema,
)

TINY = TokenShape(frames=3, patches=2, dim=8)
CLIP_S = 4.0


@dataclass(frozen=True)
class MadeTables:
    """What the tables hold, for comparison: clip rows in the order of the tasks."""

    info: TablesInfo
    clips: list[dict]

    @property
    def clip_ids(self):
        return [clip["clip_id"] for clip in self.clips]

    def tokens(self, clip, column):
        """A token column of a clip, float16."""
        return np.frombuffer(clip[column], "<f2").reshape(-1, self.info.token_shape.dim)


def unit(rng, *shape):
    """Random unit vectors, float32."""
    vectors = rng.standard_normal(shape, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def make_tables(  # noqa: PLR0913, PLR0917  (a factory whose arguments all have defaults)
    store: Store,
    num_videos: int = 4,
    clips_per_video: int = 3,
    shape: TokenShape = TINY,
    model_id: str = "fake-model-1",
    model: str = "fake-model",
    seed: int = 0,
    videos_per_task: int = 2,
    folder: str = "/videos",
) -> MadeTables:
    """Write plan, clips, videos and extract.json, all committed. The last frame of every odd clip is padding.

    Called again with another seed it adds videos to the same tables.
    """
    rng = np.random.default_rng(seed)
    info = TablesInfo(model=model, model_id=model_id, token_shape=shape, clips="fixed:4", sampler="uniform")
    store.write(TABLES_INFO, info.model_dump_json().encode())
    uris = [f"{folder}/s{seed}-{i:04d}.mp4" for i in range(num_videos)]
    plan, by_task = [], {}
    for start in range(0, num_videos, videos_per_task):
        group = uris[start : start + videos_per_task]
        task = ids.task_id((ids.video_id(uri), "etag") for uri in group)
        plan += [_plan_row(uri, task) for uri in group]
        rows = [clip for uri in group for clip in _clips(rng, uri, clips_per_video, shape, model_id)]
        by_task[task] = rows
        clips = pa.Table.from_pylist(rows, clips_schema(shape, model_id))
        store.write(f"{CLIPS_DIR}/{task}.parquet", write_parquet(clips))
        videos = pa.Table.from_pylist([_video_row(uri, task, clips_per_video) for uri in group], VIDEOS_SCHEMA)
        store.write(f"{VIDEOS_DIR}/{task}.parquet", write_parquet(videos))
    part = f"{PLAN_DIR}/part-{len(store.names(PLAN_DIR)):05d}.parquet"
    store.write(part, write_parquet(pa.Table.from_pylist(plan, PLAN_SCHEMA)))
    return MadeTables(info, [clip for task in sorted(by_task) for clip in by_task[task]])


def _clips(rng, uri, count, shape, model_id):
    video = ids.video_id(uri)
    f, p, d = shape.frames, shape.patches, shape.dim
    for i in range(count):
        start_s, end_s = i * CLIP_S, (i + 1) * CLIP_S
        real = f - i % 2
        mask = np.arange(f) < real
        frames, temporal = unit(rng, f, d) * mask[:, None], unit(rng, f, d) * mask[:, None]
        patches = unit(rng, f, p, d) * mask[:, None, None]
        yield {
            "clip_id": ids.clip_id(video, start_s, end_s),
            "video_id": video,
            "uri": uri,
            "start_s": start_s,
            "end_s": end_s,
            "fps": 25.0,
            "width": 64,
            "height": 48,
            "frame_times_s": [start_s + j * 0.1 for j in range(real)],
            "mask": mask.astype(np.uint8),
            "coarse": unit(rng, d),
            "frames": frames.astype("<f2").tobytes(),
            "temporal_frames": temporal.astype("<f2").tobytes(),
            "patches": patches.astype("<f2").tobytes(),
            "metadata": json.dumps({"number": i}),
            "model_id": model_id,
        }


def _plan_row(uri, task):
    return {
        "uri": uri,
        "video_id": ids.video_id(uri),
        "task_id": task,
        "size_bytes": 1000,
        "etag": "etag",
        "filter_reason": None,
        "metadata": "{}",
        "attempt": 1,
    }


def _video_row(uri, task, clip_count):
    return {
        "video_id": ids.video_id(uri),
        "uri": uri,
        "etag": "etag",
        "task_id": task,
        "size_bytes": 1000,
        "status": DONE,
        "reason": None,
        "detail": None,
        "clip_count": clip_count,
        "duration_s": clip_count * CLIP_S,
        "fps": 25.0,
        "width": 64,
        "height": 48,
        "container": "mp4",
        "codec": "h264",
        "decoder": "pyav",
        "decoder_why": "",
        "attempt": 1,
        "decode_s": 0.1,
        "metadata": "{}",
    }
