"""One query in two stages, or against all clips, over a gallery in memory: what is timed, and what shows frames.

It is exact: every vector is compared, as an index without approximation would. Stage 2 is the service's own
`models.reranking.score_pairs`, for k candidates as for all clips.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.eercf import EercfModel
from models.reranking import score_pairs
from models.scoring import video_score
from models.stored_clips import StoredClips
from models.token_sets import Pairs
from pipeline.candidates import unite
from pipeline.evaluation.gallery import ClipGallery
from pipeline.evaluation.scores import frame_recall_scores
from schemas.recall import RecallMode
from schemas.scoring import ScoringParams

# Bounds the similarities of an exhaustive search, clips x patches, as the service bounds those of a rerank.
_CLIPS_AT_ONCE = 64


@dataclass(frozen=True)
class TwoStages:
    """A gallery ready to be searched on the CPU.

    Attributes:
        gallery: the clips.
        mix_DD: G.
        scoring: what stage 2 needs of the model.
        frames_BFD: n(f) in float32, as a vector store holds them.
        tokens: of all clips, float16.
    """

    gallery: ClipGallery
    mix_DD: Tensor
    scoring: ScoringParams
    frames_BFD: Tensor
    tokens: StoredClips

    @classmethod
    def of(cls, gallery: ClipGallery, model: EercfModel) -> "TwoStages":
        """For a model."""
        tokens = StoredClips.of(gallery.tokens(slice(None)))
        return cls(gallery, model.coarse_mix_DD.cpu(), model.scoring, gallery.frames_BFD.float(), tokens)

    @torch.inference_mode()
    def recall(self, mode: RecallMode, text_D: Tensor, k: int) -> Tensor:
        """Stage 1: the rows of at most k candidates, best first."""
        orders = {
            "coarse": lambda: self._top(video_score(text_D[None], self.mix_DD, self.gallery.coarse_BD), k),
            "frames": lambda: self._top(frame_recall_scores(text_D[None], self.frames_BFD, self.gallery.mask_BF), k),
        }
        if mode != "both":
            return orders[mode]()
        return torch.tensor(unite(orders["coarse"]().tolist(), orders["frames"]().tolist(), k))

    @torch.inference_mode()
    def rerank(self, text_D: Tensor, rows_k: Tensor) -> tuple[Tensor, Tensor]:
        """Stage 2: the final scores of these clips, and the frame that each matched best."""
        pairs = Pairs(text_D[None].numpy(), np.zeros(len(rows_k), np.int64), rows_k.numpy())
        coarse_k = video_score(text_D[None], self.mix_DD, self.gallery.coarse_BD[rows_k])[0]
        return self._score(pairs, coarse_k)

    @torch.inference_mode()
    def exhaustive(self, text_D: Tensor) -> Tensor:
        """The final scores of all clips, in blocks."""
        coarse_B = video_score(text_D[None], self.mix_DD, self.gallery.coarse_BD)[0]
        pairs = Pairs.of_one(text_D.numpy(), len(coarse_B))
        blocks = self.gallery.blocks(_CLIPS_AT_ONCE)
        return torch.cat([self._score(pairs.part(block), coarse_B[block])[0] for block in blocks])

    def _score(self, pairs: Pairs, coarse_P: Tensor) -> tuple[Tensor, Tensor]:
        score_P, best_P = score_pairs(
            pairs, self.tokens, coarse_P.numpy(), self.scoring, threads=torch.get_num_threads()
        )
        return torch.from_numpy(score_P), torch.from_numpy(best_P)

    @staticmethod
    def _top(score_1B: Tensor, k: int) -> Tensor:
        return score_1B[0].topk(min(k, score_1B.shape[1])).indices
