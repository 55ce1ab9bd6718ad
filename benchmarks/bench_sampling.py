"""Processor time of sampling twelve frames from long groups of pictures: ours, exact and fast, beside other decoders.

    make bench ONLY=benchmarks/bench_sampling.py

Each method gives twelve pictures of 224 x 224, uniform by segment, on one thread. Ours also probes the file and proves
each frame's time; the others take the frame count from the header and trust it. Rounds alternate between the methods,
and processor time of all threads is counted, so that other work on the machine matters little.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import decord
import numpy as np
import torch
from PIL import Image

from benchmarks.report import tell
from models.registry import load_model
from pipeline.decode.picture import fit
from pipeline.decode.records import DecodedClip, Job
from pipeline.decode.video import decode_clips
from pipeline.sampling import uniform_indices
from schemas.config import DEFAULT_MODEL

_FRAMES, _SIZE = 12, 224
_CLIPS = {"640 x 360, 20 s": (640, 360, 500), "1280 x 720, 10 s": (1280, 720, 250)}
Pictures = list[np.ndarray]


def write_long_groups(path: Path, width: int, height: int, num_frames: int) -> None:
    """A moving texture with a little noise, coded as x264 does unless told otherwise: a key frame every 250."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (height // 8 + 40, width // 8 + 40, 3), np.uint8)
    texture = np.asarray(Image.fromarray(coarse).resize((width + 320, height + 320), Image.Resampling.BICUBIC))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"preset": "medium", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(num_frames):
            x, y = int(150 + 140 * np.sin(number / 40)), int(150 + 140 * np.cos(number / 57))
            noise = rng.integers(-4, 5, (height, width, 1))
            picture = np.clip(texture[y : y + height, x : x + width].astype(np.int16) + noise, 0, 255)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture.astype(np.uint8)), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def ours(path: str, *, fast: bool, size: int = _SIZE) -> Pictures:
    """This project's sampler, as an extraction calls it."""
    job = Job(
        path=path,
        rule="whole",
        num_frames=_FRAMES,
        size=size,
        interpolation="bicubic",
        max_answer_bytes=1 << 30,
        fast=fast,
    )
    return [frame for part in decode_clips(job) if isinstance(part, DecodedClip) for frame in part.frames_NHWC]


def _fitted(picture: np.ndarray) -> np.ndarray:
    return fit(Image.fromarray(picture), _SIZE, "bicubic", (picture.shape[1], picture.shape[0]))


def by_decord(path: str) -> Pictures:
    """A batch of decord's."""
    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
    batch = reader.get_batch(uniform_indices(len(reader), _FRAMES)).asnumpy()
    del reader
    return [_fitted(picture) for picture in batch]


def by_opencv(path: str) -> Pictures:
    """OpenCV: every frame grabbed, wanted ones retrieved."""
    video = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    wanted = uniform_indices(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), _FRAMES)
    pictures = []
    for number in range(wanted[-1] + 1):
        video.grab()
        if number in wanted:
            pictures.append(_fitted(cv2.cvtColor(video.retrieve()[1], cv2.COLOR_BGR2RGB)))
    video.release()
    return pictures


def by_pyav(path: str) -> Pictures:
    """PyAV: every frame decoded in order."""
    pictures = []
    with av.open(path) as file:
        stream = file.streams.video[0]
        stream.codec_context.thread_count = 1
        wanted = set(uniform_indices(stream.frames, _FRAMES))
        for number, frame in enumerate(file.decode(stream)):
            if number in wanted:
                pictures.append(_fitted(frame.to_ndarray(format="rgb24")))
    return pictures


def _torchcodec() -> Callable[[str], Pictures] | None:
    try:
        from torchcodec.decoders import VideoDecoder  # noqa: PLC0415  (needs FFmpeg's libraries)
    except (ImportError, RuntimeError, OSError):
        return None

    def decode(path: str) -> Pictures:
        decoder = VideoDecoder(path, num_ffmpeg_threads=1, dimension_order="NHWC")
        indices = uniform_indices(len(decoder), _FRAMES)
        return [_fitted(picture.numpy()) for picture in decoder.get_frames_at(indices).data]

    return decode


def methods() -> dict[str, Callable[[str], Pictures]]:
    """Ours first; torchcodec where it is installed."""
    found = {
        "exact": lambda path: ours(path, fast=False),
        "fast": lambda path: ours(path, fast=True),
        "decord": by_decord,
        "OpenCV": by_opencv,
        "PyAV": by_pyav,
    }
    torchcodec = _torchcodec()
    return found | ({"torchcodec": torchcodec} if torchcodec else {})


def measure(path: str, rounds: int) -> dict[str, float]:
    """Median processor seconds of each method."""
    spent: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, method in methods().items():
            gc.collect()
            start = time.process_time()
            count = len(method(path))
            if number:  # the first loads libraries
                spent.setdefault(name, []).append(time.process_time() - start)
            if count != _FRAMES:
                raise SystemExit(f"{name} gave {count} frames")
    return {name: float(np.median(seconds)) for name, seconds in spent.items()}


def drift(path: str) -> float:
    """Cosine of the coarse vectors of exact and fast, by the shipped model."""
    model = load_model(DEFAULT_MODEL)
    size = model.config.preprocess.image_size
    pair = np.stack([np.stack(ours(path, fast=fast, size=size)) for fast in (False, True)])
    tokens = model.encode_clips(torch.from_numpy(pair), torch.ones(2, _FRAMES, dtype=torch.uint8), _FRAMES)
    return float(tokens.coarse_BD[0] @ tokens.coarse_BD[1])


def main() -> None:
    """Measure, tell, and keep with --keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="enter the figures into BENCHMARKS.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    others = [name for name in methods() if name not in ("exact", "fast")]
    rows = [["clip", "exact s", "fast s", *(f"{name} s" for name in others), "exact / best", "fast / best", "cosine"]]
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        for number, (title, traits) in enumerate(_CLIPS.items()):
            path = Path(folder) / f"{number}.mp4"
            write_long_groups(path, *traits)
            found = measure(str(path), args.rounds)
            best = min(others, key=found.__getitem__)
            times = [f"{found[name]:.3f}" for name in ("exact", "fast", *others)]
            ratios = [f"{found[name] / found[best]:.2f} ({best})" for name in ("exact", "fast")]
            rows.append([title, *times, *ratios, f"{drift(str(path)):.4f}"])
    tell(
        "Sampling twelve frames from long groups of pictures: processor time",
        f"python -m benchmarks.bench_sampling --rounds {args.rounds}",
        rows,
        [
            "H.264 as x264 makes it unless told otherwise (a key frame every 250); median over the rounds, one thread",
            "exact gives the same frames to the bit as decoding all of them "
            "(tests/pipeline/decode/test_needed_frames.py)",
            "cosine: of the clip's coarse vectors, exact against fast, model reelsift-tiny",
            *([] if "torchcodec" in others else ["torchcodec was not installed"]),
        ],
        keep=args.keep,
    )


if __name__ == "__main__":
    main()
