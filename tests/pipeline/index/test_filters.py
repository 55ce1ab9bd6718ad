"""The filtered answers of Milvus, of both releases, are those of the same filter in Python."""

import json
import operator
import uuid

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.index.field_values import all_fields, field_values
from pipeline.index.filter_expression import filter_expression
from pipeline.index.index_choice import FLAT, HNSW
from pipeline.index.vector_store import VectorStore
from schemas.errors import UsageError
from schemas.fields import FilterField
from schemas.filters import AllOf, AnyOf, FilterError, Not, parse_filter
from tests.tables_factory import unit

DIM = 8
OWN = [FilterField.own(text) for text in ("year:int", "rating:float", "live:bool", "title:string")]
FIELDS = all_fields(OWN)
# What quotes, escapes and patterns could trip over; each is a title of some clip.
HOSTILE = [
    "", "a", "ab", "a%", "a_", "%", "_", 'say "hi"', "it's", "back\\slash", "\\", '\\"', "\\n", "line\nbreak",
    "tab\there", "cr\r", '" or clip_id != "', "{x}", "naïve", "日本語", "🎬🎬", "\U0010ffff", "\ue000", "a" * 500,
    "\x01\x7f", "null", "true", "]", "a\u2028b", "$meta",
]  # fmt: skip
OPS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def clip_of(i):
    """A clip's values by name; None where it has none."""
    return {
        "video_id": f"v{i // 3}",
        "uri": f's3://bücket/a "b"/{i % 4}\'.mp4',
        "start_s": i * 0.5,
        "end_s": i * 0.5 + 0.25,
        "duration_s": 0.25,
        "width": 640 * (1 + i % 3),
        "height": 480,
        "fps": [23.976, 25.0, 30.0][i % 3],
        "year": None if i % 5 == 0 else 2**63 - 1 - i if i % 7 == 0 else -i if i % 2 else i,
        "rating": None if i % 4 == 1 else [0.1, -2.5, 1e-7, 1e22, 0.0, 0.1, -2.5, 1e-7, 1e22, -0.0][i % 10],
        "live": [True, False, None][i % 3],
        "title": None if i >= len(HOSTILE) and i % 6 == 5 else HOSTILE[i % len(HOSTILE)],
    }


CLIPS = [clip_of(i) for i in range(2 * len(HOSTILE))]


def meets(tree, clip):
    """The filter as its documentation says it."""
    if isinstance(tree, AllOf):
        return all(meets(part, clip) for part in tree.parts)
    if isinstance(tree, AnyOf):
        return any(meets(part, clip) for part in tree.parts)
    if isinstance(tree, Not):
        return not meets(tree.part, clip)
    have, wanted = clip[tree.field], tree.value
    if tree.op == "exists":
        return (have is not None) == (wanted is not False)
    if have is None or tree.op in ("in", "not in"):
        return have is not None and (have in wanted) == (tree.op == "in")
    return have.startswith(wanted) if tree.op == "prefix" else OPS[tree.op](have, wanted)


def rows_of(clips):
    vectors = unit(np.random.default_rng(1), len(clips), DIM)
    for i, clip in enumerate(clips):
        row = {"clip_id": f"c{i:05d}", "shard": 0, "row": i, "metadata": {}, "v": vectors[i]}
        for field in FIELDS:
            value = clip[field.name]
            nothing = {"int": 0, "float": 0.0, "bool": False, "string": ""}[field.type]
            row[field.column] = nothing if value is None else value
            if field.present:
                row[field.present] = value is not None
        yield row


