import pytest

from tests.servers import milvus


def test_the_server_is_a_real_milvus_and_answers(milvus_server):
    from pymilvus import MilvusClient

    client = MilvusClient(uri=milvus_server)
    try:
        # Milvus Lite (the embedded one) would answer with its own version, 3.x.
        assert client.get_server_version().startswith("v2.3.5")
        client.create_collection("fixture", dimension=4)
        client.insert("fixture", [{"id": 1, "vector": [1.0, 0.0, 0.0, 0.0]}])
        assert client.query("fixture", filter="id == 1", consistency_level="Strong")[0]["id"] == 1
        client.drop_collection("fixture")
    finally:
        client.close()


def test_a_missing_installation_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setenv("REELSIFT_MILVUS_PYTHON", "nowhere/python")
    with pytest.raises(RuntimeError, match=r"nowhere/python does not exist; run the tests by 'make test'"):
        milvus.interpreter()
