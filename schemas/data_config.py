"""Settings of the commands that make videos: generated ones, and samples that packages carry."""

import math
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from schemas.config import Config, Fraction, Seconds

# Synthetic videos are laid out on twelve sampled frames, each of at least four frames of the video.
_SAMPLED_FRAMES, _MIN_FRAMES = 12, 48
_VAL_FRACTION = 0.1


class DataConfig(Config):
    """Settings of `reelsift data make`.

    Attributes:
        out: local folder.
        videos: how many.
        seed: of all that is drawn by chance.
        size_px: side of the square picture; even, as yuv420p needs.
        fps: frames a second.
        min_seconds: a video's least length.
        max_seconds: a video's greatest length.
        events: short scenes that interrupt a video's main scene.
        event_frames: lengths of an event to draw from, in frames of twelve sampled uniformly. Each video draws
            lengths that fit together, so that [1, 2, 3, 4, 6] with two events gives every length, but never two of 6.
        val_fraction: share of the videos in the split "val"; if it is not given, no more than `test_fraction` leaves.
        test_fraction: share of the videos in the split "test"; the rest is "train".
        workers: processes; None for as many as there are cores, up to 8. The videos do not depend on it.
    """

    # Defaults are checked too: a default can clash with another setting that was given.
    model_config = ConfigDict(validate_default=True)

    out: str = Field(min_length=1)
    videos: int = Field(default=20, ge=1, le=999_999)
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    size_px: int = Field(default=128, ge=32, le=1024, multiple_of=2)
    fps: int = Field(default=12, ge=1, le=120)
    min_seconds: float = Field(default=6.0, gt=0, le=600)
    max_seconds: float = Field(default=8.0, gt=0, le=600)
    events: int = Field(default=2, ge=0, le=4)
    event_frames: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(2, 3), min_length=1)
    val_fraction: Fraction = _VAL_FRACTION
    test_fraction: Fraction = 0.2
    workers: int | None = Field(default=None, ge=1, le=256)

    @model_validator(mode="before")
    @classmethod
    def _leave_room_for_test(cls, values: Any) -> Any:
        test = values.get("test_fraction") if isinstance(values, dict) else None
        # Of what is out of range the field's own message tells.
        if isinstance(test, int | float) and 1 - _VAL_FRACTION < test <= 1 and "val_fraction" not in values:
            return values | {"val_fraction": 1 - test}
        return values

    @field_validator("min_seconds")
    @classmethod
    def _long_enough_to_cut(cls, value: float, info: ValidationInfo) -> float:
        if value * info.data.get("fps", math.inf) < _MIN_FRAMES:
            raise ValueError(f"min_seconds x fps must be at least {_MIN_FRAMES} frames")
        return value

    @field_validator("max_seconds")
    @classmethod
    def _not_below_least(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("min_seconds", 0.0):
            raise ValueError("must not be less than min_seconds")
        return value

    @field_validator("event_frames")
    @classmethod
    def _leaves_main_scene(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        events = info.data.get("events", 0)
        if events and max(value) + (events - 1) * min(value) > _SAMPLED_FRAMES - max(2, events):
            beside = f" beside {events - 1} of {min(value)}" if events > 1 else ""
            raise ValueError(
                f"an event of {max(value)}{beside} leaves too little of {_SAMPLED_FRAMES} for the main scene; "
                "give shorter ones, or fewer events"
            )
        return value

    @field_validator("test_fraction")
    @classmethod
    def _at_most_all(cls, value: float, info: ValidationInfo) -> float:
        if value + info.data.get("val_fraction", 0.0) > 1:
            raise ValueError("val_fraction + test_fraction must not exceed 1")
        return value


class SamplesConfig(Config):
    """Settings of `reelsift data samples`.

    Attributes:
        out: local folder.
        cache: folder for what was downloaded; None for the user's cache folder.
        unclear: also take clips whose origin nobody states: for tests on one machine, never to be passed on.
        download_timeout_s: for each call of the package manager.
    """

    out: str = Field(min_length=1)
    cache: str | None = None
    unclear: bool = False
    download_timeout_s: Seconds = 60.0
