"""ActivityNet Captions as paragraphs: the sentences of a video joined to one text.

Files: train.json, val_1.json and val_2.json of Krishna et al., ICCV 2017. Test is val_1, as in Zhang et al., ECCV 2018,
and in all retrieval papers since. val_2 describes videos of val_1 a second time, so it is no validation split and is
not read. Sizes (10,009 and 4,917 videos): the project collaborative-experts.
"""

from pathlib import Path

from pipeline.datasets.annotation import entries, maybe_blank, need_file, read_json
from pipeline.datasets.dataset import Annotations, Counts
from pipeline.datasets.protocol import HELD_OUT_RULE, annotate, paragraph, refuse_overlap, train_or_val

TRAIN, TEST = "train.json", "val_1.json"
COUNTS = {"train": Counts(9509, 9509), "val": Counts(500, 500), "test": Counts(4917, 4917)}
_PROTOCOL = "all sentences of a video are joined to one text"


def read(folder: Path, split: str) -> Annotations:
    """The paragraphs of a split.

    Raises:
        InputError: a file is missing or malformed, or a video is in train and test.
    """
    test_path = need_file(folder, TEST)
    test = _paragraphs(test_path)
    if split == "test":
        return annotate(test, test, test_path, f"{_PROTOCOL}; test is val_1", COUNTS["test"])
    path = need_file(folder, TRAIN)
    texts = _paragraphs(path)
    refuse_overlap(texts, test, path)
    return annotate(train_or_val(tuple(texts), split), texts, path, f"{_PROTOCOL}; {HELD_OUT_RULE}", COUNTS[split])


def video_names(key: str) -> tuple[str, ...]:
    """Names of a video's file: with the set's prefix, or as YouTube has it.

    >>> video_names("v_QOlSCBRmfWY")
    ('v_QOlSCBRmfWY', 'QOlSCBRmfWY')
    """
    return key, key.removeprefix("v_")


def _paragraphs(path: Path) -> dict[str, list[str]]:
    texts = {}
    for key, value in entries(read_json(path), dict, path, "whole file").items():
        place = f"entry {key!r}"
        sentences = entries(entries(value, dict, path, place).get("sentences"), list, path, f"{place}, 'sentences'")
        texts[key] = [paragraph(maybe_blank(sentence, "sentences", path, place) for sentence in sentences)]
    return texts
