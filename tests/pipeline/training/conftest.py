import pytest


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Twelve generated videos of 32 x 32, of which tests must not change any."""
    from tests.pipeline.training.clips import make_clips

    return make_clips(tmp_path_factory.mktemp("data") / "clips")
