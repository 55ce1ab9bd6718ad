"""What a search costs in multiply-adds (MACs), by formula: the paper's way of counting, and this code's own.

The paper (table 4) counts the dot products between a text and the stored vectors of a clip, as FLOPs of one
multiply-add each, and calls the mean ratio of four sets "nearly 50 times". Our own count adds what the score of
models/reranking.py multiplies besides: the fold of the query, the frame mix A, and the strong score's mixed token.
"""

from dataclasses import dataclass

from schemas.recall import RecallMode
from schemas.scoring import Fusion
from schemas.tables import TokenShape


@dataclass(frozen=True)
class PaperSet:
    """A row of the paper's cost table.

    Attributes:
        name: of the data set.
        clips: N of its test gallery.
        frames: F.
        words: tokens of a text in token-wise interaction.
        claimed: the ratio that the paper prints.
    """

    name: str
    clips: int
    frames: int
    words: int
    claimed: int


PAPER_K, PAPER_PATCHES, PAPER_DIM = 50, 49, 512
PAPER_SETS = (
    PaperSet("MSRVTT-1K", 1000, 12, 32, 14),
    PaperSet("MSRVTT-3K", 2990, 12, 32, 39),
    PaperSet("VATEX", 1500, 12, 32, 20),
    PaperSet("ActivityNet", 4917, 64, 64, 126),
)


@dataclass(frozen=True)
class PaperCost:
    """One row, recomputed: MACs of a text-clip pair and their ratio."""

    paper: PaperSet
    two_stage: float
    token_wise: int
    ratio: float


def paper_pair_macs(shape: TokenShape, clips: int, k: int) -> float:
    """MACs of a pair in two stages as the paper counts: D + (k / N) (F D + F P D).

    >>> paper_pair_macs(TokenShape(frames=12, patches=49, dim=512), clips=1000, k=50)
    15872.0
    """
    fine = shape.frames * shape.dim + shape.frames * shape.patches * shape.dim
    return shape.dim + min(k, clips) / clips * fine


def token_wise_pair_macs(words: int, frames: int, dim: int) -> int:
    """MACs of a pair in token-wise interaction (DRL, X-CLIP) as the paper counts: N_t F D + (N_t + F) D.

    >>> token_wise_pair_macs(32, 12, 512)
    219136
    """
    return words * frames * dim + (words + frames) * dim


def paper_table() -> list[PaperCost]:
    """The paper's table of costs, from its formulas.

    >>> [round(row.ratio, 1) for row in paper_table()]
    [13.8, 38.8, 20.4, 125.9]
    """
    rows = []
    for paper in PAPER_SETS:
        shape = TokenShape(frames=paper.frames, patches=PAPER_PATCHES, dim=PAPER_DIM)
        two_stage = paper_pair_macs(shape, paper.clips, PAPER_K)
        token_wise = token_wise_pair_macs(paper.words, paper.frames, PAPER_DIM)
        rows.append(PaperCost(paper, two_stage, token_wise, token_wise / two_stage))
    return rows


def recall_macs(mode: RecallMode, shape: TokenShape, clips: int) -> int:
    """MACs of stage 1 for one query, all vectors compared: D^2 for q = G^T t, N D coarse, N F D for the frames.

    >>> recall_macs("both", TokenShape(frames=2, patches=3, dim=4), clips=10)
    136
    """
    coarse = shape.dim**2 + clips * shape.dim
    frames = clips * shape.frames * shape.dim
    return {"coarse": coarse, "frames": frames, "both": coarse + frames}[mode]


def rerank_macs(shape: TokenShape, fusion: Fusion) -> int:
    """MACs of the final score of one text and one clip, as models/reranking.py multiplies them.

    a = t . n(f), c = t . v, b = t . n(p); the mix A; the strong score's sum of w v and its norm.

    >>> rerank_macs(TokenShape(frames=2, patches=3, dim=4), Fusion())
    56
    """
    f, p, d = shape.frames, shape.patches, shape.dim
    dots = 2 * f * d + f * p * d
    strong = f * d + d
    strong_patch = f * p * d + d if fusion.strong_patch else 0
    return dots + f * f + strong + strong_patch


def query_macs(mode: RecallMode, shape: TokenShape, fusion: Fusion, clips: int, k: int) -> int:
    """MACs of one query in two stages.

    >>> small = TokenShape(frames=2, patches=3, dim=4)
    >>> query_macs("coarse", small, Fusion(), clips=10, k=2)
    168
    """
    # A clip recalled by its frames still needs its coarse score, since that is part of the final one.
    coarse_of_candidates = shape.dim**2 + k * shape.dim if mode == "frames" else 0
    return recall_macs(mode, shape, clips) + coarse_of_candidates + min(k, clips) * rerank_macs(shape, fusion)


def exhaustive_macs(shape: TokenShape, fusion: Fusion, clips: int) -> int:
    """MACs of one query that scores every clip finely.

    >>> exhaustive_macs(TokenShape(frames=2, patches=3, dim=4), Fusion(), clips=10)
    616
    """
    return query_macs("coarse", shape, fusion, clips, clips)
