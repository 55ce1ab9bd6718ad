"""A model's architecture and preprocessing, as data: config.json of a bundle."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.scoring import Fusion, Profile

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


class Preprocess(BaseModel):
    """Picture to tower input: short side to `image_size`, centre crop, scale to [0, 1], normalise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(ge=8)
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"


class ModelConfig(BaseModel):
    """Everything of an EERCF model but its weights.

    Attributes:
        clip: an open_clip architecture (embed_dim, vision_cfg, text_cfg, quick_gelu), a plain ViT.
        num_frames: F, the frames sampled of a clip.
        temporal_layers: depth of the temporal transformer.
        preprocess: how a picture becomes the tower's input.
        profile: "exact" keeps padded frames out of every score; "reference" behaves as the public code does.
        fusion: weights and temperatures of the score; its `masked` follows the profile.
        text_length: tokens that a text is cut to, start and end included; None for the text tower's context length.
        vocabulary: the BPE pieces of CLIP that the text tower knows; None for all of them.
        conv_stem: channels of stride-2 convolutions in place of the one that cuts patches; None for a plain ViT.
        seed: weights are drawn from this seed instead of being read from a file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip: dict[str, Any]
    num_frames: int = Field(default=12, ge=1, le=256)
    temporal_layers: int = Field(default=4, ge=1)
    preprocess: Preprocess
    profile: Profile = "exact"
    fusion: Fusion = Fusion()
    text_length: int | None = Field(default=None, ge=3)
    vocabulary: tuple[str, ...] | None = None
    conv_stem: tuple[int, ...] | None = None
    seed: int | None = None

    @model_validator(mode="after")
    def _profile_decides_masks(self) -> Self:
        masked = self.profile == "exact"
        if self.fusion.masked == masked:
            return self
        if "masked" in self.fusion.model_fields_set:
            raise ValueError(f"fusion.masked is {self.fusion.masked}, but profile {self.profile!r} needs {masked}")
        # The model is frozen for its users; here it is still being made.
        object.__setattr__(self, "fusion", self.fusion.model_copy(update={"masked": masked}))
        return self

    def with_profile(self, profile: Profile) -> Self:
        """The same model in a profile.

        >>> config = ModelConfig(clip={}, preprocess=Preprocess(image_size=32))
        >>> config.with_profile("reference").fusion.masked
        False
        """
        fusion = self.fusion.model_copy(update={"masked": profile == "exact"})
        return self.model_copy(update={"profile": profile, "fusion": fusion})
