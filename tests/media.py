"""Real media files for tests, made with PyAV."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

CODECS = {".mp4": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9", ".avi": "mpeg4", ".mov": "libx264"}


def make_video(
    path: Path, *, num_frames: int = 24, fps: int = 12, size: tuple[int, int] = (96, 64), seed: int = 0
) -> Path:
    """A moving, seeded gradient; the container and codec follow from the suffix."""
    width, height = size
    rng = np.random.default_rng(seed)
    tint = rng.integers(40, 215, 3)
    options = {"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(CODECS[path.suffix], rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
        for number in range(num_frames):
            wave = 0.5 + 0.5 * np.sin(6.28 * (x * (1 + seed % 3) + y + number / num_frames))
            picture = (wave[..., None] * tint).astype(np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def make_scenes(path: Path, colours: Sequence[tuple[int, int, int]], *, num_frames: int = 24, fps: int = 12) -> Path:
    """A scene a colour, each of `num_frames` frames, in which something moves."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[path.suffix], rate=fps)
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        for colour in colours:
            for number in range(num_frames):
                picture = np.full((90, 160, 3), colour, np.uint8)
                picture[number : number + 20, 20:60] = 128
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def make_audio(path: Path, seconds: float = 1.0) -> Path:
    """A tone and no pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        tone = (0.3 * np.sin(np.arange(int(16000 * seconds)) * 0.17)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    return path


def make_hostile_folder(root: Path) -> dict[str, tuple[str, set[str]]]:
    """A folder of good and bad files; answers each file's true status and the reasons that would be true."""
    root.mkdir(parents=True)
    for number, name in enumerate(("good.mp4", "good.mkv", "good.webm", "good.avi")):
        make_video(root / name, seed=number)
    make_video(root / "one.mp4", num_frames=1)
    make_audio(root / "sound.mp4")
    (root / "zero.mp4").write_bytes(b"")
    (root / "text.mp4").write_text("this is no video\n" * 50)
    whole = make_video(root / "half.mp4", num_frames=120, size=(320, 240), seed=9).read_bytes()
    (root / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (root / "captions.jsonl").write_text("{}\n")
    good = {name: ("done", set()) for name in ("good.mp4", "good.mkv", "good.webm", "good.avi", "one.mp4")}
    return good | {
        "sound.mp4": ("quarantined", {"no_video_stream"}),
        "zero.mp4": ("quarantined", {"empty"}),
        "text.mp4": ("quarantined", {"not_a_video"}),
        "half.mp4": ("quarantined", {"degraded", "not_a_video", "no_video_stream"}),
        "captions.jsonl": ("filtered", {"not_media"}),
    }
