"""While versions are built, published, rolled back and removed, each answer comes from one version, and none fails."""

import asyncio
import threading
from contextlib import closing
from types import SimpleNamespace

import pytest

from models.registry import load_model
from pipeline.index.build import build_index
from pipeline.index.garbage import collect_garbage
from pipeline.index.switch import publish, rollback
from pipeline.index.versions import live_manifest
from pipeline.query_encoding import encode_query
from pipeline.search import Searcher
from pipeline.serving.messages import Encoded
from pipeline.serving.replicas.reranker import Reranker
from pipeline.serving.service import Service
from pipeline.serving.stages import OneProcess
from pipeline.storage import Store
from schemas.config import ServeConfig
from schemas.http import SearchRequest
from schemas.index_config import IndexConfig
from tests.pipeline.serving.in_process import Handle
from tests.tables_factory import make_tables

MODELS = ("random-tiny", "reelsift-tiny")
QUERY = "a red star"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Tables of two models, without a clip in common: the clip ids of each, by model."""
    root = tmp_path_factory.mktemp("corpora")
    ids = {}
    for seed, name in enumerate(MODELS):
        model = load_model(name)
        store = Store(str(root / name))
        made = make_tables(store, shape=model.token_shape, model_id=model.model_id, model=name, seed=seed)
        ids[name] = set(made.clip_ids)
    assert not ids[MODELS[0]] & ids[MODELS[1]]
    return SimpleNamespace(root=root, ids=ids)


class World:
    """One index, and which clips each of its versions holds."""

    def __init__(self, index, corpora):
        self.index = index
        self._corpora = corpora
        self.clips = {}

    def build(self, name):
        summary = build_index(IndexConfig(tables=str(self._corpora.root / name), index=self.index.root))
        self.clips[summary.version] = self._corpora.ids[name]
        return summary.version

    def check(self, result):
        """All hits, in the order of their ranks, are of the version that the answer names."""
        found = [hit.clip_id for hit in result.hits]
        assert len(found) == len(set(found)) == 12
        assert set(found) == self.clips[result.version]
        assert [hit.rank for hit in result.hits] == list(range(1, 13))


@pytest.fixture
def world(index, corpora):
    made = World(index, corpora)
    made.build(MODELS[0])
    publish(index)
    return made


class Reader(threading.Thread):
    """Opens the index and searches, again and again; keeps the versions it saw, and 0 when it ended."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self._world = world
        self._stop_asked = threading.Event()
        self._looked = threading.Condition()
        self.seen = []
        self.failed = True

    def run(self):
        try:
            while not self._stop_asked.is_set():
                with closing(Searcher.open(self._world.index.root)) as searcher:
                    for _ in range(2):
                        result = searcher.search(QUERY, 12, 12)
                        self._world.check(result)
                        self._note(result.version)
            self.failed = False
        finally:
            self._note(0)

    def _note(self, version):
        with self._looked:
            self.seen.append(version)
            self._looked.notify_all()

    def wait_for(self, version):
        """Until this reader has seen a version to be live."""
        with self._looked:
            assert self._looked.wait_for(lambda: self.seen and self.seen[-1] in (version, 0), 60)
        assert self.seen[-1] == version

    def end(self):
        self._stop_asked.set()
        self.join(60)
        assert not self.failed


def test_readers_in_a_loop_get_each_answer_from_exactly_one_version_and_none_fails(world):
    index, readers = world.index, [Reader(world) for _ in range(2)]

    def all_see(version):
        for reader in readers:
            reader.wait_for(version)

    for reader in readers:
        reader.start()
    all_see(1)
    assert world.build(MODELS[1]) == 2
    all_see(1)  # a build changes nothing
    assert publish(index).version == 2
    all_see(2)
    assert rollback(index).version == 1
    all_see(1)
    assert rollback(index).version == 2
    all_see(2)
    assert world.build(MODELS[0]) == 3
    assert publish(index).version == 3
    all_see(3)
    assert collect_garbage(index, 0).removed == [1]
    assert rollback(index).version == 2
    all_see(2)
    for reader in readers:
        reader.end()
        changes = [v for v, before in zip(reader.seen, [0, *reader.seen], strict=False) if v != before]
        assert changes == [1, 2, 1, 2, 3, 2, 0]


class Encoder:
    """In the place of the deployment: it encodes at once, with the model of the version that it is asked for."""

    def __init__(self, world):
        self._world = world

    async def warm(self, version):
        pass

    async def encode(self, version, query):
        name = next(name for name in MODELS if self._world.clips[version] is self._world._corpora.ids[name])
        return Encoded(encode_query(load_model(name), query), 0.0)


def test_the_service_takes_up_a_rollback_as_it_does_a_publish(world):
    index = world.index
    world.build(MODELS[1])

    reranker = Reranker(index.root)

    async def serve():
        service = Service(ServeConfig(index=index.root), Handle(Encoder(world)), OneProcess(Handle(reranker)))
        seen = []
        for change in (lambda: None, lambda: publish(index, 2), lambda: rollback(index), lambda: rollback(index)):
            change()
            await service.look()
            assert await service.trouble() is None
            result = await service.search(SearchRequest(query=QUERY, k=12, recall_k=12))
            world.check(result)
            seen.append(result.version)
        return seen

    try:
        assert asyncio.run(serve()) == [1, 2, 1, 2]
    finally:
        # As Ray Serve does with a replica that ends. Stores must not be closed where garbage happens to be collected.
        reranker.__del__()
    assert live_manifest(index).version == 2
