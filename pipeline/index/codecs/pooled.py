"""At most M tokens that stand for all: the directions of a clip's own clusters, in int8, with the clusters' sizes.

The size enters the softmax of a score as log n, so that a large cluster weighs as much as its members did.
"""

from dataclasses import dataclass

import numpy as np

from models.token_sets import Int8Tokens
from pipeline.index.codecs.clusters import cluster
from pipeline.index.codecs.form import Field, RecordBlock
from pipeline.index.codecs.int8 import Int8Form

_INT8 = Int8Form()


@dataclass(frozen=True)
class PooledForm:
    """Clusters of a clip's real tokens.

    Attributes:
        most: M.
    """

    most: int

    def fields(self, name: str, count: int, dim: int) -> list[Field]:
        """Sizes of the clusters, and their directions as int8."""
        kept = min(self.most, count)
        return [(f"{name}_size", "<u2", (kept,)), *_INT8.fields(name, kept, dim)]

    def encode(self, tokens_BND: np.ndarray, real_BN: np.ndarray, records_B: np.ndarray, name: str) -> None:
        """Cluster each clip by itself, so that its record does not depend on its neighbours."""
        clips, _, dim = tokens_BND.shape
        kept = records_B.dtype[f"{name}_size"].shape[0]
        centre_BMD = np.zeros((clips, kept, dim), np.float32)
        size_BM = np.zeros((clips, kept), np.uint16)
        for clip in range(clips):
            centre_KD, size_K = cluster(tokens_BND[clip, real_BN[clip]].astype(np.float32), kept)
            centre_BMD[clip, : len(size_K)], size_BM[clip, : len(size_K)] = centre_KD, size_K
        records_B[f"{name}_size"] = size_BM
        _INT8.encode(centre_BMD, size_BM > 0, records_B, name)

    def tokens(self, block: RecordBlock, name: str, dim: int) -> Int8Tokens:
        """A view."""
        return _INT8.tokens(block, name, dim)

    def merged(self, block: RecordBlock, name: str) -> np.ndarray:
        """The sizes of the clusters."""
        return block.values(f"{name}_size")
