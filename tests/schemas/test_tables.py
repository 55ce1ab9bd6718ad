import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import errors, ids
from schemas.tables import FILTERED_REASONS, REASONS, TokenShape, clips_schema


def test_token_columns_say_their_type_and_shape():
    schema = clips_schema(TokenShape(frames=12, patches=49, dim=512), "m-1")
    patches = schema.field("patches")
    assert patches.type == pa.binary(12 * 49 * 512 * 2)
    assert json.loads(patches.metadata[b"shape"]) == [12, 49, 512]
    assert patches.metadata[b"dtype"] == b"float16"
    assert schema.metadata[b"model_id"] == b"m-1"
    assert schema.field("coarse").type == pa.list_(pa.float32(), 512)


def test_every_error_is_in_the_tree_that_the_docstring_draws():
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(found) > 8
    for kind in found:
        assert kind.__name__ in errors.__doc__
        if kind is not errors.BadVideoError:
            line = next(row for row in errors.__doc__.splitlines() if kind.__name__ in row)
            assert f" {kind.exit_code} " in line


def test_reasons_of_bad_videos_are_explained():
    assert all(name.islower() and text for name, text in REASONS.items())
    assert {name for name, text in REASONS.items() if text.startswith("filtered:")} == set(FILTERED_REASONS)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4), st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_different_sources_never_share_a_task(a, b):
    assert (ids.task_id(a) == ids.task_id(b)) == (a == b)


@pytest.mark.parametrize(
    ("a", "b"), [(("v", 0, 1), ("v", 0, 2)), (("v", 0, 1), ("w", 0, 1)), (("v", 1, 11), ("v", 11, 1))]
)
def test_different_spans_are_different_clips(a, b):
    assert ids.clip_id(*a) != ids.clip_id(*b)
