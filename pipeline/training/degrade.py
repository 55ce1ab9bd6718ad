"""Augmentation: pictures made to look as if they came through a camera, a codec and a resize."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
_BRIGHTNESS, _CAST, _NOISE = 0.15, 10, 6
_QUALITY = (25, 85)


def through_codec(picture: Picture, size_px: int, rng: np.random.Generator) -> Picture:
    """JPEG with halved colour at the picture's own size, then Pillow's bicubic resize, as extraction does."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=int(rng.integers(*_QUALITY)), subsampling=2)
    with Image.open(buffer) as decoded:
        return np.asarray(decoded.resize((size_px, size_px), Image.Resampling.BICUBIC))


def jitter(pictures_NHWC: Picture, rng: np.random.Generator) -> Picture:
    """Brightness and a colour cast for each picture, noise for each pixel; uint8 again."""
    count = len(pictures_NHWC)
    gain = 1 + rng.uniform(-_BRIGHTNESS, _BRIGHTNESS, (count, 1, 1, 1)).astype(np.float32)
    cast = rng.uniform(-_CAST, _CAST, (count, 1, 1, 3)).astype(np.float32)
    noise = rng.integers(-_NOISE, _NOISE + 1, pictures_NHWC.shape, dtype=np.int8)
    noisy = rng.random((count, 1, 1, 1)) < 0.5  # noqa: PLR2004  (a coin)
    jittered: Picture = np.clip(pictures_NHWC * gain + cast + noise * noisy, 0, 255).astype(np.uint8)
    return jittered
