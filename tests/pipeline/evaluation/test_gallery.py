import numpy as np
import pytest

from pipeline.evaluation.gallery import read_gallery
from pipeline.storage import Store
from schemas.errors import InputError
from tests.tables_factory import make_tables


@pytest.fixture
def tables(tmp_path):
    store = Store(str(tmp_path / "tables"))
    return store, make_tables(store, num_videos=5, clips_per_video=1)


def read(tables, folder, videos):
    store, made = tables
    return read_gallery(store, made.info.model_id, made.info.token_shape, videos, folder)


def test_rows_follow_the_order_of_the_set_with_every_token_of_the_tables(tables, tmp_path):
    made = tables[1]
    videos = [(f"key {row}", clip["uri"]) for row, clip in enumerate(made.clips)][::-1]

    gallery, refused = read(tables, tmp_path, videos)

    assert refused == {}
    assert [(clip.key, clip.uri) for clip in gallery.clips] == videos
    for row, clip in enumerate(made.clips[::-1]):
        np.testing.assert_array_equal(gallery.frames_BFD[row].numpy(), made.tokens(clip, "frames"))
        np.testing.assert_array_equal(gallery.temporal_BFD[row].numpy(), made.tokens(clip, "temporal_frames"))
        np.testing.assert_array_equal(gallery.patches_BND[row].numpy(), made.tokens(clip, "patches"))
        np.testing.assert_array_equal(gallery.coarse_BD[row].numpy(), np.float32(clip["coarse"]))
        assert gallery.mask_BF[row].tolist() == list(clip["mask"])
        assert gallery.clips[row].frame_times_s == tuple(clip["frame_times_s"])


def test_a_video_without_a_clip_is_named_and_two_keys_of_one_file_are_two_clips(tables, tmp_path):
    uri = tables[1].clips[0]["uri"]

    gallery, refused = read(tables, tmp_path, [("a", uri), ("lost", "/nowhere.mp4"), ("b", uri)])

    assert refused == {"lost": "missing"}
    assert [clip.key for clip in gallery.clips] == ["a", "b"]
    np.testing.assert_array_equal(gallery.patches_BND[0].numpy(), gallery.patches_BND[1].numpy())


def test_no_clip_at_all_is_an_error_that_counts_the_reasons(tables, tmp_path):
    with pytest.raises(InputError, match="none of the 2 videos could be decoded: 2 missing"):
        read(tables, tmp_path, [("x", "/x.mp4"), ("y", "/y.mp4")])
