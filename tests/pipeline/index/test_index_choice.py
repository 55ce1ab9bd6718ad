"""Which index is chosen, and how its search is raised: pure rules."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.index.index_choice import FLAT_MAX_ROWS, at_depth, choose_index, raised, types_of

VERSIONS = ("milvus_lite-3.2.2", "v2.3.5-lite", "v2.3.4", "v2.4.15", "v2.6.4", "2.6.0-20251001-abc", "unknown")


@given(st.integers(1, 10**10), st.sampled_from([64, 512, 1024]), st.floats(0.1, 10_000), st.sampled_from(VERSIONS))
def test_auto_takes_what_this_milvus_has_and_is_exact_while_that_is_cheap(rows, dim, memory_gb, version):
    choice = choose_index("auto", rows, dim, memory_gb, version)
    assert choice.index_type in types_of(version)
    assert (choice.index_type == "FLAT") == (rows <= FLAT_MAX_ROWS)


@given(st.sampled_from(VERSIONS), st.integers(1, 10**9))
def test_each_type_that_a_milvus_has_can_be_asked_for_and_raising_its_search_ends(version, rows):
    for index_type in types_of(version):
        choice = choose_index(index_type, rows, 512, 16, version)
        assert (choice.index_type, choice.why) == (index_type, "as asked")
        steps, search = 0, choice.search
        while (more := raised(search, choice.params)) is not None:
            assert all(more[name] >= search[name] for name in search)
            search, steps = more, steps + 1
        assert steps <= 10
        assert search.get("nprobe", 0) <= choice.params.get("nlist", 0)


@given(st.integers(1, 16_384))
def test_a_graph_is_walked_at_least_as_wide_as_it_answers(limit):
    assert at_depth({"ef": 200}, limit)["ef"] >= max(200, limit)
    assert at_depth({"nprobe": 8}, limit) == {"nprobe": 8}
