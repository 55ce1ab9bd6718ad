"""Decode: a task's sources to clips of small uint8 frames; a bad source becomes a row with its reason."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.contents import Contents, sha256_of
from pipeline.decode.isolated import IsolatedDecoder
from pipeline.decode.records import DecodedVideo, TooManyClipsError
from pipeline.sampling import require_detector
from pipeline.stages.cut import Cut, Part, clips_a_part
from pipeline.stages.fetch import HeldCopy, local_copy
from pipeline.stages.payload import DECODED_SCHEMA, TaskPayload, to_ipc
from pipeline.storage import Store, is_remote
from schemas.errors import BadVideoError, ReelsiftError
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
    decoder: str = "auto"  # as the setting has it
    content_tables: str = ""  # tables in which files are known by their content; "" for none
    model_id: str = ""


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


@dataclass
class _Found:
    """What one source gives: its row, and clips to be encoded, or encoded ones."""

    row: _Row
    clips: list[_Row] = field(default_factory=list)
    copied: pa.Table | None = None

    def held_bytes(self, clip_bytes: int) -> int:
        stored = 0 if self.copied is None else len(self.copied)
        return stored * clip_bytes + sum(len(clip["frames_NHWC"]) + clip_bytes for clip in self.clips)


class DecodeStage:
    """One actor's decoder. Never raises for a bad source; a storage fault makes the whole task wait for a rerun."""

    def __init__(self, settings: DecodeSettings) -> None:
        require_detector(settings.clips)
        self._settings = settings
        self._held = HeldCopy(settings.max_source_bytes)
        tables = settings.content_tables
        self._contents = Contents(Store(tables), settings.model_id) if tables else None
        self._decoder = IsolatedDecoder(
            timeout_s=settings.timeout_s,
            cpu_s=settings.cpu_s,
            memory_bytes=settings.memory_bytes,
            max_answer_bytes=settings.task_bytes,
            clip_bytes=settings.clip_bytes,
        )
        # While other actors start, and not when the first task waits. Why none starts, that task tells.
        with suppress(ReelsiftError):
            self._decoder.start()

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
        copies: list[pa.Table] = []
        held_bytes = 0
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, DECODED_SCHEMA) as writer:
            for source in sources:
                try:
                    found = self._one(source, Part.from_json(part), alone=len(sources) == 1)
                except TooManyClipsError as error:
                    return TaskPayload(task, split=len(sources) > 1, cut="" if len(sources) > 1 else self._cut(error))
                videos.append(found.row)
                held_bytes += found.held_bytes(self._settings.clip_bytes)
                if held_bytes > self._settings.task_bytes and len(sources) > 1:
                    return TaskPayload(task, split=True)
                if found.clips:
                    # Written at once: the pictures of one source, not of all, are held twice.
                    writer.write_batch(pa.RecordBatch.from_pylist(found.clips, schema=DECODED_SCHEMA))
                if found.copied is not None:
                    copies.append(found.copied)
        return TaskPayload(
            task,
            videos=to_ipc(pa.Table.from_pylist(videos, schema=VIDEOS_SCHEMA)),
            clips=sink.getvalue().to_pybytes(),
            part=part,
            copied=to_ipc(pa.concat_tables(copies)) if copies else b"",
        )

    def _cut(self, error: TooManyClipsError) -> str:
        settings = self._settings
        clip_bytes = settings.num_frames * settings.image_size**2 * 3 + settings.clip_bytes
        edges = None if error.edges is None else tuple(error.edges)
        return Cut.of(error.clips, clips_a_part(settings.task_bytes, clip_bytes), edges).to_json()

    def _one(self, source: _Row, part: Part | None, *, alone: bool) -> _Found:
        if source["filter_reason"]:
            # A sidecar file is no loss; a video that no table can name is.
            status = QUARANTINED if source["filter_reason"] == "bad_name" else FILTERED
            return _Found(video_row(source, status, reason=source["filter_reason"], detail="not probed"))
        start = time.perf_counter()
        known: dict[str, object] = {}
        try:
            with self._file(source, part) as path:
                if self._contents and (part is None or part.number == 1):
                    known["content_sha256"] = sha256_of(path)
                found = self._copy(source, known, alone=alone) if part is None else None
                found = found or self._decode(source, path, part, known)
        except TooManyClipsError:
            raise
        except BadVideoError as error:
            found = _Found(video_row(source, QUARANTINED, reason=error.reason, detail=error.detail, **known))
        found.row["decode_s"] = time.perf_counter() - start
        return found

    def _copy(self, source: _Row, known: dict[str, object], *, alone: bool) -> _Found | None:
        """The clips of a committed file with the same bytes, if there is one."""
        original = self._contents and self._contents.find(str(known["content_sha256"]))
        if not self._contents or not original:
            return None
        row = video_row(source, DONE, **(original.facts() | known))
        if original.objects == 1:
            clips = self._contents.clips(original, source)
            return None if clips is None else _Found(row, copied=clips)
        if not alone:
            raise TooManyClipsError(f"{original.objects} objects of clips", original.row["clip_count"], None)
        return _Found(row) if self._contents.copy_objects(original, source) else None

    def _decode(self, source: _Row, path: str, part: Part | None, known: dict[str, object]) -> _Found:
        settings = self._settings
        video = self._decoder.decode(
            path,
            rule=settings.clips,
            num_frames=settings.num_frames,
            size=settings.image_size,
            interpolation=settings.interpolation,
            fast=settings.fast,
            decoder=settings.decoder,
            part=part.clips if part else None,
        )
        facts = ("duration_s", "fps", "width", "height", "container", "codec", "decoder", "decoder_why")
        known |= {name: getattr(video, name) for name in facts}
        return _Found(video_row(source, DONE, clip_count=len(video.clips), **known), clip_rows(source, video))

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
