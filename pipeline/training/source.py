"""Where a run's batches and its validation clips come from: generated scenes, or a set of captioned videos."""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import DataLoader, Dataset

from models.eercf import EercfModel
from pipeline.datasets.catalog import open_dataset
from pipeline.synthetic.captions import caption
from pipeline.synthetic.scene import sample_scene
from pipeline.training.bad_videos import BadVideo, without_file
from pipeline.training.batch import LoadedBatch
from pipeline.training.captioned import ChangeShares
from pipeline.training.clip_loader import ClipLoader, ClipShape
from pipeline.training.synthetic_batches import SyntheticBatches
from pipeline.training.synthetic_gallery import synthetic_gallery
from pipeline.training.validation import Gallery
from pipeline.training.video_batches import DecodedHere, VideoBatches, clip_order
from pipeline.training.video_gallery import video_gallery
from schemas.errors import ConfigError
from schemas.training import TrainConfig

# Batches of videos that others decode: of a worker, from a step to the last.
BatchStream = Callable[[VideoBatches, int, int], Iterator[LoadedBatch]]
_SYNTHETIC = "synthetic:"
# Validation scenes come of another seed than training's; both stay below a test set's usual small seeds.
_VALIDATION_OFFSET = 1_000_003


class _Steps(Dataset[LoadedBatch]):
    def __init__(self, make: Callable[[int], LoadedBatch], first: int, last: int) -> None:
        self._make, self._first, self._last = make, first, last

    def __len__(self) -> int:
        return self._last - self._first

    def __getitem__(self, index: int) -> LoadedBatch:
        return self._make(self._first + index)


def synthetic_seed(data: str) -> int | None:
    """The seed of a `synthetic:SEED`; None for videos.

    >>> synthetic_seed("synthetic:7"), synthetic_seed("clips")
    (7, None)

    Raises:
        ConfigError: the seed is no whole number.
    """
    if not data.startswith(_SYNTHETIC):
        return None
    text = data.removeprefix(_SYNTHETIC)
    if not text.isdecimal():
        raise ConfigError(f"--data {data!r}: write it as synthetic:SEED with a whole number")
    return int(text)


def check_data(config: TrainConfig) -> None:
    """Whether the training data can be used, before anything is started.

    Raises:
        ConfigError: the seed is no whole number, or there is no such set.
        InputError: a split has no videos, or the training split less than a batch.
    """
    if synthetic_seed(config.data) is None:
        clip_order(config, open_dataset(config.data, "train"))
        open_dataset(config.data, "val")


def without_files(config: TrainConfig) -> list[BadVideo]:
    """The videos that the annotations name and nobody has; none of generated scenes."""
    if synthetic_seed(config.data) is not None:
        return []
    return [bad for split in ("train", "val") for bad in without_file(open_dataset(config.data, split))]


def vocabulary_captions(config: TrainConfig) -> list[str]:
    """Captions to cut the vocabulary from."""
    seed = synthetic_seed(config.data)
    if seed is None:
        return [line.text for line in open_dataset(config.data, "train").captions]
    rng = np.random.default_rng(seed)
    return [caption(sample_scene(rng), rng) for _ in range(config.vocabulary_captions)]


def training_batches(
    config: TrainConfig, model: EercfModel, first: int, rank: int, world: int, stream: BatchStream | None = None
) -> Iterator[LoadedBatch]:
    """The batches of this worker for steps `first` to the last.

    Args:
        config: of the run.
        model: whose pictures and tokens are wanted.
        first: steps done.
        rank: of this worker.
        world: workers.
        stream: see `pipeline.training.loop.train`; generated scenes need none.
    """
    seed = synthetic_seed(config.data)
    if seed is not None:
        yield from _loaded(_Drawn(_drawn_batches(config, model, seed, rank, world)), config, first)
        return
    dataset = open_dataset(config.data, "train")
    batches = VideoBatches.of(config, dataset, model.tokenizer, rank, world)
    if stream is not None:
        yield from stream(batches, first, config.steps)
        return
    loader = ClipLoader.of(dataset, ClipShape.of(model.config, config.decode_timeout_s))
    try:
        yield from _loaded(DecodedHere(batches, loader), config, first)
    finally:
        loader.close()


def _loaded(make: Callable[[int], LoadedBatch], config: TrainConfig, first: int) -> Iterator[LoadedBatch]:
    steps = _Steps(make, first, config.steps)
    yield from DataLoader(steps, batch_size=None, num_workers=config.loaders)


class _Drawn:
    """Generated batches, of which none is bad."""

    def __init__(self, make: SyntheticBatches) -> None:
        self._make = make

    def __call__(self, step: int) -> LoadedBatch:
        return LoadedBatch(self._make(step))


def _drawn_batches(config: TrainConfig, model: EercfModel, seed: int, rank: int, world: int) -> SyntheticBatches:
    return SyntheticBatches(
        seed=seed,
        clips=config.batch // world,
        size_px=model.config.preprocess.image_size,
        composed=config.composed,
        twins=config.twins,
        redraw=config.redraw,
        shares=ChangeShares(config.relation_share, config.shape_share),
        codec_share=config.codec_share,
        omit=config.omit,
        hard_negatives=config.hard_negatives,
        tokenizer=model.tokenizer,
        rank=rank,
    )


def validation_gallery(config: TrainConfig, model: EercfModel) -> tuple[Gallery, tuple[BadVideo, ...]]:
    """Clips that no training step sees, and the videos of their split that cannot be used."""
    seed = synthetic_seed(config.data)
    if seed is None:
        validation = open_dataset(config.data, "val")
        return video_gallery(validation, model, config.validation_clips, config.decode_timeout_s)
    size_px, frames = model.config.preprocess.image_size, model.config.num_frames
    return synthetic_gallery(seed + _VALIDATION_OFFSET, config.validation_clips, size_px, frames), ()
