"""docs/datasets.md names the sets, files and sizes that the readers know."""

from pathlib import Path

import pytest

from pipeline.datasets import activitynet, didemo, lsmdc, msrvtt, msvd, vatex
from pipeline.datasets.catalog import PUBLISHED, SPLITS

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "datasets.md").read_text()
COUNTS = {
    "msrvtt-1ka": msrvtt.COUNTS_1KA,
    "msrvtt-full": msrvtt.COUNTS_FULL,
    "msvd": msvd.COUNTS,
    "vatex": vatex.COUNTS,
    "activitynet": activitynet.COUNTS,
    "didemo": didemo.COUNTS,
    "lsmdc": lsmdc.COUNTS,
}
FILES = {
    "msrvtt-1ka": (msrvtt.DATA, msrvtt.TRAIN_9K, msrvtt.JSFUSION),
    "msrvtt-full": (msrvtt.DATA, *msrvtt.CHALLENGE),
    "msvd": (msvd.PICKLE, msvd.PLAIN),
    "vatex": (vatex.TRAINING, vatex.VALIDATION, vatex.HGR, vatex.TEST_LIST),
    "activitynet": (activitynet.TRAIN, activitynet.TEST),
    "didemo": ("train_data.json", "val_data.json", "test_data.json"),
    "lsmdc": tuple(lsmdc.FILES.values()),
}


def rows(name):
    """The rows of a set: its files and sizes, then where they come from."""
    return [row for row in TEXT.splitlines() if row.startswith(f"| `{name}` |")]


def test_every_set_has_its_two_rows():
    assert {name: len(rows(name)) for name in PUBLISHED} == dict.fromkeys(PUBLISHED, 2)
    assert set(COUNTS) == set(FILES) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_files_and_sizes_are_those_of_the_reader(name):
    row = rows(name)[0]
    assert [file for file in FILES[name] if f"`{file}`" not in row] == []
    cells = [cell.strip() for cell in row.split("|")][3:6]
    for split, cell in zip(SPLITS, cells, strict=True):
        counts = COUNTS[name][split]
        wanted = f"{counts.videos:,}" if counts.captions is None else f"{counts.videos:,}, {counts.captions:,}"
        assert cell.replace(" videos", "").replace(" texts", "").replace(" (held out)", "") == wanted
