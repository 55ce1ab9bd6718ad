"""Whether an index gets frame vectors."""

from dataclasses import dataclass
from typing import Final

from schemas.manifest import LITE
from schemas.recall import FramesSetting

# Milvus Lite goes through all rows in Python at each query: 0.1 s for so many, and minutes to index them.
LITE_MAX_ROWS: Final = 100_000


@dataclass(frozen=True)
class FramesChoice:
    """Whether frame vectors are written, and the reason in words."""

    made: bool
    why: str


def choose_frames(setting: FramesSetting, milvus: str, clips: int, frames: int) -> FramesChoice:
    """Whether frame vectors are affordable, unless the user has said it.

    Args:
        setting: "auto", "yes" or "no".
        milvus: "lite", or a server's address.
        clips: how many.
        frames: at most so many a clip.

    >>> choose_frames("auto", "lite", 9000, 12)
    FramesChoice(made=False, why='up to 108000 rows; Milvus Lite is slow beyond 100000, --frames yes makes them anyway')
    >>> choose_frames("auto", "http://there:19530", 9000, 12).made
    True
    """
    rows = clips * frames
    if setting != "auto":
        return FramesChoice(setting == "yes", "as asked")
    if milvus == LITE and rows > LITE_MAX_ROWS:
        return FramesChoice(
            False, f"up to {rows} rows; Milvus Lite is slow beyond {LITE_MAX_ROWS}, --frames yes makes them anyway"
        )
    return FramesChoice(True, f"up to {rows} rows; --frames no leaves them out")