@pytest.fixture(scope="module", params=["lite", "server"])
def filled(request, tmp_path_factory):
    """All clips, and three frames of each, in one Milvus."""
    milvus = "lite" if request.param == "lite" else request.getfixturevalue("milvus_server")
    store = VectorStore.open(milvus, str(tmp_path_factory.mktemp("filters")))
    clips, frames = (f"test_{uuid.uuid4().hex}" for _ in range(2))
    rows = list(rows_of(CLIPS))
    store.create(clips, DIM, FIELDS)
    store.insert(clips, rows)
    store.flush_and_load(clips, FLAT)
    store.create_frames(frames, DIM, FIELDS)
    columns = {field.column for field in FIELDS} | {field.present for field in FIELDS}
    vectors = unit(np.random.default_rng(2), len(rows), 3, DIM)
    store.insert(
        frames,
        [
            {name: row[name] for name in columns & row.keys()}
            | {"frame_id": f"{row['clip_id']}:{f}", "clip_id": row["clip_id"], "v": vectors[i, f]}
            for i, row in enumerate(rows)
            for f in range(3)
        ],
    )
    store.flush_and_load(frames, FLAT)
    yield store, clips, frames, vectors
    store.drop(clips)
    store.drop(frames)
    store.close()


TEXTS = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=6), st.sampled_from(HOSTILE).map(lambda text: text[: len(text) // 2])
)
YEARS = [clip["year"] for clip in CLIPS if clip["year"]]
RATINGS = [0.0, -0.0, 0.1, -2.5, 1e-7, 1e22, 0.5, 25.0]
VALUES = {
    "int": st.one_of(st.sampled_from(YEARS), st.integers(-(2**63) + 1, 2**63 - 1)),
    "float": st.one_of(st.sampled_from(RATINGS), st.integers(-3, 30), st.floats(-1e30, 1e30)),
    "bool": st.booleans(),
    "string": TEXTS,
}


@st.composite
def conditions(draw):
    field = draw(st.sampled_from(FIELDS))
    ops = ["==", "!=", "exists"] if field.type == "bool" else [*OPS, "in", "not in", "exists"]
    op = draw(st.sampled_from([*ops, "prefix"] if field.type == "string" else ops))
    value = VALUES[field.type]
    value = {"exists": st.sampled_from([None, True, False])}.get(op, value)
    value = st.lists(value, min_size=1, max_size=5) if op in ("in", "not in") else value
    return {"field": field.name, "op": op, "value": draw(value)}


TREES = st.recursive(
    conditions(),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"or": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=5,
)


@given(raw=TREES)
@example(raw={"field": "title", "op": "==", "value": '" or clip_id != "'})
@example(raw={"field": "title", "op": "prefix", "value": "\ud7ff"})
@example(raw={"field": "rating", "op": "in", "value": [0]})
@example(raw={"field": "rating", "op": "not in", "value": [1, -0.0]})
@example(raw={"field": "year", "op": ">=", "value": -(2**63) + 1})
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_filtered_answer_is_that_of_python(filled, raw):
    store, clips, frames, vectors = filled
    tree = parse_filter(json.dumps(raw))
    expression = filter_expression(tree, FIELDS)
    expected = {f"c{i:05d}" for i, clip in enumerate(CLIPS) if meets(tree, clip)}
    query_D = unit(np.random.default_rng(3), DIM)
    hits = store.search(clips, query_D[None], len(CLIPS), expression=expression)[0]
    assert {hit.clip_id for hit in hits} == expected
    best = {f"c{i:05d}": float((vectors[i] @ query_D).max()) for i in range(len(CLIPS))}
    found = store.search_frames(frames, query_D, 10, expression=expression)
    assert [hit.clip_id for hit in found] == sorted(expected, key=lambda clip: -best[clip])[:10]


@pytest.mark.parametrize("title", HOSTILE)
def test_every_title_is_found_by_itself_and_by_its_beginnings(filled, title):
    store, clips, _, _ = filled
    query_D = unit(np.random.default_rng(3), DIM)
    for raw in (
        {"field": "title", "op": "==", "value": title},
        {"field": "title", "op": "in", "value": [title, "no such"]},
        {"field": "title", "op": "prefix", "value": title[:3]},
    ):
        tree = parse_filter(json.dumps(raw))
        expected = {f"c{i:05d}" for i, clip in enumerate(CLIPS) if meets(tree, clip)}
        hits = store.search(clips, query_D[None], 100, expression=filter_expression(tree, FIELDS))[0]
        assert expected
        assert {hit.clip_id for hit in hits} == expected


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"field": "nope", "op": "==", "value": 1}, "filter: no field 'nope'; this version has duration_s, end_s"),
        ({"and": [{"field": "year", "op": "==", "value": "2020"}]}, "filter.and.0: year is int, '2020' is not"),
        ({"not": {"field": "live", "op": "<", "value": True}}, "filter.not: live is bool, which takes ==, !=, exists"),
        ({"field": "year", "op": "prefix", "value": "2"}, "filter: year is int, which takes ==, !=, <, <=, >, >=, in"),
        ({"field": "year", "op": "in", "value": 3}, "filter: in takes a list of values"),
        ({"field": "year", "op": "==", "value": True}, "filter: year is int, True is not"),
        ({"field": "year", "op": "==", "value": 2**63}, "filter: year is int, 9.2"),
        ({"field": "title", "op": "=="}, "filter: == takes one value"),
        ({"field": "title", "op": "==", "value": {"a": 1}}, "filter: value must be a number"),
        ({"or": [{"field": "title", "op": "like", "value": "x"}]}, "filter.or.0.op: Input should be '=='"),
        ({"or": []}, "filter.or: List should have at least 1 item"),
        ({"field": "title", "op": "==", "value": "x" * 1001}, "filter: value must be a number, text of at most 1000"),
        ({"and": [{"field": "year", "op": "==", "value": 1}] * 65}, "filter: 65 conditions, at most 64"),
    ],
)
def test_a_filter_that_cannot_be_is_one_line_with_its_place(raw, message):
    with pytest.raises(FilterError) as refused:
        filter_expression(parse_filter(json.dumps(raw)), FIELDS)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("depth", [9, 2000])
