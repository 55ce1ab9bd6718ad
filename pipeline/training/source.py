"""Where a run's batches and its validation clips come from: generated scenes, or a folder of videos."""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import DataLoader, Dataset

from models.eercf import EercfModel
from pipeline.synthetic.captions import caption
from pipeline.synthetic.scene import sample_scene
from pipeline.training.batch import TrainBatch
from pipeline.training.folder_batches import FolderBatches, folder_captions, folder_gallery, of_split, read_captions
from pipeline.training.synthetic_batches import SyntheticBatches
from pipeline.training.synthetic_gallery import synthetic_gallery
from pipeline.training.validation import Gallery
from schemas.errors import ConfigError
from schemas.training import TrainConfig

_SYNTHETIC = "synthetic:"
# Validation scenes come of another seed than training's; both stay below a test set's usual small seeds.
_VALIDATION_OFFSET = 1_000_003


class _Steps(Dataset[TrainBatch]):
    def __init__(self, make: Callable[[int], TrainBatch], first: int, last: int) -> None:
        self._make, self._first, self._last = make, first, last

    def __len__(self) -> int:
        return self._last - self._first

    def __getitem__(self, index: int) -> TrainBatch:
        return self._make(self._first + index)


def synthetic_seed(data: str) -> int | None:
    """The seed of a `synthetic:SEED`; None for a folder.

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
        ConfigError: the seed is no whole number.
        InputError: the folder is none of `reelsift data make`, or has no training videos.
    """
    if synthetic_seed(config.data) is None:
        of_split(read_captions(config.data), "train", config.data)


def vocabulary_captions(config: TrainConfig) -> list[str]:
    """Captions to cut the vocabulary from."""
    seed = synthetic_seed(config.data)
    if seed is None:
        return folder_captions(config.data)
    rng = np.random.default_rng(seed)
    return [caption(sample_scene(rng), rng) for _ in range(config.vocabulary_captions)]


def training_batches(config: TrainConfig, model: EercfModel, first: int, rank: int, world: int) -> Iterator[TrainBatch]:
    """The batches of this worker for steps `first` to the last."""
    seed, clips = synthetic_seed(config.data), config.batch // world
    make: Callable[[int], TrainBatch]
    if seed is None:
        make = FolderBatches.of(config, model, clips, rank, world)
    else:
        make = SyntheticBatches(
            seed=seed,
            clips=clips,
            size_px=model.config.preprocess.image_size,
            composed=config.composed,
            omit=config.omit,
            hard_negatives=config.hard_negatives,
            tokenizer=model.tokenizer,
            rank=rank,
        )
    steps = _Steps(make, first, config.steps)
    return iter(DataLoader(steps, batch_size=None, num_workers=config.loaders))


def validation_gallery(config: TrainConfig, model: EercfModel) -> Gallery:
    """Clips that no training step sees."""
    seed = synthetic_seed(config.data)
    if seed is None:
        return folder_gallery(config.data, "val", model, config.validation_clips)
    size_px, frames = model.config.preprocess.image_size, model.config.num_frames
    return synthetic_gallery(seed + _VALIDATION_OFFSET, config.validation_clips, size_px, frames)
