"""What codecs are tried on: clips of the user's tables, queries, and the candidates that each query finds for stage 2.

Queries are captions where there are any. Else they are made from the clips: a clip's coarse vector and one of its real
frames, half and half, with noise of three times their length. So a query is about as far from its clip (cosine 0.3) as
a text of CLIP is from its picture. Such queries compare codecs; they say nothing about how well a model retrieves.

Shapes: B clips, Q queries, k candidates, F frames, D channels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.eercf import EercfModel
from models.scoring import video_score
from pipeline.datasets.catalog import open_dataset
from pipeline.evaluation.scores import encode_texts, frame_recall_scores
from pipeline.index.fine_writer import clip_tokens
from pipeline.metrics import candidate_order, united_order
from pipeline.storage import Store, canonical
from pipeline.tables import iter_clips
from schemas.errors import InputError, StorageError
from schemas.index_config import CodecsConfig
from schemas.tables import TablesInfo

_NOISE = 3.0


@dataclass(frozen=True)
class Trial:
    """Clips, queries and candidates.

    Attributes:
        clips: rows of the tables.
        text_QD: unit vectors, float32.
        own_Qk: bool, which candidates are of the query's video.
        candidates_Qk: rows of the clips, best first.
        coarse_Qk: their S_vid / s.
        queries: what they are, for a person.
    """

    clips: pa.Table
    text_QD: np.ndarray
    own_Qk: Tensor
    candidates_Qk: Tensor
    coarse_Qk: Tensor
    queries: str


def make_trial(config: CodecsConfig, tables: Store, info: TablesInfo, model: EercfModel) -> Trial:
    """Read clips, and find each query's candidates as a search does: by coarse vector and by frames, in turn.

    Raises:
        StorageError: there are no clips.
        InputError: the captions cannot be read, or are of other videos.
    """
    texts_of = _captions(config) if config.data else {}
    wanted = set(texts_of) if config.data else None
    clips = _read(iter_clips(tables, info.model_id), wanted, config.clips)
    if clips is None:
        if config.data:
            raise InputError(f"no clip in {tables.root} is of a video of {config.data}, split {config.split!r}")
        raise StorageError(f"{tables.root} holds no clips: run 'reelsift extract --tables {tables.root}' first")
    coarse_BD = torch.from_numpy(np.stack(clips["coarse"].to_numpy()))
    tokens = clip_tokens(clips.to_batches()[0], info.token_shape)
    frames_BFD = torch.from_numpy(tokens.frames_BFD.astype(np.float32))
    mask_BF = torch.from_numpy(tokens.mask_BF)
    draw = np.random.default_rng(config.seed)
    uris = np.array(clips["uri"].to_pylist())
    if config.data:
        asked = [(uri, text) for uri in dict.fromkeys(uris.tolist()) for text in texts_of[uri]]
        asked = [asked[i] for i in sorted(draw.permutation(len(asked))[: config.queries].tolist())]
        text_QD = encode_texts(model, [text for _, text in asked])
        own_QB = torch.from_numpy(np.array([uri for uri, _ in asked])[:, None] == uris)
        queries = f"{len(asked)} captions of {config.data}"
    else:
        clip_Q, text_QD = made_queries(coarse_BD, frames_BFD, mask_BF, config.queries, draw)
        own_QB = torch.from_numpy(clip_Q[:, None] == np.arange(len(uris)))
        queries = f"{len(clip_Q)} made from the clips' own vectors with noise, since no --data gives captions"
    coarse_QB = video_score(text_QD, model.coarse_mix_DD.cpu(), coarse_BD)
    frames_QB = frame_recall_scores(text_QD, frames_BFD, mask_BF)
    depth = min(config.candidates, len(uris))
    orders = (candidate_order(score_QB, own_QB, depth) for score_QB in (coarse_QB, frames_QB))
    candidates_Qk = united_order("both", *orders)
    own_Qk, coarse_Qk = own_QB.gather(1, candidates_Qk), coarse_QB.gather(1, candidates_Qk)
    return Trial(clips, text_QD.numpy(), own_Qk, candidates_Qk, coarse_Qk, queries)


def made_queries(
    coarse_BD: Tensor, frames_BFD: Tensor, mask_BF: Tensor, count: int, draw: np.random.Generator
) -> tuple[np.ndarray, Tensor]:
    """Queries out of the clips themselves: the clip of each (Q), and unit vectors (Q x D).

    A clip without a real frame is never asked for.
    """
    asked = draw.choice(np.flatnonzero(mask_BF.any(1).numpy()), count)
    frame = [int(draw.choice(np.flatnonzero(mask_BF[clip].numpy()))) for clip in asked]
    target_QD = normalize(coarse_BD[asked] + frames_BFD[asked, frame], dim=1)
    noise_QD = normalize(torch.from_numpy(draw.standard_normal(target_QD.shape, np.float32)), dim=1)
    return asked, normalize(target_QD + _NOISE * noise_QD, dim=1)


def _captions(config: CodecsConfig) -> dict[str, list[str]]:
    dataset = open_dataset(config.data or "", config.split)
    uri_of = {key: canonical(uri) for key, uri in dataset.videos}
    texts: dict[str, list[str]] = {uri: [] for uri in uri_of.values()}
    for caption in dataset.captions:
        texts[uri_of[caption.key]].append(caption.text)
    return texts


def _read(parts: Iterable[pa.Table], wanted: set[str] | None, most: int) -> pa.Table | None:
    kept: list[pa.Table] = []
    rows = 0
    for table in parts:
        chosen = [wanted is None or uri in wanted for uri in table["uri"].to_pylist()]
        kept.append(table.filter(pa.array(chosen, pa.bool_())).slice(0, most - rows))
        rows += len(kept[-1])
        if rows == most:
            break
    return pa.concat_tables(kept).combine_chunks() if rows else None
