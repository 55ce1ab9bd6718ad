"""Text to ranked clips, in one process.

The Serve deployments run the same stages in several processes. Both give the same list, because both encode a text
alone (`pipeline.query_encoding`), find candidates in the same way (`pipeline.recall`), score them in the same blocks
(`pipeline.rerank`) and order them by the same rule (`pipeline.ranking`).
"""

from dataclasses import replace
from typing import Self

from models.eercf import EercfModel
from pipeline.both_stages import Stages
from pipeline.index.filter_expression import filter_expression
from pipeline.index.fine_store import FineStore
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import live_manifest, open_fine
from pipeline.query_encoding import encode_query, load_version_model
from pipeline.ranking import choose_recall, clean_query, elapsed_ms, now, ranked
from pipeline.rerank import warm_up
from pipeline.storage import Store
from schemas.filters import Tree
from schemas.manifest import VersionManifest
from schemas.recall import RecallMode
from schemas.results import SearchResult


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
        return cls.open_version(index, live_manifest(index))

    @classmethod
    def open_version(cls, index: Store, manifest: VersionManifest) -> Self:
        """Open a version, published or not.

        Raises:
            ModelMismatchError: the model is not the one that built it.
            VectorStoreError: Milvus is away.
        """
        model = load_version_model(manifest)
        manifest, fine = open_fine(index, manifest)
        try:
            warm_up(fine, manifest.scoring, manifest.token_shape.dim)
            return cls(manifest, model, VectorStore.open(manifest.milvus, index.root), fine)
        except BaseException:
            fine.close()
            raise

    def search(
        self, query: str, k: int, recall_k: int, mode: RecallMode | None = None, narrowed: Tree | None = None
    ) -> SearchResult:
        """The k best clips for a text.

        Args:
            query: any text; surrounding white space is dropped.
            k: how many clips to return; fewer come when the index holds fewer.
            recall_k: how many candidates of stage 1 are reranked, in any mode.
            mode: how stage 1 finds them; None for both ways where the version has frame vectors, else coarse.
            narrowed: which clips may come; None for all.

        Raises:
            UsageError: the query is empty or too long, or the version cannot recall or be filtered that way.
            IndexCorruptError: the stores disagree.
            VectorStoreError: Milvus is away.
        """
        query = clean_query(query)
        mode = choose_recall(mode, self.manifest)
        expression = filter_expression(narrowed, self.manifest.fields) if narrowed else ""
        begin = start = now()
        encoded = replace(encode_query(self._model, query), expression=expression)
        encode_ms = elapsed_ms(start)
        found, scored = Stages(self._vectors, self._fine, self.manifest, mode, k, recall_k).find(encoded)
        return SearchResult(
            query=query,
            version=self.manifest.version,
            recall=mode,
            hits=ranked(found.hits, scored, k),
            timings_ms={
                "encode": encode_ms,
                **found.timings_ms,
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
