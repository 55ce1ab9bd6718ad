"""Codecs side by side on one trial: bytes a clip, what they find, how far they order as fp32 does, and their time."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from models.eercf import EercfModel
from models.reranking import score_pairs
from models.stored_clips import StoredClips
from models.token_sets import Pairs
from pipeline.evaluation.codec_trial import Trial, make_trial
from pipeline.index.codecs.codec import Codec
from pipeline.index.codecs.form import RecordBlock
from pipeline.index.codecs.names import codec_of
from pipeline.index.fine_writer import to_records
from pipeline.metrics import own_ranks, recall
from pipeline.storage import Store
from pipeline.tables import require_info
from pipeline.tables_model import model_of_tables
from schemas.index_config import CodecsConfig
from schemas.results import CodecFigures, CodecTable
from schemas.scoring import ScoringParams
from schemas.tables import TokenShape

REFERENCE = "fp32"
_TIMED = 64
_CLIPS_AT_ONCE = 64


def compare_codecs(config: CodecsConfig, say: Callable[[str], None]) -> CodecTable:
    """Try codecs on the clips of some tables.

    Args:
        config: the settings.
        say: gets a line as each codec begins.

    Raises:
        StorageError: there are no tables, or no clips in them.
        InputError: the captions cannot be read, or are of other videos.
        ModelMismatchError: the model of the tables now loads as another one.
    """
    # Work this small only loses by threads that wait for each other, and milliseconds are told of one thread.
    torch.set_num_threads(1)
    tables = Store(config.tables)
    info = require_info(tables)
    model = model_of_tables(info)
    trial = make_trial(config, tables, info, model)
    names = [REFERENCE, *(name for name in config.codecs if name != REFERENCE)]
    rows: list[CodecFigures] = []
    reference_Qk: np.ndarray | None = None
    for name in names:
        say(f"{name}: {len(trial.clips)} clips, {len(trial.text_QD)} queries")
        clips, record_bytes = encoded(trial, codec_of(name), info.token_shape, model)
        score_Qk, ms = scored(trial, clips, model.scoring)
        reference_Qk = score_Qk if reference_Qk is None else reference_Qk
        rows.append(_figures(name, record_bytes, trial, score_Qk, reference_Qk, ms))
    return CodecTable(
        clips=len(trial.clips),
        queries=trial.queries,
        candidates=trial.candidates_Qk.shape[1],
        model_id=info.model_id,
        codecs=rows,
        max_loss=config.max_loss,
        choice=choose(rows, config.max_loss),
    )


def choose(rows: Sequence[CodecFigures], max_loss: float) -> str:
    """The codec of the fewest bytes whose R@1 is at most `max_loss` points below that of the first row, fp32."""
    least = rows[0].recall_at_1 - max_loss
    return min((row for row in rows if row.recall_at_1 >= least), key=lambda row: row.bytes_per_clip).codec


def encoded(trial: Trial, codec: Codec, shape: TokenShape, model: EercfModel) -> tuple[StoredClips, int]:
    """The trial's clips in a codec, as an index would hold them, and the bytes of one."""
    masked = model.scoring.fusion.masked
    batches = trial.clips.to_batches(max_chunksize=_CLIPS_AT_ONCE)
    records = np.concatenate([to_records(batch, shape, codec, masked=masked) for batch in batches])
    block = RecordBlock(records.view(np.uint8).reshape(len(records), -1), records.dtype)
    return codec.stored(block, shape.dim), records.dtype.itemsize


def scored(trial: Trial, clips: StoredClips, params: ScoringParams) -> tuple[np.ndarray, float]:
    """Final scores of all candidates (Q x k), and the median milliseconds of a query of the first few."""
    scores, spent = [], []
    rows_Qk, coarse_Qk = trial.candidates_Qk.numpy(), trial.coarse_Qk.numpy()
    for query in (0, *range(len(rows_Qk))):
        rows_k = rows_Qk[query]
        pairs = Pairs(trial.text_QD[query : query + 1], np.zeros(len(rows_k), np.int64), rows_k)
        start = time.perf_counter()
        score_k, _ = score_pairs(pairs, clips, coarse_Qk[query], params)
        spent.append(1000 * (time.perf_counter() - start))
        scores.append(score_k)
    # The first call compiles.
    return np.stack(scores[1:]), float(np.median(spent[1 : 1 + _TIMED]))


def rank_correlation(score_Qk: np.ndarray, other_Qk: np.ndarray) -> float:
    """Spearman's rho of two rankings, the mean over the queries.

    >>> rank_correlation(np.array([[3.0, 2.0, 1.0]]), np.array([[1.0, 2.0, 3.0]]))
    -1.0
    """
    ranks = [score.argsort(1).argsort(1).astype(np.float64) for score in (score_Qk, other_Qk)]
    one, two = (rank - rank.mean(1, keepdims=True) for rank in ranks)
    # Ranks are the same numbers in another order: their spread is the same.
    spread_Q = (one**2).sum(1)
    rho_Q = np.where(spread_Q > 0, (one * two).sum(1) / np.where(spread_Q > 0, spread_Q, 1), 1.0)
    return float(rho_Q.mean())


def _figures(
    name: str, record_bytes: int, trial: Trial, score_Qk: np.ndarray, reference_Qk: np.ndarray, ms: float
) -> CodecFigures:
    found_Q = trial.own_Qk.any(1)
    ranks_Q = own_ranks(torch.from_numpy(score_Qk), trial.own_Qk)
    # A clip that stage 1 did not find has no rank among the candidates.
    ranks_Q = torch.where(found_Q, ranks_Q, torch.iinfo(torch.int64).max)
    return CodecFigures(
        codec=name,
        bytes_per_clip=record_bytes,
        recall_at_1=round(recall(ranks_Q, 1), 2),
        recall_at_10=round(recall(ranks_Q, 10), 2),
        rank_correlation=round(rank_correlation(score_Qk, reference_Qk), 4),
        same_first=round(100.0 * float((score_Qk.argmax(1) == reference_Qk.argmax(1)).mean()), 2),
        score_ms=round(ms, 3),
    )
