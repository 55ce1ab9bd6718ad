"""What a version must pass before it is published, and what is told of it afterwards."""

import json

import pytest

from pipeline.index.publication import _why_no_sample, publish_checked
from pipeline.index.switch import publish
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import list_versions, live_version, read_manifest
from schemas.errors import CheckFailedError, IndexCorruptError, InputError, ModelMismatchError
from schemas.index_config import PublishConfig
from schemas.manifest import VersionManifest


@pytest.fixture
def two(build, index):
    """Two versions of the same tables, the first one live."""
    build(frames="no"), build(frames="no", index_type="HNSW")
    publish(index, 1)
    return index


def publish_with(index, **settings):
    said = []
    summary = publish_checked(PublishConfig.of({"index": index.root, **settings}), said.append)
    return summary, said


def fewer_answers(monkeypatch, collection):
    real = VectorStore.search_keys

    def search(self, where, *args):
        found = real(self, where, *args)
        return [keys[:5] for keys in found] if where == collection else found

    monkeypatch.setattr(VectorStore, "search_keys", search)


def change_manifest(index, version, **changes):
    name = f"versions/{version}/manifest.json"
    index.write(name, json.dumps(json.loads(index.read(name)) | changes).encode())


def test_versions_that_answer_alike_agree_wholly_by_vectors_and_by_texts(two, tmp_path):
    (tmp_path / "texts").write_text("a red ball\n\n two dogs \n")
    summary, said = publish_with(two, canaries=str(tmp_path / "texts"), min_overlap=1.0, min_recall=0.95)
    figures = summary.canaries
    assert (summary.version, summary.live, figures.version, figures.count) == (2, True, 1, 2)
    assert (figures.queries, figures.overlap, figures.rank_correlation, figures.same_model) == ("texts", 1, 1, True)
    assert said[1:] == [
        "canaries: 2 texts, overlap@10 1.000 and rank correlation 1.000 with version 1",
        "checked: files, counts in Milvus, 12 clips found by their own vectors",
    ]
    back, _ = publish_with(two, version=1, min_overlap=1.0)
    assert (back.canaries.queries, back.canaries.count, back.canaries.overlap) == ("own vectors", 12, 1)


def test_a_version_that_answers_otherwise_or_finds_too_little_is_not_published(two, monkeypatch, tmp_path):
    fewer_answers(monkeypatch, read_manifest(two, 2).collection)
    change_manifest(two, 2, ann=json.loads(two.read("versions/2/manifest.json"))["ann"] | {"recall": {
        "k": 12, "queries": 12, "own": 0.97, "noisy": 0.96, "target": 0.95}})  # fmt: skip
    (tmp_path / "empty").write_text("\n")
    for settings, error, says in (
        ({"min_overlap": 0.9}, CheckFailedError, "overlap with version 1 by 0.500, below the 0.9 of --min-overlap"),
        ({"min_recall": 0.99}, CheckFailedError, "is 0.960, below the 0.99 asked for"),
        ({"canaries": str(tmp_path / "empty")}, InputError, "holds 0 queries"),
        ({"evaluation": str(tmp_path / "empty")}, InputError, r"is no report\.json"),
    ):
        with pytest.raises(error, match=rf"^[^\n]*{says}[^\n]*$"):
            publish_with(two, **settings)
        assert live_version(two) == 1
    summary, said = publish_with(two)
    assert (summary.live, summary.canaries.overlap) == (True, 0.5)
    assert said[0] == "recall@12 at build: 0.970 for own vectors, 0.960 for noisy ones"


def test_a_version_that_is_live_already_is_checked_and_told_to_be_so(two):
    _, said = publish_with(two, version=1)
    assert said[-2:] == [
        "checked: files, counts in Milvus, 12 clips found by their own vectors",
        "version 1 was live already: nothing changed",
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"clips": 0, "revision": 2}, "holds no clips: all of them were deleted"),
        ({"revision": 2}, "names no clips to ask for: those that it named were deleted"),
        ({}, "built by an older release"),
    ],
)
def test_why_a_version_names_no_clips_is_told_as_it_is(changes, says):
    manifest = VersionManifest.model_construct(version=2, **{"clips": 3, "revision": 1} | changes)
    assert says in _why_no_sample(manifest)


def test_a_version_of_another_model_is_reported_not_compared_by_vectors(two):
    change_manifest(two, 1, model_id="other-1")
    with pytest.raises(CheckFailedError, match="were not compared with version 1: it is of another model, other-1"):
        publish_with(two, min_overlap=0.1)
    summary, said = publish_with(two)
    assert summary.canaries is None
    assert "canaries not compared with version 1: it is of another model, other-1; give texts with --canaries" in said


def test_a_clip_that_milvus_lost_is_named_and_a_revised_version_may_lack_some(two, monkeypatch):
    real = VectorStore.stored_vectors
    monkeypatch.setattr(VectorStore, "stored_vectors", lambda self, where, ids: real(self, where, ids[1:]))
    lost = read_manifest(two, 2).sample[0]
    with pytest.raises(IndexCorruptError, match=f"has lost clip {lost} "):
        publish_with(two)
    assert live_version(two) == 1
    change_manifest(two, 2, revision=2)
    assert publish_with(two)[0].live


def test_figures_of_an_evaluation_are_told_of_the_version_whose_model_they_are_of(two, model, report_of):
    with pytest.raises(ModelMismatchError, match="the evaluation is of model other-1, version 2 of "):
        publish_with(two, evaluation=report_of("other-1"))
    assert live_version(two) == 1
    summary, _ = publish_with(two, evaluation=report_of(model.model_id))
    assert summary.evaluation.figures == {"R@1": 41.5, "R@10": 80.0}
    assert [entry.evaluation for entry in list_versions(two)] == [None, summary.evaluation]


@pytest.fixture
def report_of(tmp_path):
    """A report of an evaluation with a model, as a file."""
    ways = {way: {"R@1": 41.5, "R@10": 80.0} for way in ("coarse", "two_stage", "exhaustive")}
    cost = {name: {} for name in ("macs", "macs_ratio", "seconds", "seconds_ratio", "cpu_seconds", "cpu_ratio")}

    def write(model_id):
        report = {
            "data": {"spec": "clips/", "split": "test"}, "notes": [], "model": "m", "model_id": model_id,
            "recall": "both", "recall_k": 50, "queries": 40, "clips": 12,
            "overall": {"queries": 40, "t2v": ways, "sweep": {}}, "groups": {}, "tags": {}, "ranks": {},
            "absent": {"missing": 0, "quarantined": {}, "captions": 0, "names": {}, "t2v_with_misses": {}},
            "cost": {**cost, "queries": 1, "threads": 1, "paper_macs": {}}, "paper": [], "worst": [], "phases": {},
            "dsl": None, "probes": {},
        }  # fmt: skip
        path = tmp_path / f"{model_id}.json"
        path.write_text(json.dumps(report))
        return str(path)

    return write


@pytest.mark.parametrize("name", ["live.json", "versions/1/manifest.json"])
def test_a_good_version_can_be_published_over_a_damaged_one(two, name):
    two.write(name, b"{")
    summary, said = publish_with(two, version=2)
    assert (summary.live, live_version(two)) == (True, 2)
    assert any(line.startswith("canaries not compared: ") and "is damaged" in line for line in said)


def test_a_version_is_not_published_over_a_damaged_one_where_agreement_is_asked_for(two):
    two.write("live.json", b"{")
    with pytest.raises(CheckFailedError, match="nothing was published"):
        publish_with(two, version=2, min_overlap=0.5)
    assert two.read("live.json") == b"{"
