"""Encode: clips of frames to coarse vectors, frame tokens and patch tokens."""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from models.eercf import ClipTokens, EercfModel
from models.registry import load_model
from pipeline.stages.payload import TaskPayload, from_ipc, to_ipc
from schemas.errors import ModelMismatchError
from schemas.tables import QUARANTINED, clips_schema


@dataclass(frozen=True)
class EncodeSettings:
    """Which model, which model_id it must prove to be, and how to run it."""

    model: str
    model_id: str
    batch_frames: int
    precision: str
    clips_a_pass: int = 16  # patch tokens of a pass in float32: 16 clips of B/16 are 150 MiB


def pad_clips(decoded: pa.Table, num_frames: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames of N clips padded to F, and their mask.

    Args:
        decoded: rows of DECODED_SCHEMA, each with 1 to F frames.
        num_frames: F.
        size: side of a frame.

    Returns:
        frames_BFHWC uint8 and mask_BF uint8.
    """
    frames_BFHWC = np.zeros((len(decoded), num_frames, size, size, 3), np.uint8)
    mask_BF = np.zeros((len(decoded), num_frames), np.uint8)
    for row, data in enumerate(decoded["frames_NHWC"]):
        frames_NHWC = np.frombuffer(data.as_buffer(), np.uint8).reshape(-1, size, size, 3)
        frames_BFHWC[row, : len(frames_NHWC)] = frames_NHWC
        mask_BF[row, : len(frames_NHWC)] = 1
    return frames_BFHWC, mask_BF


def finite_clips(tokens: ClipTokens) -> np.ndarray:
    """Which of the B clips have finite values only, as bool."""
    parts = (tokens.coarse_BD, tokens.frames_BFD, tokens.temporal_BFD, tokens.patches_BFPD)
    good_B = torch.stack([part.flatten(1).isfinite().all(1) for part in parts]).all(0)
    return np.asarray(good_B.cpu())


def clips_table(
    decoded: pa.Table, tokens: ClipTokens, mask_BF: np.ndarray, schema: pa.Schema, model_id: str
) -> pa.Table:
    """Rows of TABLES/clips from decoded clips and their embeddings, in the same order."""

    def binary(name: str, tensor: torch.Tensor) -> pa.Array:
        flat = tensor.to(torch.float16).cpu().numpy()
        return pa.array([row.tobytes() for row in flat], schema.field(name).type)

    def fixed(name: str, values: np.ndarray) -> pa.Array:
        kind = schema.field(name).type
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1), kind.value_type), kind.list_size)

    made = {
        "mask": fixed("mask", mask_BF),
        "coarse": fixed("coarse", tokens.coarse_BD.cpu().numpy()),
        "frames": binary("frames", tokens.frames_BFD),
        "temporal_frames": binary("temporal_frames", tokens.temporal_BFD),
        "patches": binary("patches", tokens.patches_BFPD),
        "model_id": pa.array([model_id] * len(decoded), pa.string()),
    }
    columns = [made[name] if name in made else decoded[name].combine_chunks() for name in schema.names]
    return pa.table(columns, schema=schema)


def quarantine_lost(videos: pa.Table, decoded: pa.Table, kept: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Quarantine each video of which a clip was not finite: none of its clips is stored.

    Returns:
        the videos table with those rows changed, and the clips table without theirs.
    """
    lost = sorted(set(decoded["clip_id"].to_pylist()) - set(kept["clip_id"].to_pylist()))
    if not lost:
        return videos, kept
    owners = set(decoded.filter(pc.is_in(decoded["clip_id"], pa.array(lost)))["video_id"].to_pylist())
    rows = [
        row
        if row["video_id"] not in owners
        else row | {"status": QUARANTINED, "reason": "not_finite", "detail": "NaN or infinity", "clip_count": 0}
        for row in videos.to_pylist()
    ]
    clean = kept.filter(pc.invert(pc.is_in(kept["video_id"], pa.array(sorted(owners)))))
    return pa.Table.from_pylist(rows, schema=videos.schema), clean


class EncodeStage:
    """One actor's model, on its GPU where it has one."""

    def __init__(self, settings: EncodeSettings) -> None:
        self._settings = settings
        self._model: EercfModel = load_model(settings.model, "cuda" if torch.cuda.is_available() else "cpu")
        if self._model.model_id != settings.model_id:
            raise ModelMismatchError(
                f"this node loads {settings.model} as {self._model.model_id}, the job as {settings.model_id}: "
                "give every node the same weights"
            )
        on_gpu = self._model.device.type == "cuda"
        self._bf16 = settings.precision == "bf16" or (settings.precision == "auto" and on_gpu)
        # While other actors start, and not when the first task waits: a first pass makes kernels and takes memory.
        config = self._model.config
        shape = (1, config.num_frames, config.preprocess.image_size, config.preprocess.image_size, 3)
        self._tokens(np.zeros(shape, np.uint8), np.ones(shape[:2], np.uint8))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Encode the task of a one-row batch."""
        payload = TaskPayload.of_batch(batch)
        if payload.is_void:
            return batch
        start = time.perf_counter()
        try:
            payload = self.run(payload)
        except Exception as error:  # noqa: BLE001  (an exception here would end the whole run)
            payload = payload.failed("encode", error)
        return payload.timed("encode", time.perf_counter() - start).to_batch()

    def run(self, payload: TaskPayload) -> TaskPayload:
        """Encode all clips of a task."""
        decoded, videos = from_ipc(payload.clips), from_ipc(payload.videos)
        schema = clips_schema(self._model.token_shape, self._settings.model_id)
        sink, num_kept, step = pa.BufferOutputStream(), 0, self._settings.clips_a_pass
        with pa.ipc.new_stream(sink, schema) as writer:
            for start in range(0, len(decoded), step):
                part = self._encode(decoded.slice(start, step), schema)
                num_kept += len(part)
                writer.write_table(part)
        clips = sink.getvalue().to_pybytes()
        if num_kept < len(decoded):
            videos, kept = quarantine_lost(videos, decoded, from_ipc(clips))
            clips = to_ipc(kept)
        return replace(payload, videos=to_ipc(videos), clips=clips)

    def _encode(self, decoded: pa.Table, schema: pa.Schema) -> pa.Table:
        config = self._model.config
        frames_BFHWC, mask_BF = pad_clips(decoded, config.num_frames, config.preprocess.image_size)
        tokens = self._tokens(frames_BFHWC, mask_BF)
        good = finite_clips(tokens)
        return clips_table(decoded, tokens, mask_BF, schema, self._settings.model_id).filter(pa.array(good))

    def _tokens(self, frames_BFHWC: np.ndarray, mask_BF: np.ndarray) -> ClipTokens:
        with torch.autocast(self._model.device.type, torch.bfloat16, enabled=self._bf16):
            return self._model.encode_clips(
                torch.from_numpy(frames_BFHWC), torch.from_numpy(mask_BF), self._settings.batch_frames
            )
