"""Text to ranked clips: coarse recall in Milvus, then the fine rerank of the best candidates.

`Searcher` runs the stages in one process, the Serve deployments one each. Both give the same list, because both
encode a text alone, score candidates in the same blocks and order them by the same rule (see `pipeline.ranking`).
"""

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import torch

from models.eercf import EercfModel
from models.registry import load_model
from models.scoring import FineTokens, score_candidates
from pipeline.index.fine_store import FineRecords, FineStore
from pipeline.index.vector_store import CoarseHit, VectorStore
from pipeline.index.versions import live_manifest, version_store
from pipeline.ranking import EncodedQuery, Reranked, clean_query, coarse_order, elapsed_ms, now, ranked
from pipeline.storage import Store
from schemas.errors import IndexCorruptError, ModelMismatchError
from schemas.manifest import VersionManifest
from schemas.results import SearchResult
from schemas.scoring import ScoringParams

# Bounds the memory of a rerank: 64 clips of ViT-B/32 are 80 MB in float32, a recall depth of 1000 would be 1.2 GB.
_RERANK_BLOCK = 64


def load_version_model(manifest: VersionManifest) -> EercfModel:
    """The model of an index version.

    Raises:
        UnknownModelError: it cannot be loaded here.
        ModelMismatchError: what loads is not the model that made the index.
    """
    model = load_model(manifest.model)
    if model.model_id != manifest.model_id:
        raise ModelMismatchError(
            f"index version {manifest.version} was built with model {manifest.model_id}, but {manifest.model!r} now "
            f"loads as {model.model_id}: restore that model, or extract and build anew"
        )
    return model


def encode_query(model: EercfModel, query: str) -> EncodedQuery:
    """Encode one text, alone.

    The last bits of a vector depend on the texts beside it in a batch, and softmaxes at temperature 0.01 carry
    them into the ranking: a text encoded alone has one answer.
    """
    text_TD = model.encode_text([query])
    query_TD = model.fold_query(text_TD)
    return EncodedQuery(*(t[0].cpu().float().numpy() for t in (text_TD, query_TD)))


def recall(vectors: VectorStore, collection: str, query_D: np.ndarray, limit: int) -> list[CoarseHit]:
    """Stage 1: the clips with the highest coarse score, at most `limit`, in order.

    Raises:
        VectorStoreError: Milvus is away or refuses.
    """
    return coarse_order(vectors.search(collection, query_D[None], limit)[0])


def rerank(text_D: np.ndarray, hits: Sequence[CoarseHit], fine: FineStore, params: ScoringParams) -> Reranked:
    """Stage 2: read the fine tokens of the candidates and score them.

    Raises:
        IndexCorruptError: a record is not that of the clip it was read for.
    """
    scores: list[float] = []
    best_s: list[float | None] = []
    read_ms = score_ms = 0.0
    for block in _blocks(hits):
        start = now()
        records = fine.read([(hit.shard, hit.row) for hit in block])
        _check_identity(block, records)
        read_ms += elapsed_ms(start)
        start = now()
        block_scores, block_best_s = _score(text_D, block, records, params)
        scores += block_scores
        best_s += block_best_s
        score_ms += elapsed_ms(start)
    return Reranked(scores, best_s, read_ms=round(read_ms, 3), score_ms=round(score_ms, 3))


def _blocks(hits: Sequence[CoarseHit]) -> Iterator[Sequence[CoarseHit]]:
    for start in range(0, len(hits), _RERANK_BLOCK):
        yield hits[start : start + _RERANK_BLOCK]


def _check_identity(hits: Sequence[CoarseHit], records: FineRecords) -> None:
    for hit, found in zip(hits, records.clip_ids, strict=True):
        if found != hit.clip_id:
            raise IndexCorruptError(
                f"shard {hit.shard} row {hit.row} holds clip {found}, but Milvus names {hit.clip_id} there: "
                "rebuild the index ('reelsift index build')"
            )


def _score(
    text_D: np.ndarray, hits: Sequence[CoarseHit], records: FineRecords, params: ScoringParams
) -> tuple[list[float], list[float | None]]:
    tokens = FineTokens(
        torch.as_tensor(records.frames_BFD),
        torch.as_tensor(records.temporal_BFD),
        torch.as_tensor(records.patches_BND),
        torch.as_tensor(records.mask_BF),
    )
    coarse_B = torch.tensor([hit.coarse_score for hit in hits], dtype=torch.float32)
    score_B, best_B = score_candidates(torch.as_tensor(text_D), tokens, coarse_B, params)
    best = best_B.tolist()
    # With unmasked fusion (the reference profile) a padded frame may win, and it has no time.
    best_s = [float(records.frame_times_BF[b, f]) if records.mask_BF[b, f] else None for b, f in enumerate(best)]
    return score_B.tolist(), best_s


class Searcher:
    """Search in one process, on one version: the one that was live when it was opened.

    Args:
        manifest: the version.
        model: its model.
        vectors: where its collection is.
        fine: its fine tokens.
    """

    def __init__(self, manifest: VersionManifest, model: EercfModel, vectors: VectorStore, fine: FineStore) -> None:
        self.manifest = manifest
        self._model = model
        self._vectors = vectors
        self._fine = fine

    @classmethod
    def open(cls, index_uri: str) -> Self:
        """Open the published version of an index.

        Raises:
            IndexMissingError: nothing is published.
            ModelMismatchError: the model is not the one that built the index.
            VectorStoreError: Milvus is away.
        """
        index = Store(index_uri)
        manifest = live_manifest(index)
        model = load_version_model(manifest)
        fine = FineStore(version_store(index, manifest.version), manifest)
        try:
            return cls(manifest, model, VectorStore.open(manifest.milvus, index.root), fine)
        except BaseException:
            fine.close()
            raise

    def search(self, query: str, k: int, recall_k: int) -> SearchResult:
        """The k best clips for a text.

        Args:
            query: any text; surrounding white space is dropped.
            k: how many clips to return; fewer come when the index holds fewer.
            recall_k: how many candidates of stage 1 are reranked.

        Raises:
            UsageError: the query is empty or too long.
            IndexCorruptError: the stores disagree.
            VectorStoreError: Milvus is away.
        """
        query = clean_query(query)
        begin = start = now()
        encoded = encode_query(self._model, query)
        encode_ms = elapsed_ms(start)
        start = now()
        hits = recall(self._vectors, self.manifest.collection, encoded.query_D, max(k, recall_k))
        recall_ms = elapsed_ms(start)
        scored = rerank(encoded.text_D, hits[:recall_k], self._fine, self.manifest.scoring)
        return SearchResult(
            query=query,
            version=self.manifest.version,
            hits=ranked(hits, scored, k),
            timings_ms={
                "encode": encode_ms,
                "recall": recall_ms,
                "read": scored.read_ms,
                "score": scored.score_ms,
                "total": elapsed_ms(begin),
            },
            degraded=[],
        )

    def close(self) -> None:
        """Close both stores."""
        self._fine.close()
        self._vectors.close()
