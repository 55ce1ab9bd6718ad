import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.index.frame_search import MAX_WINDOW, group_by_clip
from pipeline.index.hits import FrameHit


class Frames:
    """Frames in the order of their scores, by the names of their clips; counts what was asked."""

    def __init__(self, clips):
        self.hits = [FrameHit(clip, 1 - row / 1e5) for row, clip in enumerate(clips)]
        self.windows = []

    def __call__(self, window):
        self.windows.append(window)
        return self.hits[:window]


@given(st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(1, 9))
def test_clips_come_in_the_order_of_their_first_frame(clips, limit):
    found = group_by_clip(Frames(clips), limit)
    assert [hit.clip_id for hit in found] == list(dict.fromkeys(clips))[:limit]
    assert [hit.frame_score for hit in found] == [1 - clips.index(hit.clip_id) / 1e5 for hit in found]


def test_equal_frames_are_ordered_by_clip_whatever_order_they_come_in():
    hits = [FrameHit(clip, 0.5 + tiny) for clip, tiny in (("c", 0), ("a", 1e-9), ("b", 0))]
    assert [hit.clip_id for hit in group_by_clip(lambda window: hits, 3)] == ["a", "b", "c"]


@pytest.mark.parametrize(("a_clip", "searches"), [(1, 1), (4, 1), (5, 2), (12, 2), (300, 2)])
def test_clips_of_many_good_frames_cost_one_more_search(a_clip, searches):
    frames = Frames([f"c{row // a_clip}" for row in range(a_clip * 1000)])
    assert len(group_by_clip(frames, 50)) == 50
    assert len(frames.windows) == searches


def test_no_window_is_wider_than_milvus_takes_and_what_it_holds_is_given():
    frames = Frames(["a"] * (MAX_WINDOW - 1) + ["b", "c"])
    assert [hit.clip_id for hit in group_by_clip(frames, 1000)] == ["a", "b"]
    assert max(frames.windows) == MAX_WINDOW
