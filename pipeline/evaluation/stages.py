"""One query in two stages, or against all clips, over a gallery in memory: what is timed, and what shows frames.

It is exact: every vector is compared, as an index without approximation would. Stage 2 is the service's own
`models.reranking.score_candidates`, for k candidates as for all clips.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.eercf import EercfModel
from models.reranking import score_candidates
from models.scoring import video_score
from pipeline.candidates import unite
from pipeline.evaluation.gallery import ClipGallery
from pipeline.evaluation.scores import clips_at_once, frame_recall_scores
from schemas.recall import RecallMode
from schemas.scoring import ScoringParams


@dataclass(frozen=True)
class TwoStages:
    """A gallery ready to be searched on the CPU.

    Attributes:
        gallery: the clips.
        mix_DD: G.
        scoring: what stage 2 needs of the model.
        frames_BFD: n(f) in float32, as a vector store holds them.
    """

    gallery: ClipGallery
    mix_DD: Tensor
    scoring: ScoringParams
    frames_BFD: Tensor

    @classmethod
    def of(cls, gallery: ClipGallery, model: EercfModel) -> "TwoStages":
        """For a model."""
        return cls(gallery, model.coarse_mix_DD.cpu(), model.scoring, gallery.frames_BFD.float())

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

    def rerank(self, text_D: Tensor, rows_k: Tensor) -> tuple[Tensor, Tensor]:
        """Stage 2: the final scores of these clips, and the frame that each matched best."""
        coarse_k = video_score(text_D[None], self.mix_DD, self.gallery.coarse_BD[rows_k])[0]
        return score_candidates(text_D, self.gallery.tokens(rows_k), coarse_k, self.scoring)

    def exhaustive(self, text_D: Tensor) -> Tensor:
        """The final scores of all clips, in blocks."""
        coarse_B = video_score(text_D[None], self.mix_DD, self.gallery.coarse_BD)[0]
        parts = [
            score_candidates(text_D, self.gallery.tokens(block), coarse_B[block], self.scoring)[0]
            for block in self.gallery.blocks(clips_at_once(self.gallery))
        ]
        return torch.cat(parts)

    @staticmethod
    def _top(score_1B: Tensor, k: int) -> Tensor:
        return score_1B[0].topk(min(k, score_1B.shape[1])).indices
