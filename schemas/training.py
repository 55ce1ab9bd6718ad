"""Settings of `reelsift train`, and what a run of it says at its end."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from schemas.config import MAX_ACTORS, MAX_COUNT, Config, Count, Fraction, Seconds
from schemas.results import Result
from schemas.scoring import Profile


class TrainConfig(Config):
    """Settings of `reelsift train`.

    Attributes:
        data: synthetic:SEED (scenes drawn as they are needed, never the same twice), a folder with captions.jsonl, or
            NAME:FOLDER of a published set.
        out: folder, local or s3://bucket/prefix, of checkpoints, metrics and the trained bundle.
        model: start from this model; None to start from `architecture`.
        architecture: config.json of a bundle, for weights drawn from `seed`.
        vocabulary_captions: cut the vocabulary to the pieces of so many captions; 0 keeps CLIP's.
        composed: every picture of a batch is also shown as an event of other clips of the batch, so that clips of
            12 frames cost one picture each; otherwise each clip has frames of its own. Only with synthetic data.
        omit: chance that a caption leaves out a size, the pattern or the background.
        hard_negatives: share of the captions that bring one along that is wrong in a single attribute.
        twins: share of a composed batch's clips that are pairs which differ in a single attribute, both shown and told.
        redraw: chance that a synthetic scene of one kind of object is drawn again: of the scenes a third shows two
            objects in a relation at 0, a half at 0.5.
        relation_share: of the hard negatives and twins of a scene with a relation, the share that turns it round.
        shape_share: of all others, the share that changes a shape; the rest changes any attribute.
        codec_share: share of the synthetic pictures that are drawn at the size of a video and go through a codec.
        steps: of the optimiser.
        batch: clips of the global batch.
        micro_batch: clips a worker encodes at once; None for all. The gradient does not depend on it.
        seed: of weights, data and order.
        lr: peak learning rate.
        clip_lr: of both CLIP towers; None for `lr`, right for weights drawn at random, far too much for trained ones.
        optimizer: of the matrices of transformer blocks; all else is AdamW's.
        beta2: of AdamW.
        weight_decay: none on biases, norms and the logit scale.
        warmup: share of the steps.
        grad_clip: largest norm of the gradient.
        freeze: names of parameters, or what they begin with (whole words between dots), that stay as they start.
        ema: decay of the averaged weights that are validated and stored; 0 for none.
        precision: auto is bf16 autocast on a GPU, fp32 elsewhere; weights and optimiser stay fp32.
        activation_checkpointing: compute activations again in the backward pass instead of keeping them.
        profile: exact, or reference to train as the public code does; None for the profile of the model that the run
            starts from. It goes into the bundle.
        gating: pairwise, or paired as in the public code; None for what the profile says.
        workers: of Ray Train; 0 trains in this process, without Ray.
        use_gpu: one GPU a worker.
        max_failures: how often the workers are started again after one died.
        cpus_per_worker: logical CPUs.
        loaders: processes a worker that draw or decode ahead.
        decode_timeout_s: for one video; one that takes longer is bad.
        validation_clips: of the validation split (synthetic: of another seed).
        validate_every: steps; the last step is always validated.
        checkpoint_every: steps.
        log_every: steps.
    """

    data: str = Field(min_length=1)
    out: str = Field(min_length=1)
    model: str | None = Field(default=None, min_length=1)
    architecture: dict[str, Any] | None = None
    vocabulary_captions: int = Field(default=0, ge=0, le=10**9)
    composed: bool = False
    omit: Fraction = 0.05
    hard_negatives: Fraction = 0.5
    twins: Fraction = 0.0
    redraw: float = Field(default=0.0, ge=0, lt=1)
    relation_share: Fraction = 0.5
    shape_share: Fraction = 0.4
    codec_share: Fraction = 0.25
    steps: int = Field(default=1000, ge=1, le=10**9)
    batch: int = Field(default=64, ge=2, le=MAX_COUNT)
    micro_batch: Count | None = None
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    lr: float = Field(default=1e-4, gt=0)
    clip_lr: float | None = Field(default=None, gt=0)
    optimizer: str = Field(default="adamw", pattern="^(adamw|muon)$")
    beta2: float = Field(default=0.98, gt=0, lt=1)
    weight_decay: float = Field(default=0.2, ge=0)
    warmup: Fraction = 0.1
    grad_clip: float = Field(default=1.0, gt=0)
    freeze: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    ema: float = Field(default=0.0, ge=0, lt=1)
    precision: str = Field(default="auto", pattern="^(auto|fp32|bf16)$")
    activation_checkpointing: bool = False
    profile: Profile | None = None
    gating: Literal["pairwise", "paired"] | None = None
    workers: int = Field(default=1, ge=0, le=MAX_ACTORS)
    use_gpu: bool = False
    max_failures: int = Field(default=2, ge=0, le=MAX_COUNT)
    cpus_per_worker: float = Field(default=1.0, gt=0, le=1024)
    loaders: int = Field(default=1, ge=0, le=MAX_ACTORS)
    decode_timeout_s: Seconds = 60.0
    validation_clips: int = Field(default=200, ge=2, le=MAX_COUNT)
    validate_every: int = Field(default=200, ge=1, le=10**9)
    checkpoint_every: int = Field(default=100, ge=1, le=10**9)
    log_every: int = Field(default=10, ge=1, le=10**9)

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if (self.model is None) == (self.architecture is None):
            raise ValueError("give either model or architecture")
        if self.batch % max(1, self.workers):
            raise ValueError(f"batch {self.batch} must be a multiple of workers {self.workers}")
        if self.composed and not self.data.startswith("synthetic:"):
            raise ValueError("composed clips need synthetic data")
        if self.twins and not self.composed:
            raise ValueError("twins need composed clips")
        return self


class TrainSummary(Result):
    """What a run did; `best_step` is the one whose weights are in `bundle`, `bad_videos` are named in `out`."""

    out: str
    bundle: str
    steps: int
    resumed_from: int
    best_step: int
    best_recall_1: float
    bad_videos: int
    parameters: int
    seconds: float
