import av
import numpy as np
import pytest

from pipeline.synthetic.plan import plan_videos
from pipeline.synthetic.write_video import write_video
from schemas.data_config import DataConfig
from schemas.errors import StorageError


@pytest.fixture(scope="module")
def plan():
    return next(plan_videos(DataConfig(out="unused", seed=3)))


def test_the_file_decodes_to_the_frames_that_were_drawn(plan, tmp_path):
    write_video(tmp_path / "a.mp4", plan.frames(128), plan.timeline.fps)

    with av.open(str(tmp_path / "a.mp4")) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height, video.average_rate) == (128, 128, 12)
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video)]
    drawn = list(plan.frames(128))
    assert len(decoded) == len(drawn) == plan.timeline.num_frames
    errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(decoded, drawn, strict=True)]
    assert max(errors) < 8
    # A frame one step off would be no worse by that measure, so each must also be nearest to its own drawing.
    cut = plan.timeline.shots[1].start
    assert np.abs(decoded[cut].astype(int) - drawn[cut - 1]).mean() > 3 * errors[cut]
    assert np.abs(decoded[cut - 1].astype(int) - drawn[cut]).mean() > 3 * errors[cut - 1]


def test_equal_frames_give_equal_bytes_and_the_index_comes_first(plan, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, plan.frames(64), plan.timeline.fps)

    data = (tmp_path / "a.mp4").read_bytes()
    assert data == (tmp_path / "b.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_nothing_is_left_of_a_video_that_failed(plan, tmp_path):
    def broken():
        yield from list(plan.frames(64))[:30]
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"cannot write .*a\.mp4: No space left"):
        write_video(tmp_path / "a.mp4", broken(), 12)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_one_line(plan, tmp_path):
    with pytest.raises(StorageError, match=r"cannot write .*none/a\.mp4: No such file"):
        write_video(tmp_path / "none" / "a.mp4", plan.frames(64), 12)
