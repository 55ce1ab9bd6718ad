from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.evaluation import codec_figures
from pipeline.evaluation.codec_figures import choose, compare_codecs
from pipeline.storage import Store
from schemas.errors import StorageError
from schemas.index_config import CodecsConfig
from schemas.results import CodecFigures
from schemas.scoring import Fusion, ScoringParams
from tests.tables_factory import TINY, make_tables


def row(codec, size, found):
    return CodecFigures(
        codec=codec, bytes_per_clip=size, recall_at_1=found, recall_at_10=100, rank_correlation=1, same_first=100,
        score_ms=1,
    )  # fmt: skip


@pytest.mark.parametrize(("loss", "choice"), [(0.0, "fp16"), (0.3, "int8"), (5.0, "frames")])
def test_the_choice_is_the_smallest_within_the_loss(loss, choice):
    rows = [row("fp32", 400, 50.0), row("fp16", 200, 50.0), row("int8", 100, 49.7), row("frames", 10, 45.0)]
    assert choose(rows, loss) == choice


@pytest.fixture
def tables(tmp_path, monkeypatch):
    store = Store(str(tmp_path / "tables"))
    make_tables(store, num_videos=10, clips_per_video=3)
    mix = tuple(map(tuple, np.eye(TINY.frames).tolist()))
    model = SimpleNamespace(scoring=ScoringParams(fusion=Fusion(), frame_mix=mix), coarse_mix_DD=torch.eye(TINY.dim))
    monkeypatch.setattr(codec_figures, "model_of_tables", lambda info: model)
    return store.root


def test_without_captions_queries_are_made_of_the_clips_and_lossless_forms_agree_with_fp32(tables):
    config = CodecsConfig(tables=tables, codecs=("fp16", "int8", "frames"), queries=40, candidates=12)
    table = compare_codecs(config, lambda line: None)
    assert (table.clips, table.candidates) == (30, 12)
    assert "made from the clips" in table.queries
    rows = {row.codec: row for row in table.codecs}
    assert list(rows) == ["fp32", "fp16", "int8", "frames"]
    assert rows["fp16"].recall_at_1 == rows["fp32"].recall_at_1
    assert rows["fp16"].rank_correlation == rows["fp32"].rank_correlation == 1.0
    assert rows["fp16"].rank_correlation >= rows["int8"].rank_correlation > rows["frames"].rank_correlation
    assert rows["fp32"].bytes_per_clip > rows["fp16"].bytes_per_clip > rows["frames"].bytes_per_clip
    assert table.choice in rows


def test_tables_without_clips_are_one_clear_line(tmp_path):
    with pytest.raises(StorageError, match=r"holds no tables: run 'reelsift extract"):
        compare_codecs(CodecsConfig(tables=str(tmp_path)), lambda line: None)
