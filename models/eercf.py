"""The EERCF model: CLIP towers, temporal transformer, coarse mix G, frame mix A.

Shapes: T texts, B clips, F frames, P patches a frame, D channels, N pictures.
"""

from dataclasses import dataclass

import open_clip
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from models.config import ModelConfig
from models.temporal import TemporalTransformer
from models.towers import build_clip, image_tokens, normalize_pixels, text_tokens
from models.vocabulary import CompactTokenizer, TokenizeTexts, vocabulary_rows
from schemas.errors import UnknownModelError
from schemas.scoring import ScoringParams
from schemas.tables import TokenShape

# What a core keeps near while it encodes. On an EPYC ViT-B/32 takes 96 pictures at once a fifth longer each than 12.
_CACHE_BYTES = 8 << 20


@dataclass(frozen=True)
class ClipTokens:
    """Embeddings of B clips: unit vectors; where a frame is padding zeros, or in the reference profile its tokens."""

    coarse_BD: Tensor
    frames_BFD: Tensor
    temporal_BFD: Tensor
    patches_BFPD: Tensor


class EercfModel(nn.Module):
    """Encodes texts and clips for both stages.

    Args:
        config: architecture and preprocessing.
        name: the short name that starts the model_id.
    """

    def __init__(self, config: ModelConfig, name: str) -> None:
        super().__init__()
        self.config = config
        self.name = name
        self.model_id = ""
        self.weights_sha256 = ""
        if config.vocabulary is not None:
            _check_rows(config, name)
        self.clip = build_clip(config.clip, name, config.conv_stem)
        dim = self.clip.visual.output_dim
        self.temporal = TemporalTransformer(dim, config.temporal_layers)
        self.frame_positions_FD = nn.Parameter(torch.randn(config.num_frames, dim) * 0.01)
        self.coarse_mix_DD = nn.Parameter(torch.eye(dim))
        self.frame_mix_FF = nn.Parameter(torch.eye(config.num_frames))
        self.tokenizer = _tokenizer(config, self.clip.context_length, name)
        self.start_temporal_from_text()

    @torch.no_grad()
    def start_temporal_from_text(self) -> None:
        """Initialise e from the text tower's position embeddings and the first layers from its blocks.

        Where the widths differ (no model of OpenAI's), or the text tower is too shallow, the initial draw stays.
        """
        positions_LD = self.clip.positional_embedding
        if positions_LD.shape[1] != self.frame_positions_FD.shape[1]:
            return
        count = min(len(positions_LD), len(self.frame_positions_FD))
        self.frame_positions_FD[:count] = positions_LD[:count]
        for block, source in zip(self.temporal.resblocks, self.clip.transformer.resblocks, strict=False):
            weights = block.state_dict()
            block.load_state_dict({k: v for k, v in source.state_dict().items() if k in weights})

    @property
    def token_shape(self) -> TokenShape:
        """F, P and D."""
        rows, columns = self.clip.visual.grid_size
        return TokenShape(frames=self.config.num_frames, patches=rows * columns, dim=self.clip.visual.output_dim)

    @property
    def scoring(self) -> ScoringParams:
        """What stage 2 needs of this model."""
        mix = tuple(tuple(float(x) for x in row) for row in self.frame_mix_FF.detach().cpu())
        return ScoringParams(fusion=self.config.fusion, frame_mix=mix)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.coarse_mix_DD.device

    @torch.inference_mode()
    def encode_text(self, texts: list[str]) -> Tensor:
        """Unit text vectors, T x D float32: the hidden state at the end-of-text token, projected.

        A text longer than the context is cut by the tokenizer, which keeps the end-of-text token.
        """
        return self.embed_text(self.tokenizer(texts))

    def embed_text(self, tokens_TL: Tensor) -> Tensor:
        """`encode_text` of token ids, with gradients."""
        longest = int(tokens_TL.argmax(-1).max()) + 1  # the end token has the largest id
        return nnf.normalize(text_tokens(self.clip, tokens_TL[:, :longest].to(self.device)).float(), dim=-1)

    def embed_pictures(self, pictures_NHWC: Tensor) -> tuple[Tensor, Tensor]:
        """Raw frame tokens f (N x D) and unit patch tokens (N x P x D) of uint8 pictures, with gradients."""
        return self._embed_pixels(normalize_pixels(pictures_NHWC.to(self.device), self.config.preprocess))

    def embed_padding(self) -> tuple[Tensor, Tensor]:
        """What `embed_pictures` gives for the picture that the public code pads with: zeros behind normalisation.

        That is the mean colour, not black, so no uint8 picture is exactly it.

        Returns:
            frame token 1 x D and unit patch tokens 1 x P x D, with gradients.
        """
        size = self.config.preprocess.image_size
        return self._embed_pixels(torch.zeros(1, 3, size, size, device=self.device))

    def _embed_pixels(self, pixels_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        frame_ND, patch_NPD = image_tokens(self.clip.visual, pixels_NCHW)
        return frame_ND.float(), nnf.normalize(patch_NPD.float(), dim=-1)

    @torch.inference_mode()
    def fold_query(self, text_TD: Tensor) -> Tensor:
        """Q = G^T t, so that stage 1 is a plain inner product: q . g = t^T G g."""
        return text_TD @ self.coarse_mix_DD

    @torch.inference_mode()
    def encode_clips(self, frames_BFHWC: Tensor, mask_BF: Tensor, batch_frames: int = 96) -> ClipTokens:
        """Embeddings of clips.

        What stands in padded frames is never looked at. In the reference profile one padding picture is encoded, and
        its tokens stand in all of them; otherwise their tokens are zeros.

        Args:
            frames_BFHWC: uint8 pictures of the model's image size.
            mask_BF: 1 real, 0 padding; each clip has at least one real frame.
            batch_frames: pictures a pass through the image tower, the bound of its memory; on a CPU fewer where more
                would leave its cache.
        """
        real_BF = mask_BF.bool().to(self.device)
        pixels_NHWC = frames_BFHWC[mask_BF.bool()]
        frames, patches = [], []
        for part_NHWC in torch.split(pixels_NHWC, self._frames_a_pass(batch_frames)):
            frame_ND, patch_NPD = self.embed_pictures(part_NHWC)
            frames.append(frame_ND)
            patches.append(patch_NPD)
        shape = self.token_shape
        raw_BFD = torch.zeros(*real_BF.shape, shape.dim, device=self.device)
        raw_BFD[real_BF] = torch.cat(frames)
        patches_BFPD = torch.zeros(*real_BF.shape, shape.patches, shape.dim, device=self.device)
        patches_BFPD[real_BF] = torch.cat(patches)
        if not self.config.fusion.masked and not bool(real_BF.all()):
            raw_BFD[~real_BF], patches_BFPD[~real_BF] = self.embed_padding()
        temporal_BFD, coarse_BD = self.encode_time(raw_BFD, real_BF.float())
        return ClipTokens(coarse_BD, nnf.normalize(raw_BFD, dim=-1), temporal_BFD, patches_BFPD)

    def _frames_a_pass(self, most: int) -> int:
        if self.device.type != "cpu":
            return most
        tokens, width = self.clip.visual.positional_embedding.shape
        return min(most, frames_in_cache(tokens, width))

    def encode_time(self, raw_BFD: Tensor, mask_BF: Tensor) -> tuple[Tensor, Tensor]:
        """V = n(H) with H = TemporalTransformer(f + e) + f, and g = n(mean of the real v).

        Args:
            raw_BFD: projected frame tokens f, not normalised.
            mask_BF: 1 real, 0 padding, float.

        Returns:
            temporal_BFD (zeros for padding, but in the reference profile v there too) and coarse_BD.
        """
        hidden_BFD = self.temporal(raw_BFD + self.frame_positions_FD, mask_BF) + raw_BFD
        all_BFD = nnf.normalize(hidden_BFD, dim=-1)
        real_BFD = all_BFD * mask_BF[..., None]
        mean_BD = real_BFD.sum(1) / mask_BF.sum(1, keepdim=True).clamp_min(1.0)
        return real_BFD if self.config.fusion.masked else all_BFD, nnf.normalize(mean_BD, dim=-1)


def frames_in_cache(tokens: int, width: int) -> int:
    """How many pictures a core takes through an image tower at once, at the least time a picture.

    The widest activations of a block, 4 x width a token in float32, then stay in a cache of the usual size.

    Args:
        tokens: of a picture, its class token included.
        width: of the tower.

    >>> frames_in_cache(50, 768), frames_in_cache(17, 128), frames_in_cache(257, 1024)
    (13, 240, 1)
    """
    return max(1, _CACHE_BYTES // (tokens * 4 * width * 4))


def _check_rows(config: ModelConfig, name: str) -> None:
    wanted, given = vocabulary_rows(config.vocabulary or ()), config.clip.get("text_cfg", {}).get("vocab_size")
    if wanted != given:
        raise UnknownModelError(f"{name}: text_cfg.vocab_size is {given}; its vocabulary of pieces needs {wanted} rows")


def _tokenizer(config: ModelConfig, context_length: int, name: str) -> TokenizeTexts:
    if config.text_length is not None:
        if config.text_length > context_length:
            raise UnknownModelError(
                f"{name}: text_length {config.text_length} is more than the text tower's {context_length} tokens"
            )
        context_length = config.text_length
    if config.vocabulary is None:
        full: TokenizeTexts = open_clip.SimpleTokenizer(context_length=context_length)
        return full
    return CompactTokenizer(config.vocabulary, context_length, name)
