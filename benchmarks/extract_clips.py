"""A hundred clips as cameras and websites leave them: five codecs, 320 to 720 lines, 2 to 10 seconds, seeded."""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.barcode_video import scheduling_kept

FPS = 25
_SIZES = ((568, 320), (640, 360), (854, 480), (1280, 720))
_LENGTHS_S = (2, 3, 4, 6, 8, 10)
_PAN = 160
# Of a hundred: what encodes, in which container, with which options. x264's own key frames are 250 apart; a site that
# streams has one every two seconds.
_KINDS: tuple[tuple[int, str, str, dict[str, str]], ...] = (
    (40, "libx264", "mp4", {"preset": "medium", "crf": "23"}),
    (20, "libx264", "mp4", {"preset": "veryfast", "crf": "26", "g": "50"}),
    (10, "libx264", "mkv", {"preset": "medium", "crf": "23"}),
    (10, "libx265", "mp4", {"preset": "superfast", "crf": "28", "x265-params": "log-level=error:pools=none"}),
    (8, "libvpx-vp9", "webm", {"deadline": "realtime", "cpu-used": "8", "b": "1M"}),
    (6, "libsvtav1", "mp4", {"preset": "12", "crf": "40", "svtav1-params": "lp=1"}),
    (6, "mpeg4", "mp4", {"b": "2M"}),
)


@dataclass(frozen=True)
class ClipSpec:
    """One clip to be made."""

    name: str
    encoder: str
    options: dict[str, str]
    size: tuple[int, int]
    seconds: int
    seed: int


def clip_specs(count: int) -> list[ClipSpec]:
    """The first `count` of an endless list; each hundred holds the same share of every kind.

    >>> [spec.name for spec in clip_specs(2)], len({spec.seed for spec in clip_specs(250)})
    (['0000-libx264.mp4', '0001-libx265.mp4'], 250)
    """
    kinds = [kind for kind in _KINDS for _ in range(kind[0])]
    specs = []
    for number in range(count):
        # A step without a common factor with 100: any stretch of the list holds several kinds.
        _, encoder, suffix, options = kinds[number * 79 % len(kinds)]
        specs.append(
            ClipSpec(
                name=f"{number:04d}-{encoder}.{suffix}",
                encoder=encoder,
                options=options,
                size=_SIZES[number % len(_SIZES)],
                seconds=_LENGTHS_S[number // len(_SIZES) % len(_LENGTHS_S)],
                seed=number,
            )
        )
    return specs


def make_clips(folder: Path, count: int) -> None:
    """Write those that are not there yet; one a core at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [spec for spec in clip_specs(count) if not (folder / spec.name).exists()]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for _ in pool.map(write_clip, missing, [folder] * len(missing)):
            pass


def write_clip(spec: ClipSpec, folder: Path) -> None:
    """A pan over a texture, with a little noise, as a hand-held camera gives it."""
    width, height = spec.size
    rng = np.random.default_rng(spec.seed)
    coarse = rng.integers(0, 255, (height // 8 + 40, width // 8 + 40, 3), np.uint8)
    texture = np.asarray(
        Image.fromarray(coarse).resize((width + 2 * _PAN, height + 2 * _PAN), Image.Resampling.BICUBIC)
    )
    noise = rng.integers(-4, 5, (height + 64, width + 64, 1), np.int16)
    os.environ.setdefault("SVT_LOG", "1")  # errors only
    part = folder / f".{spec.name}"
    with scheduling_kept(), av.open(str(part), "w", format=_format(spec.name)) as file:
        stream = file.add_stream(spec.encoder, rate=FPS, options=spec.options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(spec.seconds * FPS):
            x, y = int(_PAN * (1 + np.sin(number / 40))), int(_PAN * (1 + np.cos(number / 57)))
            a, b = rng.integers(0, 64, 2)
            picture = texture[y : y + height, x : x + width] + noise[a : a + height, b : b + width]
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    part.rename(folder / spec.name)


def _format(name: str) -> str:
    return {"mkv": "matroska"}.get(name.rsplit(".", 1)[-1], name.rsplit(".", 1)[-1])
