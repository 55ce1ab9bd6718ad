"""LSMDC: clips of movies, a sentence each, under licence of MPII.

Files: LSMDC16_annos_training.csv, LSMDC16_annos_val.csv and LSMDC16_challenge_1000_publictect.csv (its real name), of
the challenge of 2016 (Rohrbach et al., IJCV 2017). They have no heading and six columns parted by tabs: clip, start and
end aligned, start and end extracted, sentence. A clip may have several lines, except in test. Sizes: 101,079, 7,408 and
1,000 clips, as in Luo et al. (CLIP4Clip), 2021, and the project collaborative-experts.
"""

from pathlib import Path

from pipeline.datasets.annotation import fold, malformed, need_file, read_lines
from pipeline.datasets.dataset import Annotations, Counts
from pipeline.datasets.protocol import annotate

FILES = {
    "train": "LSMDC16_annos_training.csv",
    "val": "LSMDC16_annos_val.csv",
    "test": "LSMDC16_challenge_1000_publictect.csv",
}
COUNTS = {"train": Counts(101_079), "val": Counts(7408), "test": Counts(1000, 1000)}
_COLUMNS = 6


def read(folder: Path, split: str) -> Annotations:
    """A split of the challenge; every line is a text.

    Raises:
        InputError: the file is missing or malformed.
    """
    path = need_file(folder, FILES[split])
    texts: dict[str, list[str]] = {}
    for number, line in read_lines(path):
        cells = _unquoted(line).split("\t")
        if len(cells) != _COLUMNS:
            malformed(path, f"line {number}", f"{len(cells)} columns parted by tabs instead of {_COLUMNS}")
        if not cells[0].strip():
            malformed(path, f"line {number}", "no clip in the first column")
        texts.setdefault(cells[0].strip(), []).append(fold(cells[-1]))
    return annotate(
        texts, texts, path, "every sentence of a clip is a text; the splits of the challenge", COUNTS[split]
    )


def _unquoted(line: str) -> str:
    r"""The line itself; in some copies a spreadsheet has put quotes around lines that hold a comma.

    >>> _unquoted('"a\tHe says ""now"", and leaves."')
    'a\tHe says "now", and leaves.'
    """
    return line[1:].removesuffix('"').replace('""', '"') if line.startswith('"') else line
