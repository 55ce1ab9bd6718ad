"""A folder of generated videos, as small as training allows, some of them made unusable."""

from pathlib import Path

from jobs.data import main as data_command
from pipeline.datasets.catalog import open_dataset
from schemas.training import TrainConfig
from tests.pipeline.training.tiny import ARCHITECTURE

FOLDER = {
    "architecture": ARCHITECTURE,
    "vocabulary_captions": 1,
    "batch": 4,
    "steps": 6,
    "lr": 1e-3,
    "loaders": 0,
    "workers": 0,
    "validation_clips": 3,
    "validate_every": 3,
    "checkpoint_every": 2,
    "log_every": 1,
}


def make_clips(out, videos=12):
    shape = ["--set", "size_px=32", "--set", "min_seconds=4", "--set", "max_seconds=4", "--set", "workers=1"]
    data_command(
        ["make", "--out", str(out), "--videos", str(videos), "--seed", "3", *shape, "--set", "val_fraction=0.2"]
    )
    return out


def settings_of(folder, out="x", **changes):
    return TrainConfig.of({**FOLDER, "data": str(folder), "out": str(out), **changes})


def training_videos(folder):
    return [Path(place) for _, place in open_dataset(str(folder), "train").videos]


def spoil(path):
    path.write_bytes(b"no video at all")
