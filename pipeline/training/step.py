"""One step's gradient: encode, gather, loss, backward; in micro-batches where memory is short.

With `micro_batch`, embeddings are first computed without a graph and cached, the loss's gradient with respect to
them is taken, then each micro-batch is encoded again to carry it back (GradCache, Gao et al., arXiv 2101.06983). The
model has no dropout and no batch statistics, so both ways give the same gradient.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor

from models.eercf import EercfModel
from models.losses import Gating, Losses, TrainingTokens, eercf_losses
from pipeline.training.batch import TrainBatch, ignored_pairs
from pipeline.training.gather import gather_tokens

_Encode = Callable[[Tensor], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Embeddings:
    """What the towers give: raw frame tokens N x D, unit patch tokens N x P x D, unit texts T x D."""

    raw_ND: Tensor
    patches_NPD: Tensor
    text_TD: Tensor


@dataclass(frozen=True)
class GlobalStep:
    """How a step computes its gradient.

    Attributes:
        model: in training.
        gating: see `models.losses.eercf_losses`.
        micro_batch: clips whose pictures are encoded at once; None for all.
        bf16: towers and temporal transformer run under autocast; losses are float32 always.
    """

    model: EercfModel
    gating: Gating = "pairwise"
    micro_batch: int | None = None
    bf16: bool = False

    def backward(self, batch: TrainBatch) -> Losses:
        """Add the gradient of the global batch's loss to the parameters, before it is averaged over the workers.

        Args:
            batch: of this worker, on the model's device.
        """
        tokens_TL = torch.cat([batch.captions_BL, batch.negatives_HL])
        if self.micro_batch is None:
            embeddings = Embeddings(*self._pictures(batch.pictures_NHWC), *self._texts(tokens_TL))
            return self._descend(batch, embeddings)
        pictures = self.micro_batch * batch.index_BF.shape[1]
        shown = _cache(self._pictures, batch.pictures_NHWC, pictures)
        said = _cache(self._texts, tokens_TL, self.micro_batch)
        losses = self._descend(batch, Embeddings(*shown, *said))
        _replay(self._pictures, batch.pictures_NHWC, pictures, shown)
        _replay(self._texts, tokens_TL, self.micro_batch, said)
        return losses

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.model.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def _pictures(self, pictures_NHWC: Tensor) -> tuple[Tensor, ...]:
        with self._precision():
            return self.model.embed_pictures(pictures_NHWC)

    def _texts(self, tokens_TL: Tensor) -> tuple[Tensor, ...]:
        with self._precision():
            return (self.model.embed_text(tokens_TL),)

    def _descend(self, batch: TrainBatch, embeddings: Embeddings) -> Losses:
        model = self.model
        index_BF, embeddings = self._with_padding(batch, embeddings)
        raw_ND = embeddings.raw_ND
        with self._precision():
            temporal_BFD, coarse_BD = model.encode_time(raw_ND[index_BF], batch.mask_BF)
        local = TrainingTokens(
            text_TD=embeddings.text_TD,
            pictures_ND=nnf.normalize(raw_ND, dim=-1),
            patches_NPD=embeddings.patches_NPD,
            index_BF=index_BF,
            mask_BF=batch.mask_BF,
            temporal_BFD=temporal_BFD.float(),
            coarse_BD=coarse_BD.float(),
        )
        tokens, owned_B = gather_tokens(local, batch.owned_B)
        losses = eercf_losses(
            tokens,
            model.clip.logit_scale,
            model.coarse_mix_DD,
            model.frame_mix_FF,
            model.config.fusion,
            gating=self.gating,
            ignored_TB=ignored_pairs(owned_B, tokens.index_BF, len(tokens.text_TD)),
        )
        losses.total.backward()  # type: ignore[no-untyped-call]
        return losses

    def _with_padding(self, batch: TrainBatch, embeddings: Embeddings) -> tuple[Tensor, Embeddings]:
        """In the reference profile padded frames show one more picture, the public code's, on every worker."""
        if self.model.config.fusion.masked:
            return batch.index_BF, embeddings
        with self._precision():
            raw_1D, patches_1PD = self.model.embed_padding()
        index_BF = torch.where(batch.mask_BF.bool(), batch.index_BF, len(embeddings.raw_ND))
        raw_ND = torch.cat([embeddings.raw_ND, raw_1D])
        patches_NPD = torch.cat([embeddings.patches_NPD, patches_1PD])
        return index_BF, Embeddings(raw_ND, patches_NPD, embeddings.text_TD)


def _cache(encode: _Encode, rows: Tensor, size: int) -> list[Tensor]:
    """Embeddings of all rows as leaves that collect a gradient."""
    with torch.no_grad():
        parts = [encode(part) for part in torch.split(rows, size)]
    return [torch.cat(columns).requires_grad_() for columns in zip(*parts, strict=True)]


def _replay(encode: _Encode, rows: Tensor, size: int, cached: list[Tensor]) -> None:
    grads = zip(*(torch.split(_grad_of(leaf), size) for leaf in cached), strict=True)
    for part, part_grads in zip(torch.split(rows, size), grads, strict=True):
        pairs = zip(encode(part), part_grads, strict=True)
        # A frozen tower's embeddings lead to no parameter.
        carried = [(embedding, grad) for embedding, grad in pairs if embedding.requires_grad]
        if not carried:
            return
        torch.autograd.backward([embedding for embedding, _ in carried], [grad for _, grad in carried])


def _grad_of(leaf: Tensor) -> Tensor:
    # A weight of zero may leave an embedding out of the loss.
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
