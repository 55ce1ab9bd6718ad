"""The plainest proof that a collection answers: clips are found by their own vectors, first of all."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from pipeline.index.index_choice import IVF_RABITQ, IVF_SQ8
from pipeline.index.vector_store import VectorStore
from schemas.errors import IndexCorruptError
from schemas.manifest import VersionManifest

# So many clips of a version are looked for, when it is built and at each publish.
OWN_CLIPS: Final = 32
# Equal clips have equal scores, and any of them may stand first; an index that rounds numbers to a byte moves scores.
_TIE, _ROUNDED_TIE = 1e-5, 2e-2
_ROUNDING = frozenset({IVF_SQ8, IVF_RABITQ})
_DEPTH = 10


def check_sample(vectors: VectorStore, manifest: VersionManifest) -> None:
    """Look for the clips that a version names for this, by their vectors as Milvus has them.

    Raises:
        IndexCorruptError: one is not there, or is not found. Of a version that was revised, clips may be gone.
        VectorStoreError: Milvus is away.
    """
    own = vectors.stored_vectors(manifest.collection, manifest.sample)
    gone = [clip_id for clip_id in manifest.sample if clip_id not in own]
    if gone and manifest.revision == 1:
        raise IndexCorruptError(
            f"Milvus ({vectors.place}) has lost clip {gone[0]} of {manifest.collection}: build anew"
        )
    if own:
        index = (manifest.index_type, manifest.ann.search)
        check_own_vectors(vectors, manifest.collection, index, list(own), np.stack(list(own.values())))


def check_own_vectors(
    vectors: VectorStore,
    collection: str,
    index: tuple[str, Mapping[str, int]],
    clip_ids: Sequence[str],
    own_SD: np.ndarray,
) -> None:
    """Look for clips by their own vectors.

    Args:
        vectors: the Milvus.
        collection: one of clips.
        index: its type, and its search parameters.
        clip_ids: S clips.
        own_SD: their vectors, float32 and unit.

    Raises:
        IndexCorruptError: a clip of a higher score is first. Clips of equal vectors have equal scores: each may be.
        VectorStoreError: Milvus is away.
    """
    index_type, search = index
    tie = _ROUNDED_TIE if index_type in _ROUNDING else _TIE
    answers = vectors.search(collection, own_SD, _DEPTH, search) if len(clip_ids) else []
    for clip_id, own_D, hits in zip(clip_ids, own_SD, answers, strict=True):
        due = float(own_D @ own_D) - tie
        scores = [hit.coarse_score for hit in hits]
        own = [hit.coarse_score for hit in hits if hit.clip_id == clip_id]
        # More equal clips than an answer holds leave no place for this one.
        crowded = len(scores) == _DEPTH and scores[-1] >= due
        if not crowded and (not own or own[0] < max(due, scores[0] - tie)):
            first = f"{hits[0].clip_id} with {scores[0]:.4f}" if hits else "nothing"
            has = f"has {own[0]:.4f}" if own else "is not in the answer"
            raise IndexCorruptError(
                f"clip {clip_id} is not found by its own vector in {collection}: {first} is first, and the clip {has}; "
                "build the index anew"
            )
