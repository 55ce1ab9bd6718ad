"""From captioned videos to a gallery: the real extraction, resumed where a run before stopped."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.dataset import Caption, CaptionedVideos
from pipeline.evaluation.gallery import ClipGallery, read_gallery
from pipeline.extraction import extract
from pipeline.storage import Store, canonical
from pipeline.tables import require_info
from schemas.config import ExtractConfig
from schemas.errors import ModelMismatchError, UsageError
from schemas.evaluation import EvaluateConfig
from schemas.results import ExtractSummary

_MANIFEST, _TABLES = "videos.jsonl", "tables"


@dataclass(frozen=True)
class EmbeddedVideos:
    """The clips that are there, and what is not.

    Attributes:
        gallery: the clips.
        captions: of these clips.
        refused: key -> reason, of the videos that could not be decoded.
        missing: keys of the videos without a file.
        absent_captions: of refused and missing videos.
        extracted: what the extraction did.
    """

    gallery: ClipGallery
    captions: tuple[Caption, ...]
    refused: dict[str, str]
    missing: tuple[str, ...]
    absent_captions: int
    extracted: ExtractSummary

    def refusals(self) -> dict[str, int]:
        """How many videos were refused, by reason."""
        return dict(sorted(Counter(self.refused.values()).items()))


def embed_videos(dataset: CaptionedVideos, config: EvaluateConfig, out: Path) -> EmbeddedVideos:
    """Bring OUT/tables up to date with the videos, and read their clips.

    Raises:
        ModelMismatchError: OUT holds an evaluation of another model.
        InputError: no video can be decoded.
        StorageError: the tables cannot be written or read.
    """
    lines = [json.dumps({"uri": canonical(uri), "key": key}, ensure_ascii=False) for key, uri in dataset.videos]
    Store(str(out)).write(_MANIFEST, "".join(f"{line}\n" for line in lines).encode())
    tables = str(out / _TABLES)
    extracting = {"input": [str(out / _MANIFEST)], "tables": tables, "model": config.model, **config.extract}
    try:
        extracted = extract(ExtractConfig.of(extracting))
    except ModelMismatchError as error:
        raise ModelMismatchError(
            f"--out {config.out} is of another evaluation; give another folder ({error})"
        ) from None
    info = require_info(Store(tables))
    if info.clips != "whole":
        raise UsageError(
            f"{tables} holds clips of rule {info.clips}, an evaluation needs whole videos: give another --out"
        )
    videos = [(key, canonical(uri)) for key, uri in dataset.videos]
    gallery, refused = read_gallery(Store(tables), info.model_id, info.token_shape, videos, out)
    captions = tuple(caption for caption in dataset.captions if caption.key not in refused)
    absent = dataset.absent_captions + len(dataset.captions) - len(captions)
    return EmbeddedVideos(gallery, captions, refused, dataset.missing, absent, extracted)
