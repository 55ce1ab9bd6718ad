"""What `reelsift duplicates` answers."""

from schemas.results import Result


class DuplicateClip(Result):
    """One clip of a pair; times in seconds."""

    clip_id: str
    video_id: str
    uri: str
    start_s: float
    end_s: float


class DuplicatePair(Result):
    """Two clips and the cosine of their coarse vectors."""

    similarity: float
    a: DuplicateClip
    b: DuplicateClip


class Duplicates(Result):
    """Equal files and nearly equal clips of some tables.

    Attributes:
        videos: that have clips.
        clips: compared.
        threshold: least cosine of a pair.
        same_content: URIs of files with one hash, a group each; only of tables with `--identity content`.
        pairs_found: how many pairs reach the threshold.
        pairs: the most similar of them.
    """

    videos: int
    clips: int
    threshold: float
    same_content: list[list[str]]
    pairs_found: int
    pairs: list[DuplicatePair]
