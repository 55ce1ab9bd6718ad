"""From a build with fields to filtered answers: those of the unfiltered ranking, without what does not pass."""

import pyarrow as pa
import pytest

from pipeline.index.field_values import check_videos, field_values
from pipeline.index.switch import publish
from pipeline.index.update import update_index
from pipeline.index.versions import read_manifest
from pipeline.search import Searcher
from pipeline.storage import Store
from schemas.errors import ConfigError, StorageError, UsageError
from schemas.fields import BUILT_IN_NAMES, FilterField
from schemas.filters import FilterError, parse_filter
from schemas.index_config import IndexConfig, UpdateConfig
from tests.tables_factory import make_tables

NUMBER_TWO = '{"field": "number", "op": "==", "value": 2}'


@pytest.fixture
def searcher(build, index):
    build(fields=["number:int", "color:string"])
    publish(index, None)
    opened = Searcher.open(index.root)
    yield opened
    opened.close()


@pytest.mark.parametrize("mode", ["coarse", "frames", "both"])
def test_a_filtered_answer_is_the_ranking_without_what_does_not_pass(searcher, tables, mode):
    numbers = {clip["clip_id"]: i % 3 for i, clip in enumerate(tables.clips)}
    every = searcher.search("a red star", 12, 12, mode).hits
    assert len(every) == 12
    for raw, passes in (
        (NUMBER_TWO, lambda hit: numbers[hit.clip_id] == 2),
        ('{"not": {"field": "start_s", "op": "<", "value": 4}}', lambda hit: hit.start_s >= 4),
        ('{"field": "color", "op": "exists"}', lambda hit: False),
        ('{"field": "uri", "op": "prefix", "value": "/videos/s0-0001"}', lambda hit: "s0-0001" in hit.uri),
    ):
        found = searcher.search("a red star", 12, 12, mode, parse_filter(raw)).hits
        expected = [hit for hit in every if passes(hit)]
        assert [(hit.clip_id, hit.score, hit.stage) for hit in found] == [
            (hit.clip_id, hit.score, hit.stage) for hit in expected
        ]


@pytest.mark.parametrize("mode", ["coarse", "frames", "both"])
def test_as_many_hits_come_as_there_are(searcher, mode):
    narrowed = parse_filter(NUMBER_TWO)
    for k, recall_k in ((3, 1), (4, 4), (10, 2), (1, 1)):
        assert len(searcher.search("a blue circle", k, recall_k, mode, narrowed).hits) == min(k, 4)


def test_a_field_that_the_version_does_not_have_is_named(searcher):
    with pytest.raises(FilterError, match=r"^filter: no field 'year'; this version has color, duration_s,"):
        searcher.search("a", 3, 3, "coarse", parse_filter('{"field": "year", "op": "==", "value": 1}'))


def test_the_manifest_lists_the_fields_with_their_types(searcher, index):
    fields = {field.name: field.type for field in read_manifest(index, 1).fields}
    assert set(fields) == {*BUILT_IN_NAMES, "number", "color"}
    assert (fields["number"], fields["color"], fields["width"]) == ("int", "string", "int")


def test_a_value_of_another_type_ends_a_build_and_nothing_stays(build, index):
    with pytest.raises(UsageError, match=r"^clip \w+ \(/videos/[^\n]*\): number = 0 is no bool[^\n]*$"):
        build(fields=["number:bool"])
    assert index.names("versions") == []


def test_a_field_that_no_clip_has_a_value_of_is_told(build):
    said = []
    build(say=said.append, fields=["number:int", "colour:string"], frames="no")
    assert [line for line in said if "--field" in line] == [
        "no clip has a value of colour: is the name of --field right?"
    ]


@pytest.mark.parametrize("text", ["year", "year:date", "1st:int", "a b:int", "uri:string", "", "year:int:x"])
def test_what_is_no_field_is_wrong_usage(text):
    with pytest.raises(ConfigError, match="setting 'fields"):
        IndexConfig.of({"tables": "t", "index": "i", "fields": [text]})


def test_a_field_is_given_once():
    with pytest.raises(ConfigError, match="year is given twice"):
        IndexConfig.of({"tables": "t", "index": "i", "fields": ["year:int", "year:float"]})


def test_clips_that_an_update_adds_pass_filters_too(build, index, tables, tmp_path, model):
    build(fields=["number:int"])
    publish(index, None)
    added = make_tables(
        Store(str(tmp_path / "tables")), 1, shape=model.token_shape, model_id=model.model_id, model=model.name, seed=1
    )
    update_index(UpdateConfig(tables=str(tmp_path / "tables"), index=index.root))
    opened = Searcher.open(index.root)
    for mode in ("coarse", "frames"):
        found = {hit.clip_id for hit in opened.search("a", 15, 15, mode, parse_filter(NUMBER_TWO)).hits}
        assert found == {clip["clip_id"] for made in (tables, added) for clip in made.clips if "2" in clip["metadata"]}
    opened.close()


@pytest.mark.parametrize(
    ("field", "metadata", "says"),
    [
        ("year:string", '{"year": 2001}', r"year = 2001 is no string: "),
        ("year:int", '{"year": "2001.5"}', r"year = '2001.5' is no int: "),
        ("s:float", '{"s": NaN}', r"s = nan is not finite: "),
        ("s:float", '{"s": "nan"}', r"s = 'nan' is not finite: "),
    ],
)
def test_a_value_is_quoted_as_what_it_is_and_nan_is_none(field, metadata, says):
    rows = pa.table({"uri": ["a.mp4"], "status": ["done"], "metadata": [metadata]})
    with pytest.raises(UsageError, match=f"^the clips of a.mp4: {says}"):
        check_videos(rows, [FilterField.own(field)])


@pytest.mark.parametrize("text", ["{", "", "[1]"])
def test_metadata_of_a_clip_that_are_none_are_told_with_the_clip(text):
    rows = pa.table({"clip_id": ["c1"], "uri": ["a.mp4"], "metadata": [text]})
    with pytest.raises(StorageError, match=r"^clip c1 \(a.mp4\): its metadata .* is no JSON object"):
        field_values(rows, [FilterField.own("s:float")])


def test_values_of_an_update_are_looked_at_before_it_begins():
    rows = {
        "uri": ["a.mp4", "b.mp4"],
        "status": ["quarantined", "done"],
        "metadata": ['{"year": "x"}', '{"year": "y"}'],
    }
    with pytest.raises(UsageError, match=r"^the clips of b.mp4: year = 'y' is no int: "):
        check_videos(pa.table(rows), [FilterField.own("year:int")])
