"""DiDeMo as paragraphs: the descriptions of a video's moments joined to one text.

Files: train_data.json, val_data.json and test_data.json of Anne Hendricks et al., ICCV 2017. Their paper counts 8,395,
1,065 and 1,004 videos; the files name some more, so retrieval papers keep to the lists train_list.txt, val_list.txt and
test_list.txt of the project collaborative-experts (8,392, 1,065 and 1,004).
"""

from pathlib import Path

from pipeline.datasets.annotation import entries, find_file, maybe_blank, need_file, read_json, read_list, text_field
from pipeline.datasets.dataset import Annotations, Counts
from pipeline.datasets.protocol import annotate, paragraph, refuse_overlap
from pipeline.datasets.video_files import stem

COUNTS = {"train": Counts(8395, 8395), "val": Counts(1065, 1065), "test": Counts(1004, 1004)}


def read(folder: Path, split: str) -> Annotations:
    """The paragraphs of a split, of the videos in its list if there is one.

    Raises:
        InputError: a file is missing or malformed, or a video is in this split and in test.
    """
    path = need_file(folder, f"{split}_data.json")
    sentences = _sentences(path)
    listing = find_file(folder, f"{split}_list.txt")
    keys = _listed(read_list(listing), sentences) if listing else tuple(sentences)
    if split != "test":
        refuse_overlap(keys, _sentences(need_file(folder, "test_data.json")), listing or path)
    texts = {key: [paragraph(parts)] for key, parts in sentences.items()}
    by = f"; the videos of {listing.name}" if listing else f"; all videos of {path.name}"
    return annotate(keys, texts, path, f"all descriptions of a video are joined to one text{by}", COUNTS[split])


def _listed(names: tuple[str, ...], known: dict[str, list[str]]) -> tuple[str, ...]:
    """The videos of a list as the annotations call them: some copies of the lists leave the endings out."""
    by_stem = {stem(key): key for key in known}
    return tuple(by_stem.get(stem(name), name) for name in names)


def _sentences(path: Path) -> dict[str, list[str]]:
    """The descriptions of every video, in the order of the file."""
    found: dict[str, list[str]] = {}
    for number, entry in enumerate(entries(read_json(path), list, path, "whole file")):
        key = text_field(entry, "video", path, f"entry {number}")
        text = maybe_blank(entry.get("description"), "description", path, f"entry {number}")
        found.setdefault(key, []).append(text)
    return found
