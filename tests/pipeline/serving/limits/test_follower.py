"""The service switches to a version only when it can answer, and says why while it cannot."""

import asyncio

import pytest

from pipeline.serving.errors import FailureError
from pipeline.serving.limits.follower import Follower
from schemas.errors import IndexCorruptError, IndexMissingError, StorageError, VectorStoreError
from schemas.manifest import VersionManifest
from schemas.scoring import Fusion, ScoringParams
from schemas.tables import TokenShape


def manifest(version):
    return VersionManifest(
        version=version, model="m", model_id="m-1", weights_sha256="", sampler="uniform",
        token_shape=TokenShape(frames=1, patches=1, dim=2),
        scoring=ScoringParams(fusion=Fusion(), frame_mix=((1.0,),)),
        codec="fp16", metric="IP", index_type="FLAT", milvus="lite", collection=f"c{version}", alias="clips",
        clips=1, videos=1, bytes_per_clip=1, shards=[], tables="t", created_utc="",
    )  # fmt: skip


class World:
    """What is published, and what is broken."""

    def __init__(self):
        self.published = None
        self.revision = 1
        self.read_error = self.prepare_error = self.check_error = None
        self.prepared = []

    def read(self):
        if self.read_error:
            raise self.read_error
        if self.published is None:
            raise IndexMissingError("nothing is published: run 'reelsift index publish'")
        return manifest(self.published).model_copy(update={"revision": self.revision})

    async def prepare(self, found):
        if self.prepare_error:
            raise self.prepare_error
        self.prepared.append(found.version)

    async def check(self, found):
        if self.check_error:
            raise self.check_error

    def follower(self):
        return Follower(self.read, self.prepare, self.check, period_s=0.001)


def look(follower):
    asyncio.run(follower.look())


def test_a_new_revision_of_the_same_version_is_prepared_and_taken_up():
    world = World()
    world.published = 1
    follower = world.follower()
    look(follower)
    world.revision = 2
    world.prepare_error = VectorStoreError("away")
    look(follower)
    assert follower.current().revision == 1
    world.prepare_error = None
    look(follower)
    assert follower.current().revision == 2
    assert world.prepared == [1, 1]


def code_of(follower):
    with pytest.raises(FailureError) as caught:
        follower.current()
    return caught.value.failure.detail.code


@pytest.fixture
def world():
    return World()


def test_before_the_first_look_it_is_starting(world):
    assert code_of(world.follower()) == "starting"


def test_without_a_published_version_it_says_what_to_run(world):
    follower = world.follower()
    look(follower)
    assert code_of(follower) == "index_empty"
    assert "reelsift index publish" in follower.failing.detail.message


def test_a_version_is_prepared_once_and_then_used(world):
    follower = world.follower()
    world.published = 1
    look(follower)
    look(follower)
    assert (follower.current().version, world.prepared) == (1, [1])
    assert (follower.failing, follower.outdated) == (None, None)


def test_it_switches_forth_and_back(world):
    follower = world.follower()
    for world.published in (1, 2, 1):
        look(follower)
        assert follower.current().version == world.published


@pytest.mark.parametrize(
    "error", [IndexCorruptError("bad shard"), VectorStoreError("no such collection"), KeyError("x")]
)
def test_a_version_that_cannot_be_prepared_leaves_the_old_one_in_use(world, error):
    follower = world.follower()
    world.published = 1
    look(follower)
    world.published, world.prepare_error = 2, error
    look(follower)
    assert follower.current().version == 1
    assert follower.failing is None
    assert follower.outdated is not None
    world.prepare_error = None
    look(follower)
    assert (follower.current().version, follower.outdated) == (2, None)


def test_storage_that_is_away_for_a_moment_changes_nothing(world):
    follower = world.follower()
    world.published = 1
    look(follower)
    world.read_error = StorageError("s3 is away")
    look(follower)
    assert follower.current().version == 1
    assert follower.outdated.detail.code == "storage_unavailable"
    assert follower.failing is None


def test_milvus_away_is_reported_but_searches_are_still_tried(world):
    follower = world.follower()
    world.published = 1
    look(follower)
    world.check_error = VectorStoreError("Milvus does not answer")
    look(follower)
    assert follower.current().version == 1
    assert follower.failing.detail.code == "milvus_unavailable"
    assert follower.outdated is None


def test_a_version_that_is_withdrawn_is_not_used_any_more(world):
    follower = world.follower()
    world.published = 1
    look(follower)
    world.published = None
    look(follower)
    assert code_of(follower) == "index_empty"


def test_following_outlives_every_error(world):
    async def follow():
        follower = world.follower()
        task = asyncio.create_task(follower.follow())
        for world.read_error in (StorageError("away"), RuntimeError("bug"), None):
            await asyncio.sleep(0.05)
        world.published = 5
        while follower.manifest is None:
            await asyncio.sleep(0.005)
        task.cancel()
        return follower.current().version

    assert asyncio.run(asyncio.wait_for(follow(), 30)) == 5
