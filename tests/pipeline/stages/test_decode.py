import json

import numpy as np
import pytest

from pipeline.decode.records import DecodedClip, DecodedVideo
from pipeline.sources import local_source
from pipeline.stages.commit import commit_batch
from pipeline.stages.decode import DecodeSettings, DecodeStage
from pipeline.stages.payload import TaskPayload, from_ipc
from pipeline.stages.plan import plan_rows

FRAMES = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)


class OneClipEach:
    def decode(self, *args, **kwargs):
        clip = DecodedClip(start_s=0.0, end_s=2.0, frame_times_s=[0.5, 1.5], frames_NHWC=FRAMES)
        facts = {"container": "mp4", "codec": "h264", "decoder": "pyav", "decoder_why": "a test"}
        return DecodedVideo(clips=[clip], duration_s=2.0, fps=25.0, width=8, height=8, **facts)

    def close(self):
        pass


@pytest.fixture
def batch(tmp_path):
    sources = []
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
        sources.append(local_source(str(tmp_path / f"{name}.mp4")))
    rows = plan_rows(sources, 3).to_pylist()
    return {"task_id": [rows[0]["task_id"]], "sources": [json.dumps(rows)]}


def run(batch, task_bytes):
    settings = DecodeSettings("whole", 2, 8, "bicubic", 9.0, 1 << 20, task_bytes=task_bytes, clip_bytes=100)
    stage = DecodeStage(settings)
    stage._decoder = OneClipEach()
    return stage(batch)


def test_a_task_within_its_bytes_holds_every_clip(batch):
    payload = TaskPayload.of_batch(run(batch, 3 * (FRAMES.nbytes + 100)))
    assert not payload.split
    clips = from_ipc(payload.clips)
    assert clips["frames_NHWC"].to_pylist() == [FRAMES.tobytes()] * 3
    assert from_ipc(payload.videos)["status"].to_pylist() == ["done"] * 3


def test_a_task_above_its_bytes_is_to_be_split_and_is_not_committed(batch, tmp_path):
    out = run(batch, 3 * (FRAMES.nbytes + 100) - 1)
    payload = TaskPayload.of_batch(out)
    assert (payload.split, payload.clips, payload.error) == (True, b"", "")
    row = commit_batch(out, str(tmp_path / "tables"))
    assert (bool(row["split"][0]), row["done"][0], row["error"][0]) == (True, 0, "")
    assert not (tmp_path / "tables").exists()


def test_a_single_source_is_never_split(batch):
    rows = json.loads(batch["sources"][0])[:1]
    payload = TaskPayload.of_batch(run({"task_id": ["t"], "sources": [json.dumps(rows)]}, 1))
    assert not payload.split


def test_a_committed_task_tells_what_it_took(batch, tmp_path):
    row = commit_batch(run(batch, 1 << 20), str(tmp_path / "tables"))
    assert (row["error"][0], row["done"][0]) == ("", 3)
    assert set(json.loads(row["busy_s"][0])) == {"decode", "commit"}
    notes = json.loads(row["notes"][0])
    assert notes["reasons"] == {}
    assert {uri.rsplit("/")[-1] for _, uri, _ in notes["slowest"]} == {"a.mp4", "b.mp4", "c.mp4"}
