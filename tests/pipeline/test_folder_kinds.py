"""Tables are not taken for an index, nor an index for tables, and nothing is written into either."""

import pytest

from pipeline.folder_kinds import refuse_index, refuse_tables
from pipeline.index.build import build_index
from pipeline.index.garbage import collect_garbage
from pipeline.index.versions import list_versions, live_manifest
from pipeline.storage import Store
from pipeline.tables import require_info
from schemas.errors import UsageError
from schemas.index_config import IndexConfig


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "folder"))


@pytest.mark.parametrize(
    "work",
    [
        refuse_tables,
        live_manifest,
        list_versions,
        lambda store: collect_garbage(store, 1),
        lambda store: build_index(IndexConfig(tables=store.root, index=store.root)),
    ],
)
def test_tables_are_no_index(store, work):
    store.write("extract.json", b"{}")
    with pytest.raises(UsageError, match=rf"^{store.root} holds tables and no index: [^\n]*$"):
        work(store)
    assert store.names("", hidden=True) == ["extract.json"]


@pytest.mark.parametrize("work", [refuse_index, require_info])
def test_an_index_is_no_tables(store, work):
    store.write("index.json", b"{}")
    with pytest.raises(UsageError, match=rf"^{store.root} holds an index and no tables: [^\n]*$"):
        work(store)


def test_an_empty_folder_and_one_that_is_both_may_be_either(store):
    for name in ("", "extract.json", "index.json"):
        if name:
            store.write(name, b"{}")
        if name != "extract.json":
            assert refuse_tables(store) is None
        assert refuse_index(store) is None
