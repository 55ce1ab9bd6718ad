"""Many texts at once find what each finds alone, and Milvus is asked once of each kind."""

from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.index.frame_search import group_by_clip
from pipeline.index.hits import CoarseHit, FrameHit
from pipeline.ranking import EncodedQuery
from pipeline.recall import recall
from pipeline.recall_batch import recall_batch
from tests.tables_factory import unit

CLIPS, FRAMES, DIM, TEXTS = 60, 4, 8, 5
MANIFEST = SimpleNamespace(
    collection="c",
    ann=SimpleNamespace(search={}),
    frames=SimpleNamespace(collection="f", ann=SimpleNamespace(search={})),
    covers=lambda shard, row: True,
)


@dataclass
class Vectors:
    """A VectorStore by brute force that counts what it is asked; `gone` has frames left, but no clip."""

    coarse_CD: np.ndarray
    frames_CFD: np.ndarray
    gone: frozenset = frozenset()
    calls: Counter = field(default_factory=Counter)

    def hit(self, clip, score):
        return CoarseHit(f"c{clip:03d}", "v", "a.mp4", 0.0, 1.0, 0, clip, float(score))

    def search(self, collection, queries_QD, limit, search, expression):
        self.calls["search"] += 1
        kept = [clip for clip in range(CLIPS) if clip not in self.gone]
        hits = [[self.hit(clip, self.coarse_CD[clip] @ query_D) for clip in kept] for query_D in queries_QD]
        return [sorted(found, key=lambda hit: -hit.coarse_score)[:limit] for found in hits]

    def search_frames(self, collection, text_D, limit, search, expression):
        return self.search_frames_batch(collection, text_D[None], limit, search, expression)[0]

    def search_frames_batch(self, collection, texts_QD, limit, search, expression):
        self.calls["search_frames"] += 1
        answers = []
        for text_D in texts_QD:
            frames = [FrameHit(f"c{clip:03d}", float(v @ text_D)) for clip, f in enumerate(self.frames_CFD) for v in f]
            frames.sort(key=lambda hit: -hit.frame_score)
            answers.append(group_by_clip(lambda n, frames=frames: frames[:n], limit))
        return answers

    def look_up(self, collection, clip_ids, query_D):
        return self.look_up_batch(collection, [clip_ids], query_D[None])[0]

    def look_up_batch(self, collection, clip_ids, queries_QD):
        self.calls["look_up"] += 1
        return [
            [
                self.hit(clip, self.coarse_CD[clip] @ query_D)
                for clip in map(int, (i[1:] for i in ids))
                if clip not in self.gone
            ]
            for ids, query_D in zip(clip_ids, queries_QD, strict=True)
        ]


def world(gone=frozenset()):
    rng = np.random.default_rng(3)
    texts_QD, queries_QD = unit(rng, TEXTS, DIM), unit(rng, TEXTS, DIM)
    queries = [EncodedQuery(text_D, query_D) for text_D, query_D in zip(texts_QD, queries_QD, strict=True)]
    return Vectors(unit(rng, CLIPS, DIM), unit(rng, CLIPS, FRAMES, DIM), gone), queries


def plain(found):
    return [
        [(hit.clip_id, pytest.approx(hit.coarse_score, abs=1e-6)) for hit in part]
        for part in (found.candidates, found.others)
    ]


@pytest.mark.parametrize("mode", ["coarse", "frames", "both"])
@pytest.mark.parametrize("gone", [frozenset(), frozenset(range(0, CLIPS, 3))])
@pytest.mark.parametrize(("k", "recall_k"), [(5, 10), (20, 8), (10, 60)])
def test_each_text_finds_what_it_finds_alone(mode, gone, k, recall_k):
    vectors, queries = world(gone)
    together = recall_batch(vectors, MANIFEST, queries, mode, k, recall_k)
    for query, found in zip(queries, together, strict=True):
        assert plain(found) == plain(recall(vectors, MANIFEST, query, mode, k, recall_k))


@pytest.mark.parametrize(
    ("mode", "calls"),
    [
        ("coarse", {"search": 1}),
        ("frames", {"search_frames": 1, "look_up": 1}),
        ("both", {"search": 1, "search_frames": 1, "look_up": 1}),
    ],
)
def test_milvus_is_asked_once_of_each_kind_for_all_texts(mode, calls):
    vectors, queries = world()
    recall_batch(vectors, MANIFEST, queries, mode, 5, 10)
    assert vectors.calls == calls
