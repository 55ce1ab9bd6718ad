"""Decode: a task's sources to clips of small uint8 frames; a bad source becomes a row with its reason."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.decode.isolated import IsolatedDecoder
from pipeline.decode.records import DecodedVideo, TooManyClipsError
from pipeline.sampling import require_detector
from pipeline.stages.cut import Cut, Part, clips_a_part
from pipeline.stages.fetch import HeldCopy, local_copy
from pipeline.stages.payload import DECODED_SCHEMA, TaskPayload, to_ipc
from pipeline.storage import is_remote
from schemas.errors import BadVideoError
from schemas.ids import clip_id
from schemas.tables import DONE, FILTERED, QUARANTINED, VIDEOS_SCHEMA

_Row = dict[str, Any]


@dataclass(frozen=True)
class DecodeSettings:
    """What decoding needs to know: the clip rule, the model's picture, and the limits."""

    clips: str
    num_frames: int
    image_size: int
    interpolation: str
    timeout_s: float
    max_source_bytes: int
    cpu_s: float | None = None
    memory_bytes: int = 2 << 30
    task_bytes: int = 1 << 30  # decoded pictures and stored tokens of all sources of a task
    clip_bytes: int = 0  # stored tokens of a clip
    fast: bool = False


def video_row(source: _Row, status: str, **facts: object) -> _Row:
    """A row of VIDEOS_SCHEMA for a planned source; columns not given stay null."""
    kept = ("video_id", "uri", "etag", "task_id", "size_bytes", "metadata", "attempt")
    row: _Row = {"clip_count": 0, "decode_s": 0.0, "status": status, "clip_objects": 1}
    return row | {name: source[name] for name in kept} | facts


def clip_rows(source: _Row, video: DecodedVideo) -> list[_Row]:
    """Rows of DECODED_SCHEMA for the clips of one video."""
    return [
        {
            "clip_id": clip_id(source["video_id"], clip.start_s, clip.end_s),
            "video_id": source["video_id"],
            "uri": source["uri"],
            "start_s": clip.start_s,
            "end_s": clip.end_s,
            "fps": video.fps,
            "width": video.width,
            "height": video.height,
            "frame_times_s": list(clip.frame_times_s),
            "frames_NHWC": clip.frames_NHWC.tobytes(),
            "metadata": source["metadata"],
        }
        for clip in video.clips
    ]


class DecodeStage:
    """One actor's decoder. Never raises for a bad source; a storage fault makes the whole task wait for a rerun."""

    def __init__(self, settings: DecodeSettings) -> None:
        require_detector(settings.clips)
        self._settings = settings
        self._held = HeldCopy(settings.max_source_bytes)
        self._decoder = IsolatedDecoder(
            timeout_s=settings.timeout_s,
            cpu_s=settings.cpu_s,
            memory_bytes=settings.memory_bytes,
            max_answer_bytes=settings.task_bytes,
            clip_bytes=settings.clip_bytes,
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Decode the task of a one-row batch with columns task_id, sources (JSON), and part (`Part` as JSON)."""
        payload = TaskPayload(task_id=str(batch["task_id"][0]), part=str(batch["part"][0]) if "part" in batch else "")
        start = time.perf_counter()
        try:
            payload = self.run(payload.task_id, json.loads(str(batch["sources"][0])), payload.part)
        except Exception as error:  # noqa: BLE001  (an exception here would end the whole run)
            payload = payload.failed("decode", error)
        return payload.timed("decode", time.perf_counter() - start).to_batch()

    def run(self, task: str, sources: Sequence[_Row], part: str = "") -> TaskPayload:
        """Decode all sources of a task; those of one that grows too large are to be planned one by one, or in parts."""
        videos: list[_Row] = []
        held_bytes = 0
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, DECODED_SCHEMA) as writer:
            for source in sources:
                try:
                    row, found = self._one(source, Part.from_json(part))
                except TooManyClipsError as error:
                    return TaskPayload(
                        task_id=task, **({"split": True} if len(sources) > 1 else {"cut": self._cut(error)})
                    )
                videos.append(row)
                held_bytes += sum(len(clip["frames_NHWC"]) + self._settings.clip_bytes for clip in found)
                if held_bytes > self._settings.task_bytes and len(sources) > 1:
                    return TaskPayload(task_id=task, split=True)
                if found:
                    # Written at once: the pictures of one source, not of all, are held twice.
                    writer.write_batch(pa.RecordBatch.from_pylist(found, schema=DECODED_SCHEMA))
        return TaskPayload(
            task_id=task,
            videos=to_ipc(pa.Table.from_pylist(videos, schema=VIDEOS_SCHEMA)),
            clips=sink.getvalue().to_pybytes(),
            part=part,
        )

    def _cut(self, error: TooManyClipsError) -> str:
        settings = self._settings
        clip_bytes = settings.num_frames * settings.image_size**2 * 3 + settings.clip_bytes
        edges = None if error.edges is None else tuple(error.edges)
        return Cut.of(error.clips, clips_a_part(settings.task_bytes, clip_bytes), edges).to_json()

    def _one(self, source: _Row, part: Part | None) -> tuple[_Row, list[_Row]]:
        if source["filter_reason"]:
            # A sidecar file is no loss; a video that no table can name is.
            status = QUARANTINED if source["filter_reason"] == "bad_name" else FILTERED
            return video_row(source, status, reason=source["filter_reason"], detail="not probed"), []
        start = time.perf_counter()
        try:
            video = self._decode(source, part)
        except TooManyClipsError:
            raise
        except BadVideoError as error:
            spent = time.perf_counter() - start
            row = video_row(source, QUARANTINED, reason=error.reason, detail=error.detail, decode_s=spent)
            return row, []
        facts = ("duration_s", "fps", "width", "height", "container", "codec", "decoder", "decoder_why")
        row = video_row(
            source,
            DONE,
            clip_count=len(video.clips),
            decode_s=time.perf_counter() - start,
            **{name: getattr(video, name) for name in facts},
        )
        return row, clip_rows(source, video)

    def _decode(self, source: _Row, part: Part | None) -> DecodedVideo:
        settings = self._settings
        with self._file(source, part) as path:
            return self._decoder.decode(
                path,
                rule=settings.clips,
                num_frames=settings.num_frames,
                size=settings.image_size,
                interpolation=settings.interpolation,
                fast=settings.fast,
                part=part.clips if part else None,
            )

    @contextmanager
    def _file(self, source: _Row, part: Part | None) -> Iterator[str]:
        if part is not None and is_remote(source["uri"]):
            yield self._held.path(source["uri"], source["etag"])
            return
        self._held.close()
        with local_copy(source["uri"], source["etag"], self._settings.max_source_bytes) as path:
            yield path

    def __del__(self) -> None:
        """End the decoder's child process with its actor."""
        decoder = getattr(self, "_decoder", None)
        if decoder is not None:
            decoder.close()
            self._held.close()