def test_a_filter_that_is_too_deep_is_refused(depth):
    with pytest.raises(FilterError):
        parse_filter('{"not":' * depth + '{"field": "year", "op": "exists"}' + "}" * depth)


def table(*metadata):
    return pa.table(
        {
            "clip_id": [f"c{i}" for i in range(len(metadata))],
            "uri": ["u.mp4"] * len(metadata),
            "metadata": [json.dumps(one) for one in metadata],
        }
    )


def test_text_of_a_csv_manifest_becomes_what_was_declared():
    rows = field_values(table({"year": " 2020", "rating": "1e3", "live": "True", "title": "7"}, {"year": ""}), OWN)
    assert rows[0] == {
        "f_year": 2020, "has_year": True, "f_rating": 1000.0, "has_rating": True, "f_live": True, "has_live": True,
        "f_title": "7", "has_title": True,
    }  # fmt: skip
    assert not any(rows[1][field.present] for field in OWN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("year", "twenty"), ("year", 1.5), ("year", True), ("year", 2**63), ("year", [1]), ("rating", "high"),
        ("rating", 10**400), ("live", 1), ("live", "yes"), ("title", 7), ("title", "x" * 65_536), ("title", {"a": 1}),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_one_line_with_clip_and_value(name, value):
    with pytest.raises(UsageError, match=rf"^clip c1 \(u.mp4\): {name} = [^\n]* (is|does) [^\n]*--field$"):
        field_values(table({}, {name: value}), OWN)


def test_as_many_hits_come_as_pass_also_from_a_graph(filled, request):
    store, _, _, _ = filled
    name = f"test_{uuid.uuid4().hex}"
    clips = [clip_of(i) | {"year": i} for i in range(600)]
    rows = list(rows_of(clips))
    store.create(name, DIM, FIELDS)
    store.insert(name, rows)
    store.flush_and_load(name, HNSW)
    try:
        for share in (590, 300, 40, 10, 1):
            tree = parse_filter(json.dumps({"field": "year", "op": "<", "value": share}))
            query_1D = unit(np.random.default_rng(4), 1, DIM)
            hits = store.search(name, query_1D, 50, expression=filter_expression(tree, FIELDS))[0]
            assert len({hit.clip_id for hit in hits}) == min(50, share)
            scores = [row["v"] @ query_1D[0] for row in rows[:share]]
            np.testing.assert_allclose(hits[0].coarse_score, max(scores), atol=1e-5)
    finally:
        store.drop(name)
